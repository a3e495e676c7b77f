"""Stack Exchange: questions and answers that hold a phrase, on Stack Overflow, Travel and its other sites."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from listener.errors import Broken
from listener.http import Get
from listener.records import Gap, Page, Post
from listener.settings.secrets import Secret
from listener.sources import About
from listener.sources.shared import Phrases, plain, read_date
from listener.sources.stackexchange_api import API, AT_ONCE, PLACE, Conversation, is_count, reply_of
from listener.sources.turns import each_in_turn

ABOUT = About(
    brings="questions and answers of Stack Exchange sites that hold one of your words or phrases",
    key="none; a free key from stackapps.com raises the limit",
    limits="300 requests a day without a key, 10,000 with one; 30 requests a run, shared by the sites and phrases",
    terms="texts are CC BY-SA: who shows one names its author, links to it and keeps the licence",
    caution="comments are not searched; an edit is seen when a post is asked after again",
)
RECHECK_AT_ONCE = AT_ONCE

_MAX_REQUESTS = 30  # a run
_OVERLAP_S = 3600  # posts enter the search index late


class Settings(BaseModel):
    """Where to look, and for what."""

    model_config = ConfigDict(extra="forbid")

    sites: list[str] = Field(
        min_length=1,
        max_length=20,
        description="The sites to search, by the beginning of their address: 'travel' is travel.stackexchange.com.",
        examples=[["travel", "stackoverflow"]],
    )
    queries: Phrases = Field(
        min_length=1,
        max_length=20,
        description="Words or phrases to look for, as a rule the brand's names.",
        examples=[["Acme Hotel"]],
    )
    answers: bool = Field(True, description="Whether answers are searched as well as questions.")
    key: Secret | None = Field(
        None, description="A free key from stackapps.com, for 10,000 requests a day.", examples=[{"env": "STACK_KEY"}]
    )
    days: float = Field(7, gt=0, le=3650, description="How many days the first run looks back.")

    @field_validator("sites")
    @classmethod
    def _names(cls, sites: list[str]) -> list[str]:
        names = [site.strip().lower().removesuffix(".stackexchange.com") for site in sites]
        for name in names:
            if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", name):
                raise ValueError(f"{name!r} is not the name of a site, such as 'travel' or 'stackoverflow'")
        return list(dict.fromkeys(names))


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """Pages of posts, newest first. The cursor is {"until": {"site phrase": epoch seconds up to which all was read}}.

    Asks for the closed range from an hour before the bookmark to `now`. Only the last page of a phrase moves its
    bookmark; it carries a Gap when the range held more than could be read.
    """
    until = int(now.timestamp())
    known = dict((cursor or {}).get("until") or {})
    places = [(site, phrase) for site in settings.sites for phrase in settings.queries]
    marks = {key: known[key] for key in map(" ".join, places) if key in known}
    api = _conversation(settings, get, now)
    most = max(2, _MAX_REQUESTS // (len(places) * (2 if settings.answers else 1)))

    def read(place: tuple[str, str]) -> Iterator[Page]:
        key = " ".join(place)
        since = min(marks[key], until) - _OVERLAP_S if key in marks else int(until - settings.days * 86400)
        for request, (page, oldest, last) in enumerate(_walk(api, settings, place, since, until, now, name), start=1):
            if not last and request < most:
                yield page
                continue
            marks[key] = until
            yield replace(page if last else _cut(page, place, since, oldest), cursor={"until": dict(marks)})
            return

    yield from each_in_turn(places, read, now, lambda _: API)


def backfill(
    settings: Settings, since: datetime, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """Pages back to `since`. The cursor is {"until": {"site phrase": epoch seconds to go on from}}."""
    start = int(since.timestamp())
    marks = dict((cursor or {}).get("until") or {})
    places = [(site, phrase) for site in settings.sites for phrase in settings.queries]
    api = _conversation(settings, get, now)

    def read(place: tuple[str, str]) -> Iterator[Page]:
        key = " ".join(place)
        until = marks.get(key, int(now.timestamp()))
        if until > start:
            for page, oldest, last in _walk(api, settings, place, start, until, now, name):
                marks[key] = start if last else oldest
                yield replace(page, cursor={"until": dict(marks)})

    yield from each_in_turn(places, read, now, lambda _: API)
    yield Page((), cursor={})


def _walk(
    api: Conversation, settings: Settings, place: tuple[str, str], since: int, until: int, now: datetime, name: str
) -> Iterator[tuple[Page, int, bool]]:
    """Each page, its oldest epoch second, and whether it is the last. Goes on by time: pages past 25 need a key."""
    site, phrase = place
    seen: set[str] = set()
    while True:
        asked = {"site": site, "q": f'"{phrase}"', "sort": "creation", "order": "desc"}
        asked |= {"fromdate": str(since), "todate": str(until)}
        if settings.answers:
            body = api.ask("search/excerpts", asked)
            page = _whole(api, site, _hits(body), now, name)
        else:
            body = api.ask("search/advanced", asked)
            page = parse(body, site=site, name=name, now=now)
        reply = reply_of(body)
        moments = (item.get("creation_date") for item in reply["items"] if isinstance(item, dict))
        oldest = min([until, *filter(is_count, moments)]) + 1  # a second more, that none of that second is lost
        page = replace(page, posts=tuple(post for post in page.posts if post.native_id not in seen))
        seen.update(post.native_id for post in page.posts)
        more = reply.get("has_more") is True
        if more and oldest >= until:  # a hundred posts of one second
            yield _cut(page, place, since, oldest), oldest, True
            return
        yield page, oldest, not more
        if not more:
            return
        until = oldest


def _cut(page: Page, place: tuple[str, str], since: int, oldest: int) -> Page:
    why = f"{place[0]} holds more posts with {place[1]!r} than one run reads; name a narrower phrase"
    return replace(page, gap=Gap(datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(oldest, UTC), why))


def _whole(api: Conversation, site: str, hits: Mapping[int, Mapping[str, Any]], now: datetime, name: str) -> Page:
    """The posts of hits. A hit has the title of its question, but neither the whole text nor an author or address."""
    if not hits:
        return Page(())
    body = api.ask("posts", {"site": site}, ";".join(map(str, hits)))
    page = parse(body, site=site, name=name, now=now, hits=hits)
    gone = len(hits) - len(page.posts) - sum(page.skipped.values())
    return replace(page, skipped={**page.skipped, "gone since it was found": gone}) if gone > 0 else page


def _conversation(settings: Settings, get: Get, now: datetime) -> Conversation:
    return Conversation(settings.key.read("[[source]] key") if settings.key else "", get, now)


def _hits(payload: bytes) -> Mapping[int, Mapping[str, Any]]:
    items = [item for item in reply_of(payload)["items"] if isinstance(item, dict)]
    hits = {ident: item for item in items if (ident := _ident(item))}
    if items and not hits:
        raise Broken(f"{PLACE} finds posts without an id: its format has changed.", payload)
    return hits


def recheck(
    settings: Settings, cursor: Mapping[str, Any] | None, native_ids: list[str], get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """Those that are not shown any more are deleted. Answers are brought as they are, questions where they were edited.

    /posts does not tell titles, so the questions among them that were ever edited are asked for once more.
    """
    api = _conversation(settings, get, now)
    for site in settings.sites:
        start = f"{site}/"
        asked = [ident for ident in native_ids if re.fullmatch(re.escape(start) + r"[1-9][0-9]{0,14}", ident)]
        if not asked:
            continue
        body = api.ask("posts", {"site": site}, ";".join(ident.removeprefix(start) for ident in asked))
        reply = reply_of(body)
        there = {
            f"{start}{ident}": item for item in reply["items"] if isinstance(item, dict) and (ident := _ident(item))
        }
        questions = [ident for ident, item in there.items() if item.get("post_type") != "answer"]
        edited = [ident for ident in questions if there[ident].get("last_edit_date")]
        found = parse(body, site=site, name=name, now=now)
        yield Page(
            tuple(post for post in found.posts if post.native_id not in questions),
            deleted=() if reply.get("has_more") else tuple(ident for ident in asked if ident not in there),
            verified=tuple(ident for ident in questions if ident not in edited),
        )
        if edited:
            ids = ";".join(ident.removeprefix(start) for ident in edited)
            yield parse(api.ask("questions", {"site": site}, ids), site=site, name=name, now=now)


def parse(
    payload: bytes, *, site: str, name: str, now: datetime, hits: Mapping[int, Mapping[str, Any]] | None = None
) -> Page:
    """The posts of a reply of /search/advanced, /questions, /answers or /posts. Raises Broken, or what the reply says.

    `hits` are those of a search by id, for what /posts leaves out: titles, and which question an answer is of.
    """
    posts: dict[str, Post] = {}
    skipped: Counter[str] = Counter()
    items = reply_of(payload)["items"]
    for item in items:
        ident = _ident(item) if isinstance(item, dict) else 0
        if not ident:
            skipped["no id"] += 1
            continue
        post = _post({**(hits or {}).get(ident, {}), **item}, ident, site, name, now)
        if not post.text:
            skipped["no text"] += 1
        elif post.native_id in posts:
            skipped["twice in the reply"] += 1
        else:
            posts[post.native_id] = post
    if items and skipped["no id"] == len(items):
        raise Broken(f"{PLACE} sends posts without an id: its format has changed.", payload)
    return Page(tuple(posts.values()), skipped=dict(skipped))


def _post(item: Mapping[str, Any], ident: int, site: str, name: str, now: datetime) -> Post:
    answer = item.get("post_type") == "answer" or "answer_id" in item
    title = "" if answer else plain(item.get("title"))
    owner, link, question = item.get("owner"), item.get("link"), item.get("question_id")
    counts = {
        "score": item.get("score"), "answers": item.get("answer_count"), "views": item.get("view_count"),
    }  # fmt: skip
    return Post(
        source=name,
        native_id=f"{site}/{ident}",
        kind="comment" if answer else "post",
        title=title,
        text=plain(item.get("body")) or title,
        url=link if isinstance(link, str) and re.fullmatch(r"https?://\S{1,1000}", link) else "",
        author=plain(owner.get("display_name")) if isinstance(owner, dict) else "",  # absent: the account is deleted
        created_at=read_date(item.get("creation_date"), now),
        edited_at=read_date(item.get("last_edit_date"), now),
        engagement={what: n for what, n in counts.items() if type(n) is int and abs(n) < 2**53},
        parent=f"{site}/{question}" if answer and is_count(question) else "",
    )


def _ident(item: Mapping[str, Any]) -> int:
    """The id of a question or answer; both are counted together. 0 for none."""
    return next((item[key] for key in ("post_id", "answer_id", "question_id") if is_count(item.get(key))), 0)
