"""The comments, threads and videos in a reply of YouTube."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from listener.errors import Broken
from listener.http import read_json
from listener.records import Page, Post
from listener.sources.shared import read_date
from listener.text import clean

_PLACE = "www.googleapis.com/youtube"
_VIDEO = re.compile(r"[A-Za-z0-9_-]{11}")
_IDENT = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_LONGEST = 100_000  # characters; YouTube takes 10,000


@dataclass(frozen=True, slots=True)
class Thread:
    """A comment and its replies, of which a reply of YouTube shows five at most."""

    ident: str
    video: str
    replies: int
    shown: int
    last: datetime | None  # the newest sign of life that is shown


def parse(payload: bytes, *, name: str, now: datetime, video: str = "") -> Page:
    """The comments of one reply of commentThreads or comments. Raises Broken.

    `video` is the one they are about, where YouTube does not say.
    """
    return page_of(read(payload), payload, name, now, video)


def read(payload: bytes) -> dict[str, Any]:
    """A reply as it came, with its list of items. Raises Broken."""
    reply = read_json(payload, _PLACE)
    if not isinstance(reply, dict) or not isinstance(reply.get("items"), list):
        raise Broken(f"{_PLACE} sends JSON without a list of items.", payload)
    return reply


def page_of(reply: Mapping[str, Any], payload: bytes, name: str, now: datetime, video: str = "") -> Page:
    """The comments of a reply, each thread's first one before its replies."""
    posts: dict[str, Post] = {}
    skipped: Counter[str] = Counter()
    for comment, where, replies in _comments(reply):
        post = _post(comment, where or video, replies, name, now)
        if not post.native_id:
            skipped["no id"] += 1
        elif not post.text:
            skipped["no text"] += 1
        elif post.native_id in posts:
            skipped["twice in the reply"] += 1
        else:
            posts[post.native_id] = post
    if skipped["no id"] and skipped["no id"] == skipped.total() and not posts:
        raise Broken(f"{_PLACE} sends comments without an id: its format has changed.", payload)
    return Page(tuple(posts.values()), skipped=dict(skipped))


def _comments(reply: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str, object]]:
    """(comment, video, how many replies it has)."""
    for item in reply["items"]:
        snippet = _dict(_dict(item).get("snippet"))
        if "topLevelComment" not in snippet:
            yield _dict(item), "", None
            continue
        video = _match(_VIDEO, snippet.get("videoId"))
        yield _dict(snippet["topLevelComment"]), video, snippet.get("totalReplyCount")
        for answer in _shown(item):
            yield _dict(answer), video, None


def _post(comment: Mapping[str, Any], video: str, replies: object, name: str, now: datetime) -> Post:
    snippet = _dict(comment.get("snippet"))
    ident = _match(_IDENT, comment.get("id"))
    video = video or _match(_VIDEO, snippet.get("videoId"))
    published, updated = read_date(snippet.get("publishedAt"), now), read_date(snippet.get("updatedAt"), now)
    counts = {"likes": snippet.get("likeCount"), "replies": replies}
    return Post(
        source=name,
        native_id=ident,
        kind="comment",
        # Both are plain text, which is what we ask for; only a comment's author is shown what was typed.
        text=_text(snippet.get("textOriginal")) or _text(snippet.get("textDisplay")),
        url=f"https://www.youtube.com/watch?v={video}&lc={ident}" if video else "",
        author=_text(snippet.get("authorDisplayName")),
        created_at=published,
        edited_at=updated if updated != published else None,
        engagement={what: n for what, n in counts.items() if type(n) is int and abs(n) < 2**53},
        parent=_match(_IDENT, snippet.get("parentId")) or (ident.partition(".")[0] if "." in ident else ""),
    )


def threads_of(reply: Mapping[str, Any], now: datetime) -> list[Thread]:
    """The threads of a reply of commentThreads, as they stand there."""
    found = []
    for item in reply["items"]:
        snippet, shown = _dict(_dict(item).get("snippet")), _shown(item)
        dates = [
            read_date(_dict(_dict(each).get("snippet")).get("publishedAt"), now)
            for each in (snippet.get("topLevelComment"), *shown)
        ]
        total = snippet.get("totalReplyCount")
        found.append(
            Thread(
                ident=_match(_IDENT, _dict(item).get("id")),
                video=_match(_VIDEO, snippet.get("videoId")),
                replies=total if type(total) is int else 0,
                shown=len(shown),
                last=max(filter(None, dates), default=None),
            )
        )
    return found


def idents_of(reply: Mapping[str, Any]) -> list[str]:
    """The ids of all items of a reply, those included that bring no text."""
    return [ident for item in reply["items"] if (ident := _match(_IDENT, _dict(item).get("id")))]


def videos_of(reply: Mapping[str, Any]) -> list[str]:
    """The videos of a reply of search, each once."""
    found = (_match(_VIDEO, _dict(_dict(item).get("id")).get("videoId")) for item in reply["items"])
    return list(dict.fromkeys(filter(None, found)))


def next_of(reply: Mapping[str, Any]) -> str:
    """The token of the next page, "" where there is none."""
    token = reply.get("nextPageToken")
    return token if isinstance(token, str) else ""


def _shown(item: object) -> list[Any]:
    shown = _dict(_dict(item).get("replies")).get("comments")
    return shown if isinstance(shown, list) else []


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return clean(value[:_LONGEST]) if isinstance(value, str) else ""


def _match(pattern: re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""
