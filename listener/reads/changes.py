"""What changed between a period and the one before it, and what only looks as if it did. Reads only."""

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from listener.engine.labels import PHASES
from listener.reads import shares
from listener.reads.counts import COUNTS, Z95, Interval, totals
from listener.reads.filters import Filters, checked, rows_of

_TOUCHED = """
SELECT brand, touchpoint, sum(posts) AS posts FROM {table} WHERE {which} GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Change:
    """A figure of a period beside that of the one before it, as long. `clear`: the interval of the difference leaves no
    doubt about its direction; else it is not to be called a change.
    """

    brand: str
    figure: str  # "posts a day", "research", "negative", "about staff" ...
    before: float | None
    after: float | None
    difference: Interval

    @property
    def clear(self) -> bool:
        low, high = self.difference.low, self.difference.high
        return self.difference.enough and low is not None and high is not None and (low > 0 or high < 0)


def changes(reader: sqlite3.Connection, since: date, until: date, **filters: Any) -> list[Change]:
    """The figures of a period of whole days beside those of the one before it, as long; those that changed clearly
    come first, and a brand that was not named in both is left out.
    """
    days = (until - since).days + 1
    earlier = {"since": since - timedelta(days=days), "until": since - timedelta(days=1)}
    known = None if Filters(**filters).by_verdict else shares.corrections(reader)
    sides = [_daily(reader, {**filters, **period}) for period in (earlier, {"since": since, "until": until})]
    touched = [_touched(reader, {**filters, **period}) for period in (earlier, {"since": since, "until": until})]
    found: list[Change] = []
    for brand in sorted(sides[0].keys() & sides[1].keys()):
        before, after = (side[brand] for side in sides)
        found.append(_volume(brand, before, after, days))
        found += _shifts(brand, before, after, known)
        wholes = [max(1, sum(each["posts"] for each in side[brand])) for side in sides]
        counts = [side.get(brand, {}) for side in touched]
        for touchpoint in sorted(counts[0].keys() | counts[1].keys()):
            parts_ = [side.get(touchpoint, 0) for side in counts]
            found.append(_share_change(brand, f"about {touchpoint}", parts_, wholes))
    return sorted(found, key=lambda each: (each.brand, not each.clear))


def _daily(reader: sqlite3.Connection, filters: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """brand -> what `counts.totals` says of each day that has posts."""
    groups: dict[tuple[str, str], list[sqlite3.Row]] = defaultdict(list)
    for row in rows_of(reader, COUNTS, checked(reader, filters), period="day"):
        groups[row["brand"], row["period"]].append(row)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for (brand, _), rows in groups.items():
        found[brand].append(totals(brand, rows))
    return found


def _touched(reader: sqlite3.Connection, filters: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows_of(reader, _TOUCHED, checked(reader, filters), "touchpoint_contributions"):
        found[row["brand"]][row["touchpoint"]] += row["posts"]
    return found


def _volume(brand: str, before: list[dict[str, Any]], after: list[dict[str, Any]], days: int) -> Change:
    """Posts a day. Days differ by more than chance alone would have it, and by how much is read off the days."""
    means, variances, posts = [], [], 0
    for side in (before, after):
        counts = [each["posts"] for each in side] + [0] * (days - len(side))
        level = sum(counts) / days
        spread = sum((each - level) ** 2 for each in counts) / max(1, days - 1)
        means.append(level)
        variances.append(max(spread, level, 1 / days) / days)
        posts += sum(counts)
    half = Z95 * math.sqrt(sum(variances))
    moved = means[1] - means[0]
    return Change(brand, "posts a day", means[0], means[1], Interval(moved, moved - half, moved + half, posts))


def _shifts(
    brand: str, before: list[dict[str, Any]], after: list[dict[str, Any]], known: shares.Corrections | None
) -> list[Change]:
    """Research, feedback and the sides of sentiment."""
    sums = [_added(side) for side in (before, after)]
    levels = shares.of(sums, known)
    moved = shares.difference(sums[0], sums[1], known)
    return [
        Change(brand, name, getattr(levels[0], name).value, getattr(levels[1], name).value, moved[name])
        for name in ("research", "feedback", "negative", "positive")
    ]


def _added(days: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What shares are made of, over several days."""
    found: dict[str, Any] = {
        name: sum(each[name] for each in days)
        for name in ("posts", "abstained", "unread", *dict.fromkeys(PHASES.values()))
    }
    for name in ("moments", "sentiments"):
        found[name] = {label: sum(each[name][label] for each in days) for label in days[0][name]}
    return found


def _share_change(brand: str, figure: str, parts_: Sequence[int], wholes: Sequence[int]) -> Change:
    before, after = (part / whole for part, whole in zip(parts_, wholes, strict=True))
    return Change(brand, figure, before, after, shares.newcombe(parts_[0], wholes[0], parts_[1], wholes[1]))
