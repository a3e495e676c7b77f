"""Fills a database with made-up posts: through the store, as a daemon does, or in bulk to the very same rows."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

import corpus

from listener.migrations import stamp
from listener.records import Page, Run, Scores, Verdict
from listener.store import Store
from listener.tables import copies, pages, rollups
from listener.tables.rows import Privacy, post_row, verdict_row

ZONE = ZoneInfo("Europe/Oslo")
MODEL = "made up"
_KEY = b"of a benchmark"
_AT_ONCE = 500  # posts that are judged together
_RUNS_DAYS, _EVERY = 180, timedelta(minutes=30)

_VERDICT = """
INSERT INTO verdicts (post_id, model, text_hash, moment, sentiment, score, confidence, abstained, language, unread,
    moments, sentiments, judged_at)
VALUES (:post_id, :model, :text_hash, :moment, :sentiment, :score, :confidence, :abstained, :language, :unread,
    :moments, :sentiments, :judged_at)
"""


def opened(path: Path) -> Store:
    """The store at `path`, with the sources of the benchmark and its model in charge."""
    store = Store.open(path, ZONE, author_key=_KEY)
    store.sync_sources([(name, "feeds", _EVERY.total_seconds(), True) for name in corpus.SOURCES], corpus.BEGIN)
    store.pending(MODEL, 1)
    return store


def through_store(store: Store, replies: Iterable[corpus.Reply]) -> tuple[int, float, float]:
    """Stores posts and verdicts by the store's own methods; returns how many, and the seconds either took."""
    saving = judging = 0.0
    stored = 0
    for reply in replies:
        page = Page(tuple(made.post for made in reply.posts))
        links = [made.links for made in reply.posts]
        began = time.perf_counter()
        stored += store.save_page(reply.source, page, links, reply.now).new
        saved = time.perf_counter()
        waiting = store.pending(MODEL, len(reply.posts))
        by_id = {made.number + 1: made.scores for made in reply.posts}
        verdicts = [Verdict(each.post_id, MODEL, each.text_hash, by_id[each.post_id]) for each in waiting]
        store.save_verdicts(verdicts, reply.now)
        saving += saved - began
        judging += time.perf_counter() - saved
    return stored, saving, judging


def side_by_side(path: Path, replies: Sequence[corpus.Reply]) -> float:
    """Posts a second when one thread stores pages and another the verdicts on them, as in the daemon."""
    scores = {made.number + 1: made.scores for reply in replies for made in reply.posts}
    stored: Queue[datetime | None] = Queue()  # when; None at the end

    def judge() -> None:
        with opened(path) as store:
            while now := stored.get():
                texts = store.pending(MODEL, _AT_ONCE)
                found = [Verdict(each.post_id, MODEL, each.text_hash, scores[each.post_id]) for each in texts]
                store.save_verdicts(found, now)

    judging = Thread(target=judge)
    began = time.perf_counter()
    with opened(path) as store:
        judging.start()  # now that there is a database
        for reply in replies:
            page = Page(tuple(made.post for made in reply.posts))
            store.save_page(reply.source, page, [made.links for made in reply.posts], reply.now)
            stored.put(reply.now)
    stored.put(None)
    judging.join()
    took = time.perf_counter() - began
    with opened(path) as store:
        assert not store.count_pending(MODEL), "every post is to have its verdict"
    return len(scores) / took


def in_bulk(store: Store, replies: Iterable[corpus.Reply], told: Callable[[int], object] = bool) -> None:
    """Fills an empty database with the rows that `through_store` leaves; triggers and indexes are made after them."""
    connection = store.connection
    privacy = Privacy("hash", _KEY)
    with _stripped(connection):
        repeats: list[tuple[int, int]] = []
        for reply in replies:
            ids = [made.number + 1 for made in reply.posts]
            rows = [
                post_row(reply.source, made.post, reply.now, ZONE, privacy) | {"id": post_id}
                for post_id, made in zip(ids, reply.posts, strict=True)
            ]
            connection.executemany(pages._INSERT, map(pages._VALUES, rows))
            connection.executemany(
                pages._LINK,
                [(made.number + 1, brand, why) for made in reply.posts for brand, why in made.links.items()],
            )
            connection.executemany(
                _VERDICT, [_judged(row, made, reply.now) for row, made in zip(rows, reply.posts, strict=True)]
            )
            touchpoints = [(made.number + 1, name) for made in reply.posts for name in made.scores.touchpoints]
            connection.executemany("INSERT INTO verdict_touchpoints VALUES (?, ?)", touchpoints)
            repeats += [(made.repeats + 1, made.number + 1) for made in reply.posts if made.repeats is not None]
            told(len(rows))
        connection.executemany("UPDATE posts SET copy_of = ? WHERE id = ?", repeats)
        copies.sign_again(connection)
        connection.execute("INSERT INTO stored SELECT source, count(*) FROM posts GROUP BY source")
        rollups.rebuild(connection)


# What is stored of scores, by their identity. The scores are held here, so that no others come to have theirs.
_ROWS: dict[int, tuple[Scores, dict[str, Any]]] = {}


def _judged(row: Mapping[str, Any], made: corpus.Made, now: datetime) -> dict[str, Any]:
    """What the store keeps of the post's verdict."""
    scores = made.scores
    if id(scores) not in _ROWS:
        _ROWS[id(scores)] = scores, verdict_row(Verdict(0, MODEL, "", scores), stamp(now))
    return _ROWS[id(scores)][1] | {"post_id": row["id"], "text_hash": row["text_hash"], "judged_at": stamp(now)}


@contextmanager
def _stripped(connection: sqlite3.Connection) -> Iterator[None]:
    """Takes indexes and triggers away for the body, and makes them and the search index after it, in one go."""
    made = "SELECT type, name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
    aside = connection.execute(made).fetchall()
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "foreign_keys = OFF", "cache_size = -400000"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("BEGIN IMMEDIATE")
    for kind, name, _ in aside:
        connection.execute(f'DROP {kind} "{name}"')
    yield
    for _, _, sql in aside:
        connection.execute(sql)
    connection.execute("INSERT INTO posts_fts (posts_fts) VALUES ('rebuild')")
    connection.execute("COMMIT")
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "cache_size = -2000"):
        connection.execute(f"PRAGMA {pragma}")


def add_runs(store: Store) -> None:
    """The fetches of the last half year, one each half hour for every source: what a year of running leaves."""
    fetches = int(timedelta(days=_RUNS_DAYS) / _EVERY)
    for name in corpus.SOURCES:
        with store.writing() as connection:
            runs = [
                Run(name, corpus.END - _EVERY * number, 0.4, 20, 20 * (number % 3 == 0), {}, "ok")
                for number in range(fetches, 0, -1)
            ]
            connection.executemany(
                "INSERT INTO runs (source, started_at, seconds, seen, new, skipped, outcome, error)"
                " VALUES (?, ?, 0.4, ?, ?, '{}', 'ok', '')",
                [(name, stamp(run.started_at), run.seen, run.new) for run in runs[:-1]],
            )
        store.finish_run(runs[-1], corpus.END)
