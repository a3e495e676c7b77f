"""What a source on X has read and paid for: bookmarks, unfinished walks and money, and where a cap is reached."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from listener.errors import Retry
from listener.sources.x_posts import id_at, second_of

if TYPE_CHECKING:
    from listener.sources.x import Settings

LEAST = 10  # posts a request; X takes from 10 to 100
_MOST = 100
_OVERLAP_S = 60  # X itself holds back the newest 30 seconds
_REACH_S = 7 * 86400 - 600  # X answers 400 to an id that is older than seven days


def spent(cursor: Mapping[str, Any] | None) -> str:
    """What was read and spent in the day and the month of the last run, for people; "" before there was one."""
    told = (cursor or {}).get("spent")
    if not told:
        return ""
    posts = f"{told['posts']:,}" + (f" of {told['posts_cap']:,}" if told["posts_cap"] is not None else "")
    usd = f"{told['usd']:,.2f}" + (f" of {told['usd_cap']:,.2f}" if told["usd_cap"] is not None else "")
    return f"{posts} posts on {told['day']}, {usd} USD in {told['month']} (UTC)"


class Account:
    """Bookmarks, walks and money while a run goes on; `cursor` is how they are kept."""

    def __init__(self, settings: Settings, cursor: Mapping[str, Any] | None, now: datetime) -> None:
        known = cursor or {}
        self.settings = settings
        self.now = now.astimezone(UTC)
        self.floor = int(self.now.timestamp()) - _REACH_S  # the earliest second that X still shows
        self.requests = 0
        self.seen: set[int] = set()
        self.marks = {query: mark for query, mark in (known.get("marks") or {}).items() if query in settings.queries}
        self.walks: dict[str, dict[str, Any]] = {
            query: walk for query, walk in (known.get("walks") or {}).items() if query in settings.queries
        }
        day, month, before = f"{self.now:%Y-%m-%d}", f"{self.now:%Y-%m}", known.get("spent") or {}
        self.spent: dict[str, Any] = {
            "day": day,
            "posts": before["posts"] if before.get("day") == day else 0,
            "posts_cap": settings.daily_posts_cap,
            "month": month,
            "usd": before["usd"] if before.get("month") == month else 0.0,
            "usd_cap": settings.monthly_spend_cap,
        }

    def cursor(self) -> dict[str, Any]:
        begun = {query: dict(walk) for query, walk in self.walks.items() if walk["below"]}
        return {"marks": dict(self.marks), "walks": begun, "spent": dict(self.spent)}

    def walk(self, query: str) -> dict[str, Any]:
        """The unfinished walk of a query, else a new one: down to the newest post that was read, and a minute more.

        "unread" is the second up to which nothing was missed, "at" the one at which the walk began.
        """
        mark, now = self.marks.get(query), self.now.timestamp()
        if mark:
            since, unread = id_at(second_of(int(mark["newest"])) - _OVERLAP_S), mark["at"]
        else:
            unread = int(max(now - self.settings.days * 86400, self.floor))
            since = id_at(unread)
        newest = mark["newest"] if mark else str(since)
        fresh = {"since": str(since), "unread": unread, "at": int(now), "newest": newest, "below": ""}
        return self.walks.setdefault(query, fresh)

    def end(self, query: str) -> None:
        walk = self.walks.pop(query)
        self.marks[query] = {"newest": walk["newest"], "at": walk["at"]}

    def pay(self, query: str, idents: list[int]) -> set[int]:
        """Counts the posts of a reply, and returns those that are new in this run.

        X charges for a post once a day: neither the minute of overlap nor what two queries find counts twice.
        """
        fresh = set(idents) - self.seen
        self.seen |= fresh
        known = int(self.marks[query]["newest"]) if query in self.marks else 0
        posts = sum(ident > known for ident in fresh)
        self.spend(posts)
        return fresh

    def spend(self, posts: int) -> None:
        """Counts posts that X charges for."""
        self.spent["posts"] += posts
        self.spent["usd"] = round(self.spent["usd"] + posts * self.settings.price_per_post, 6)

    def affordable_again(self) -> int:
        """How many stored posts may be asked after: half of what the caps leave, so that new ones can still be read.

        Raises Retry, without a time to wait, when that is none.
        """
        half = min(self._left()) // 2
        if half < 1:
            raise Retry(f"X: what your caps leave is kept for new posts, {spent(self.cursor())}.")
        return half

    def affordable(self) -> int:
        """How many posts the next request may bring. Raises Retry when that is less than X hands out."""
        today, in_month = self._left()
        if in_month < LEAST:
            raise self._used_up("monthly_spend_cap", next_month(self.now))
        if today < LEAST:
            raise self._used_up("daily_posts_cap", _midnight(self.now) + timedelta(days=1))
        return min(_MOST, today, in_month)

    def _left(self) -> tuple[int, int]:
        """How many posts the caps leave: of the day, and of the month."""
        today = in_month = _MOST
        if self.settings.daily_posts_cap is not None:
            today = self.settings.daily_posts_cap - self.spent["posts"]
        if self.settings.monthly_spend_cap is not None:
            left = self.settings.monthly_spend_cap - self.spent["usd"]
            in_month = int(left / self.settings.price_per_post + 1e-6)
        return today, in_month

    def _used_up(self, cap: str, end: datetime) -> Retry:
        return Retry(
            f"X: your {cap} is used up, {spent(self.cursor())}. Reading goes on at {end:%Y-%m-%d %H:%M} UTC; "
            f"raise {cap} to read more before that.",
            (end - self.now).total_seconds(),
        )


def next_month(moment: datetime) -> datetime:
    """When the next month begins, in UTC."""
    return (_midnight(moment).replace(day=1) + timedelta(days=32)).replace(day=1)


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
