"""The sources: when each is to be fetched, from which bookmark on, and how its last fetch went.

Runs inside the caller's transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from listener import crash
from listener.migrations import stamp
from listener.records import Outcome, Page, Run
from listener.tables.rows import gap_row, run_row, storable

_STATES: dict[Outcome, str] = {
    "ok": "ok",
    "unchanged": "ok",
    "empty": "empty",
    "retry": "retrying",
    "refused": "blocked",
    "unauthorised": "unauthorised",
    "disabled": "disabled",
    "broken": "broken",
    "crashed": "crashed",
}


@dataclass(frozen=True, slots=True)
class Due:
    """A source as its fetch needs it: the bookmark of the last page stored, and the failures in a row."""

    name: str
    kind: str
    cursor: dict[str, Any] | None
    failures: int


_CLOCK_SLIP = timedelta(minutes=5)  # by so much a clock may be put right without anybody being asked too early

_DUE = "SELECT name, kind, cursor, failures FROM sources"

_SYNC_SOURCE = """
INSERT INTO sources (name, kind, every_s, enabled, next_due_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, every_s = excluded.every_s, enabled = excluded.enabled,
    cursor = CASE WHEN kind = excluded.kind THEN cursor END, next_due_at = coalesce(next_due_at, excluded.next_due_at)
"""

# Posts may come from a file a person hands in, a source the configuration does not hold.
_KNOW_SOURCE = "INSERT OR IGNORE INTO sources (name, kind, every_s, enabled) VALUES (?, 'import', 0, 0)"

_ADD_RUN = """
INSERT INTO runs (source, started_at, seconds, seen, new, edited, deleted, skipped, outcome, error)
VALUES (:source, :started_at, :seconds, :seen, :new, :edited, :deleted, :skipped, :outcome, :error)
"""

_HEALTH = """
UPDATE sources SET since = CASE WHEN state = :state THEN since ELSE :ended END, state = :state, why = :why,
    failures = CASE WHEN :failed THEN failures + 1 ELSE 0 END, next_due_at = :next, last_run_at = :started,
    last_success_at = CASE WHEN :failed THEN last_success_at ELSE :ended END,
    last_new_at = CASE WHEN :new > 0 THEN :ended ELSE last_new_at END
WHERE name = :name
"""

# A fetch that is repeated meets the same gap again.
NOTE_GAP = """
INSERT INTO gaps (source, since, until, why, noted_at) SELECT :source, :since, :until, :why, :noted_at
WHERE NOT EXISTS (SELECT 1 FROM gaps WHERE source = :source AND since IS :since AND until IS :until AND why = :why)
"""

_MOVE_CURSOR = "UPDATE sources SET cursor = ? WHERE name = ?"
_MOVE_BACKFILL = "UPDATE sources SET backfill = json_set(backfill, '$.cursor', json(?)) WHERE name = ?"


def sync(connection: sqlite3.Connection, entries: Iterable[tuple[str, str, float, bool]], now: datetime) -> None:
    """Makes the sources those of the configuration: (name, kind, seconds between fetches, enabled) each."""
    rows = [(name, kind, every_s, enabled, stamp(now)) for name, kind, every_s, enabled in entries]
    sooner = [(stamp(now + timedelta(seconds=row[2])), row[0]) for row in rows]
    connection.execute("UPDATE sources SET enabled = 0")
    connection.executemany(_SYNC_SOURCE, rows)
    connection.executemany(
        "UPDATE sources SET next_due_at = min(next_due_at, ?) WHERE name = ? AND failures = 0", sooner
    )


def due(connection: sqlite3.Connection, now: datetime, limit: int) -> list[Due]:
    """The enabled sources that should be fetched now, the longest overdue first.

    One whose last fetch lies in the future was planned by a clock that was wrong, and has been put back since.
    """
    query = f"{_DUE} WHERE enabled AND (next_due_at <= ? OR last_run_at > ?) ORDER BY next_due_at, name LIMIT ?"
    return [_as_due(row) for row in connection.execute(query, (stamp(now), stamp(now + _CLOCK_SLIP), limit))]


def find(connection: sqlite3.Connection, name: str) -> Due | None:
    row = connection.execute(f"{_DUE} WHERE name = ?", (name,)).fetchone()
    return _as_due(row) if row else None


def _as_due(row: tuple[str, str, str | None, int]) -> Due:
    name, kind, cursor, failures = row
    return Due(name, kind, json.loads(cursor) if cursor is not None else None, failures)


def know(connection: sqlite3.Connection, name: str) -> None:
    connection.execute(_KNOW_SOURCE, (name,))


def move(connection: sqlite3.Connection, name: str, page: Page, now: datetime, *, backfill: bool) -> None:
    """Moves the source's bookmark to that of a page, and notes the page's gap."""
    know(connection, name)
    if page.cursor is not None:
        bookmark = json.dumps(dict(page.cursor))
        connection.execute(_MOVE_BACKFILL if backfill else _MOVE_CURSOR, (bookmark, name))
    if page.gap:
        connection.execute(NOTE_GAP, gap_row(name, page.gap, now))
    crash.here("page.bookmark")


def begin_backfill(connection: sqlite3.Connection, name: str, since: datetime) -> None:
    """Begins a walk into the past, forgetting another that was not finished."""
    know(connection, name)
    state = json.dumps({"since": stamp(since), "cursor": None})
    connection.execute("UPDATE sources SET backfill = ? WHERE name = ?", (state, name))


def end_backfill(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("UPDATE sources SET backfill = NULL WHERE name = ?", (name,))


def backfill_state(connection: sqlite3.Connection, name: str) -> dict[str, Any] | None:
    row = connection.execute("SELECT backfill FROM sources WHERE name = ?", (name,)).fetchone()
    return json.loads(row[0]) if row and row[0] else None


def finish(connection: sqlite3.Connection, run: Run, next_due: datetime) -> None:
    """Writes down one fetch, and what it says of its source's health."""
    connection.execute(_ADD_RUN, run_row(run))
    crash.here("run.written")
    know(connection, run.source)
    was = connection.execute("SELECT state FROM sources WHERE name = ?", (run.source,)).fetchone()[0]
    # "Not modified since the empty reply" is still empty.
    state = "empty" if run.outcome == "unchanged" and was == "empty" else _STATES[run.outcome]
    health = {
        "name": run.source,
        "state": state,
        "why": storable(run.error) or ("it answered and held no posts" if state == "empty" else ""),
        "failed": run.outcome not in ("ok", "unchanged", "empty"),
        "new": run.new,
        "started": stamp(run.started_at),
        "ended": stamp(run.started_at + timedelta(seconds=run.seconds)),
        "next": stamp(next_due),
    }
    connection.execute(_HEALTH, health)
