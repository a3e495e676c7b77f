"""A database of every earlier schema opens with all it holds, and the one from before stays beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from posting import OSLO, counted_rollup, judge, opened, post, save, stored_rollup
from sqlite_utils import Database

from listener import trends
from listener.errors import StoreError
from listener.migrations import MIGRATIONS, state

NAMES = [migration.name for migration in MIGRATIONS._migrations]


def older(path: Path, schema: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    MIGRATIONS.apply(Database(connection), stop_before=NAMES[NAMES.index(schema) + 1 :])
    return connection


def put(connection: sqlite3.Connection, table: str, **values: Any) -> None:
    """Fills the columns that this schema has; what it must have and is not named is empty."""
    columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
    row = {}
    for _, name, kind, must, default, key in columns:
        if name in values:
            row[name] = values[name]
        elif must and default is None and not key:
            row[name] = "" if kind == "TEXT" else 0
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))


def fill(connection: sqlite3.Connection) -> None:
    """Four posts: two that were judged, one that waits, one that was deleted."""
    put(connection, "sources", name="feed", kind="feeds", every_s=60.0, enabled=1, cursor='{"at": 7}')
    for post_id, text, rating in (
        (1, "Queue at the desk", 0.25),
        (2, "Is breakfast included?", None),
        (3, "New", None),
    ):
        put(
            connection, "posts", id=post_id, source="feed", native_id=f"n{post_id}", kind="post", text=text,
            created_at="2026-11-20T23:30:00Z", collected_at="2026-11-21T06:00:00Z", day="2026-11-21", rating=rating,
            engagement="{}", text_hash=f"h{post_id}",
        )  # fmt: skip
    put(
        connection, "posts", id=4, source="feed", native_id="n4", kind="post", engagement="{}", day="2026-11-20",
        collected_at="2026-11-21T06:00:00Z", deleted_at="2026-11-21T07:00:00Z",
    )  # fmt: skip
    for post_id, moment, sentiment in ((1, "tmot", "negative"), (2, "zmot", "neutral")):
        put(
            connection, "verdicts", post_id=post_id, model="m1", text_hash=f"h{post_id}", moment=moment,
            sentiment=sentiment, score=-0.4 if post_id == 1 else 0.1, confidence=0.8, moments="{}", sentiments="{}",
        )  # fmt: skip
        put(connection, "mentions", post_id=post_id, brand="Acme", why="its name")
    put(connection, "mentions", post_id=2, brand="Bolt", why="its name")
    put(connection, "verdict_touchpoints", post_id=1, touchpoint="arrival")
    put(connection, "pending", post_id=3, at="2026-11-20T23:30:00Z")
    put(connection, "digests", recipient="ann@example.org", cadence="daily", period="2026-11-20", state="sent",
        claimed_at="2026-11-21T06:00:00Z", attempts=1)  # fmt: skip
    connection.executemany("INSERT INTO meta VALUES (?, ?)", [("model", "m1"), ("zone", "Europe/Oslo")])
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'daily_brands'").fetchone():
        connection.execute("INSERT INTO posts_fts (posts_fts) VALUES ('rebuild')")  # from there on without a trigger
    for table, view in (
        ("daily", "contributions"),
        ("daily_touchpoints", "touchpoint_contributions"),
        ("daily_pairs", "pair_contributions"),
    ):
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
        keys, sums = ([name for _, name, *_, key in columns if bool(key) == wanted] for wanted in (True, False))
        if columns:
            connection.execute(
                f"INSERT INTO {table} ({', '.join(keys + sums)}) SELECT {', '.join(keys)},"
                f" {', '.join(f'sum({each})' for each in sums)} FROM {view} GROUP BY {', '.join(keys)}"
            )


@pytest.fixture(params=NAMES[:-1])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    path = tmp_path / "listener.db"
    with closing(older(path, request.param)) as connection:
        fill(connection)
    yield path, request.param


def test_an_earlier_schema_opens_with_all_it_holds(database: tuple[Path, str]) -> None:
    path, schema = database
    with opened(path) as store:
        assert state(store.connection) == "current"
        assert stored_rollup(store.connection) == counted_rollup(store.connection) != {}
        due = store.source_state("feed")
        assert due and due.cursor == {"at": 7}, "goes on where it was"
        assert [each.text for each in store.pending("m1", 10)] == ["New"]
        assert judge(store) == 1
        assert store.digest_periods("ann@example.org", "daily") == {"2026-11-20": "sent"}
        assert store.connection.execute("SELECT native_id FROM posts WHERE deleted_at IS NOT NULL").fetchall() == [
            ("n4",)
        ]
        assert store.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert store.connection.execute("PRAGMA foreign_key_check").fetchall() == []
    with closing(trends.open_reader(path, OSLO)) as reader:
        rows = {(row.period, row.brand): row for row in trends.trends(reader)}
        assert rows["2026-11-21", "Acme"].posts == 2 and rows["2026-11-21", "Acme"].stars == (0, 1, 0, 0, 0)
        assert [each.id for each in trends.posts(reader, "breakfast")] == [2], "found by its words"
        assert [(pair.brand, pair.other) for pair in trends.pairs(reader)] == [("Acme", "Bolt")]
    with closing(sqlite3.connect(path.with_name(f"{path.name}.{schema.partition('_')[0]}"))) as before:
        assert state(before) == "older", "a copy from before the update lies beside it"
        assert before.execute("SELECT count(*) FROM posts").fetchone() == (4,)


def test_the_views_of_an_updated_database_are_those_of_a_new_one(database: tuple[Path, str], tmp_path: Path) -> None:
    def schema(path: Path) -> set[tuple[str, str, str]]:
        with opened(path) as store:
            found = store.connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL")
            return {(kind, name, " ".join(sql.split())) for kind, name, sql in found}

    assert schema(database[0]) == schema(tmp_path / "new.db")


def test_an_older_version_leaves_a_newer_database_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "listener.db"
    running = opened(path)  # as a daemon of this version has it
    with monkeypatch.context() as older_version:
        older_version.setattr(MIGRATIONS, "_migrations", MIGRATIONS._migrations[:-1])
        with pytest.raises(StoreError, match="written by a newer version of listener; update listener"):
            opened(path)
        with pytest.raises(StoreError, match="newer version"):
            trends.open_reader(path, OSLO)
    assert running.count_pending("m1") == 0
    running.close()


def test_copies_are_found_across_an_update(tmp_path: Path) -> None:
    text = "We were given a room beside the lift and heard it all night, and nobody at the desk would move us."
    with opened(tmp_path / "listener.db") as store:
        save(store, post("old", text))
        store.connection.execute("DELETE FROM signatures")
        store.connection.execute("DELETE FROM bands")
        store.connection.execute("DELETE FROM meta WHERE key = 'signatures'")  # as an earlier version leaves it
    with opened(tmp_path / "listener.db") as store:
        save(store, post("new", text + " "))
        copies = "SELECT native_id FROM posts WHERE copy_of IS NOT NULL"
        assert store.connection.execute(copies).fetchall() == [("new",)]
