"""The rollups by day and hour: what a set of posts adds to them, taken away before a change, added again after it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from listener import crash
from listener.engine.labels import MOMENTS, SENTIMENTS

_SOME = "post_id IN (SELECT value FROM json_each(:posts))"

_SUMS = ("posts", "abstained", "unread", "score_sum", "score_squares", "feedback", "satisfied", "stars_1", "stars_2",
         "stars_3", "stars_4", "stars_5", "rating_sum", "rating_squares", "late")  # fmt: skip
# One column for each label: what a row of a view counts for it.
_BESIDE = {
    **{f"moment_{label}": f"posts * (moment = '{label}')" for label in MOMENTS},
    **{f"sentiment_{label}": f"posts * (sentiment = '{label}')" for label in SENTIMENTS},
}
_COUNTED = {each: each for each in _SUMS}
_HOURLY = ("posts", "negative", "unread")
_TOUCHED = ("posts", "score_sum", "score_squares", "rated", "rating_sum", "rating_squares")

_FINEST = ("source", "day", "brand", "moment", "sentiment")

# A rollup, where it comes from, what identifies a row of it, and the columns that are added up, each with what to add.
# The first holds what some posts come to by the finest key, so that the posts are read once for those behind it.
_Rollup = tuple[str, str, tuple[str, ...], Mapping[str, str]]
_MOVED: _Rollup = ("moved", "contributions", _FINEST, _COUNTED)
_ROLLUPS: tuple[_Rollup, ...] = (
    ("daily", "moved", _FINEST, _COUNTED),
    ("daily_moments", "moved", ("day", "brand", "moment", "sentiment"), _COUNTED),
    ("daily_brands", "moved", ("day", "brand"), {**_COUNTED, **_BESIDE}),
    ("daily_sources", "moved", ("source", "day", "brand"), {**_COUNTED, **_BESIDE}),
    (
        "daily_touched",
        "contributions JOIN verdict_touchpoints USING (post_id)",
        ("touchpoint", "source", "day", "brand"),
        {**_COUNTED, **_BESIDE},
    ),
    (
        "daily_touchpoints",
        "touchpoint_contributions",
        ("day", "brand", "touchpoint", "sentiment", "source"),
        {each: each for each in _TOUCHED},
    ),
    *(
        ("hourly", view, ("brand", "touchpoint", "hour", "lag", "source"), {each: each for each in _HOURLY})
        for view in ("hourly_contributions", "hourly_touchpoint_contributions")
    ),
    (
        "daily_pairs",
        "pair_contributions",
        ("day", "brand", "other", "source"),
        {"posts": "posts", "research": "research"},
    ),
)


def _adding(table: str, view: str, key: tuple[str, ...], sums: Mapping[str, str]) -> str:
    """SQL that adds what the view's rows of some posts say, or with a :sign of -1 takes it away."""
    sign, which = ("", "true") if view == "moved" else (":sign * ", "{which}")
    return (
        f"INSERT INTO {table} ({', '.join((*key, *sums))})"
        f" SELECT {', '.join(key)}, {', '.join(f'{sign}sum({each})' for each in sums.values())}"
        f" FROM {view} WHERE {which} GROUP BY {', '.join(key)} ON CONFLICT ({', '.join(key)}) DO UPDATE SET"
        f" {', '.join(f'{each} = {each} + excluded.{each}' for each in sums)}"
    )


_MAKE = (
    f"CREATE TEMP TABLE IF NOT EXISTS moved ({', '.join((*_FINEST, *_SUMS))},"
    f" PRIMARY KEY ({', '.join(_FINEST)})) WITHOUT ROWID"
)

_ADD = tuple(_adding(*rollup) for rollup in (_MOVED, *_ROLLUPS))

_SWEEP = tuple(f"DELETE FROM {table} WHERE posts = 0" for table, *_ in _ROLLUPS)

_COUNTED_BEFORE = "SELECT 1 FROM verdicts WHERE post_id IN (SELECT value FROM json_each(:posts)) LIMIT 1"


@contextmanager
def changing(connection: sqlite3.Connection, post_ids: Iterable[int]) -> Iterator[None]:
    """Keeps the rollups right while the body changes these posts, their brands or their verdicts.

    To be used inside a transaction: an error in the body leaves the rollups half way, for the caller to roll back.
    """
    some = {"posts": json.dumps(list(post_ids))}
    judged = connection.execute(_COUNTED_BEFORE, some).fetchone()  # mostly not: verdicts come on posts without one
    if judged:
        _apply(connection, {**some, "sign": -1}, _SOME)
    crash.here("rollup.taken")
    yield
    _apply(connection, {**some, "sign": 1}, _SOME)
    crash.here("rollup.added")
    for statement in _SWEEP if judged else ():
        connection.execute(statement)


def rebuild(connection: sqlite3.Connection) -> None:
    """Makes the rollups anew from the posts, inside the caller's transaction."""
    for table, *_ in _ROLLUPS:
        connection.execute(f"DELETE FROM {table}")
    crash.here("rollup.cleared")
    _apply(connection, {"sign": 1}, "true")


def _apply(connection: sqlite3.Connection, values: dict[str, object], which: str) -> None:
    connection.execute(_MAKE)
    for statement in _ADD:
        connection.execute(statement.format(which=which), values)
    connection.execute("DELETE FROM moved")
