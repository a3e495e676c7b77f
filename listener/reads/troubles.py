"""What somebody has to mend: sources that fail, posts that wait too long, mails that do not go. Reads only.

A source that does not answer is tried again by itself, and told of only when that takes hours.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from listener.migrations import moment_of, stamp
from listener.reads.health import source_health
from listener.wording import count

Kind = Literal["source", "queue", "mail"]
KINDS: tuple[Kind, ...] = ("source", "queue", "mail")

_GRACE = {
    "retrying": timedelta(hours=6), "blocked": timedelta(hours=1), "unauthorised": timedelta(0),
    "disabled": timedelta(0), "silent": timedelta(0), "broken": timedelta(hours=1), "crashed": timedelta(0),
}  # fmt: skip
_WAITING = timedelta(hours=6)
_LOOKED_AT = 5000
_TRIES = 5  # of a mail: some half an hour
_MAIL_OLD = timedelta(days=3)

# Among the oldest of the queue. Posts that have a verdict wait for that of a new model, which may take days.
_OLDEST = """
SELECT count(*), min(p.collected_at) FROM (SELECT post_id FROM pending ORDER BY at LIMIT ?) w
JOIN posts p ON p.id = w.post_id
WHERE p.collected_at < ? AND NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.post_id = w.post_id)
"""

_UNSENT = """
SELECT recipient, cadence, period, state, detail, claimed_at FROM digests
WHERE (state = 'unknown' OR (state = 'failed' AND attempts >= ?)) AND claimed_at > ? AND cadence <> 'operator'
ORDER BY claimed_at
"""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong: what it is about, since when (None: since it was seen), why, and what to do."""

    kind: Kind
    about: str
    since: datetime | None
    state: str
    why: str
    remedy: str


def find(reader: sqlite3.Connection, now: datetime) -> list[Trouble]:
    """Everything that is wrong now, and has been for long enough to need a person."""
    return [*_sources(reader, now), *_queue(reader, now), *_mails(reader, now)]


def _sources(reader: sqlite3.Connection, now: datetime) -> list[Trouble]:
    return [
        Trouble("source", each.name, each.since, each.state, each.why, f"`listener sources test {each.name}` tries it")
        for each in source_health(reader, now)
        if each.enabled
        and each.state in _GRACE
        and (each.since is None or now - each.since >= _GRACE[each.state])
        and not (each.state == "retrying" and each.failures < 2)
    ]


def _queue(reader: sqlite3.Connection, now: datetime) -> list[Trouble]:
    number, oldest = reader.execute(_OLDEST, (_LOOKED_AT, stamp(now - _WAITING))).fetchone()
    if not number:
        return []
    told = f"{'at least ' if number == _LOOKED_AT else ''}{count(number, 'post')}"
    why = f"{told} without a verdict for more than {_WAITING // timedelta(hours=1)} hours"
    return [Trouble("queue", "", moment_of(oldest), "waiting", why, "`listener doctor` looks at model and disk")]


def _mails(reader: sqlite3.Connection, now: datetime) -> list[Trouble]:
    rows = reader.execute(_UNSENT, (_TRIES, stamp(now - _MAIL_OLD)))
    return [
        Trouble("mail", f"{cadence} of {period} to {recipient}", moment_of(at), state, detail,
                "`listener doctor` says what to do")
        for recipient, cadence, period, state, detail, at in map(tuple, rows)
    ]  # fmt: skip
