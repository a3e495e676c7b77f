"""A world of posts that come, change and go, and the services that show it over real HTTP on loopback.

Each service answers as the real interface does, from the posts that are there at the simulated moment; and now and then
it says 429, is down, or drops the line.
"""

from __future__ import annotations

import html
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from listener.config import HttpSettings
from listener.http import Get, Response, open_get
from loopback import Answer, Request, serve

WORDS = re.findall(
    r"\w+",
    "room breakfast desk lift view harbour ferry bed shower price booking window dinner pillow walk train museum quiet "
    "noise street parking sauna staff smile letter refund delay charger cable update screen battery game save level",
)


@dataclass
class Entry:
    """One post of one service: when it was written, its texts with the moments they begin, and when it was deleted."""

    ident: int
    born: datetime
    texts: list[tuple[datetime, str]]
    gone: datetime | None = None

    def there(self, now: datetime) -> bool:
        return self.born <= now and not (self.gone and self.gone <= now)

    def text(self, now: datetime) -> str:
        return next(text for at, text in reversed(self.texts) if at <= now)

    def changed(self, now: datetime) -> datetime:
        return next(at for at, _ in reversed(self.texts) if at <= now)


@dataclass
class Service:
    """What it holds and how often it fails; `asked` counts its requests by how they were answered."""

    name: str
    entries: list[Entry] = field(default_factory=list)
    outages: list[tuple[datetime, datetime]] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)

    def shown(self, now: datetime) -> list[Entry]:
        """What is there, newest first."""
        return sorted((each for each in self.entries if each.there(now)), key=lambda each: (each.born, each.ident))[
            ::-1
        ]

    def find(self, ident: int, now: datetime) -> Entry | None:
        return next((each for each in self.entries if each.ident == ident and each.there(now)), None)


