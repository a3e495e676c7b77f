"""The counts behind every trend: what is counted, the shares with their intervals, the rows they come as."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, NamedTuple

from listener.engine.labels import MOMENTS, PHASES, SENTIMENTS

Z95 = 1.959963984540054  # 95 % of a normal distribution
_Z2 = Z95 * Z95
Per = Literal["source", "moment", "phase", "sentiment", "touchpoint", "rating"]
PARTS: tuple[Per, ...] = ("source", "moment", "phase", "sentiment", "touchpoint", "rating")
ENOUGH = 10  # posts; a share of fewer is noise, and is not shown

PERIODS = {
    "day": "day",
    # ISO 8601: a week is of the year that holds its Thursday.
    "week": "strftime('%Y-W', day, '-3 days', 'weekday 4')"
    " || printf('%02d', (strftime('%j', day, '-3 days', 'weekday 4') - 1) / 7 + 1)",
    "month": "substr(day, 1, 7)",
}

_SUMS = ("posts", "abstained", "unread", "score_sum", "feedback", "satisfied", "rating_sum", "rating_squares", "late")
_STARS = ("stars_1", "stars_2", "stars_3", "stars_4", "stars_5")
_LABELS = (*(("moment", label) for label in MOMENTS), *(("sentiment", label) for label in SENTIMENTS))
_BESIDE = tuple(f"{kind}_{label}" for kind, label in _LABELS)

_COUNTED = (*_SUMS, *_STARS, *_BESIDE)  # as COUNTS has them behind period and brand
_MOMENT_COLUMNS = tuple((label, f"moment_{label}") for label in MOMENTS)
_SENTIMENT_COLUMNS = tuple((label, f"sentiment_{label}") for label in SENTIMENTS)

# The counts of every label, from a table that has a column for each, and from one that has a row for each.
BESIDE = ", ".join(f"sum({column}) AS {column}" for column in _BESIDE)
BELOW = ", ".join(f"sum(posts * ({kind} = '{label}')) AS {kind}_{label}" for kind, label in _LABELS)

# The same of the sentiments alone.
FELT_BESIDE = ", ".join(f"sum({column}) AS {label}" for label, column in _SENTIMENT_COLUMNS)
FELT_BELOW = ", ".join(f"sum(posts * (sentiment = '{label}')) AS {label}" for label in SENTIMENTS)

# By day first: the tables hold days in order, and the name of a week is then worked out once for each.
COUNTS = f"""
SELECT {{period}} AS period, brand, {", ".join(f"sum({each}) AS {each}" for each in _COUNTED)}
FROM (
    SELECT day, brand, {", ".join(f"sum({each}) AS {each}" for each in (*_SUMS, *_STARS))}, {{labels}}
    FROM {{table}} WHERE {{which}} GROUP BY day, brand
) GROUP BY 1, 2 ORDER BY 1, 2
"""  # noqa: S608  # names of ours


class Interval(NamedTuple):  # a year by day takes 24,000 of them, and a dataclass is three times as slow to make
    """A figure with its 95 % interval, and how many posts it is a figure of; None throughout when `n` is 0."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    @property
    def enough(self) -> bool:
        """Whether it may be told: the figure of a few posts is noise."""
        return self.n >= ENOUGH and self.value is not None

    def as_json(self) -> dict[str, float | None]:
        """Null throughout where there is not enough data."""
        return {name: getattr(self, name) if self.enough else None for name in ("value", "low", "high")}


