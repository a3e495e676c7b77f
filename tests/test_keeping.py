"""What is kept and what is not: backup, export, retention, forgetting."""

from __future__ import annotations

import csv
import json
import sqlite3
import stat
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from posting import NOW, OSLO, counted_rollup, judge, opened, post, save, stored_rollup

from listener import backups, pipeline, trends
from listener.cli import main
from listener.config import Config, PrivacySettings, SourceSettings
from listener.errors import StoreError
from listener.migrations import MIGRATIONS
from listener.reads import search
from listener.records import Page
from listener.store import Store

REVIEW = "The heating in our room never worked although the desk sent somebody up three times in two nights."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration, its key and a database of judged posts."""
    (tmp_path / "listener.toml").write_text(
        'timezone = "Europe/Oslo"\ndatabase = "l.db"\n[[brand]]\nname = "Harbour"\n'
    )
    (tmp_path / "listener.key").write_bytes(b"k" * 32)
    (tmp_path / "listener.key").chmod(0o600)
    with Store.open(tmp_path / "l.db", OSLO, author_key=b"k" * 32) as store:
        store.sync_sources([("feed", "feeds", 60.0, True), ("forum", "feeds", 60.0, True)], NOW)
        save(store, post("1", REVIEW, author="Ada", url="https://a.example/1"), brands=("Harbour",))
        save(store, post("2", "=HYPERLINK(1) is what I typed", author="Bo", title="+1"), brands=("Harbour",))
        forum = Page((post("9", REVIEW, author="Ada"),))
        store.save_page("forum", forum, [{"Harbour": "name"}], NOW)
        judge(store)
    return tmp_path


def listener(folder: Path, *arguments: object, code: int = 0) -> Result:
    told = [str(each) for each in (arguments[0], "--config", folder / "listener.toml", *arguments[1:])]
    result = CliRunner().invoke(main, told, catch_exceptions=False)
    assert result.exit_code == code, result.stderr
    return result


def texts(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM posts ORDER BY id")]


# --- backup ---


def test_a_backup_is_whole_and_for_its_owner_only(folder: Path) -> None:
    out = Path(listener(folder, "backup").stdout.strip())
    assert out.parent == folder / "backups" and stat.S_IMODE(out.stat().st_mode) == 0o600
    assert texts(out) == texts(folder / "l.db")
    assert [file.name for file in out.parent.iterdir()] == [out.name]
    with closing(trends.open_reader(out, OSLO)) as reader:
        assert len(search.posts(reader)) == 2


def test_a_backup_made_while_another_writes_is_one_moment(folder: Path) -> None:
    with opened(folder / "big.db") as store:
        for start in range(0, 4000, 500):
            save(store, *(post(str(n), f"text {n} " * 20) for n in range(start, start + 500)))
        done: list[int] = []

        def meanwhile(copied: int, total: int) -> None:
            if len(done) < 5:
                save(store, post(f"late {len(done)}"), post(f"later {len(done)}"))
            done.append(copied)

        backups.copy(folder / "big.db", folder / "copy.db", meanwhile)
    with closing(sqlite3.connect(folder / "copy.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        late, later = (
            connection.execute("SELECT count(*) FROM posts WHERE native_id LIKE ?", (like,)).fetchone()
            for like in ("late %", "later %")
        )
    assert late == later and done


def test_a_backup_overwrites_nothing_and_leaves_nothing_half(folder: Path) -> None:
    (folder / "there.db").write_text("mine")
    assert "was left as it is" in listener(folder, "backup", folder / "there.db", code=1).stderr
    assert (folder / "there.db").read_text() == "mine"
    (folder / "closed").write_text("a file, no folder")
    assert "cannot be copied" in listener(folder, "backup", folder / "closed" / "x.db", code=1).stderr
    assert not list(folder.rglob("*.half"))


def test_a_damaged_database_is_no_backup(folder: Path) -> None:
    with opened(folder / "big.db") as store:
        save(store, *(post(str(n), f"text {n} " * 50) for n in range(2000)))
    with (folder / "big.db").open("r+b") as file:
        file.seek(40 * 4096)
        file.write(b"\xff" * 8192)
    with pytest.raises(StoreError, match=r"damaged|cannot be copied"):
        backups.copy(folder / "big.db", folder / "copy.db")
    assert not (folder / "copy.db").exists()


def test_a_copy_is_made_before_an_update_changes_the_tables(tmp_path: Path) -> None:
    from sqlite_utils import Database

    with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as connection:
        MIGRATIONS.apply(Database(connection), stop_before=[each.name for each in MIGRATIONS._migrations[2:]])
    opened(tmp_path / "old.db").close()
    with closing(sqlite3.connect(tmp_path / "old.db.m002")) as connection:
        applied = [name for (name,) in connection.execute("SELECT name FROM _sqlite_migrations")]
    assert applied == ["m001_first", "m002_languages"]
    opened(tmp_path / "old.db").close()
    assert len(list(tmp_path.glob("old.db.m*"))) == 1


# --- export ---


def test_exports_hold_what_posts_tells(folder: Path) -> None:
    shown = json.loads(listener(folder, "posts", "--json").stdout)
    listener(folder, "export", folder / "out.jsonl")
    lines = [json.loads(line) for line in (folder / "out.jsonl").read_text("utf-8").splitlines()]
    assert lines == shown and stat.S_IMODE((folder / "out.jsonl").stat().st_mode) == 0o600


def test_csv_runs_nothing_in_a_spreadsheet(folder: Path) -> None:
    listener(folder, "export", folder / "out.csv")
    with (folder / "out.csv").open(newline="") as file:
        rows = {row["native_id"]: row for row in csv.DictReader(file)}
    assert rows["2"]["text"] == "'=HYPERLINK(1) is what I typed" and rows["2"]["title"] == "'+1"
    assert rows["1"]["touchpoints"] == "" and json.loads(rows["1"]["brands"]) == {"Harbour": "its name"}
    assert rows["1"]["copies"] == "forum"


def test_parquet_is_read_by_others(folder: Path) -> None:
    from pyarrow import parquet

    listener(folder, "export", folder / "out.parquet", "heating")
    table = parquet.read_table(folder / "out.parquet").to_pylist()
    assert [row["native_id"] for row in table] == ["1"]
    assert isinstance(table[0]["score"], float) and table[0]["abstained"] is False


def test_an_export_needs_a_known_ending_and_a_place(folder: Path) -> None:
    assert "end in one of" in listener(folder, "export", folder / "out.doc", code=2).stderr
    assert "cannot be written" in listener(folder, "export", folder / "nowhere" / "out.csv", code=1).stderr


def test_a_failed_export_leaves_the_last_one(folder: Path) -> None:
    (folder / "out.jsonl").write_text("the last one")
    assert "no brand 'Nobody'" in listener(folder, "export", folder / "out.jsonl", "--brand", "Nobody", code=1).stderr
    assert (folder / "out.jsonl").read_text() == "the last one" and not list(folder.glob("*.half"))


# --- retention ---


def test_what_is_over_loses_its_words_and_keeps_its_counts(tmp_path: Path) -> None:
    with opened(tmp_path / "l.db") as store:
        config = Config(
            timezone="Europe/Oslo", database=tmp_path / "l.db", privacy=PrivacySettings(keep_days=30),
            sources=[SourceSettings(name="slow", kind="feeds", keep_days=90)],
        )  # fmt: skip
        store.sync_sources([("feed", "feeds", 60.0, True), ("slow", "feeds", 60.0, True)], NOW)
        save(store, post("1", REVIEW, author="Ada", url="https://a.example/1", parent="p"), brands=("Harbour",))
        store.save_page("slow", Page((post("2", "other words"),)), [{}], NOW)
        judge(store)
        before = stored_rollup(store.connection)
        assert pipeline.purge(store, config, NOW + timedelta(days=29)) == {}
        save(store, post("3", "young"), now=NOW + timedelta(days=29))
        assert pipeline.purge(store, config, NOW + timedelta(days=31)) == {"feed": 1}
        assert pipeline.purge(store, config, NOW + timedelta(days=31)) == {}
        assert stored_rollup(store.connection) == before == counted_rollup(store.connection)
        kept = store.connection.execute("SELECT * FROM posts WHERE native_id = '1'").fetchone()
        assert not {REVIEW, "https://a.example/1", "p"} & set(kept)
        assert store.connection.execute("SELECT author, (SELECT why FROM mentions) FROM posts").fetchone() == ("", "")
        assert texts(tmp_path / "l.db") == ["", "other words", "young"]
        with closing(trends.open_reader(tmp_path / "l.db", OSLO)) as reader:
            assert [row.native_id for row in search.posts(reader)] == ["3", "2"]
            assert search.posts(reader, "heating") == []


def test_what_is_over_does_not_come_back(tmp_path: Path) -> None:
    with opened(tmp_path / "l.db") as store:
        shown = post("1", REVIEW, author="Ada")
        save(store, shown)
        store.expire("feed", NOW + timedelta(days=1), NOW + timedelta(days=2))
        save(store, shown, now=NOW + timedelta(days=3))
        save(store, post("1", REVIEW + " Edited.", author="Ada"), now=NOW + timedelta(days=3))
        assert texts(tmp_path / "l.db") == [""]
        assert store.count_pending("m1") == 0 and store.count_pending("m2") == 0


def test_a_source_has_its_own_days(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        'database = "l.db"\n[[source]]\nname = "s"\nkind = "feeds"\nkeep_days = 0\nurl = "https://a.example"\n'
    )
    result = CliRunner().invoke(main, ["purge", "--config", str(tmp_path / "c.toml")])
    assert result.exit_code == 1 and "keep_days" in result.stderr


# --- forget ---


def test_an_author_is_forgotten_everywhere_and_for_good(folder: Path) -> None:
    backup = Path(listener(folder, "backup").stdout.strip())
    listener(folder, "export", folder / "out.jsonl")
    told = listener(folder, "forget", "--author", "Ada")
    assert "2 posts erased." in told.stderr and f"{backup}: 2 posts erased" in told.stderr
    assert str(folder / "out.jsonl") in told.stdout
    for path in (folder / "l.db", backup):
        assert texts(path) == ["", "=HYPERLINK(1) is what I typed", ""]
    with Store.open(folder / "l.db", OSLO, author_key=b"k" * 32) as store:
        save(store, post("4", "Ada again", author="Ada"), post("5", "Bo again", author="Bo"), brands=("Harbour",))
        assert texts(folder / "l.db")[3:] == ["Bo again"]
        assert stored_rollup(store.connection) == counted_rollup(store.connection)


def test_a_post_is_forgotten_with_its_copies(folder: Path) -> None:
    assert "2 posts erased" in listener(folder, "forget", "--post", "https://a.example/1").stderr
    assert texts(folder / "l.db") == ["", "=HYPERLINK(1) is what I typed", ""]
    assert "No stored post fits" in listener(folder, "forget", "--post", "https://a.example/1").stderr


def test_forget_at_one_source_leaves_the_other(folder: Path) -> None:
    assert "1 post erased" in listener(folder, "forget", "--author", "Ada", "--source", "forum").stderr
    assert texts(folder / "l.db") == [REVIEW, "=HYPERLINK(1) is what I typed", ""]
    assert "did you mean 'forum'" in listener(folder, "forget", "--author", "Ada", "--source", "forun", code=1).stderr


def test_forget_says_what_it_needs(folder: Path) -> None:
    listener(folder, "forget", code=2)
    with (folder / "listener.toml").open("a") as file:
        file.write('[privacy]\nauthors = "drop"\n')
    assert "name the posts themselves" in listener(folder, "forget", "--author", "Ada", code=1).stderr


def test_nothing_of_a_forgotten_post_is_left_in_the_file(folder: Path) -> None:
    listener(folder, "forget", "--author", "Ada")
    with closing(sqlite3.connect(folder / "l.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    left = b"".join(file.read_bytes() for file in folder.glob("l.db*"))
    assert b"heating in our room" not in left and b"a.example/1" not in left
