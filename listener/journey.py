"""What the posts of a brand and a period come to, as one figure each: moments by sentiment, touchpoints. Reads only."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import date

from listener import shares
from listener.counts import COUNTS, Totals, totals
from listener.engine.labels import SENTIMENTS
from listener.filters import Filters, rows_of

_WHICH = "brand = :brand AND day BETWEEN :since AND :until"
_TOUCHPOINTS = f"""
SELECT touchpoint AS name, sentiment, sum(posts) AS posts FROM daily_touchpoints WHERE {_WHICH} GROUP BY 1, 2
"""  # noqa: S608
_MOMENTS = f"SELECT moment AS name, sentiment, sum(posts) AS posts FROM daily_moments WHERE {_WHICH} GROUP BY 1, 2"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Stretch:
    """A brand ("" for posts that name none) and the local days from `since` to `until`, both included."""

    brand: str
    since: date
    until: date

    @property
    def values(self) -> dict[str, str]:
        return {"brand": self.brand, "since": self.since.isoformat(), "until": self.until.isoformat()}


def total(reader: sqlite3.Connection, over: Stretch) -> Totals:
    """All counts of the stretch as one, and the shares they come to."""
    chosen = Filters(brands=(over.brand,), since=over.since, until=over.until)
    found = totals(over.brand, rows_of(reader, COUNTS, chosen, period="''"))
    (told,) = shares.of([found], shares.corrections(reader))
    return Totals(shares=told, **found)


def moments(reader: sqlite3.Connection, over: Stretch) -> dict[str, dict[str, int]]:
    """The sentiments of each moment that occurs; posts that could not be read have none and are left out."""
    return _by_sentiment(reader, _MOMENTS, over)


def touchpoints(reader: sqlite3.Connection, over: Stretch) -> dict[str, dict[str, int]]:
    """The sentiments of each touchpoint that posts speak of, the most spoken of first."""
    found = _by_sentiment(reader, _TOUCHPOINTS, over)
    return dict(sorted(found.items(), key=lambda item: (-sum(item[1].values()), item[0])))


def _by_sentiment(reader: sqlite3.Connection, query: str, over: Stretch) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for row in reader.execute(query, over.values):
        if row["name"] and row["sentiment"]:
            found.setdefault(row["name"], dict.fromkeys(SENTIMENTS, 0))[row["sentiment"]] += row["posts"]
    return found
