"""What the posts of a brand and a period come to, as one figure each: moments by sentiment, touchpoints. Reads only."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import date

from listener.engine.labels import SENTIMENTS
from listener.reads import shares
from listener.reads.counts import COUNTS, Totals, totals
from listener.reads.filters import Filters, View, rows_of

_BY_SENTIMENT = "SELECT {part} AS name, {felt} FROM {table} WHERE {which} GROUP BY 1"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A brand ("" for posts that name none) and the local days from `since` to `until`, both included."""

    brand: str
    since: date
    until: date

    @property
    def filters(self) -> Filters:
        return Filters(brands=[self.brand], since=self.since, until=self.until)


def total(reader: sqlite3.Connection, over: Stretch) -> Totals:
    """All counts of the stretch as one, and the shares they come to."""
    found = totals(over.brand, rows_of(reader, COUNTS, over.filters, period="'all'"))
    (told,) = shares.of([found], shares.corrections(reader))
    return Totals(shares=told, **found)


def moments(reader: sqlite3.Connection, over: Stretch) -> dict[str, dict[str, int]]:
    """The sentiments of each moment that occurs; posts that could not be read have none and are left out."""
    return _by_sentiment(reader, over, "contributions", "moment")


def touchpoints(reader: sqlite3.Connection, over: Stretch) -> dict[str, dict[str, int]]:
    """The sentiments of each touchpoint that posts speak of, the most spoken of first."""
    found = _by_sentiment(reader, over, "touchpoint_contributions", "touchpoint")
    return dict(sorted(found.items(), key=lambda item: (-sum(item[1].values()), item[0])))


def _by_sentiment(reader: sqlite3.Connection, over: Stretch, view: View, part: str) -> dict[str, dict[str, int]]:
    rows = rows_of(reader, _BY_SENTIMENT, over.filters, view, part=part)
    return {name: dict(zip(SENTIMENTS, felt, strict=True)) for name, *felt in rows if name and any(felt)}
