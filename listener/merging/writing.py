"""Joined posts into our tables, with brands, verdicts, rollups and copies. Runs inside the caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from listener.merging.joining import Row, Version
from listener.tables import backlog, copies, corrections, overruling, pages, rollups

_UNLINK = (
    "DELETE FROM mentions WHERE post_id IN (SELECT value FROM json_each(?))",
    "DELETE FROM disowned WHERE post_id IN (SELECT value FROM json_each(?))",
)
_DISOWN = "INSERT INTO disowned (post_id, brand, why) VALUES (?, ?, ?)"
_LINK = "INSERT INTO mentions (post_id, brand, why) VALUES (?, ?, ?)"
_UNSAY = "DELETE FROM corrections WHERE post_id IN (SELECT value FROM json_each(?))"
_UNTOUCH = "DELETE FROM verdict_touchpoints WHERE post_id IN (SELECT value FROM json_each(?))"
_TOUCH = "INSERT INTO verdict_touchpoints (post_id, touchpoint) VALUES (?, ?)"

# As the other machine had folded them: signatures of old posts are let go, so that their texts are compared no more.
_KEEP_COPY = """
UPDATE posts SET copy_of = (SELECT coalesce(o.copy_of, o.id) FROM posts o
    WHERE o.source = ? AND o.native_id = ? AND o.deleted_at IS NULL AND o.id <> posts.id)
WHERE id = ? AND copy_of IS NULL AND deleted_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM posts c WHERE c.copy_of = posts.id)
"""
_FOLDED = "SELECT id FROM posts WHERE id IN (SELECT value FROM json_each(?)) AND copy_of IS NOT NULL"


def write(connection: sqlite3.Connection, new: Sequence[Version], changed: Sequence[tuple[Version, Version]]) -> int:
    """Writes new posts and those that changed (before, after); returns how many verdicts were taken."""
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM posts").fetchone()
    added = dict(enumerate(new, last + 1))
    known = {after.row["id"]: after for _, after in changed}
    speaking = [after.row["id"] for mine, after in changed if _says(mine) != _says(after)]
    taken = {post_id: each.verdict for post_id, each in added.items() if each.verdict}
    taken |= {
        after.row["id"]: after.verdict for mine, after in changed if after.verdict and after.verdict != mine.verdict
    }
    with rollups.changing(connection, {*known, *added, *copies.of(connection, speaking)}):
        overruling.restore(connection, known)
        pages.tally(connection, known, -1)
        for post_id, version in (*known.items(), *added.items()):
            row = {name: value for name, value in version.row.items() if name != "copy_of"}
            _put(connection, "posts", "id", {**row, "id": post_id})
        pages.make_searchable(connection, [each.row | {"id": post_id} for post_id, each in added.items()])
        pages.tally(connection, {*known, *added}, 1)
        _link(connection, known | added)
        _judge(connection, taken)
        _correct(connection, known | added)
        copies.release(connection, speaking)
        copies.fold(connection, copies.read(connection, [*speaking, *added]))
        _keep_copies(connection, added)
    backlog.renew(connection, known | added)
    return len(taken)


def _says(version: Version) -> tuple[Any, ...]:
    """What it is a copy by."""
    row = version.row
    return row["text_hash"], row["url"], row["federated_id"], row["rating"], dict(version.brands)


def _put(connection: sqlite3.Connection, table: str, key: str, row: Row) -> None:
    # By the columns there are, so that those of a later version come along without a word here.
    columns, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
    update = ", ".join(f"{name} = excluded.{name}" for name in row if name != key)
    connection.execute(
        f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT ({key}) DO UPDATE SET {update}",  # noqa: S608
        row,
    )


def _link(connection: sqlite3.Connection, posts: Mapping[int, Version]) -> None:
    for statement in _UNLINK:
        connection.execute(statement, (json.dumps(list(posts)),))
    for post_id, each in posts.items():
        disowned = json.loads(each.held["not_brands"]) if each.held else ()
        for brand, why in each.brands.items():
            connection.execute(_DISOWN if brand in disowned else _LINK, (post_id, brand, why))


def _judge(connection: sqlite3.Connection, verdicts: Mapping[int, Row]) -> None:
    for post_id, verdict in verdicts.items():
        row = {name: value for name, value in verdict.items() if name != "touchpoints"}
        _put(connection, "verdicts", "post_id", {**row, "post_id": post_id})
    connection.execute(_UNTOUCH, (json.dumps(list(verdicts)),))
    rows = [(post_id, name) for post_id, verdict in verdicts.items() for name in verdict["touchpoints"]]
    connection.executemany(_TOUCH, rows)


def _correct(connection: sqlite3.Connection, posts: Mapping[int, Version]) -> None:
    """Puts back what people said, with its history, over what the model says."""
    connection.execute(_UNSAY, (json.dumps(list(posts)),))
    for post_id, each in posts.items():
        for said in each.corrections:
            columns = ", ".join(said)
            marks = ", ".join(f":{name}" for name in said)
            connection.execute(
                f"INSERT INTO corrections (post_id, {columns}) VALUES (:post_id, {marks})",  # noqa: S608
                {**said, "post_id": post_id},
            )
        if each.held:
            corrections.hold(connection, post_id)


def _keep_copies(connection: sqlite3.Connection, added: Mapping[int, Version]) -> None:
    rows = [(*each.original, post_id) for post_id, each in added.items() if each.original]
    connection.executemany(_KEEP_COPY, rows)
    asked = json.dumps([post_id for *_, post_id in rows])
    copies.unsign(connection, [post_id for (post_id,) in connection.execute(_FOLDED, (asked,))])
