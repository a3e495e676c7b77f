"""Hacker News: stories and comments that name a word or phrase, through Algolia's public search."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from listener.errors import Broken
from listener.http import Get, read_json
from listener.records import Gap, Page, Post
from listener.sources import About
from listener.sources.markdown import plain_line
from listener.sources.shared import Phrases, plain, read_date
from listener.sources.turns import each_in_turn
from listener.text import clean

ABOUT = About(
    brings="stories and comments of Hacker News that hold one of your words or phrases",
    key="none",
    limits="10,000 requests an hour; new posts may take some minutes to be found",
    terms="a public search interface run by Algolia for Hacker News",
)

_API = "https://hn.algolia.com/api/v1/search_by_date"
_ITEM = "https://hacker-news.firebaseio.com/v0/item/{}.json"  # what Hacker News itself says of one post
RECHECK_AT_ONCE = 20  # one request each
_HITS = 500  # a request; the interface shows 1,000 a query at most, and the rest is reached by narrower times
_MAX_REQUESTS = 20  # a phrase and run: 10,000 posts
_OVERLAP_S = 3600  # posts enter the index late


class Settings(BaseModel):
    """What to look for."""

    model_config = ConfigDict(extra="forbid")

    queries: Phrases = Field(
        min_length=1,
        description="Words or phrases to look for, as a rule the brand's names.",
        examples=[["Acme Hotel"]],
    )
    tags: list[Literal["story", "comment"]] = Field(
        ["story", "comment"], min_length=1, description="What to look through: 'story', 'comment' or both."
    )
    api: str = Field(_API, description="Address of the search interface; change it only for a mirror of your own.")
    days: float = Field(7, gt=0, le=3650, description="How many days the first run looks back.")


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """Pages of hits, newest first. The cursor is {"until": {phrase: epoch seconds up to which all was read}}.

    Asks for the closed range from an hour before the bookmark to `now`. Only the last page of a phrase moves its
    bookmark; it carries a Gap when the range held more than could be read.
    """
    until = int(now.timestamp())
    known = dict((cursor or {}).get("until") or {})
    marks = {phrase: known[phrase] for phrase in settings.queries if phrase in known}
    seen: set[str] = set()

    def walk(phrase: str) -> Iterator[Page]:
        since = int(min(marks[phrase], until) - _OVERLAP_S if phrase in marks else until - settings.days * 86400)
        for page, last in _walk(settings, phrase, since, until, get, now, name):
            fresh = tuple(post for post in page.posts if post.native_id not in seen)
            seen.update(post.native_id for post in fresh)
            if last:
                marks[phrase] = until
            yield replace(page, posts=fresh, cursor={"until": dict(marks)} if last else None)

    yield from each_in_turn(settings.queries, walk, now, lambda _: settings.api)


def _walk(
    settings: Settings, phrase: str, since: int, until: int, get: Get, now: datetime, name: str
) -> Iterator[tuple[Page, bool]]:
    """Each page of one phrase, and whether it is the last."""
    for request in range(1, _MAX_REQUESTS + 1):
        response = get(settings.api, params=_params(settings.tags, phrase, since, until))
        page = parse(response.body, name=name, now=now)
        if len(page.posts) + sum(page.skipped.values()) < _HITS:
            yield page, True
            return
        # Newest first and cut off: go on from the oldest that was shown, its second included.
        oldest = min((int(post.created_at.timestamp()) for post in page.posts if post.created_at), default=until)
        if request == _MAX_REQUESTS or oldest >= until:
            why = f"Hacker News holds more posts with {phrase!r} than one run reads; name a narrower phrase"
            gap = Gap(datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(oldest, UTC), why)
            yield replace(page, gap=gap), True
            return
        yield page, False
        until = oldest


def _params(tags: list[Literal["story", "comment"]], phrase: str, since: int, until: int) -> dict[str, str]:
    return {
        "query": f'"{phrase}"',
        "advancedSyntax": "true",  # else the quotation marks mean nothing
        "typoTolerance": "false",  # else names that look alike are found too
        "tags": f"({','.join(tags)})",  # parentheses: one or the other
        "numericFilters": f"created_at_i>={since},created_at_i<={until}",
        "hitsPerPage": str(_HITS),
        "page": "0",
    }


def parse(payload: bytes, *, name: str, now: datetime) -> Page:
    """The hits of one reply of search_by_date. Raises Broken."""
    reply = read_json(payload, "hn.algolia.com")
    hits = reply.get("hits") if isinstance(reply, dict) else None
    if not isinstance(hits, list):
        raise Broken("hn.algolia.com sends JSON without a list of hits.", payload)
    posts: dict[str, Post] = {}
    skipped: Counter[str] = Counter()
    for hit in hits:
        post = _post(hit, name, now) if isinstance(hit, dict) else None
        if post is None:
            skipped["no id"] += 1
        elif not post.text:
            skipped["no text"] += 1  # deleted, or a story that is only an address
        elif post.native_id in posts:
            skipped["twice in the reply"] += 1
        else:
            posts[post.native_id] = post
    if hits and skipped["no id"] == len(hits):
        raise Broken("hn.algolia.com sends hits without an objectID: its format has changed.", payload)
    return Page(tuple(posts.values()), skipped=dict(skipped))


def _post(hit: Mapping[str, Any], name: str, now: datetime) -> Post | None:
    ident = _ident(hit.get("objectID"))
    if not ident:
        return None
    tags = hit.get("_tags")
    comment = "comment_text" in hit or (isinstance(tags, list) and "comment" in tags)
    title = "" if comment else plain_line(hit.get("title"))
    text = plain(hit.get("comment_text") if comment else hit.get("story_text"))
    counts = {"points": hit.get("points"), "comments": hit.get("num_comments")}
    return Post(
        source=name,
        native_id=ident,
        kind="comment" if comment else "post",
        title=title,
        text=text or title,
        url=f"https://news.ycombinator.com/item?id={ident}",
        author=plain(hit.get("author")),
        created_at=read_date(hit.get("created_at_i"), now) or read_date(hit.get("created_at"), now),
        engagement={what: n for what, n in counts.items() if isinstance(n, int) and abs(n) < 2**53},
        parent=_ident(hit.get("parent_id")),
        lang="en",
    )


def _ident(value: object) -> str:
    return clean(str(value))[:40] if isinstance(value, str | int) and not isinstance(value, bool) else ""


def recheck(
    settings: Settings, cursor: Mapping[str, Any] | None, native_ids: Sequence[str], get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """Asks Hacker News itself after each post: it is gone when deleted, or killed by moderators or readers."""
    for ident in native_ids:
        if not ident.isdecimal():
            continue
        item = read_json(get(_ITEM.format(ident)).body, "hacker-news.firebaseio.com")
        if item is None or (isinstance(item, dict) and (item.get("deleted") is True or item.get("dead") is True)):
            yield Page((), deleted=(ident,))
        elif isinstance(item, dict) and str(item.get("id")) == ident:
            yield Page((), verified=(ident,))
        else:
            raise Broken("hacker-news.firebaseio.com sends JSON that is no post.", json.dumps(item).encode())


def backfill(
    settings: Settings, since: datetime, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """Pages back to `since`. The cursor is {"until": {phrase: epoch seconds down to which all was read}}."""
    begin, start = int(since.timestamp()), int(now.timestamp())
    marks = dict((cursor or {}).get("until") or {})
    for phrase in settings.queries:
        until = marks.get(phrase, start)
        while until > begin:
            page, last = next(_walk(settings, phrase, begin, until, get, now, name))
            oldest = min((int(post.created_at.timestamp()) for post in page.posts if post.created_at), default=begin)
            # A second that holds more than a reply shows cannot be told apart any further.
            until = begin if last or oldest >= until else oldest
            marks[phrase] = until
            yield replace(page, cursor={"until": dict(marks)})
    yield Page((), cursor={})
