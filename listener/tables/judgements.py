"""Verdicts into their tables, with touchpoints, rollups and the queue. Runs inside the caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter

from listener import crash
from listener.migrations import stamp
from listener.records import Verdict
from listener.tables import backlog, overruling, rollups
from listener.tables.rows import verdict_row

_PRESENT_TEXTS = """
SELECT id, text_hash FROM posts
WHERE id IN (SELECT value FROM json_each(?)) AND deleted_at IS NULL AND expired_at IS NULL
"""

_COLUMNS = (
    "post_id", "model", "text_hash", "moment", "sentiment", "score", "confidence", "abstained", "language", "unread",
    "moments", "sentiments", "judged_at",
)  # fmt: skip
_VALUES = itemgetter(*_COLUMNS)

_SAVE_VERDICT = f"""
INSERT INTO verdicts ({", ".join(_COLUMNS)}) VALUES ({", ".join("?" * len(_COLUMNS))})
ON CONFLICT (post_id) DO UPDATE SET model = excluded.model, text_hash = excluded.text_hash, moment = excluded.moment,
    sentiment = excluded.sentiment, score = excluded.score, confidence = excluded.confidence,
    abstained = excluded.abstained, language = excluded.language, unread = excluded.unread, moments = excluded.moments,
    sentiments = excluded.sentiments, judged_at = excluded.judged_at, judged_by = 'model'
"""  # noqa: S608  # names of ours

_FORGET_TOUCHPOINTS = "DELETE FROM verdict_touchpoints WHERE post_id IN (SELECT value FROM json_each(?))"


_NOTE_MODEL = """
INSERT INTO models (name, confusion, noted_at) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET confusion = excluded.confusion, noted_at = excluded.noted_at
WHERE confusion IS NOT excluded.confusion
"""


def note_model(connection: sqlite3.Connection, name: str, confusion: str | None, now: datetime) -> None:
    connection.execute(_NOTE_MODEL, (name, confusion, stamp(now)))


def save(connection: sqlite3.Connection, verdicts: Sequence[Verdict], now: datetime, in_charge: str | None) -> int:
    """Stores verdicts on texts that are still as they were judged; returns how many. `in_charge` is the model whose
    verdicts are waited for.
    """
    asked = json.dumps([verdict.post_id for verdict in verdicts])
    present = dict(connection.execute(_PRESENT_TEXTS, (asked,)).fetchall())
    kept = {v.post_id: v for v in verdicts if present.get(v.post_id) == v.text_hash}
    touchpoints = [(post_id, name) for post_id, v in kept.items() for name in v.scores.touchpoints]
    judged_at = stamp(now)
    with rollups.changing(connection, kept):
        rows = (verdict_row(verdict, judged_at) for verdict in kept.values())
        connection.executemany(_SAVE_VERDICT, map(_VALUES, rows))
        crash.here("verdicts.written")
        connection.execute(_FORGET_TOUCHPOINTS, (json.dumps(list(kept)),))
        connection.executemany("INSERT OR IGNORE INTO verdict_touchpoints VALUES (?, ?)", touchpoints)
        overruling.outrank(connection, kept)
    crash.here("verdicts.counted")
    backlog.remove(connection, kept)
    # A verdict of a model that is no longer in charge is better than none, but the post still waits.
    backlog.add(connection, [v.post_id for v in kept.values() if in_charge not in (None, v.model)])
    return len(kept)
