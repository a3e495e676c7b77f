"""Discourse: the posts of forums that run on it, all that are new or those that hold a phrase."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from listener.errors import Refused, SourceError
from listener.http import Get, Response
from listener.records import Gap, Page
from listener.sources import About
from listener.sources.discourse_posts import hits_of, is_id, items_of, key_of, page_of, parse
from listener.sources.shared import Phrases, read_date
from listener.sources.turns import each_in_turn

__all__ = ["ABOUT", "RECHECK_AT_ONCE", "Settings", "backfill", "fetch", "parse", "recheck"]

ABOUT = About(
    brings="posts and replies of forums that run on Discourse: all new ones, or those that hold one of your phrases",
    key="none",
    limits="200 requests and about 8 searches a minute; 40 requests a run, shared by the forums",
    terms="each forum has its own; its page /tos says which",
    caution="forums that are for members only cannot be read; an edit is seen when a post is asked after again",
)
RECHECK_AT_ONCE = 20

_MAX_REQUESTS = 40  # a run
_WINDOW = 50  # older versions look through so many ids for one reply, whatever is hidden among them
_OVERLAP = 25  # ids: one that was given out earlier may be seen later, by so much at most
_OVERLAP_S = 3600  # posts enter the search index late
_SEARCH_PAGES = 10  # the interface shows no more
_SEARCH_GAP_S = 8.0


class Settings(BaseModel):
    """Which forums to read, and what to look for in them."""

    model_config = ConfigDict(extra="forbid")

    forums: list[str] = Field(
        min_length=1,
        max_length=20,
        description="The addresses of the forums' front pages.",
        examples=[["https://community.example.com"]],
    )
    queries: Phrases = Field(
        [],
        max_length=10,
        description="Words or phrases to search for, where forums are too large to read; empty: all is read.",
        examples=[["Acme Hotel"]],
    )
    days: float = Field(7, gt=0, le=3650, description="How many days the first run looks back.")

    @field_validator("forums")
    @classmethod
    def _front_pages(cls, forums: list[str]) -> list[str]:
        for forum in forums:
            parts = urlsplit(forum.strip())
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
                raise ValueError(f"{forum!r} is not the address of a forum's front page, as https://forum.example.com")
        return list(dict.fromkeys(forum.strip().rstrip("/") for forum in forums))

    @field_validator("queries")
    @classmethod
    def _long_enough(cls, queries: list[str]) -> list[str]:
        if any(len(phrase) < 2 for phrase in queries):
            raise ValueError("a query is too short: name a word or a phrase, such as the brand's name")
        return queries


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """Pages of posts, newest first. The cursor is {"top": {forum: highest id seen}}.

    Or, where phrases are searched for, {"until": {"forum phrase": epoch seconds up to which all was read}}. Only the
    last page of a forum or phrase moves its bookmark; it carries a Gap when there was more than one run reads.
    """
    if settings.queries:
        yield from _fetch_found(settings, cursor, get, now, name)
        return
    known = dict((cursor or {}).get("top") or {})
    tops = {forum: known[forum] for forum in settings.forums if forum in known}
    begin = now - timedelta(days=settings.days)
    most = max(2, _MAX_REQUESTS // len(settings.forums))

    def read(forum: str) -> Iterator[Page]:
        mark, top = tops.get(forum), 0
        since = begin if mark is None else None
        for request, (page, highest, _, last) in enumerate(_newest(forum, mark or 0, since, get, now, name), start=1):
            top = top or highest
            if not last and request < most:
                yield page
                continue
            if top:
                tops[forum] = top
            why = f"{key_of(forum)} got more posts than a run reads; `listener collect {name} --since DATE` brings them"
            gap = None if last else Gap(since, _oldest(page), why)
            yield replace(page, cursor={"top": dict(tops)}, gap=gap)
            return

    yield from each_in_turn(settings.forums, read, now, lambda forum: forum)


def _fetch_found(
    settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str
) -> Iterator[Page]:
    until = int(now.timestamp())
    known = dict((cursor or {}).get("until") or {})
    places = [(forum, phrase) for forum in settings.forums for phrase in settings.queries]
    marks = {f"{forum} {phrase}": known.get(f"{forum} {phrase}") for forum, phrase in places}
    most = max(5, _MAX_REQUESTS // len(places))

    def read(place: tuple[str, str]) -> Iterator[Page]:
        key = " ".join(place)
        mark = marks[key]
        since = until - settings.days * 86400 if mark is None else min(mark, until) - _OVERLAP_S
        for page, last in _found(*place, datetime.fromtimestamp(since, UTC), get, now, name, most):
            if last:
                marks[key] = until
            moved = {phrase: at for phrase, at in marks.items() if at is not None}
            yield replace(page, cursor={"until": moved} if last else None)

    yield from each_in_turn(places, read, now, lambda place: place[0])


def backfill(
    settings: Settings, since: datetime, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """Pages back to `since`. The cursor is {"before": {forum: the id to go on below}}; 0 where all was read.

    Where phrases are searched for it is {"done": ["forum phrase", ...]}: a search begins anew when it was interrupted.
    """
    places = [(forum, phrase) for forum in settings.forums for phrase in settings.queries or [""]]
    below = dict((cursor or {}).get("before") or {})
    done = list((cursor or {}).get("done") or [])

    def read(place: tuple[str, str]) -> Iterator[Page]:
        forum, phrase = place
        if phrase and " ".join(place) not in done:
            for page, last in _found(forum, phrase, since, get, now, name, None):
                done.extend([" ".join(place)] if last else [])
                yield replace(page, cursor={"done": list(done)} if last else None)
        elif not phrase and below.get(forum) != 0:
            for page, _, low, last in _newest(forum, 0, since, get, now, name, below.get(forum)):
                below[forum] = 0 if last else low
                yield replace(page, cursor={"before": dict(below)})

    yield from each_in_turn(places, read, now, lambda place: place[0])
    yield Page((), cursor={})


def _newest(
    forum: str, mark: int, since: datetime | None, get: Get, now: datetime, name: str, before: int | None = None
) -> Iterator[tuple[Page, int, int, bool]]:
    """Each page, its highest id, the id to go on below, and whether it is the last: down to `mark`, or to `since`."""
    reaches_far = False
    while True:
        response = _ask(get, forum, "/posts.json", {"before": str(before)} if before else {})
        items = items_of(response.body, key_of(forum))
        page = _not_before(page_of(items, response.body, forum, name, now), since)
        ids = [item["id"] for item in items if is_id(item.get("id"))]
        moments = [at for item in items if (at := read_date(item.get("created_at"), now))]
        # Older versions show the posts among the fifty ids up to `before`, which may be none or that one alone.
        reaches_far = reaches_far or (bool(ids) and max(ids) - min(ids) >= _WINDOW)
        low = min(ids) if ids and (before is None or min(ids) < before) else (before or 0) - _WINDOW
        last = low <= max(1, mark - _OVERLAP) or (reaches_far and not ids)
        # The youngest of the page: posts that were moved to another topic keep their date and get a new id.
        last = last or (since is not None and bool(moments) and max(moments) < since)
        yield page, max(ids, default=0), low, last
        if last:
            return
        before = low


def _found(
    forum: str, phrase: str, since: datetime, get: Get, now: datetime, name: str, most: int | None
) -> Iterator[tuple[Page, bool]]:
    """Each page of what a search finds, and whether it is the last. It shows excerpts: the posts are fetched."""
    asked, end, seen = 0, "", set[int]()
    while True:
        oldest = None
        for number in range(1, _SEARCH_PAGES + 1):
            words = f'"{phrase}" after:{since - timedelta(days=2):%Y-%m-%d}{end} order:latest'
            response = _ask(get, forum, "/search.json", {"q": words, "page": str(number)}, _SEARCH_GAP_S)
            hits, topics, more = hits_of(response.body, key_of(forum))
            dated = [(read_date(hit.get("created_at"), now) or now, hit) for hit in hits]
            oldest = min((at for at, _ in dated), default=oldest)
            wanted = [hit for at, hit in dated if at >= since and hit["id"] not in seen]
            seen.update(hit["id"] for hit in wanted)
            for topic in dict.fromkeys(hit["topic_id"] for hit in wanted):
                ids = [hit["id"] for hit in wanted if hit["topic_id"] == topic]
                yield _of_topic(forum, topic, ids, topics.get(topic, ""), get, now, name), False
                asked += 1
            asked += 1
            if not more or not hits or (oldest and oldest < since):
                yield Page(()), True
                return
            if most and asked >= most:
                break
        before = f" before:{oldest + timedelta(days=1):%Y-%m-%d}" if oldest else ""
        if before in ("", end) or (most and asked >= most):
            why = f"{key_of(forum)} holds more posts with {phrase!r} than can be read; name a narrower phrase"
            yield Page((), gap=Gap(since, oldest, why)), True
            return
        end = before


def _of_topic(forum: str, topic: int, ids: list[int], title: str, get: Get, now: datetime, name: str) -> Page:
    query = urlencode([("post_ids[]", ident) for ident in ids])
    try:
        response = _ask(get, forum, f"/t/{topic}/posts.json?{query}", {})
    except SourceError as error:
        if not _is_gone(error):
            raise
        return Page((), skipped={"gone since it was found": len(ids)})
    return parse(response.body, forum=forum, name=name, now=now, title=title)


def recheck(
    settings: Settings, cursor: Mapping[str, Any] | None, native_ids: list[str], get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """Asks the forum's list for the fifty posts up to the highest id, and singly for those it does not show.

    A post that the list leaves out but that can still be read, as in a topic that was unlisted, is verified.
    """
    for forum in settings.forums:
        start = f"{key_of(forum)}/"
        asked = (ident.removeprefix(start) for ident in native_ids if ident.startswith(start))
        ids = sorted((int(ident) for ident in asked if ident.isdecimal()), reverse=True)
        while ids:
            response = _ask(get, forum, "/posts.json", {"before": str(ids[0] + 1)})
            items = [item for item in items_of(response.body, key_of(forum)) if is_id(item.get("id"))]
            listed = {item["id"] for item in items}
            low = min(*listed, ids[0]) if listed else ids[0]
            mine = [item for item in items if item["id"] in ids]
            missing = [ident for ident in ids if ident >= low and ident not in listed]
            if mine:
                yield page_of(mine, response.body, forum, name, now)
            for ident in missing:
                yield _singly(forum, ident, get, now, name)
            ids = [ident for ident in ids if ident < low]


def _singly(forum: str, ident: int, get: Get, now: datetime, name: str) -> Page:
    native_id = f"{key_of(forum)}/{ident}"
    try:
        response = _ask(get, forum, f"/posts/{ident}.json", {})
    except SourceError as error:
        if not _is_gone(error):
            raise
        return Page((), deleted=(native_id,))
    found = parse(response.body, forum=forum, name=name, now=now)
    return Page((), deleted=found.deleted, verified=() if found.deleted else (native_id,))


def _is_gone(error: SourceError) -> bool:
    """Whether Discourse itself says so, deleted or no longer public, and not a wall or a proxy before it."""
    return error.status in (403, 404, 410) and b'"error_type"' in error.payload


def _not_before(page: Page, since: datetime | None) -> Page:
    kept = tuple(post for post in page.posts if not since or not post.created_at or post.created_at >= since)
    older = len(page.posts) - len(kept)
    return replace(page, posts=kept, skipped={**page.skipped, "older than asked for": older}) if older else page


def _oldest(page: Page) -> datetime | None:
    return min((post.created_at for post in page.posts if post.created_at), default=None)


def _ask(get: Get, forum: str, path: str, params: Mapping[str, str], gap_s: float | None = None) -> Response:
    try:
        return get(forum + path, params=params, gap_s=gap_s)
    except Refused as error:
        if error.status != 403 or path != "/posts.json" or b"not_logged_in" not in error.payload:
            raise
        why = f"{key_of(forum)} shows its posts to members only (403); remove it, or ask its owner for an export."
        raise Refused(why, error.payload, error.status) from error