NOTHING = Interval(None, None, None, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Shares of the posts that could be read. `corrected`: for the errors the model is known to make; else as counted,
    and then those of moments are of the posts that did not abstain.
    """

    corrected: bool
    research: Interval
    transaction: Interval
    feedback: Interval
    none: Interval
    zmot: Interval
    tmot: Interval
    negative: Interval
    neutral: Interval
    positive: Interval


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
    late: int  # came in on a later day than the next, so that the digest of their day could not know them
    net: Interval  # (positive - negative) / (positive + negative), -1..1
    csat: Interval  # of feedback: ratings, and tmot posts without one
    score: float | None  # mean, -1..1
    rating: Interval  # mean of what was given, 0..1
    stars: tuple[int, ...]  # posts with 1, 2, 3, 4 and 5 of 5 stars
    shares: Shares

    @property
    def net_sentiment(self) -> float | None:
        return self.net.value


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTotals(Totals):
    day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendRow(Totals):
    period: str  # 2026-11-22, 2026-W47 or 2026-11

    def as_json(self) -> dict[str, Any]:
        """The row of `trends --json`."""
        shares = {
            f"{name}_share": getattr(self.shares, name).as_json()
            for name in ("zmot", "tmot", "research", "feedback", "negative", "positive")
        }
        return {
            "period": self.period,
            "brand": self.brand,
            "posts": self.posts,
            "moments": self.moments,
            "research": self.research,
            "transaction": self.transaction,
            "feedback": self.feedback,
            "none": self.none,
            **{name: shares.pop(name) for name in ("zmot_share", "tmot_share")},
            **{sentiment: self.sentiments[sentiment] for sentiment in ("positive", "neutral", "negative")},
            "net_sentiment": self.net.value,
            "score": self.score,
            "csat": {**self.csat.as_json(), "n": self.csat.n},
            "abstained": self.abstained,
            "unread": self.unread,
            "late": self.late,
            "net": {**self.net.as_json(), "n": self.net.n},
            **shares,
            "corrected": self.shares.corrected,
            "rating": {**self.rating.as_json(), "n": self.rating.n},
            "stars": list(self.stars),
        }


def wilson(part: int, whole: int) -> Interval:
    """The share part/whole with Wilson's score interval at 95 % (Wilson 1927)."""
    if not whole:
        return Interval(None, None, None, 0)
    share, z2 = part / whole, _Z2 / whole
    centre = (share + z2 / 2) / (1 + z2)
    half = Z95 / (1 + z2) * math.sqrt(share * (1 - share) / whole + z2 / (4 * whole))
    low, high = centre - half, centre + half
    # Rounding may carry the ends past the share itself at 0 and at 1. (A year by day takes 24,000 of these intervals,
    # and calls of min and max would be half of the time.)
    low = share if low > share else low if low > 0 else 0.0
    high = share if high < share else high if high < 1 else 1.0
    return Interval(share, low, high, whole)


def net(positive: int, negative: int) -> Interval:
    """(positive - negative) / both, -1..1, from the interval of the positive share."""
    share = wilson(positive, positive + negative)
    if share.value is None or share.low is None or share.high is None:
        return share
    return Interval(2 * share.value - 1, 2 * share.low - 1, 2 * share.high - 1, share.n)


def mean(total: float, squares: float, n: int, low: float = 0.0, high: float = 1.0) -> Interval:
    """The mean of n values between `low` and `high` from their sum and the sum of their squares. Half a value at each
    end is added to the variance, so that three equal values are not taken for certainty.
    """
    if not n:
        return NOTHING
    value = total / n
    ends = (low - value) ** 2 / 2 + (high - value) ** 2 / 2
    half = Z95 * math.sqrt((max(0.0, squares - n * value * value) + ends) / (n + 1) / n)
    return Interval(value, max(low, value - half), min(high, value + half), n)


def totals(brand: str, rows: Iterable[sqlite3.Row]) -> dict[str, Any]:
    """The fields of Totals, all but its shares, from rows of COUNTS."""
    # By place: a Row looks through all its names for each.
    found = [tuple(row)[2:] for row in rows] or [(0,) * len(_COUNTED)]
    sums = dict(zip(_COUNTED, map(sum, zip(*found, strict=True)) if len(found) > 1 else found[0], strict=True))
    moments = {label: sums[column] for label, column in _MOMENT_COLUMNS}
    sentiments = {label: sums[column] for label, column in _SENTIMENT_COLUMNS}
    phases = dict.fromkeys(PHASES.values(), 0)
    for moment, count in moments.items():
        phases[PHASES[moment]] += count
    read = sums["posts"] - sums["unread"]
    stars = tuple(sums[star] for star in _STARS)
    return {
        "brand": brand,
        "posts": sums["posts"],
        "moments": moments,
        "sentiments": sentiments,
        **phases,
        "abstained": sums["abstained"],
        "unread": sums["unread"],
        "late": sums["late"],
        "net": net(sentiments["positive"], sentiments["negative"]),
        "csat": wilson(sums["satisfied"], sums["feedback"]),
        "score": sums["score_sum"] / 1_000_000 / read if read else None,
        "rating": mean(sums["rating_sum"] / 1e6, sums["rating_squares"] / 1e6, sum(stars)),
        "stars": stars,
    }
