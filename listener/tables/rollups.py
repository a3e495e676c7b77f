"""The rollups by day and hour: what a set of posts adds to them, taken away before a change, added again after it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from listener import crash
from listener.engine.labels import MOMENTS, SENTIMENTS

_SUMS = ("posts", "abstained", "unread", "score_sum", "score_squares", "feedback", "satisfied", "stars_1", "stars_2",
         "stars_3", "stars_4", "stars_5", "rating_sum", "rating_squares", "late")  # fmt: skip
# One column for each label: what a row of a view counts for it.
_BESIDE = {
    **{f"moment_{label}": f"posts * (moment = '{label}')" for label in MOMENTS},
    **{f"sentiment_{label}": f"posts * (sentiment = '{label}')" for label in SENTIMENTS},
}
_COUNTED = {each: each for each in _SUMS}
_EVERY = {**_COUNTED, **_BESIDE}
_ADDED = {each: each for each in _EVERY}  # of a table that has the columns already
_HOURLY = {each: each for each in ("posts", "negative", "unread")}

_FINEST = ("source", "day", "brand", "moment", "sentiment")
_TOUCHED = ("touchpoint", "source", "day", "brand")
_HOUR = ("brand", "touchpoint", "hour", "lag", "source")

# A rollup, where it comes from, what identifies a row of it (and where that is not a column, what it is), and the
# columns that are added up, each with what to add.
_Rollup = tuple[str, str, Mapping[str, str], Mapping[str, str]]


def _rollup(table: str, view: str, key: Iterable[str], sums: Mapping[str, str], **told: str) -> _Rollup:
    return table, view, {each: told.get(each, each) for each in key}, sums


# What some posts come to, held for as long as they are being counted, so that they are read once for all rollups: each
# post for each brand, the sums of those by the finest key, and by touchpoint.
_HELD: tuple[_Rollup, ...] = (
    _rollup("moved", "facts", _FINEST, _COUNTED),
    _rollup("touched", "facts CROSS JOIN verdict_touchpoints USING (post_id)", _TOUCHED, _EVERY),
)
_ROLLUPS: tuple[_Rollup, ...] = (
    _rollup("daily", "moved", _FINEST, _COUNTED),
    _rollup("daily_moments", "moved", ("day", "brand", "moment", "sentiment"), _COUNTED),
    _rollup("daily_brands", "moved", ("day", "brand"), _EVERY),
    _rollup("daily_sources", "moved", ("source", "day", "brand"), _EVERY),
    _rollup("daily_touched", "touched", _TOUCHED, _ADDED),
    _rollup("daily_touchpoints", "touched", ("touchpoint", "day", "brand"), _ADDED),
    _rollup("monthly_touched", "touched", ("touchpoint", "source", "month", "brand"), _ADDED,
            month="substr(day, 1, 7)"),
    _rollup("hourly", "facts", _HOUR, _HOURLY, touchpoint="''"),
    _rollup("hourly", "facts CROSS JOIN verdict_touchpoints USING (post_id)", _HOUR, _HOURLY),
    _rollup("daily_pairs", "pair_contributions", ("day", "brand", "other", "source"),
            {"posts": "posts", "research": "research"}),
)  # fmt: skip


def _adding(table: str, view: str, key: Mapping[str, str], sums: Mapping[str, str]) -> str:
    """SQL that adds what the view's rows say, or with a :sign of -1 takes it away."""
    chosen = "hour IS NOT NULL" if table == "hourly" else "{which}" if view.endswith("contributions") else "true"
    sign = "" if table in [held for held, *_ in _HELD] else ":sign * "
    return (
        f"INSERT INTO {table} ({', '.join((*key, *sums))})"
        f" SELECT {', '.join(key.values())}, {', '.join(f'{sign}sum({each})' for each in sums.values())}"
        f" FROM {view} WHERE {chosen} GROUP BY {', '.join(key.values())} ON CONFLICT ({', '.join(key)}) DO UPDATE SET"
        f" {', '.join(f'{each} = {each} + excluded.{each}' for each in sums)}"
    )


_FACTS = ("post_id", *_FINEST, *_SUMS)
_HOURS = ("hour", "lag", "negative")

_MAKE = (
    f"CREATE TEMP TABLE IF NOT EXISTS facts ({', '.join((*_FACTS, *_HOURS))})",
    *(
        f"CREATE TEMP TABLE IF NOT EXISTS {table} ({', '.join((*key, *sums))}, PRIMARY KEY ({', '.join(key)}))"
        " WITHOUT ROWID"
        for table, _, key, sums in _HELD
    ),
)

# The hours are those of UTC; `lag` is by how many hours a post came in later than it was written, 168 at most.
_READ = f"""
INSERT INTO facts SELECT {", ".join(f"c.{each}" for each in _FACTS)}, substr(p.created_at, 1, 13),
    min(max(strftime('%s', p.collected_at) / 3600 - strftime('%s', p.created_at) / 3600, 0), 168),
    c.posts * (c.sentiment = 'negative')
FROM contributions c JOIN posts p ON p.id = c.post_id WHERE {{which}}
"""

_ADD = (_READ, *(_adding(*rollup) for rollup in (*_HELD, *_ROLLUPS)))

_SWEEP = tuple(f"DELETE FROM {table} WHERE posts = 0" for table in dict.fromkeys(table for table, *_ in _ROLLUPS))

_CLEAR = tuple(f"DELETE FROM temp.{table}" for table in ("facts", *(table for table, *_ in _HELD)))

_SOME = "post_id IN (SELECT value FROM json_each(:posts))"
_STRETCH = "post_id > :after AND post_id <= :after + :count"
_AT_ONCE = 50_000  # posts; as many as a rebuild holds in memory

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
    (last,) = connection.execute("SELECT coalesce(max(post_id), 0) FROM verdicts").fetchone()
    for after in range(0, last, _AT_ONCE):
        _apply(connection, {"sign": 1, "after": after, "count": _AT_ONCE}, _STRETCH)


def _apply(connection: sqlite3.Connection, values: dict[str, object], which: str) -> None:
    for statement in (*_MAKE, *_ADD, *_CLEAR):
        connection.execute(statement.format(which=which), values)
