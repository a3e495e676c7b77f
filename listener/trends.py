"""Every read for people: trends, days and what is usual, posts, the health of sources. The connection is read-only.

Counts come from the daily rollup; filters that need single posts count from the posts themselves, by the same view that
feeds the rollup. Only posts with a verdict are counted: `waiting` says how many have none yet.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from listener.errors import StoreError
from listener.migrations import BUSY_S, explained, refuse, stamp, state
from listener.reads import shares
from listener.reads.breakdowns import pairs as pairs
from listener.reads.breakdowns import parts as parts
from listener.reads.breakdowns import voice as voice
from listener.reads.changes import changes as changes
from listener.reads.counts import BESIDE, COUNTS, FELT_BESIDE, PERIODS, totals
from listener.reads.counts import DayTotals as DayTotals
from listener.reads.counts import Interval as Interval
from listener.reads.counts import TrendRow as TrendRow
from listener.reads.counts import wilson as wilson
from listener.reads.filters import Filters as Filters
from listener.reads.filters import checked, rows_of
from listener.reads.health import SourceHealth as SourceHealth
from listener.reads.health import bookmarks as bookmarks
from listener.reads.health import source_health as source_health
from listener.reads.impacts import impact as impact
from listener.reads.questions import questions as questions
from listener.reads.search import PostRow as PostRow
from listener.reads.search import brands as brands
from listener.reads.search import posts as posts
from listener.reads.search import top_posts as top_posts
from listener.tables import backlog

Period = Literal["day", "week", "month"]

_LATE = """
SELECT count(*) FROM posts WHERE day = :day AND collected_at > :after AND deleted_at IS NULL AND copy_of IS NULL
    AND id IN (SELECT post_id FROM mentions WHERE brand IN (SELECT value FROM json_each(:brands)))
    AND (:sources = '[]' OR source IN (SELECT value FROM json_each(:sources)))
    AND EXISTS (SELECT 1 FROM verdicts WHERE post_id = posts.id)
    AND EXISTS (SELECT 1 FROM posts WHERE collected_at <= :after)
"""

# Of one brand, on some days, at all sources or at some.
_SOME = "brand = :brand AND day IN (SELECT value FROM json_each(:days))"
_SOME_AT = """
brand = :brand AND day IN (SELECT value FROM json_each(:days)) AND source IN (SELECT value FROM json_each(:sources))
"""

_TOUCHPOINTS = """
SELECT touchpoint, sum(posts), {felt} FROM {table} WHERE {which} GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class Usual:
    """What a day of this kind was like: means and the lowest and highest of `days` earlier days.

    Shares are 0..1: research and feedback of the posts that did not abstain, negative of those that could be read. None
    where fewer than seven days of history are there, or no day of them had a post to take a share of.
    """

    days: int
    posts_mean: float | None
    posts_low: int | None
    posts_high: int | None
    research_mean: float | None
    research_low: float | None
    research_high: float | None
    feedback_mean: float | None
    feedback_low: float | None
    feedback_high: float | None
    negative_mean: float | None
    negative_low: float | None
    negative_high: float | None


@dataclass(frozen=True, slots=True)
class TouchpointTotal:
    """The posts of a day that speak of a touchpoint; `usual_posts` is the mean of the days of `usual`, None without."""

    touchpoint: str
    posts: int
    positive: int
    neutral: int
    negative: int
    usual_posts: float | None


def open_reader(path: Path | str, zone: ZoneInfo) -> sqlite3.Connection:
    """A connection that cannot write. `zone` is that of the configuration; days are those the store was written with,
    and a difference is logged as a warning.

    Raises StoreError: absent, not a database, of another schema.
    """
    path = Path(path)
    if not path.exists():
        raise StoreError(f"there is no database at {path}; `listener collect` or `listener run` makes it")
    with explained(path):
        reader = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None)
    try:
        with explained(path):
            found = state(reader)
            refuse(found, path)
            if found != "current":
                raise StoreError(
                    f"{path} has no tables of this version yet; `listener collect` or `listener run` makes them"
                )
            written = reader.execute("SELECT value FROM meta WHERE key = 'zone'").fetchone()
    except BaseException:
        reader.close()
        raise
    if written and written[0] != str(zone):
        logging.getLogger(__name__).warning(
            "the days in %s are those of %s, not of %s; `listener run` or `collect` makes them anew",
            path,
            written[0],
            zone,
        )
    reader.row_factory = sqlite3.Row
    return reader


