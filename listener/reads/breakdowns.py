"""A period taken apart: by source, moment, touchpoint or rating, by brand and pairs of brands. Reads only.

All of it comes from the daily rollups, unless a filter needs single posts.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from listener.engine.labels import MOMENTS, PHASES, SENTIMENTS
from listener.reads.counts import COUNTS, PERIODS, Interval, Per, net, wilson
from listener.reads.filters import Filters, checked, rows_of

# The name of each day's period is worked out once: there are a hundred parts to a day.
_BY = """
WITH named AS MATERIALIZED (SELECT day, {period} AS period FROM (SELECT DISTINCT day FROM daily_brands))
SELECT period, brand, {part} AS part, sum(posts) AS posts, {felt}
FROM {table} JOIN named USING (day) WHERE {which} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""

_WHOLES = """
SELECT {period} AS period, brand, sum(posts) AS posts FROM (
    SELECT day, brand, sum(posts) AS posts FROM {table} WHERE {which} GROUP BY 1, 2
) GROUP BY 1, 2
"""

_BY_RATING = """
SELECT {period} AS period, brand, sum(stars_1), sum(stars_2), sum(stars_3), sum(stars_4), sum(stars_5) FROM {table}
WHERE {which} GROUP BY 1, 2 ORDER BY 1, 2
"""

_PAIRS = """
SELECT brand, other, sum(posts) AS posts, sum(research) AS research FROM {table} WHERE {which}
GROUP BY 1, 2 ORDER BY 4 DESC, 3 DESC, 1, 2
"""


@dataclass(frozen=True, slots=True)
class Part:
    """The posts of a period and brand that are of one source, moment, touchpoint ... `share` is of all its posts."""

    period: str
    brand: str
    part: str
    posts: int
    share: Interval
    negative: int
    neutral: int
    positive: int
    net: Interval


@dataclass(frozen=True, slots=True)
class Voice:
    """How much of what is said of all brands is said of this one. A post that names two is a mention of both."""

    period: str
    brand: str
    posts: int
    share: Interval
    net: Interval


@dataclass(frozen=True, slots=True)
class Pair:
    """Two brands that the same posts name; `research`: those of them that weigh before buying."""

    brand: str
    other: str
    posts: int
    research: int


def parts(reader: sqlite3.Connection, per: Per, by: str, **filters: Any) -> list[Part]:
    """One row for each period, brand and source (moment, phase ...), of which a post with several touchpoints has
    several; `by` is day, week or month.

    Raises ListenerError as `trends.trends` does.
    """
    chosen = checked(reader, filters)
    if per == "rating":
        return _ratings(reader, chosen, by)
    view: Literal["contributions", "touchpoint_contributions"] = (
        "touchpoint_contributions" if per == "touchpoint" else "contributions"
    )
    part = "moment" if per == "phase" else per
    wanted: Sequence[str] = ()
    if per == "touchpoint":  # told apart below, since its rollup has the sentiments side by side
        wanted, chosen = chosen.sentiments, replace(chosen, sentiments=())
    counts: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for period, brand, name, posts, *felt in rows_of(reader, _BY, chosen, view, period=PERIODS[by], part=part):
        name = name or ("not read" if per == "sentiment" else "unsure")
        if wanted:
            felt = [count if label in wanted else 0 for label, count in zip(SENTIMENTS, felt, strict=True)]
            posts = sum(felt)
        if posts:
            sums = counts[period, brand, PHASES.get(name, name) if per == "phase" else name]
            sums[:] = map(sum, zip(sums, (posts, *felt), strict=True))
    wholes = _wholes(reader, chosen, by)
    return [
        _part(key, found, wholes.get(key[:2], 0))
        for key, found in sorted(counts.items(), key=lambda each: (each[0][:2], _place(per, each[0][2], each[1][0])))
    ]


def _part(key: tuple[str, str, str], found: Sequence[int], whole: int) -> Part:
    posts, negative, neutral, positive = found
    share = wilson(min(posts, whole), whole)
    return Part(*key, posts, share, negative, neutral, positive, net(positive, negative))


def _place(per: Per, part: str, posts: int) -> tuple[float, str]:
    """Moments and feelings in their own order; sources and touchpoints by their posts, most first."""
    order: Sequence[str] = {
        "moment": (*MOMENTS[1:], "none", "unsure"),
        "phase": ("research", "transaction", "feedback", "none", "unsure"),
        "sentiment": ("negative", "neutral", "positive", "not read"),
    }.get(per, ())
    return (order.index(part) if part in order else -posts, part)


def _wholes(reader: sqlite3.Connection, chosen: Filters, by: str) -> dict[tuple[str, str], int]:
    """All posts of a period and brand, whatever part of them the filters choose by verdict."""
    every = replace(chosen, moments=(), phases=(), sentiments=(), touchpoints=(), ratings=())
    rows = rows_of(reader, _WHOLES, every, period=PERIODS[by])
    return {(row["period"], row["brand"]): row["posts"] for row in rows}


def _ratings(reader: sqlite3.Connection, chosen: Filters, by: str) -> list[Part]:
    found = []
    for period, brand, *stars in rows_of(reader, _BY_RATING, chosen, period=PERIODS[by]):
        for star, posts in enumerate(stars, 1):
            if posts:
                # A rating is its author's own word: what the model makes of the text is not asked.
                bad, fair, good = (posts if star in of else 0 for of in ((1, 2), (3,), (4, 5)))
                share = wilson(posts, sum(stars))
                found.append(Part(period, brand, str(star), posts, share, bad, fair, good, net(good, bad)))
    return found


def voice(reader: sqlite3.Connection, by: str, **filters: Any) -> list[Voice]:
    """The share of voice of each brand in each period, among all brands that posts name. A filter by brand chooses
    which are shown, not what they are a share of.
    """
    chosen = checked(reader, filters)
    wanted = set(chosen.brands)
    rows = [row for row in rows_of(reader, COUNTS, replace(chosen, brands=()), period=PERIODS[by]) if row["brand"]]
    wholes: dict[str, int] = defaultdict(int)
    for row in rows:
        wholes[row["period"]] += row["posts"]
    return [
        Voice(
            row["period"], row["brand"], row["posts"], wilson(row["posts"], wholes[row["period"]]),
            net(row["sentiment_positive"], row["sentiment_negative"]),
        )
        for row in rows
        if not wanted or row["brand"] in wanted
    ]  # fmt: skip


def pairs(reader: sqlite3.Connection, **filters: Any) -> list[Pair]:
    """Brands that the same posts name, the pair most weighed before buying first."""
    chosen = checked(reader, filters)
    rows = rows_of(reader, _PAIRS, chosen, "pair_contributions")
    return [Pair(row["brand"], row["other"], row["posts"], row["research"]) for row in rows]
