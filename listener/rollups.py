"""The daily rollups: what a set of posts adds to them, taken away before a change and added again after it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_SOME = "post_id IN (SELECT value FROM json_each(:posts))"

_DAILY = """
INSERT INTO daily (day, brand, source, moment, sentiment, posts, abstained, unread, score_sum, feedback,
    satisfied)
SELECT day, brand, source, moment, sentiment, :sign * sum(posts), :sign * sum(abstained), :sign * sum(unread),
    :sign * sum(score_sum), :sign * sum(feedback), :sign * sum(satisfied)
FROM contributions WHERE {which} GROUP BY day, brand, moment, sentiment, source
ON CONFLICT (day, brand, moment, sentiment, source) DO UPDATE SET posts = posts + excluded.posts,
    abstained = abstained + excluded.abstained, unread = unread + excluded.unread,
    score_sum = score_sum + excluded.score_sum, feedback = feedback + excluded.feedback,
    satisfied = satisfied + excluded.satisfied
"""

_TOUCHPOINTS = """
INSERT INTO daily_touchpoints (day, brand, source, touchpoint, sentiment, posts)
SELECT day, brand, source, touchpoint, sentiment, :sign * sum(posts)
FROM touchpoint_contributions WHERE {which} GROUP BY day, brand, touchpoint, sentiment, source
ON CONFLICT (day, brand, touchpoint, sentiment, source) DO UPDATE SET posts = posts + excluded.posts
"""

_SWEEP = ("DELETE FROM daily WHERE posts = 0", "DELETE FROM daily_touchpoints WHERE posts = 0")


@contextmanager
def changing(connection: sqlite3.Connection, post_ids: Iterable[int]) -> Iterator[None]:
    """Keeps the rollups right while the body changes these posts, their brands or their verdicts.

    To be used inside a transaction: an error in the body leaves the rollups half way, for the caller to roll back.
    """
    some = {"posts": json.dumps(list(post_ids))}
    _apply(connection, {**some, "sign": -1}, _SOME)
    yield
    _apply(connection, {**some, "sign": 1}, _SOME)
    for statement in _SWEEP:
        connection.execute(statement)


def rebuild(connection: sqlite3.Connection) -> None:
    """Makes both rollups anew from the posts, inside the caller's transaction."""
    connection.execute("DELETE FROM daily")
    connection.execute("DELETE FROM daily_touchpoints")
    _apply(connection, {"sign": 1}, "true")


def _apply(connection: sqlite3.Connection, values: dict[str, object], which: str) -> None:
    connection.execute(_DAILY.format(which=which), values)
    connection.execute(_TOUCHPOINTS.format(which=which), values)
