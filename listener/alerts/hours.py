"""Counts by the hour in which posts were written, this week and the weeks before it, each as it was known then.

What is written this hour is still to come in: a source asked every half hour shows it later, and a review site days
later. So the present is compared with earlier weeks as they were known at the same distance, not as they are known now.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

from listener.alerts.unusual import LEAST_WEEKS, WEEK_H, WEEKS, Weeks
from listener.migrations import moment_of, stamp

_HOUR = timedelta(hours=1)
_WEEK = timedelta(weeks=1)
Column = Literal["posts", "negative", "unread"]

_COUNTS = """
SELECT hour, lag, sum({column}) FROM hourly
WHERE brand = ? AND touchpoint = ? AND hour > ? AND hour <= ? AND source IN (SELECT value FROM json_each(?))
GROUP BY hour, lag HAVING sum({column}) > 0
"""

_LATELY = """
SELECT coalesce(sum({column}), 0) FROM hourly
WHERE brand = ? AND touchpoint = ? AND hour > ? AND hour <= ? AND source IN (SELECT value FROM json_each(?))
"""

# The first run of each source by one step in the index.
_FIRST = """
SELECT name, every_s, (SELECT min(started_at) FROM runs WHERE source = name) AS first FROM sources
WHERE enabled AND first IS NOT NULL
"""

_RUNS = """
SELECT DISTINCT substr(started_at, 1, 13) FROM runs
WHERE source IN (SELECT value FROM json_each(?)) AND started_at > ? AND started_at < ?
"""


@dataclass(frozen=True, slots=True)
class Frame:
    """The hours that a look compares: `ends[k]` is the hour (whole hours since 1970) that ended the week k weeks ago.

    `sources` are those whose history is long enough; `off[k, j]`: nobody collected in that hour, k and j as in
    `unusual.looks`.
    """

    ends: tuple[int, ...]
    sources: tuple[str, ...]
    off: np.ndarray[tuple[int, int], np.dtype[np.bool_]]

    @property
    def hour(self) -> datetime:
        """The start of the last hour that is looked at."""
        return _moment(self.ends[0])

    @property
    def end(self) -> datetime:
        return self.hour + _HOUR


def frame(reader: sqlite3.Connection, now: datetime, zone: ZoneInfo) -> Frame | None:
    """The last whole hour before `now`, and as many earlier weeks as all sources that take part were collected in.

    A source takes part once it has been asked for four weeks, else its first posts would look like a rise. None where
    none has. Hours are those of the clock on the wall, also across a change to summer time.
    """
    firsts = {name: (moment_of(first), every) for name, every, first in map(tuple, reader.execute(_FIRST))}
    weeks = {name: (now - first) // _WEEK for name, (first, _) in firsts.items() if first}
    taking_part = sorted(name for name, number in weeks.items() if number >= LEAST_WEEKS)
    if not taking_part:
        return None
    number = min(WEEKS, min(weeks[name] for name in taking_part))
    last = datetime.fromtimestamp((now.timestamp() // 3600 - 1) * 3600, UTC)
    wall = last.astimezone(zone).replace(tzinfo=None)
    ends = tuple(_index((wall - k * _WEEK).replace(tzinfo=zone)) for k in range(number + 1))
    patience = max(1, round(2 * min(firsts[name][1] for name in taking_part) / 3600))
    return Frame(ends, tuple(taking_part), _off(reader, ends, taking_part, patience))


def _off(
    reader: sqlite3.Connection, ends: Sequence[int], sources: Sequence[str], patience: int
) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Hours of earlier weeks in which, and in the `patience` hours before which, no source was asked."""
    first, last = ends[-1] - WEEK_H - patience, ends[0] + 1
    asked = np.zeros(last - first, dtype=bool)
    values = (json.dumps(sources), stamp(_moment(first)), stamp(_moment(last)))
    for (hour,) in reader.execute(_RUNS, values):
        at = _index(_parsed(hour)) - first
        asked[max(at, 0) : at + patience + 1] = True
    return np.array([~asked[end - first - WEEK_H + 1 : end - first + 1][::-1] for end in ends])


def weeks(
    reader: sqlite3.Connection,
    frame: Frame,
    brand: str,
    touchpoint: str,
    column: Column,
    events: Iterable[tuple[datetime, datetime]] = (),
) -> Weeks:
    """The counts of a series as `unusual.looks` takes them; touchpoint "" stands for all posts of the brand.

    The hours of earlier `events` (first moment, end) are no evidence of what is usual.
    """
    counts = np.zeros((len(frame.ends), WEEK_H))
    lowest, highest = _text(frame.ends[-1] - WEEK_H), _text(frame.ends[0])
    values = (brand, touchpoint, lowest, highest, json.dumps(frame.sources))
    for hour, lag, count in reader.execute(_COUNTS.format(column=column), values):
        at = _index(_parsed(hour))
        about = (frame.ends[0] - at) // WEEK_H
        # Where clocks changed in between, an hour belongs to two weeks or to none.
        for k in range(max(about - 1, 0), min(about + 2, len(frame.ends))):
            j = frame.ends[k] - at
            if 0 <= j < WEEK_H and lag <= j:  # what came in later was not known yet
                counts[k, j] += count
    counts[1:][frame.off[1:]] = np.nan
    for since, until in events:
        for k in range(1, len(frame.ends)):
            newest, oldest = frame.ends[k] - _index(until), frame.ends[k] - _index(since)
            counts[k, max(newest, 0) : max(oldest + 1, 0)] = np.nan
    return counts


def lately(reader: sqlite3.Connection, frame: Frame, brand: str, touchpoint: str, column: Column, hours: int) -> int:
    """The count of the last `hours` hours, of all that is known now."""
    values = (brand, touchpoint, _text(frame.ends[0] - hours), _text(frame.ends[0]), json.dumps(frame.sources))
    return int(reader.execute(_LATELY.format(column=column), values).fetchone()[0])


def _index(moment: datetime) -> int:
    return int(moment.timestamp() // 3600)


def _moment(index: int) -> datetime:
    return datetime.fromtimestamp(index * 3600, UTC)


def _text(index: int) -> str:
    return stamp(_moment(index))[:13]


def _parsed(hour: str) -> datetime:
    return datetime.fromisoformat(f"{hour}:00:00+00:00")
