"""How the sources fare, as people are told it. Reads only.

A source that answers and brings nothing may be quiet, or may have changed so that nothing is found in its replies any
more. It is called silent when it brings no new post for longer than chance allows: seven times the mean gap between
fetches that brought some (for posts that come independently of each other that happens once in e^7, about 1,100, gaps),
and twice the longest such gap of the 60 days before it fell silent.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from listener.migrations import moment_of, stamp
from listener.records import Run
from listener.wording import span

_LEAST_GAPS = 8  # fewer say little of what is usual
_MEAN_GAPS, _LONGEST_GAPS = 7, 2

_SOURCES = """
SELECT name, kind, enabled, state, since, why, failures, last_run_at, last_success_at, last_new_at, next_due_at,
    coalesce(posts, 0) AS posts,
    (SELECT count(*) FROM posts WHERE source = name AND collected_at > :since AND deleted_at IS NULL) AS posts_24h,
    (SELECT json_group_array(json(skipped)) FROM runs
        WHERE source = name AND started_at > :since AND skipped <> '{}') AS skipped,
    (SELECT count(*) FROM gaps WHERE source = name) AS gaps
FROM sources LEFT JOIN stored ON source = name ORDER BY enabled DESC, name
"""

_ARRIVALS = """
WITH gaps AS (
    SELECT r.source, julianday(r.started_at)
        - julianday(lag(r.started_at) OVER (PARTITION BY r.source ORDER BY r.started_at)) AS gap
    FROM runs r JOIN sources s ON s.name = r.source
    WHERE r.new > 0 AND s.enabled AND r.started_at >= strftime('%Y-%m-%dT%H:%M:%SZ', s.last_new_at, '-60 days')
)
SELECT source, count(gap), avg(gap), max(gap) FROM gaps GROUP BY source
"""


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """How a source fares: `state`, `since` then, for `why`.

    `state` is new, ok, empty, silent, retrying, blocked, unauthorised, disabled, broken or crashed; docs/sources.md
    says what each of them means.
    """

    name: str
    kind: str
    enabled: bool
    state: str
    since: datetime | None
    why: str
    failures: int
    last_run_at: datetime | None
    last_success_at: datetime | None
    last_new_at: datetime | None
    next_due_at: datetime | None
    posts: int
    posts_24h: int
    skipped: dict[str, int]  # drops of the last 24 h by reason
    gaps: int


def source_health(reader: sqlite3.Connection, now: datetime | None = None) -> list[SourceHealth]:
    """Every source the database knows, the enabled ones first. The last 24 h end at `now`, or else at the last run."""
    if now is None:
        now = moment_of(reader.execute("SELECT max(last_run_at) FROM sources").fetchone()[0])
    since = stamp(now - timedelta(days=1)) if now else ""
    usual = {source: gaps for source, *gaps in map(tuple, reader.execute(_ARRIVALS))}
    found = []
    for row in reader.execute(_SOURCES, {"since": since}):
        values = dict(row)
        skipped: Counter[str] = Counter()
        for drops in json.loads(values["skipped"]):
            skipped.update(drops)
        for name in ("since", "last_run_at", "last_success_at", "last_new_at", "next_due_at"):
            values[name] = moment_of(values[name])
        values |= {"enabled": bool(values["enabled"]), "skipped": dict(skipped)}
        found.append(SourceHealth(**values | _silence(values, *usual.get(values["name"], (0, 0.0, 0.0)))))
    return found


def _silence(values: dict[str, Any], gaps: int, mean: float, longest: float) -> dict[str, Any]:
    """State, since and why of a source that answers and has been silent for too long; nothing for all others.

    `gaps` were there between fetches that brought something, `mean` and `longest` are in days.
    """
    if values["state"] not in ("ok", "empty") or gaps < _LEAST_GAPS:
        return {}
    silent = values["last_success_at"] - values["last_new_at"]
    if silent < timedelta(days=max(_MEAN_GAPS * mean, _LONGEST_GAPS * longest)):
        return {}
    why = (
        f"it answers, but has brought no new post for {span(silent)}; before that it was never silent for more than "
        f"{span(timedelta(days=longest))}, so look whether its address or layout has changed"
    )
    return {"state": "silent", "since": values["last_new_at"], "why": why}


def bookmarks(reader: sqlite3.Connection) -> dict[str, Any]:
    """The bookmark of every source that has one."""
    rows = reader.execute("SELECT name, cursor FROM sources WHERE cursor IS NOT NULL")
    return {name: json.loads(cursor) for name, cursor in map(tuple, rows)}


_RUNS = """
SELECT started_at, seconds, seen, new, edited, deleted, skipped, outcome, error FROM runs WHERE source = ?
ORDER BY started_at DESC, id DESC LIMIT ?
"""
_GAPS = "SELECT since, until, why, noted_at FROM gaps WHERE source = ? ORDER BY noted_at DESC LIMIT ?"


@dataclass(frozen=True, slots=True)
class GapRow:
    """A stretch of time of which the source did not show everything."""

    since: datetime | None
    until: datetime | None
    why: str
    noted_at: datetime | None


def runs(reader: sqlite3.Connection, source: str, limit: int) -> list[Run]:
    """The last fetches of a source, the newest first."""
    return [
        Run(
            source, datetime.fromisoformat(row[0]), row[1], row[2], row[3], json.loads(row[6]), row[7], row[8],
            edited=row[4], deleted=row[5],
        )
        for row in reader.execute(_RUNS, (source, limit))
    ]  # fmt: skip


def gaps(reader: sqlite3.Connection, source: str, limit: int) -> list[GapRow]:
    """What a source would not show, the last noted first."""
    rows = reader.execute(_GAPS, (source, limit))
    return [GapRow(moment_of(row[0]), moment_of(row[1]), row[2], moment_of(row[3])) for row in rows]
