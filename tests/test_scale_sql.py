"""The SQL of docs/scale.md, run as it stands there: several databases as one, and a backfill's result in place."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from posting import NOW, judge, opened, post

from listener.merging import merge
from listener.records import Page

duckdb = pytest.importorskip("duckdb")

PAGE = (Path(__file__).parent.parent / "docs" / "scale.md").read_text("utf-8")
ATTACH, GATHER, VIEW, BY_MOMENT, BY_BRAND = re.findall(r"```sql\n(.+?)```", PAGE, re.DOTALL)
TABLES = ("posts", "posts_view")


@pytest.fixture
def shards(tmp_path: Path) -> tuple[Path, Path]:
    berlin, oslo = tmp_path / "berlin.db", tmp_path / "oslo.db"
    for path, source, brands, moment, hours in (
        (berlin, "feed", ("Acme",), "tmot", 0),
        (oslo, "forum", ("Acme", "Bolt"), "zmot", 2),
    ):
        with opened(path) as store:
            own = [post(f"{n}", f"text {n} of {source}") for n in range(4)]
            both = [post(f"n{n}", f"news {n}") for n in range(3)]
            for name, posts in ((source, own), ("news", both)):
                links = [dict.fromkeys(brands, "its name")] * len(posts)
                store.save_page(name, Page(tuple(posts)), links, NOW + timedelta(hours=hours))
            judge(store, moment=moment, now=NOW + timedelta(hours=hours))
    with opened(oslo) as store:
        store.forget_post("n2", "news", NOW)
        store.save_page("forum", Page((post("0", "text 0 of forum, edited", edited_at=NOW),)), [{"Bolt": "x"}], NOW)
        judge(store, moment="smot", sentiment="negative")
    return berlin, oslo


@pytest.fixture
def duck(shards: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """DuckDB with both databases attached; where its extension for SQLite is not there, with their tables copied."""
    monkeypatch.chdir(shards[0].parent)
    with closing(duckdb.connect(config={"autoinstall_known_extensions": "false"})) as connection:
        try:
            connection.execute("LOAD sqlite")
        except duckdb.Error:
            for path in shards:
                _copy(connection, path)
        else:
            connection.execute(ATTACH)
        connection.execute(GATHER)
        connection.execute(VIEW)
        yield connection


def _copy(connection: Any, path: Path) -> None:
    connection.execute(f"ATTACH ':memory:' AS {path.stem}")
    with closing(sqlite3.connect(path)) as database:
        for table in TABLES:
            rows = database.execute(f"SELECT * FROM {table}")
            names, found = [each[0] for each in rows.description], rows.fetchall()
            kinds = [_kind([row[at] for row in found]) for at in range(len(names))]
            columns = ", ".join(f'"{name}" {kind}' for name, kind in zip(names, kinds, strict=True))
            connection.execute(f"CREATE TABLE {path.stem}.{table} ({columns})")
            connection.executemany(f"INSERT INTO {path.stem}.{table} VALUES ({', '.join('?' * len(names))})", found)


def _kind(values: list[Any]) -> str:
    types = {type(value) for value in values if value is not None}
    return "BIGINT" if types == {int} else "DOUBLE" if types and types <= {int, float} else "VARCHAR"


def test_the_databases_read_together_are_what_their_merge_holds(duck: Any, shards: tuple[Path, Path]) -> None:
    berlin, oslo = shards
    by_moment, by_brand = duck.execute(BY_MOMENT).fetchall(), duck.execute(BY_BRAND).fetchall()
    seen = duck.execute("SELECT source, native_id, text, moment FROM everywhere ORDER BY ALL").fetchall()
    with opened(berlin) as store:
        merge(store, oslo, NOW)
        query = "SELECT source, native_id, text, moment FROM posts_view ORDER BY 1, 2, 3, 4"
        assert seen == store.connection.execute(query).fetchall() and len(seen) == 10
        query = """SELECT day, moment, sum(posts) FROM
            (SELECT DISTINCT post_id, day, moment, posts FROM contributions WHERE NOT abstained)
            GROUP BY day, moment ORDER BY 1, 2"""
        assert [(str(day), *rest) for day, *rest in by_moment] == store.connection.execute(query).fetchall()
    assert by_brand == [("Acme", 9, 1.0), ("Bolt", 6, pytest.approx(4 / 6))]


def test_a_result_is_read_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for needed in ("pyarrow", "fsspec", "zstandard"):
        pytest.importorskip(needed)
    from click.testing import CliRunner

    from listener.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text(
        '{"id": 1, "text": "The staff remembered our names, we will be back", "date": "2026-11-20"}\n'
        '{"id": 2, "text": "Which hotel near the sea would you take?", "date": "2026-11-21"}\n'
    )
    done = CliRunner().invoke(main, ["backfill", "a.jsonl", "OUTPUT", "--source", "old", "--workers", "1"])
    assert done.exit_code == 0, done.stderr
    (query,) = re.findall(r"```sql parquet\n(.+?)```", PAGE, re.DOTALL)
    found = duckdb.sql(query).fetchall()
    sure = duckdb.sql(
        "SELECT day, moment, score FROM 'OUTPUT/day=*/*.parquet' WHERE NOT abstained ORDER BY ALL"
    ).fetchall()
    assert [(*row[:2], 1) for row in sure] == [row[:3] for row in found] != []
    assert [row[3] for row in found] == [row[2] for row in sure]