class World:
    """Services by name, the moment it is, and the faults. `rng` decides everything, so a seed names a day."""

    def __init__(self, names: Mapping[str, float], begin: datetime, hours: int, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = begin
        self.services = {name: self._filled(name, a_day, begin, hours) for name, a_day in names.items()}

    def _filled(self, name: str, a_day: float, begin: datetime, hours: int) -> Service:
        rng, service, at, ident = self.rng, Service(name), begin - timedelta(hours=6), 1000
        end = begin + timedelta(hours=hours)
        while (at := at + timedelta(seconds=rng.expovariate(a_day / 86400))) < end:
            at = at.replace(microsecond=0)
            ident += rng.choice((1, 1, 1, 2, 7))
            entry = Entry(ident, at, [(at, self.sentence(name, ident))])
            if rng.random() < 0.1:
                later = at + timedelta(minutes=rng.randrange(3, 600))
                entry.texts.append((later, self.sentence(name, ident) + " Edited."))
            if rng.random() < 0.08:
                entry.gone = at + timedelta(minutes=rng.randrange(20, 400))
            service.entries.append(entry)
        for _ in range(3):
            start = begin + timedelta(minutes=rng.randrange(hours * 60))
            service.outages.append((start, start + timedelta(minutes=rng.randrange(10, 120))))
        return service

    def sentence(self, name: str, ident: int) -> str:
        return f"Lumen {name} {ident}: {' '.join(self.rng.choices(WORDS, k=self.rng.randrange(6, 30)))} & more."

    def answer(self, service: Service, reply: Callable[[Request], Any], request: Request) -> Answer:
        """The service's reply, or one of its faults."""
        fault = self.rng.random()
        down = any(start <= self.now < end for start, end in service.outages)
        what = "down" if down else "429" if fault < 0.03 else "torn" if fault < 0.045 else "answered"
        service.asked[what] = service.asked.get(what, 0) + 1
        if down:
            return Answer(b"<html>Service unavailable</html>", 503)
        if what == "429":
            return Answer(b"slow down", 429, {"Retry-After": str(self.rng.randrange(30, 900))})
        if what == "torn":
            return Answer(raw=[b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{"])
        found = reply(request)
        if isinstance(found, Answer):
            return found
        return Answer(found if isinstance(found, bytes) else json.dumps(found).encode(), headers=_JSON)


_JSON = {"Content-Type": "application/json"}


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch(moment: datetime) -> int:
    return int(moment.timestamp())


# --- the services: a path and how it is answered ---------------------------------------------------------------------

Reply = Callable[[World, Service, Request], Any]


def feed(world: World, service: Service, request: Request) -> bytes:
    """An Atom feed of the newest forty."""
    entries = "".join(
        f"<entry><id>tag:{each.ident}</id><title>Post {each.ident}</title><published>{iso(each.born)}</published>"
        f"<updated>{iso(each.changed(world.now))}</updated><content>{html.escape(each.text(world.now))}</content></entry>"
        for each in service.shown(world.now)[:40]
    )
    return f'<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title>{entries}</feed>'.encode()


def hackernews_search(world: World, service: Service, request: Request) -> Any:
    since, until = map(int, re.findall(r"\d+", request.query["numericFilters"])[-2:])
    lag = world.now - timedelta(minutes=7)  # posts enter the index late
    found = [each for each in service.shown(lag) if since <= epoch(each.born) <= until and each.there(world.now)]
    return {
        "hits": [
            {
                "objectID": str(each.ident),
                "comment_text": html.escape(each.text(world.now)),
                "created_at_i": epoch(each.born),
            }
            for each in found[: int(request.query["hitsPerPage"])]
        ]
    }


def hackernews_item(world: World, service: Service, request: Request) -> Any:
    found = service.find(_number(request.path), world.now)
    return {"id": found.ident} if found else None


def discourse_post(each: Entry, now: datetime) -> dict[str, Any]:
    return {
        "id": each.ident, "created_at": iso(each.born), "updated_at": iso(each.changed(now)),
        "version": sum(at <= now for at, _ in each.texts), "post_number": 2, "post_type": 1, "topic_id": 7,
        "topic_slug": "t", "cooked": f"<p>{html.escape(each.text(now))}</p>", "username": "u",
    }  # fmt: skip


def discourse_posts(world: World, service: Service, request: Request) -> Any:
    before = int(request.query.get("before", 2**40))
    found = [each for each in service.shown(world.now) if each.ident < before][:50]
    return {"latest_posts": [discourse_post(each, world.now) for each in found]}


def discourse_single(world: World, service: Service, request: Request) -> Any:
    found = service.find(_number(request.path), world.now)
    gone = b'{"errors": ["not found"], "error_type": "not_found"}'
    return discourse_post(found, world.now) if found else Answer(gone, 404, _JSON)


def steam(world: World, service: Service, request: Request) -> Any:
    asked = json.loads(request.query["input_json"])
    order = sorted(service.shown(world.now), key=lambda each: (each.changed(world.now), each.ident), reverse=True)
    start = 0 if asked["cursor"] == "*" else int(asked["cursor"])
    reviews = [
        {
            "recommendationid": str(each.ident), "author": {"steamid": "7"}, "language": "english",
            "review": each.text(world.now), "timestamp_created": epoch(each.born),
            "timestamp_updated": epoch(each.changed(world.now)), "voted_up": True,
        }
        for each in order[start : start + asked["num_per_page"]]
    ]  # fmt: skip
    reply = {"cursor": str(start + len(reviews)), "query_summary": {"total_reviews": len(order)}}
    return {"response": {**reply, "reviews": reviews} if reviews else reply}


_INSTANCES = {"one.example": (0, 0), "two.example": (5_000_000, 3)}  # what it adds to ids, minutes until it hears


def _status(each: Entry, now: datetime, shift: int) -> dict[str, Any]:
    edited = each.changed(now)
    return {
        "id": str(each.ident + shift), "uri": f"https://one.example/users/u/statuses/{each.ident}",
        "created_at": iso(each.born), "edited_at": iso(edited) if edited > each.born else None,
        "visibility": "public", "content": f"<p>{html.escape(each.text(now))}</p>", "account": {"acct": "u"},
    }  # fmt: skip


def mastodon_tag(world: World, service: Service, request: Request) -> Any:
    """Newest first below `max_id`, or the oldest above `min_id`; forty a page."""
    shift, minutes = _INSTANCES[request.path.split("/")[1]]
    heard = service.shown(world.now - timedelta(minutes=minutes))
    found = [each for each in heard if each.there(world.now)]
    low, high = int(request.query.get("min_id", 0)) - shift, int(request.query.get("max_id", 2**40)) - shift
    found = [each for each in found if low < each.ident < high]
    page = found[-40:] if "min_id" in request.query else found[:40]
    return [_status(each, world.now, shift) for each in page]


def mastodon_status(world: World, service: Service, request: Request) -> Any:
    found = service.find(_number(request.path), world.now)
    gone = b'{"error": "Record not found"}'
    return _status(found, world.now, 0) if found else Answer(gone, 404, _JSON)


def _question(each: Entry, now: datetime) -> dict[str, Any]:
    edited = {"last_edit_date": epoch(each.changed(now))} if each.changed(now) > each.born else {}
    return {
        "question_id": each.ident, "title": f"Question {each.ident}", "body": html.escape(each.text(now)),
        "creation_date": epoch(each.born), **edited,
    }  # fmt: skip


def stackexchange_search(world: World, service: Service, request: Request) -> Any:
    since, until = int(request.query["fromdate"]), int(request.query["todate"])
    found = [each for each in service.shown(world.now) if since <= epoch(each.born) <= until]
    return {"items": [_question(each, world.now) for each in found[:100]], "has_more": len(found) > 100}


def stackexchange_ids(world: World, service: Service, request: Request) -> Any:
    idents = {int(ident) for ident in request.path.rpartition("/")[2].split(";")}
    found = [each for each in service.shown(world.now) if each.ident in idents]
    items = [_question(each, world.now) for each in found]
    if "/posts/" in request.path:
        items = [{**each, "post_id": each["question_id"], "post_type": "question", "title": None} for each in items]
    return {"items": items, "has_more": False}


def _issue(each: Entry, now: datetime) -> dict[str, Any]:
    return {
        "url": f"https://api.github.com/repos/lumen/app/issues/{each.ident}", "number": each.ident,
        "title": f"Issue {each.ident}", "body": each.text(now), "user": {"login": "u"},
        "created_at": iso(each.born), "updated_at": iso(each.changed(now)),
    }  # fmt: skip


def github_issues(world: World, service: Service, request: Request) -> Any:
    since, page = datetime.fromisoformat(request.query["since"]), int(request.query["page"])
    found = [each for each in service.shown(world.now) if each.changed(world.now) >= since]
    found.sort(key=lambda each: (each.changed(world.now), each.ident))
    return [_issue(each, world.now) for each in found[100 * (page - 1) : 100 * page]]


def github_issue(world: World, service: Service, request: Request) -> Any:
    found = service.find(_number(request.path), world.now)
    return _issue(found, world.now) if found else Answer(b'{"message": "This issue was deleted"}', 410, _JSON)


def _view(each: Entry, now: datetime) -> dict[str, Any]:
    edited = {"updated": iso(each.changed(now))} if each.changed(now) > each.born else {}
    post = {
        "id": each.ident, "name": f"Post {each.ident}", "body": each.text(now), "published": iso(each.born),
        "ap_id": f"https://lemmy.example/post/{each.ident}", **edited,
    }  # fmt: skip
    return {"post": post, "creator": {"name": "u"}, "counts": {"score": 1, "comments": 0}}


def lemmy_site(world: World, service: Service, request: Request) -> Any:
    return {"version": "0.19.11", "site_view": {}}


def lemmy_posts(world: World, service: Service, request: Request) -> Any:
    """The newest, fifty a page; `page_cursor` names the place."""
    start = int(request.query.get("page_cursor", "P0")[1:])
    page = [_view(each, world.now) for each in service.shown(world.now)[start : start + 50]]
    return {"posts": page, **({"next_page": f"P{start + 50}"} if len(page) == 50 else {})}


def lemmy_post(world: World, service: Service, request: Request) -> Any:
    found = service.find(int(request.query["id"]), world.now)
    gone = b'{"error": "couldnt_find_post"}'
    return {"post_view": _view(found, world.now)} if found else Answer(gone, 404, _JSON)


def lemmy_comments(world: World, service: Service, request: Request) -> Any:
    return {"comments": []}


def nothing(world: World, service: Service, request: Request) -> Any:
    return []


def _number(path: str) -> int:
    return int(re.findall(r"\d+", path.rpartition("/")[2])[0])


# service name -> (pattern of host and path, reply)
SERVICES: dict[str, list[tuple[str, Reply]]] = {
    "feeds": [(r"/news\.example/feed", feed)],
    "hackernews": [
        (r"/hn\.algolia\.com/.*", hackernews_search),
        (r"/hacker-news\.firebaseio\.com/.*", hackernews_item),
    ],
    "discourse": [
        (r"/forum\.example/posts\.json", discourse_posts),
        (r"/forum\.example/posts/\d+\.json", discourse_single),
    ],
    "mastodon": [
        (r"/(one|two)\.example/api/v1/timelines/tag/lumen", mastodon_tag),
        (r"/one\.example/api/v1/statuses/\d+", mastodon_status),
    ],
    "stackexchange": [
        (r"/api\.stackexchange\.com/2\.3/search/advanced", stackexchange_search),
        (r"/api\.stackexchange\.com/2\.3/(posts|questions)/[\d;]+", stackexchange_ids),
    ],
    "github": [
        (r"/api\.github\.com/repos/lumen/app/issues", github_issues),
        (r"/api\.github\.com/repos/lumen/app/issues/comments", nothing),
        (r"/api\.github\.com/repos/lumen/app/issues/\d+", github_issue),
    ],
    "lemmy": [
        (r"/lemmy\.example/api/v3/site", lemmy_site),
        (r"/lemmy\.example/api/v3/post/list", lemmy_posts),
        (r"/lemmy\.example/api/v3/comment/list", lemmy_comments),
        (r"/lemmy\.example/api/v3/post", lemmy_post),
    ],
    "steam": [(r"/api\.steampowered\.com/.*", steam)],
}


@contextmanager
def opened(world: World) -> Iterator[Get]:
    """A `get` that goes to the world's services over loopback, whatever host is asked for."""

    class Routes(dict[str, Callable[[Request], Answer]]):
        def get(self, path: str, default: Any = None) -> Any:  # type: ignore[override]
            for name, replies in SERVICES.items():
                for pattern, reply in replies:
                    if re.fullmatch(pattern, path):
                        service = world.services[name]
                        return lambda request, s=service, r=reply: world.answer(s, lambda q: r(world, s, q), request)
            return default

    settings = HttpSettings(gap_s=0, allow_private=["*"], timeout_s=5)
    with serve(Routes()) as server, open_get(settings, sleep=lambda _: None) as door:

        def get(url: str, *, params: Mapping[str, str] | None = None, **options: Any) -> Response:
            return door(re.sub(r"^https?://", server.url("/"), url), params=params, **options)

        yield get  # type: ignore[misc]
