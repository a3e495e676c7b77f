"""Posts and verdicts for tests of the store, and the rollup counted a second way, in Python."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import combinations
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


_KEYS = {
    "daily": ("day", "brand", "source", "moment", "sentiment"),
    "daily_touchpoints": ("day", "brand", "touchpoint"),
    "monthly_touched": ("month", "brand", "source", "touchpoint"),
    "daily_pairs": ("day", "brand", "other", "source"),
    "hourly": ("brand", "touchpoint", "hour", "lag", "source"),
    "daily_moments": ("day", "brand", "moment", "sentiment"),
    "daily_brands": ("day", "brand"),
    "daily_sources": ("day", "brand", "source"),
    "daily_touched": ("day", "brand", "source", "touchpoint"),
}
Rollup = dict[tuple[str, ...], dict[str, int]]


def stored_rollup(connection: sqlite3.Connection) -> Rollup:
    """Every row of the rollups by table and key, without the columns that are 0."""
    found: Rollup = {}
    for table, keys in _KEYS.items():
        cursor = connection.execute(f"SELECT * FROM {table}")
        names = [each[0] for each in cursor.description]
        for values in cursor:
            row = dict(zip(names, values, strict=True))
            key = (table, *(str(row.pop(each)) for each in keys))
            found[key] = {name: value for name, value in row.items() if value}
    return found


_JUDGED = """
SELECT id, source, day, created_at, collected_at, rating, moment, sentiment, score, abstained, unread
FROM posts, verdicts WHERE id = post_id AND deleted_at IS NULL AND copy_of IS NULL
"""


def counted_rollup(connection: sqlite3.Connection) -> Rollup:
    """What the rollups should hold, from the tables of posts and verdicts and by none of the store's own SQL."""
    zone = ZoneInfo(connection.execute("SELECT value FROM meta WHERE key = 'zone'").fetchone()[0])
    brands, touchpoints = defaultdict(list), defaultdict(list)
    for post_id, brand in connection.execute("SELECT post_id, brand FROM mentions ORDER BY brand"):
        brands[post_id].append(brand)
    for post_id, touchpoint in connection.execute("SELECT post_id, touchpoint FROM verdict_touchpoints"):
        touchpoints[post_id].append(touchpoint)
    sums: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for (
        post_id,
        source,
        day,
        created,
        collected,
        rating,
        moment,
        sentiment,
        score,
        abstained,
        unread,
    ) in connection.execute(_JUDGED):
        told = moment == "tmot" and not abstained
        came = datetime.fromisoformat(collected).astimezone(zone).date()
        wrote = datetime.fromisoformat(created or collected).astimezone(zone).date()
        scored = {} if unread else {"score_sum": round(score * 1e6), "score_squares": round(score * score * 1e6)}
        rated = {} if rating is None else {
            "rating_sum": round(rating * 1e6), "rating_squares": round(rating * rating * 1e6)
        }  # fmt: skip
        added = {
            "posts": 1, "abstained": abstained, "unread": unread, **scored, **rated,
            "feedback": int(rating is not None or told),
            "satisfied": int(rating >= 0.75 if rating is not None else told and sentiment == "positive"),
            "late": int(came > wrote + timedelta(days=1)),
        }  # fmt: skip
        star = {} if rating is None else {f"stars_{1 + int(rating * 4 + 0.5)}": 1}
        at, came_at = (datetime.fromisoformat(each).timestamp() // 3600 for each in (created or collected, collected))
        hour, lag = (created or collected)[:13], str(int(min(max(came_at - at, 0), 168)))
        felt = {"posts": 1, "negative": int(sentiment == "negative" and not unread), "unread": unread}
        for brand in brands[post_id] or [""]:
            for about in ("", *touchpoints[post_id]) if created else ():
                sums["hourly", brand, about, hour, lag, source].update(felt)
            key = (day, brand, source, "" if abstained else moment, "" if unread else sentiment)
            labels = zip(("moment", "sentiment"), key[3:], strict=True)
            beside = {f"{kind}_{label}": 1 for kind, label in labels if label}
            sums["daily", *key].update(added | star)
            sums["daily_moments", day, brand, *key[3:]].update(added | star)
            sums["daily_brands", day, brand].update(added | star | beside)
            sums["daily_sources", day, brand, source].update(added | star | beside)
            for touchpoint in touchpoints[post_id]:
                sums["daily_touched", day, brand, source, touchpoint].update(added | star | beside)
                sums["daily_touchpoints", day, brand, touchpoint].update(added | star | beside)
                sums["monthly_touched", day[:7], brand, source, touchpoint].update(added | star | beside)
        research = int(moment in ("ltzmot", "zmot", "fmot") and not abstained)
        for brand, other in combinations(brands[post_id], 2):
            sums["daily_pairs", day, brand, other, source].update({"posts": 1, "research": research})
    return {key: {name: value for name, value in row.items() if value} for key, row in sums.items()}