def trends(reader: sqlite3.Connection, *, by: Period = "day", **filters: Any) -> list[TrendRow]:
    """One row for each period and brand that has posts, in that order; "" stands for posts that name no brand, and a
    post that names two counts in both. `filters` are the fields of `Filters`.

    Raises ListenerError: a name that does not exist, `since` after `until`, a query that cannot be read.
    """
    return _rows(reader, by, checked(reader, filters))


def course(
    reader: sqlite3.Connection, since: date, until: date, brands: Sequence[str], sources: Sequence[str] = ()
) -> list[TrendRow]:
    """The days of some brands, at all sources or at some. A brand that nobody named yet has none."""
    return _rows(reader, "day", Filters(brands=brands, sources=sources, since=since, until=until))


def _rows(reader: sqlite3.Connection, by: Period, chosen: Filters) -> list[TrendRow]:
    rows = rows_of(reader, COUNTS, chosen, period=PERIODS[by])
    groups: dict[tuple[str, str], list[sqlite3.Row]] = {}
    for row in rows:
        groups.setdefault((row["period"], row["brand"]), []).append(row)
    found = [totals(brand, group) for (_, brand), group in groups.items()]
    told = shares.of(found, None if chosen.by_verdict else shares.corrections(reader))
    return [
        TrendRow(period=period, shares=share, **each)
        for (period, _), each, share in zip(groups, found, told, strict=True)
    ]


def day_totals(
    reader: sqlite3.Connection, day: date, brand: str, *, days: int = 1, sources: Sequence[str] = ()
) -> DayTotals:
    """The counts of a brand on one local day, or on the last `days` up to it; zeros where there are no posts."""
    return _totals(reader, [day], brand, days, sources)[0]


def usual(
    reader: sqlite3.Connection, day: date, brand: str, weeks: int = 8, *, days: int = 1, sources: Sequence[str] = ()
) -> Usual:
    """What such a day is like for the brand: the same weekday of the last `weeks` weeks, or where there are fewer than
    four of those, the last 28 days. Of several days together: the same number of days before, `weeks` times; that takes
    three of them. History begins with the brand's first post; a day without posts is a day of 0.
    """
    ends = _history(reader, day, brand, weeks, days)
    if not ends:
        return Usual(0, *[None] * 12)
    past = _totals(reader, ends, brand, days, sources)
    decided = [total.posts - total.abstained for total in past]
    seen = [total.posts for total in past]
    return Usual(
        len(ends), sum(seen) / len(seen), min(seen), max(seen),
        *_band([total.research for total in past], decided),
        *_band([total.feedback for total in past], decided),
        *_band([total.sentiments["negative"] for total in past], [total.posts - total.unread for total in past]),
    )  # fmt: skip


def touchpoint_totals(
    reader: sqlite3.Connection, day: date, brand: str, *, days: int = 1, sources: Sequence[str] = ()
) -> list[TouchpointTotal]:
    """The touchpoints that posts of this brand speak of on that day, or on the last `days` up to it, or usually do, the
    most spoken of first.
    """
    ends = _history(reader, day, brand, 8, days)
    table, which = ("daily_touched", _SOME_AT) if sources else ("daily_touchpoints", _SOME)
    query = _TOUCHPOINTS.format(table=table, which=which, felt=FELT_BESIDE)
    usual = {name: posts for name, posts, *_ in reader.execute(query, _some(ends, brand, days, sources))}
    today = {name: counts for name, *counts in reader.execute(query, _some([day], brand, days, sources))}
    found = [
        TouchpointTotal(name, posts, positive, neutral, negative, usual.get(name, 0) / len(ends) if ends else None)
        for name in today.keys() | usual.keys()
        for posts, negative, neutral, positive in [today.get(name, (0, 0, 0, 0))]
    ]
    return sorted(found, key=lambda total: (-total.posts, total.touchpoint))


