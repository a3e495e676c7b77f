"""The rollups by day and hour: what a set of posts adds to them, taken away before a change, added again after it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from listener import crash

_SOME = "post_id IN (SELECT value FROM json_each(:posts))"

# A rollup, what identifies a row of it, and the columns that are added up.
_ROLLUPS = (
    (
        "daily",
        "contributions",
        ("day", "brand", "moment", "sentiment", "source"),
        ("posts", "abstained", "unread", "score_sum", "score_squares", "feedback", "satisfied", "stars_1", "stars_2",
         "stars_3", "stars_4", "stars_5", "rating_sum", "rating_squares", "late"),
    ),
    (
        "daily_touchpoints",
        "touchpoint_contributions",
        ("day", "brand", "touchpoint", "sentiment", "source"),
        ("posts", "score_sum", "score_squares", "rated", "rating_sum", "rating_squares"),
    ),
    *(
        ("hourly", view, ("brand", "touchpoint", "hour", "lag", "source"), ("posts", "negative", "unread"))
        for view in ("hourly_contributions", "hourly_touchpoint_contributions")
    ),
    ("daily_pairs", "pair_contributions", ("day", "brand", "other", "source"), ("posts", "research")),
)  # fmt: skip


def _adding(table: str, view: str, key: tuple[str, ...], sums: tuple[str, ...]) -> str:
    """SQL that adds what the view's rows of some posts say, or with a :sign of -1 takes it away."""
    return (
        f"INSERT INTO {table} ({', '.join(key + sums)})"
        f" SELECT {', '.join(key)}, {', '.join(f':sign * sum({each})' for each in sums)}"
        f" FROM {view} WHERE {{which}} GROUP BY {', '.join(key)} ON CONFLICT ({', '.join(key)}) DO UPDATE SET"
        f" {', '.join(f'{each} = {each} + excluded.{each}' for each in sums)}"
    )


_ADD = tuple(_adding(*rollup) for rollup in _ROLLUPS)

_SWEEP = tuple(f"DELETE FROM {table} WHERE posts = 0" for table, *_ in _ROLLUPS)


@contextmanager
def changing(connection: sqlite3.Connection, post_ids: Iterable[int]) -> Iterator[None]:
    """Keeps the rollups right while the body changes these posts, their brands or their verdicts.

    To be used inside a transaction: an error in the body leaves the rollups half way, for the caller to roll back.
    """
    some = {"posts": json.dumps(list(post_ids))}
    _apply(connection, {**some, "sign": -1}, _SOME)
    crash.here("rollup.taken")
    yield
    _apply(connection, {**some, "sign": 1}, _SOME)
    crash.here("rollup.added")
    for statement in _SWEEP:
        connection.execute(statement)


def rebuild(connection: sqlite3.Connection) -> None:
    """Makes the rollups anew from the posts, inside the caller's transaction."""
    for table, *_ in _ROLLUPS:
        connection.execute(f"DELETE FROM {table}")
    crash.here("rollup.cleared")
    _apply(connection, {"sign": 1}, "true")


def _apply(connection: sqlite3.Connection, values: dict[str, object], which: str) -> None:
    for statement in _ADD:
        connection.execute(statement.format(which=which), values)
