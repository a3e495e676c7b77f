"""The ledger of what was sent: begun for whom and for which period, and how it ended. It is what sends a day once."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from typing import Literal

from listener.migrations import moment_of, stamp
from listener.rows import storable

Key = tuple[str, str, str]  # recipient, cadence, period
Claim = Literal["send", "done", "waiting", "unknown"]
DigestState = Literal["sent", "failed", "unknown", "skipped"]

_FIRST_WAIT_S = 60.0
_LONGEST_WAIT_S = 3600.0

_FIND = """
SELECT state, detail, claimed_at, attempts FROM digests WHERE recipient = ? AND cadence = ? AND period = ?
"""
_BEGIN = """
INSERT INTO digests (recipient, cadence, period, state, claimed_at, attempts) VALUES (?, ?, ?, 'pending', ?, 1)
"""
_BEGIN_AGAIN = """
UPDATE digests SET state = 'pending', claimed_at = ?, attempts = attempts + 1
WHERE recipient = ? AND cadence = ? AND period = ?
"""
_DOUBT = "UPDATE digests SET state = 'unknown' WHERE recipient = ? AND cadence = ? AND period = ?"
_MARK = """
INSERT INTO digests (recipient, cadence, period, state, detail, claimed_at, sent_at, attempts)
VALUES (?, ?, ?, ?, ?, ?, ?, 0)
ON CONFLICT DO UPDATE SET state = excluded.state, detail = excluded.detail, sent_at = excluded.sent_at
"""


def claim(connection: sqlite3.Connection, key: Key, now: datetime, at_once: bool, *, repeatable: bool = False) -> Claim:
    """Asks to send one digest, inside the caller's transaction.

    "send": begun, go as soon as this is committed. "done": sent or skipped before. "waiting": it failed, and the next
    try is not due (one minute later, then two, four ... an hour; `at_once` does not wait). "unknown": it was begun and
    nobody wrote how it ended; the mail may have gone, so it is not sent a second time. `repeatable`: its receiver can
    tell repeats, so it is.
    """
    row = connection.execute(_FIND, key).fetchone()
    if row is None:
        connection.execute(_BEGIN, (*key, stamp(now)))
        return "send"
    state, _, claimed_at, attempts = row
    if state in ("sent", "skipped"):
        return "done"
    if state != "failed" and not repeatable:
        connection.execute(_DOUBT, key)
        return "unknown"
    tried = moment_of(claimed_at)
    wait = timedelta(seconds=min(_FIRST_WAIT_S * 2.0 ** min(attempts - 1, 20), _LONGEST_WAIT_S))
    # A last try in the future comes from a clock that was wrong once; waiting for it could take years.
    if not at_once and tried is not None and tried <= now < tried + wait:
        return "waiting"
    connection.execute(_BEGIN_AGAIN, (stamp(now), *key))
    return "send"


def mark(connection: sqlite3.Connection, key: Key, state: DigestState, detail: str, now: datetime) -> None:
    """Writes how a digest ended; `detail` is for people (the server's answer, the reason)."""
    sent_at = stamp(now) if state == "sent" else None
    connection.execute(_MARK, (*key, state, storable(detail), stamp(now), sent_at))


def periods(connection: sqlite3.Connection, recipient: str, cadence: str) -> dict[str, str]:
    """Every period of which a digest was begun for this recipient, and its state."""
    query = "SELECT period, state FROM digests WHERE recipient = ? AND cadence = ?"
    return dict(connection.execute(query, (recipient, cadence)).fetchall())


def tries(connection: sqlite3.Connection, recipient: str, cadence: str) -> dict[str, tuple[str, str]]:
    """Every period of which something was begun for this recipient: its state, and the stamp of the last try."""
    query = "SELECT period, state, claimed_at FROM digests WHERE recipient = ? AND cadence = ?"
    return {
        period: (state, claimed_at) for period, state, claimed_at in connection.execute(query, (recipient, cadence))
    }


def detail(connection: sqlite3.Connection, key: Key) -> str:
    """What was written down for people when this digest ended; "" when it has not."""
    row = connection.execute(_FIND, key).fetchone()
    return row[1] if row else ""
