"""How far a listing of Reddit was read, and the walk down it: newest first, to the bookmark or to where it ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from listener.records import Gap, Page
from listener.sources.reddit_posts import Listing, Reader

_MOST_IDENTS = 100  # that a bookmark holds; what it leaves out is read once more
_WHOLE = 200  # posts; a listing that ends with fewer was not cut


@dataclass(frozen=True, slots=True)
class Mark:
    """The newest second that was read, and what was seen of it: another post of that second may come later."""

    at: int
    idents: frozenset[str] = frozenset()

    def is_met(self, seconds: Mapping[str, int]) -> bool:
        return any(second < self.at or ident in self.idents for ident, second in seconds.items())

    @property
    def told(self) -> list[Any]:
        """As a cursor holds it."""
        return [self.at, sorted(self.idents)[:_MOST_IDENTS]]

    def moved(self, seconds: Mapping[str, int], until: int) -> Mark:
        newest = min(max([self.at, *seconds.values()]), until)
        same = {ident for ident, second in seconds.items() if second == newest}
        return Mark(newest, frozenset(same | (self.idents if newest == self.at else set())))


@dataclass(frozen=True, slots=True)
class Step:
    """A page of a walk, and where the walk stands: `after` is "" when it is over, `cut` when it ended too early."""

    page: Page
    after: str
    read: int  # posts so far
    seconds: Mapping[str, int]  # of every post so far: when it was written
    cut: bool


def mark_of(marks: Mapping[str, Any], keys: Sequence[str], first: int, until: int) -> Mark:
    """The bookmark of a listing: of those that share it, the oldest."""
    found = [Mark(min(marks[key][0], until), frozenset(marks[key][1])) for key in keys if key in marks]
    return min(found, key=lambda mark: mark.at) if len(found) == len(keys) else Mark(first)


def walk(reader: Reader, listing: Listing, floor: int, after: str = "", read: int = 0) -> Iterator[Step]:
    """The pages of a listing, down to the epoch second `floor` or to its end."""
    seconds: dict[str, int] = {}
    seen: set[str] = set()
    while True:
        page, following = reader.listing(listing, after)
        fresh = tuple(post for post in page.posts if post.native_id not in seen)
        seen.update(post.native_id for post in fresh)
        found = {post.native_id: int(post.created_at.timestamp()) for post in fresh if post.created_at}
        seconds.update(found)
        read += len(fresh) + len(page.deleted) + sum(page.skipped.values())
        # By the last one: a single post that stands in the wrong place must not end the walk.
        deep = bool(found) and list(found.values())[-1] < floor
        ended = not following or not fresh
        go_on = "" if deep or ended else following
        yield Step(replace(page, posts=fresh), go_on, read, seconds, ended and not deep and read >= _WHOLE)
        if not go_on:
            return
        after = go_on


def gap_of(listing: Listing, since: int, step: Step) -> Gap:
    oldest = min(step.seconds.values(), default=since)
    why = (
        f"Reddit shows no more of {listing.path} at once; ask more often, or name fewer subreddits or narrower phrases"
    )
    return Gap(datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(oldest, UTC), why)
