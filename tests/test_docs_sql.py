"""The page for analysts: its views are those of the database, and every query on it runs and gives something."""

from __future__ import annotations

import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from listener.cli import main

PAGE = (Path(__file__).parent.parent / "docs" / "sql.md").read_text("utf-8")
READY = PAGE.split("## Ready queries")[1]
QUERIES = re.findall(r"^\*\*(.+?)\*\*[^`]*```sql\n(.+?)```", READY, re.MULTILINE | re.DOTALL)
ON_PARQUET = re.findall(r"```sql parquet\n(.+?)```", PAGE, re.DOTALL)
VIEWS = ("trend_daily", "mention_daily", "touchpoint_daily", "pair_daily", "posts_view")
Row = tuple[Any, ...]


def listener(*arguments: str) -> None:
    run = CliRunner().invoke(main, arguments)
    assert run.exit_code == 0, run.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's database, under the name that the page gives to it."""
    folder = tmp_path_factory.mktemp("sql")
    listener("demo", "--out", str(folder))
    with closing(sqlite3.connect(folder / "demo.db")) as connection:
        connection.execute("VACUUM INTO ?", (str(folder / "listener.db"),))
    return folder


@pytest.fixture(scope="module")
def lite(folder: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{folder / 'listener.db'}?mode=ro", uri=True)) as connection:
        yield connection


@pytest.fixture(scope="module")
def duck(lite: sqlite3.Connection) -> Iterator[Any]:
    """DuckDB with the views as tables. Its extension for SQLite has to be fetched, which no test may do."""
    duckdb = pytest.importorskip("duckdb")
    with closing(duckdb.connect(config={"autoinstall_known_extensions": "false"})) as connection:
        for view in VIEWS:
            rows = lite.execute(f"SELECT * FROM {view}")
            names, found = [each[0] for each in rows.description], rows.fetchall()
            columns = [f'"{name}" {kind(row[at] for row in found)}' for at, name in enumerate(names)]
            connection.execute(f"CREATE TABLE {view} ({', '.join(columns)})")
            connection.executemany(f"INSERT INTO {view} VALUES ({', '.join('?' * len(names))})", found)
        yield connection


def kind(values: Iterator[Any]) -> str:
    """What DuckDB's own reader of SQLite makes of such a column."""
    types = {type(value) for value in values if value is not None}
    return "VARCHAR" if types in (set(), {str}) else "DOUBLE" if float in types else "BIGINT"


def plain(rows: list[Row]) -> list[list[Any]]:
    """Numbers to the second digit: one program's sum may end otherwise than the other's, and a 2 be a 2.0."""
    return [[pytest.approx(v, abs=0.0101) if isinstance(v, (int, float)) else v for v in row] for row in rows]


def test_the_page_has_the_columns_of_the_views(lite: sqlite3.Connection) -> None:
    sections = re.findall(r"^### (\w+)\n(.+?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    assert sorted(name for name, _ in sections) == sorted(VIEWS)
    for name, section in sections:
        told = [
            column
            for line in re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
            for column in re.findall(r"`(\w+)`", line)
        ]
        held = [row[1] for row in lite.execute(f"PRAGMA table_info({name})")]
        assert sorted(told) == sorted(held), name


def test_the_views_add_up_as_the_page_says(lite: sqlite3.Connection) -> None:
    for view in ("trend_daily", "mention_daily"):
        wrong = (
            f'SELECT * FROM {view} WHERE research + "transaction" + feedback + none + abstained <> posts'
            " OR positive + neutral + negative + unread <> posts OR research IS NULL OR negative IS NULL"
        )
        assert lite.execute(wrong).fetchall() == []
    assert lite.execute(
        "SELECT count(*) FROM touchpoint_daily WHERE positive + neutral + negative <> posts"
    ).fetchone() == (0,)


def test_there_is_a_query_for_every_view() -> None:
    assert 15 <= len(QUERIES) <= 25
    for view in VIEWS:
        assert any(view in query for _, query in QUERIES), view


@pytest.mark.parametrize(("name", "query"), QUERIES, ids=[name for name, _ in QUERIES])
def test_a_ready_query_gives_the_same_in_sqlite_and_duckdb(
    lite: sqlite3.Connection, duck: Any, name: str, query: str
) -> None:
    rows = lite.execute(query).fetchall()
    assert rows, "nothing of the demo's posts"
    assert [list(row) for row in duck.execute(query).fetchall()] == plain(rows)


def test_the_examples_of_sqlite_utils_run(folder: Path) -> None:
    (examples,) = re.findall(r"```sh\n(sqlite-utils .+?)```", PAGE, re.DOTALL)
    lines = examples.strip().splitlines()
    assert len(lines) >= 3
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "sqlite-utils"
        run = [sys.executable, "-m", "sqlite_utils", *arguments]
        done = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) > 2, line


def test_duckdb_reads_an_export(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    duckdb = pytest.importorskip("duckdb")
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(folder)
    listener("export", "posts.parquet", "--db", "listener.db")
    assert len(ON_PARQUET) == 2
    with closing(duckdb.connect(config={"autoinstall_known_extensions": "false"})) as connection:
        for query in ON_PARQUET:
            assert len(connection.execute(query).fetchall()) > 3
