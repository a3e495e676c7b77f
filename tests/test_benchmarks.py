"""What the benchmarks measure is the real thing: rows made in bulk are those that the store itself writes."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))
import corpus
import fill

TABLES = (
    "meta", "sources", "posts", "mentions", "verdicts", "verdict_touchpoints", "pending", "daily", "daily_touchpoints",
    "daily_pairs", "hourly", "daily_moments", "daily_brands", "daily_sources", "daily_touched", "monthly_touched",
    "bands", "signatures", "stored", "runs", "gaps",
)  # fmt: skip


def contents(connection: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, and every word of the search index with its places."""
    found = {table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in TABLES}
    connection.execute("CREATE VIRTUAL TABLE temp.places USING fts5vocab('main', 'posts_fts', 'instance')")
    found["words"] = connection.execute("SELECT term, doc, col, offset FROM temp.places ORDER BY 1, 2, 3, 4").fetchall()
    return found


def schema(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    return set(
        connection.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'posts_fts\\_%' ESCAPE '\\'")
    )


@pytest.mark.parametrize(("posts", "size"), [(1000, 500), (700, 20)])
def test_a_database_filled_in_bulk_is_that_of_the_store(tmp_path: Path, posts: int, size: int) -> None:
    with fill.opened(tmp_path / "store.db") as store, fill.opened(tmp_path / "bulk.db") as bulk:
        stored, _, _ = fill.through_store(store, corpus.replies(posts, size))
        fill.in_bulk(bulk, corpus.replies(posts, size))
        fill.add_runs(store)
        fill.add_runs(bulk)
        assert stored == posts
        expected, found = contents(store.connection), contents(bulk.connection)
        for table in expected:
            assert found[table] == expected[table], table
        for table in ("posts", "mentions", "verdict_touchpoints", "daily", "daily_touchpoints", "signatures", "words"):
            assert expected[table], f"{table} holds nothing to compare"
        assert schema(bulk.connection) == schema(store.connection)
        assert bulk.connection.execute("SELECT count(*) FROM posts WHERE copy_of IS NOT NULL").fetchone()[0] > 2
        bulk.connection.execute("INSERT INTO posts_fts (posts_fts) VALUES ('integrity-check')")
        assert bulk.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_posts_and_verdicts_are_stored_side_by_side(tmp_path: Path) -> None:
    assert fill.side_by_side(tmp_path / "listener.db", list(corpus.replies(1000, 50))) > 0
    with fill.opened(tmp_path / "listener.db") as store:
        assert store.connection.execute("SELECT count(*) FROM verdicts").fetchone() == (1000,)


def test_the_posts_are_those_of_every_machine_and_as_told() -> None:
    once, twice = (list(corpus.replies(3000, 50)) for _ in range(2))
    assert once == twice
    posts = [made for reply in once for made in reply.posts]
    lengths = [len(made.post.text.split()) for made in posts]
    assert (min(lengths), max(lengths)) > (15, 80) and 35 < sum(lengths) / len(lengths) < 55
    assert sum(made.post.rating is not None for made in posts) / len(posts) == pytest.approx(1 / 3, abs=0.01)
    assert any(corpus.COMMON in made.post.text.split() for made in posts)
    assert sum(corpus.PHRASE.strip('"') in made.post.text for made in posts) > 30
