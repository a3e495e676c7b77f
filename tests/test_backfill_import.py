"""The result of a backfill in the database: its verdicts come along, and the forgotten stay forgotten."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from posting import counted_rollup, stored_rollup

from listener.cli import main

pytest.importorskip("pyarrow")
pytest.importorskip("fsspec")
pytest.importorskip("zstandard")

CONFIG = """
timezone = "Europe/Oslo"
database = "{database}"
[privacy]
key_file = "{key}"
[[brand]]
name = "Harbour"
aliases = ["Harbour Inn"]
"""
POSTS = [
    {"id": "1", "text": "Harbour Inn: checked in an hour ago, the room smells of smoke", "author": "Ann", "stars": 2},
    {
        "id": "2",
        "text": "Which hotel near the sea would you take with children?",
        "author": "Bea",
        "date": "2026-11-20",
    },
    {"id": "3", "text": "The staff remembered our names, we will be back", "author": "Ann", "date": "2026-11-20"},
]


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "listener.toml").write_text(CONFIG.format(database="listener.db", key="listener.key"))
    (tmp_path / "other.toml").write_text(CONFIG.format(database="other.db", key="other.key"))
    write(POSTS)
    return tmp_path


def write(posts: list[dict[str, Any]]) -> None:
    Path("old.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts))


def listener(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, f"{result.output}\n{result.stderr}\n{result.exception!r}"
    return result


def backfill(*options: str) -> None:
    listener("backfill", "old.jsonl", "out", "--source", "old", "--workers", "1", *options)


def taken(*options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(listener("import", "out", "--json", *options).stdout)
    return found


def query(sql: str, database: str = "listener.db") -> list[Any]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()


def kept(database: str) -> list[Any]:
    columns = (
        "native_id, kind, text, author, created_at, day, rating, moment, sentiment, round(score, 4), abstained, "
        "round(confidence, 4), language, unread, model, "
        "(SELECT group_concat(brand) FROM mentions WHERE post_id = p.id), "
        "(SELECT group_concat(touchpoint) FROM verdict_touchpoints WHERE post_id = p.id)"
    )
    return query(f"SELECT {columns} FROM posts p JOIN verdicts v ON v.post_id = p.id ORDER BY native_id", database)


def test_what_is_imported_is_what_import_and_classify_make_of_the_same_file(at: Path) -> None:
    backfill()
    assert taken() == {"sources": ["old"], "seen": 3, "new": 3, "edited": 0, "verdicts": 3, "skipped": {}}
    assert "has its verdict" in listener("classify").stderr
    (at / "other.key").write_bytes((at / "listener.key").read_bytes())
    listener("import", "old.jsonl", "--source", "old", "--config", "other.toml")
    listener("classify", "--config", "other.toml")
    mine, theirs = kept("listener.db"), kept("other.db")
    assert [row[4] for row in mine] == [None, "2026-11-19T23:00:00Z", "2026-11-19T23:00:00Z"]
    assert mine == theirs and len(mine) == 3
    with closing(sqlite3.connect("listener.db")) as connection:
        assert stored_rollup(connection) == counted_rollup(connection) != {}


def test_importing_again_adds_nothing(at: Path) -> None:
    backfill()
    taken()
    before = query("SELECT * FROM verdicts")
    assert taken() == {"sources": ["old"], "seen": 3, "new": 0, "edited": 0, "verdicts": 0, "skipped": {}}
    assert query("SELECT * FROM verdicts") == before


def test_a_verdict_of_another_model_is_taken_and_waits_and_replaces_none_of_the_one_in_charge(at: Path) -> None:
    backfill()
    listener("import", "old.jsonl", "--source", "old")
    listener("classify")  # by the model in charge
    with closing(sqlite3.connect("listener.db")) as connection, connection:
        (model,) = connection.execute("SELECT DISTINCT model FROM verdicts").fetchone()
        connection.execute("UPDATE meta SET value = 'newer' WHERE key = 'model'")
        connection.execute("UPDATE verdicts SET model = 'newer', moment = 'none' WHERE post_id = 1")
        connection.execute("DELETE FROM verdicts WHERE post_id = 2")
        connection.execute("INSERT OR IGNORE INTO pending VALUES (2, '')")
    assert taken()["verdicts"] == 1
    assert query("SELECT post_id, model FROM verdicts ORDER BY 1") == [(1, "newer"), (2, model), (3, model)]
    assert query("SELECT post_id FROM pending") == [(2,)]


def test_an_edited_text_keeps_its_own_verdict(at: Path) -> None:
    backfill()
    taken()
    write([POSTS[0] | {"text": "Harbour Inn: they moved us to a fine room"}, *POSTS[1:]])
    backfill()
    assert (found := taken())["edited"] == 1 and found["verdicts"] == 1
    assert query("SELECT count(*) FROM posts p JOIN verdicts v ON v.post_id = p.id AND v.text_hash = p.text_hash") == [
        (3,)
    ]


def test_authors_who_are_to_be_forgotten_are_not_brought_back(at: Path) -> None:
    backfill()
    taken()
    assert str(at / "out") in listener("forget", "--author", "Ann").stdout  # it holds her words, and cannot be changed
    (at / "listener.db").rename(at / "was.db")
    taken()  # into a new database: all three
    assert query("SELECT count(*) FROM posts") == [(3,)]
    (at / "was.db").replace(at / "listener.db")
    again = taken()
    assert again["new"] == 0 and again["skipped"] == {"its author is to be forgotten": 2}
    assert query("SELECT substr(native_id, 1, 2) FROM posts WHERE deleted_at IS NULL") == [("2-",)]


def test_authors_hashed_with_another_key_are_refused(at: Path) -> None:
    backfill("--config", "other.toml")
    said = listener("import", "out", code=1).stderr
    assert "another key" in said and "--config" in said
    assert query("SELECT count(*) FROM posts") == [(0,)]
    write([{name: value for name, value in each.items() if name != "author"} for each in POSTS])
    backfill("--config", "other.toml")
    assert taken()["new"] == 3  # where no author is named, no key matters


def test_what_is_no_finished_result_is_refused(at: Path) -> None:
    backfill()
    (note,) = (at / "out" / "_backfill").glob("*.json")
    note.write_text(note.read_text().replace('"done"', '"placing"', 1))
    assert "run it again to its end" in listener("import", "out", code=1).stderr
    backfill()
    (part, *_) = (at / "out").rglob("part-*.parquet")
    part.write_bytes(part.read_bytes()[:-20])
    assert "damaged" in listener("import", "out", code=1).stderr
    assert "--source" in listener("import", "old.jsonl", code=2).stderr
