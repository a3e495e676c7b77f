"""The queue of posts that wait for a verdict: live posts not yet judged by the model in charge on their present text.

It is a table of its own, because the question "which posts have no such verdict" reads every post and every verdict
whenever little is pending, which is nearly always. Whoever changes posts or verdicts keeps it, in the same transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from listener.records import Pending

_OLD_SHARE = (
    8  # one in so many is taken from the old end, so that no stream of new posts keeps the others waiting for good
)

_ADD = """
INSERT OR IGNORE INTO pending (post_id, at) SELECT id, coalesce(created_at, collected_at) FROM posts
WHERE id IN (SELECT value FROM json_each(?)) AND deleted_at IS NULL AND expired_at IS NULL
"""

_REMOVE = "DELETE FROM pending WHERE post_id IN (SELECT value FROM json_each(?))"

# `IS NOT` holds for a post without a verdict too. Without a model in charge any verdict on the present text will do.
_UNJUDGED = """
FROM posts p LEFT JOIN verdicts v ON v.post_id = p.id
WHERE p.deleted_at IS NULL AND p.expired_at IS NULL
    AND (v.model IS NOT coalesce(?, v.model) OR v.text_hash IS NOT p.text_hash)
"""

_REFILL = f"INSERT INTO pending (post_id, at) SELECT p.id, coalesce(p.created_at, p.collected_at) {_UNJUDGED}"

_RENEW = f"{_REFILL} AND p.id IN (SELECT value FROM json_each(?))"  # noqa: S608  # of the lines above

_WAITING = (
    "SELECT p.id, p.kind, p.title, p.text, p.lang, p.text_hash FROM pending q CROSS JOIN posts p ON p.id = q.post_id"
)
_NEWEST = f"{_WAITING} ORDER BY q.at DESC, q.post_id DESC LIMIT ?"
_OLDEST = f"{_WAITING} ORDER BY q.at, q.post_id LIMIT ?"


def add(connection: sqlite3.Connection, post_ids: Iterable[int]) -> None:
    connection.execute(_ADD, (json.dumps(list(post_ids)),))


def remove(connection: sqlite3.Connection, post_ids: Iterable[int]) -> None:
    connection.execute(_REMOVE, (json.dumps(list(post_ids)),))


def renew(connection: sqlite3.Connection, post_ids: Iterable[int]) -> None:
    """Queues those of these posts that wait, and no other: one whose old text is back has its verdict already."""
    chosen = list(post_ids)
    remove(connection, chosen)
    in_charge = connection.execute("SELECT value FROM meta WHERE key = 'model'").fetchone()
    connection.execute(_RENEW, (in_charge and in_charge[0], json.dumps(chosen)))


def refill(connection: sqlite3.Connection, model: str) -> None:
    """Makes the queue anew, for another model."""
    connection.execute("DELETE FROM pending")
    connection.execute(_REFILL, (model,))


def turn(connection: sqlite3.Connection, limit: int) -> list[Pending]:
    """Whose turn it is: the newest, and where more are waiting some of the oldest behind them."""
    old = limit // _OLD_SHARE
    found = {row[0]: Pending(*row) for row in connection.execute(_NEWEST, (limit - old,))}
    if len(found) == limit - old:
        found |= {row[0]: Pending(*row) for row in connection.execute(_OLDEST, (old,)) if row[0] not in found}
    return list(found.values())


def count(connection: sqlite3.Connection, model: str) -> int:
    """How many posts wait for this model. Costs a scan when it is not the one in charge."""
    in_charge = connection.execute("SELECT 1 FROM meta WHERE key = 'model' AND value = ?", (model,)).fetchone()
    row = connection.execute(
        "SELECT count(*) FROM pending" if in_charge else f"SELECT count(*) {_UNJUDGED}", () if in_charge else (model,)
    ).fetchone()
    return int(row[0])
