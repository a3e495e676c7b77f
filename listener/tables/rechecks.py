"""Stored posts that are to be asked after at their source again, and those that its terms let nobody keep.

A post is due a day after it was collected, then after a quarter of its age, at most 28 days later: what people delete
they mostly delete soon, and YouTube's terms want every comment looked at within 30 days. Runs inside the caller's
transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from datetime import datetime, timedelta

from listener.migrations import stamp

FIRST = timedelta(days=1)
_LONGEST_DAYS = 28

_BEGIN = "UPDATE posts SET verify_due_at = ? WHERE source = ? AND verify_due_at IS NULL AND deleted_at IS NULL"

_DUE = """
SELECT native_id FROM posts WHERE source = ? AND verify_due_at <= ? AND deleted_at IS NULL
ORDER BY verify_due_at LIMIT ?
"""

_NEXT = f"""strftime('%Y-%m-%dT%H:%M:%SZ', :now,
    '+' || CAST(86400 * min({_LONGEST_DAYS}, max(1, (julianday(:now) - julianday(collected_at)) / 4)) AS INTEGER)
    || ' seconds')"""

_LATER = f"""
UPDATE posts SET verify_due_at = {_NEXT}
WHERE source = :source AND native_id IN (SELECT value FROM json_each(:ids)) AND verify_due_at IS NOT NULL
"""  # noqa: S608  # a number of ours

_SEEN = f"""
UPDATE posts SET last_verified_at = :now,
    verify_due_at = CASE WHEN verify_due_at IS NOT NULL THEN {_NEXT} END
WHERE source = :source AND native_id IN (SELECT value FROM json_each(:ids))
    AND coalesce(last_verified_at, collected_at) < :before
"""  # noqa: S608

_UNVERIFIED = """
SELECT id FROM posts WHERE source = ? AND deleted_at IS NULL AND coalesce(last_verified_at, collected_at) < ? LIMIT 1000
"""


def begin(connection: sqlite3.Connection, source: str, now: datetime) -> None:
    """From now on the posts of a source are asked after; does nothing to those that already are."""
    connection.execute(_BEGIN, (stamp(now + FIRST), source))


def due(connection: sqlite3.Connection, source: str, now: datetime, limit: int) -> list[str]:
    """The native ids to ask after, the longest due first."""
    return [native_id for (native_id,) in connection.execute(_DUE, (source, stamp(now), limit))]


def asked(connection: sqlite3.Connection, source: str, native_ids: Iterable[str], now: datetime) -> None:
    """Sets when these are due again, whatever the answer was."""
    connection.execute(_LATER, {"source": source, "ids": json.dumps(list(native_ids)), "now": stamp(now)})


def seen(connection: sqlite3.Connection, source: str, native_ids: Iterable[str], now: datetime) -> None:
    """Notes that the source showed these posts now, and puts off asking after them. Within twelve hours it is noted
    once, to spare the disk.
    """
    before = stamp(now - timedelta(hours=12))
    ids = json.dumps(list(native_ids))
    connection.execute(_SEEN, {"source": source, "ids": ids, "now": stamp(now), "before": before})


def unverified(connection: sqlite3.Connection, source: str, before: datetime) -> list[int]:
    """Up to a thousand posts that the source was not seen to show since then."""
    return [post_id for (post_id,) in connection.execute(_UNVERIFIED, (source, stamp(before)))]
