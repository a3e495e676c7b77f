"""The counts behind every trend: what is counted, the shares with their intervals, the rows they come as."""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from listener.engine.labels import MOMENTS, PHASES, SENTIMENTS

_Z = 1.959963984540054  # 95 % of a normal distribution

PERIODS = {
    "day": "day",
    # ISO 8601: a week is of the year that holds its Thursday.
    "week": "strftime('%Y-W', day, '-3 days', 'weekday 4')"
    " || printf('%02d', (strftime('%j', day, '-3 days', 'weekday 4') - 1) / 7 + 1)",
    "month": "substr(day, 1, 7)",
}

COUNTS = """
SELECT {period} AS period, brand, moment, sentiment, sum(posts) AS posts, sum(abstained) AS abstained,
    sum(unread) AS unread, sum(score_sum) AS score_sum, sum(feedback) AS rated, sum(satisfied) AS satisfied
FROM {table} WHERE {which} GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""


@dataclass(frozen=True, slots=True)
class Interval:
    """A share (0..1) with its 95 % Wilson interval, and what it is a share of; None throughout when `n` is 0."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The counts of some days and one brand ("" for posts that name none). Every label is a key, also at 0."""

    brand: str
    posts: int
    moments: dict[str, int]  # posts that abstained are in none of them
    sentiments: dict[str, int]
    research: int
    transaction: int
    feedback: int
    none: int
    abstained: int
    unread: int  # of those: in a language no model knows, or without a word; their sentiment is in no count
    net_sentiment: float | None  # (positive - negative) / (positive + negative)
    csat: Interval  # of feedback: ratings, and tmot posts without one
    score: float | None  # mean, -1..1


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTotals(Totals):
    day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendRow(Totals):
    period: str  # 2026-11-22, 2026-W47 or 2026-11

    @property
    def zmot_share(self) -> Interval:
        return wilson(self.moments["zmot"], self.posts - self.abstained)

    @property
    def tmot_share(self) -> Interval:
        return wilson(self.moments["tmot"], self.posts - self.abstained)

    def as_json(self) -> dict[str, Any]:
        """The row of `trends --json`."""
        return {
            "period": self.period,
            "brand": self.brand,
            "posts": self.posts,
            "moments": self.moments,
            "research": self.research,
            "transaction": self.transaction,
            "feedback": self.feedback,
            "none": self.none,
            "zmot_share": _shown(self.zmot_share),
            "tmot_share": _shown(self.tmot_share),
            **{sentiment: self.sentiments[sentiment] for sentiment in ("positive", "neutral", "negative")},
            "net_sentiment": self.net_sentiment,
            "score": self.score,
            "csat": {**_shown(self.csat), "n": self.csat.n},
            "abstained": self.abstained,
            "unread": self.unread,
        }


def wilson(part: int, whole: int) -> Interval:
    """The share part/whole with Wilson's score interval at 95 % (Wilson 1927)."""
    if not whole:
        return Interval(None, None, None, 0)
    share, z2 = part / whole, _Z * _Z / whole
    centre = (share + z2 / 2) / (1 + z2)
    half = _Z / (1 + z2) * math.sqrt(share * (1 - share) / whole + z2 / (4 * whole))
    # Rounding may carry the ends past the share itself at 0 and at 1.
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)), whole)


def _shown(share: Interval) -> dict[str, float | None]:
    return {"value": share.value, "low": share.low, "high": share.high}


def totals(brand: str, rows: Iterable[sqlite3.Row]) -> dict[str, Any]:
    """The fields of Totals from rows of COUNTS."""
    moments, sentiments, sums = dict.fromkeys(MOMENTS, 0), dict.fromkeys(SENTIMENTS, 0), Counter[str]()
    for row in rows:
        if row["moment"]:
            moments[row["moment"]] += row["posts"]
        if row["sentiment"]:
            sentiments[row["sentiment"]] += row["posts"]
        sums.update({name: row[name] for name in ("posts", "abstained", "unread", "score_sum", "rated", "satisfied")})
    phases = dict.fromkeys(PHASES.values(), 0)
    for moment, count in moments.items():
        phases[PHASES[moment]] += count
    positive, negative = sentiments["positive"], sentiments["negative"]
    read = sums["posts"] - sums["unread"]
    return {
        "brand": brand,
        "posts": sums["posts"],
        "moments": moments,
        "sentiments": sentiments,
        **phases,
        "abstained": sums["abstained"],
        "unread": sums["unread"],
        "net_sentiment": (positive - negative) / (positive + negative) if positive + negative else None,
        "csat": wilson(sums["satisfied"], sums["rated"]),
        "score": sums["score_sum"] / 1_000_000 / read if read else None,
    }
