"""What the sources of app reviews share: several apps in one source, how far back each is read, fields as they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from listener.records import Page, Post
from listener.sources.turns import Doubtful as Doubtful
from listener.sources.turns import each_in_turn
from listener.text import clean

_T = TypeVar("_T")
_MAX_TEXT = 100_000


def each(things: Sequence[_T], walk: Callable[[_T], Iterator[Page]], now: datetime) -> Iterator[Page]:
    """The pages of every thing's walk, as `each_in_turn` has it: all of them are of one server."""
    return each_in_turn(things, walk, now, lambda _: None)


def begin(mark: int | None, until: int, overlap_s: int, days: float) -> int:
    """The epoch second down to which a walk has to go. A mark in the future is of a clock that was set back."""
    return int(until - days * 86400) if mark is None else min(mark, until) - overlap_s


def not_before(page: Page, since: int, moment: Callable[[Post], datetime | None]) -> Page:
    """The page without what is older than was asked for: the page that meets the mark reaches beyond it."""
    kept = tuple(post for post in page.posts if (at := moment(post)) is None or at.timestamp() >= since)
    older = len(page.posts) - len(kept)
    return replace(page, posts=kept, skipped={**page.skipped, "older than asked for": older}) if older else page


def page_of(found: Iterable[Post | None]) -> Page:
    """One page of posts; what is none, says nothing or comes twice is left out and counted."""
    posts: dict[str, Post] = {}
    skipped: Counter[str] = Counter()
    for post in found:
        if post is None:
            skipped["no id"] += 1
        elif not post.text:
            skipped["no text"] += 1
        elif post.native_id in posts:
            skipped["twice in the reply"] += 1
        else:
            posts[post.native_id] = post
    return Page(tuple(posts.values()), skipped=dict(skipped))


def plain_field(value: object) -> str:
    """The readable text of a field that holds plain text, "" for anything else. Not HTML: "<3" stays."""
    return clean(value[:_MAX_TEXT]) if isinstance(value, str) else ""


def ident(value: object) -> str:
    """An id as a string, "" for what is none."""
    return clean(str(value))[:100] if isinstance(value, str | int) and not isinstance(value, bool) else ""


def counts(**values: object) -> dict[str, int]:
    """Those of the values that can be counts. Steam is known to send 4294967295 for "none"."""
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
    }