def days(reader: sqlite3.Connection) -> tuple[date | None, date | None]:
    """The first and the last local day that has posts; (None, None) without any."""
    row = reader.execute("SELECT (SELECT min(day) FROM posts), (SELECT max(day) FROM posts)").fetchone()
    return (date.fromisoformat(row[0]), date.fromisoformat(row[1])) if row[0] else (None, None)


def late(
    reader: sqlite3.Connection, day: date, collected_after: datetime, brands: Sequence[str], sources: Sequence[str] = ()
) -> int:
    """How many posts of a local day that name one of the brands, at all sources or at some, were collected after that
    moment and are counted by now: what a digest sent then could not know.

    Zero where nothing had been collected by then: there was no digest to be late for.
    """
    values = {
        "day": day.isoformat(), "after": stamp(collected_after),
        "brands": json.dumps(list(brands)), "sources": json.dumps(list(sources)),
    }  # fmt: skip
    return int(reader.execute(_LATE, values).fetchone()[0])


def count_pending(reader: sqlite3.Connection, model: str) -> int:
    """How many posts have no verdict by this model on their present text."""
    return backlog.count(reader, model)


def waiting(reader: sqlite3.Connection) -> int:
    """How many posts have no verdict at all, by whatever model."""
    query = "SELECT count(*) FROM pending WHERE NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.post_id = pending.post_id)"
    return int(reader.execute(query).fetchone()[0])


def _totals(
    reader: sqlite3.Connection, ends: Sequence[date], brand: str, days: int, sources: Sequence[str]
) -> list[DayTotals]:
    """The counts of the `days` days up to each of `ends`, which do not overlap."""
    table, which = ("daily_sources", _SOME_AT) if sources else ("daily_brands", _SOME)
    query = COUNTS.format(period="day", table=table, which=which, labels=BESIDE)
    of_day: dict[str, list[sqlite3.Row]] = {}
    for row in reader.execute(query, _some(ends, brand, days, sources)):
        of_day.setdefault(row["period"], []).append(row)
    groups = [[row for each in _up_to(end, days) for row in of_day.get(each.isoformat(), ())] for end in ends]
    found = [totals(brand, group) for group in groups]
    told = shares.of(found, shares.corrections(reader))
    return [DayTotals(day=end, shares=share, **each) for end, each, share in zip(ends, found, told, strict=True)]


def _some(ends: Iterable[date], brand: str, days: int, sources: Sequence[str]) -> dict[str, Any]:
    every = [day.isoformat() for end in ends for day in _up_to(end, days)]
    return {"brand": brand, "days": json.dumps(every), "sources": json.dumps(list(sources))}


def _up_to(end: date, days: int) -> list[date]:
    return [end - timedelta(days=back) for back in range(days)]


def _history(reader: sqlite3.Connection, day: date, brand: str, weeks: int, days: int) -> list[date]:
    """The (last) days that tell what is usual on `day`; none where there is too little history."""
    row = reader.execute("SELECT day FROM daily_brands WHERE brand = ? ORDER BY day LIMIT 1", (brand,)).fetchone()
    first = date.fromisoformat(row[0]) if row else day
    if days > 1:
        before = [day - timedelta(days=days * n) for n in range(1, weeks + 1)]
        whole = [end for end in before if end - timedelta(days=days - 1) >= first]
        return whole if len(whole) >= 3 else []
    if (day - first).days < 7:
        return []
    alike = [day - timedelta(weeks=n) for n in range(1, weeks + 1)]
    alike = [earlier for earlier in alike if earlier >= first]
    lately = [day - timedelta(days=n) for n in range(1, 29)]
    return alike if len(alike) >= 4 else [earlier for earlier in lately if earlier >= first]


def _band(parts: Sequence[int], wholes: Sequence[int]) -> tuple[float | None, float | None, float | None]:
    """The share over all days, and the lowest and the highest of a day; days without a whole have none."""
    shares = [part / whole for part, whole in zip(parts, wholes, strict=True) if whole]
    return (sum(parts) / sum(wholes), min(shares), max(shares)) if shares else (None, None, None)
