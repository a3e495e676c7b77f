"""The ledger of alerts: one row an event, from its notice to its end. Runs inside the caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from listener.migrations import moment_of, stamp
from listener.tables.rows import storable

_BEGIN = """
INSERT INTO alerts (kind, brand, about, began_at, noticed_at, found) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""
_END = "UPDATE alerts SET ended_at = ? WHERE id = ? AND ended_at IS NULL"
_READ = "SELECT id, kind, brand, about, began_at, noticed_at, ended_at, found FROM alerts"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to whom (`kind`, `brand`, `about`), and since when; `ended_at` is None while it goes on.

    `found` is JSON-able: the figures it was noticed by and what is known of its cause.
    """

    id: int
    kind: str
    brand: str
    about: str
    began_at: datetime
    noticed_at: datetime
    ended_at: datetime | None
    found: Mapping[str, Any]

    @property
    def subject(self) -> tuple[str, str, str]:
        return self.kind, self.brand, self.about

    def as_json(self) -> dict[str, Any]:
        """The event as `listener alerts --json` shows it and a webhook carries it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "brand": self.brand,
            "about": self.about,
            "began_at": stamp(self.began_at),
            "noticed_at": stamp(self.noticed_at),
            "ended_at": stamp(self.ended_at) if self.ended_at else None,
            **self.found,
        }


def begin(
    connection: sqlite3.Connection,
    subject: tuple[str, str, str],
    began_at: datetime,
    found: Mapping[str, Any],
    now: datetime,
) -> bool:
    """Notes a new event; False where one on the same subject goes on already."""
    values = (*map(storable, subject), stamp(began_at), stamp(now), storable(json.dumps(found)))
    return connection.execute(_BEGIN, values).rowcount > 0


def end(connection: sqlite3.Connection, event_id: int, now: datetime) -> None:
    """Notes that an event is over."""
    connection.execute(_END, (stamp(now), event_id))


def going_on(connection: sqlite3.Connection) -> list[Event]:
    """The events that have not ended, the oldest first."""
    return _read(connection, "ended_at IS NULL ORDER BY noticed_at, id")


def since(connection: sqlite3.Connection, moment: datetime) -> list[Event]:
    """The events that were noticed or ended since then or go on, the newest first."""
    return _read(
        connection, "ended_at IS NULL OR ended_at >= ? OR noticed_at >= ? ORDER BY noticed_at DESC, id DESC",
        stamp(moment), stamp(moment),
    )  # fmt: skip


def looked(connection: sqlite3.Connection) -> str:
    """The hour of the last look, "" before the first."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'alerts_looked'").fetchone()
    return row[0] if row else ""


def note_look(connection: sqlite3.Connection, hour: str) -> None:
    """Notes that everything up to this hour was looked at."""
    connection.execute(
        "INSERT INTO meta VALUES ('alerts_looked', ?) ON CONFLICT DO UPDATE SET value = excluded.value", (hour,)
    )


def _read(connection: sqlite3.Connection, which: str, *values: str) -> list[Event]:
    return [_event(*tuple(row)) for row in connection.execute(f"{_READ} WHERE {which}", values)]


def _event(
    event_id: int, kind: str, brand: str, about: str, began_at: str, noticed_at: str, ended_at: str | None, found: str
) -> Event:
    began, noticed = moment_of(began_at), moment_of(noticed_at)
    assert began and noticed
    return Event(event_id, kind, brand, about, began, noticed, moment_of(ended_at), json.loads(found))
