"""Which local day a post belongs to, made anew when the time zone changes. Runs inside the caller's transaction."""

from __future__ import annotations

import sqlite3
from zoneinfo import ZoneInfo

from listener.migrations import moment_of
from listener.schedule import local_day
from listener.tables import rollups
from listener.tables.rows import is_late

_SETTLE = """
UPDATE posts SET day = local_day(coalesce(created_at, collected_at)),
    late = is_late(coalesce(created_at, collected_at), collected_at)
"""


def settle(connection: sqlite3.Connection, zone: ZoneInfo) -> None:
    """Days, late posts and the rollups as they are in `zone`."""

    def day(text: str) -> str:
        moment = moment_of(text)
        assert moment
        return local_day(moment, zone).isoformat()

    def late(text: str, collected: str) -> bool:
        at, collected_at = moment_of(text), moment_of(collected)
        assert at and collected_at
        return is_late(local_day(at, zone), local_day(collected_at, zone))

    connection.create_function("local_day", 1, day, deterministic=True)
    connection.create_function("is_late", 2, late, deterministic=True)
    connection.execute(_SETTLE)
    rollups.rebuild(connection)
