"""Posts and verdicts for tests of the store, and the rollup counted a second way, in Python."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from listener.engine.labels import MOMENTS, SENTIMENTS
from listener.records import Page, Pending, Post, Scores, Verdict
from listener.store import Store

NOW = datetime(2026, 11, 22, 6, 30, tzinfo=UTC)
OSLO = ZoneInfo("Europe/Oslo")


def opened(path: Path, zone: ZoneInfo = OSLO, **options: Any) -> Store:
    return Store.open(path, zone, author_key=b"a key for tests", **options)


def post(native_id: str, text: str = "The room was spotless", **fields: Any) -> Post:
    return Post("feed", native_id, text, **{"created_at": NOW - timedelta(hours=2), **fields})


def save(store: Store, *posts: Post, brands: tuple[str, ...] = (), cursor: Any = None, now: datetime = NOW) -> Any:
    links = [dict.fromkeys(brands, "its name")] * len(posts)
    return store.save_page("feed", Page(posts, cursor), links, now)


def verdict(
    to: Pending,
    moment: str = "tmot",
    sentiment: str = "positive",
    touchpoints: tuple[str, ...] = (),
    *,
    sure: bool = True,
    model: str = "m1",
    lean: float = 0.8,
    language: str = "",
    unread: bool = False,
) -> Verdict:
    moments = {label: 0.7 if label == moment else 0.05 for label in MOMENTS}
    rest = (1 - lean) / 2
    sentiments = {label: lean if label == sentiment else rest for label in SENTIMENTS}
    scores = Scores(moments, sentiments, touchpoints, 0.7, not sure or unread, language, unread)
    return Verdict(to.post_id, model, to.text_hash, scores)


def judge(store: Store, model: str = "m1", now: datetime = NOW, **of: Any) -> int:
    """Gives every pending post the same verdict."""
    return store.save_verdicts([verdict(each, model=model, **of) for each in store.pending(model, 10_000)], now)


def stored_rollup(connection: sqlite3.Connection) -> dict[tuple[Any, ...], tuple[int, ...]]:
    found = {}
    for row in connection.execute("SELECT * FROM daily"):
        found[("daily", *row[:5])] = tuple(row[5:])
    for row in connection.execute("SELECT * FROM daily_touchpoints"):
        found[("touchpoint", *row[:5])] = tuple(row[5:])
    return found


def counted_rollup(connection: sqlite3.Connection) -> dict[tuple[Any, ...], tuple[int, ...]]:
    """What the rollup should hold, from the tables of posts and verdicts and by none of the store's own SQL."""
    brands = defaultdict(list)
    for post_id, brand in connection.execute("SELECT post_id, brand FROM mentions"):
        brands[post_id].append(brand)
    touchpoints = defaultdict(list)
    for post_id, touchpoint in connection.execute("SELECT post_id, touchpoint FROM verdict_touchpoints"):
        touchpoints[post_id].append(touchpoint)
    sums: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * 6)
    for post_id, day, source, rating, moment, sentiment, score, abstained, unread in connection.execute(
        "SELECT id, day, source, rating, moment, sentiment, score, abstained, unread FROM posts, verdicts"
        " WHERE id = post_id AND deleted_at IS NULL AND copy_of IS NULL"
    ):
        told = moment == "tmot" and not abstained
        feedback = rating is not None or told
        satisfied = rating >= 0.75 if rating is not None else told and sentiment == "positive"
        for brand in brands[post_id] or [""]:
            row = sums["daily", day, brand, source, "" if abstained else moment, "" if unread else sentiment]
            added = (1, abstained, 0 if unread else round(score * 1e6), int(feedback), int(satisfied), unread)
            for i, value in enumerate(added):
                row[i] += value
            for touchpoint in touchpoints[post_id]:
                sums["touchpoint", day, brand, source, touchpoint, sentiment][0] += 1
    return {key: tuple(row[:1] if key[0] == "touchpoint" else row) for key, row in sums.items()}
