"""The ledger of what was sent: begun for whom and for which period, and how it ended. It is what sends a day once."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from listener.migrations import moment_of, stamp
from listener.tables.rows import storable

Key = tuple[str, str, str]  # recipient, cadence, period
Claim = Literal["send", "done", "waiting", "unknown"]
DigestState = Literal["sent", "failed", "unknown", "skipped"]

_FIRST_WAIT_S = 60.0
_LONGEST_WAIT_S = 3600.0
_BUILDING_S = 600.0  # a digest takes seconds to build: whoever began it longer ago died over it

_FIND = """
SELECT state, detail, claimed_at, attempts FROM digests WHERE recipient = ? AND cadence = ? AND period = ?
"""
_BEGIN = """
INSERT INTO digests (recipient, cadence, period, state, claimed_at, attempts) VALUES (?, ?, ?, ?, ?, 1)
"""
_BEGIN_AGAIN = """
UPDATE digests SET state = ?, claimed_at = ?, attempts = attempts + 1
WHERE recipient = ? AND cadence = ? AND period = ?
"""
_HAND_OVER = """
UPDATE digests SET state = 'pending'
WHERE recipient = ? AND cadence = ? AND period = ? AND state = 'building' AND claimed_at = ?
"""
_LATEST = """
SELECT recipient, cadence, period, state, detail, claimed_at, sent_at, attempts FROM digests
ORDER BY claimed_at DESC, recipient LIMIT ?
"""
_DOUBT = "UPDATE digests SET state = 'unknown' WHERE recipient = ? AND cadence = ? AND period = ?"
_MARK = """
INSERT INTO digests (recipient, cadence, period, state, detail, claimed_at, sent_at, attempts)
VALUES (?, ?, ?, ?, ?, ?, ?, 0)
ON CONFLICT DO UPDATE SET state = excluded.state, detail = excluded.detail, sent_at = excluded.sent_at
"""


def claim(
    connection: sqlite3.Connection,
    key: Key,
    now: datetime,
    *,
    at_once: bool = False,
    repeatable: bool = False,
) -> Claim:
    """Asks to send one digest, alert or operator mail, inside the caller's transaction.

    "send": begun, go as soon as this is committed. "done": sent or skipped before. "waiting": it failed, and the next
    try is not due (one minute later, then two, four ... an hour; `at_once` does not wait), or another process is at it.
    "unknown": it was handed over and nobody wrote how that ended; the mail may have gone, so it is not sent a second
    time. One that is only built yet ("building") certainly did not go, and is begun again. `repeatable`: its receiver
    can tell repeats, so it is on its way from the beginning ("pending") and sent again in any case.
    """
    first = "pending" if repeatable else "building"
    row = connection.execute(_FIND, key).fetchone()
    if row is None:
        connection.execute(_BEGIN, (*key, first, stamp(now)))
        return "send"
    state, _, claimed_at, attempts = row
    if state in ("sent", "skipped"):
        return "done"
    if state not in ("failed", "building") and not repeatable:
        connection.execute(_DOUBT, key)
        return "unknown"
    tried = moment_of(claimed_at)
    seconds = min(_FIRST_WAIT_S * 2.0 ** min(attempts - 1, 20), _LONGEST_WAIT_S)
    wait = timedelta(seconds=_BUILDING_S if state == "building" else seconds)
    # A last try in the future comes from a clock that was wrong once; waiting for it could take years.
    impatient = at_once and state == "failed"
    if not impatient and tried is not None and tried <= now < tried + wait:
        return "waiting"
    connection.execute(_BEGIN_AGAIN, (first, stamp(now), *key))
    return "send"


def hand_over(connection: sqlite3.Connection, key: Key, begun: datetime) -> bool:
    """Notes that the mail begun then goes now; False when another process has taken it over meanwhile."""
    return connection.execute(_HAND_OVER, (*key, stamp(begun))).rowcount == 1


def mark(connection: sqlite3.Connection, key: Key, state: DigestState, detail: str, now: datetime) -> None:
    """Writes how a digest ended; `detail` is for people (the server's answer, the reason)."""
    sent_at = stamp(now) if state == "sent" else None
    connection.execute(_MARK, (*key, state, storable(detail), stamp(now), sent_at))


@dataclass(frozen=True, slots=True)
class Sent:
    """A row of the ledger; `period` is the local day it tells of, or the last of the week."""

    recipient: str
    cadence: str
    period: str
    state: str
    detail: str
    claimed_at: datetime | None
    sent_at: datetime | None
    attempts: int


def latest(connection: sqlite3.Connection, limit: int) -> list[Sent]:
    """The last digests that were begun, the newest first."""
    return [
        Sent(to, cadence, period, state, said, moment_of(claimed_at), moment_of(sent_at), attempts)
        for to, cadence, period, state, said, claimed_at, sent_at, attempts in connection.execute(_LATEST, (limit,))
    ]


def find(connection: sqlite3.Connection, key: Key) -> Sent | None:
    """One row of the ledger."""
    return next((each for each in latest(connection, -1) if (each.recipient, each.cadence, each.period) == key), None)


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
