"""The store among others: a lock held elsewhere, many writers, a full disk, a file it may not write."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from posting import NOW, OSLO, counted_rollup, judge, opened, post, save, stored_rollup

from listener import trends
from listener.errors import StoreError
from listener.store import Store

_HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "listener.db"


@pytest.fixture
def locked(path: Path) -> Iterator[Path]:
    """A database that another process is writing to."""
    with opened(path) as store:
        save(store, post("a"), cursor={"at": 1})
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    yield path
    holder.communicate()


def test_a_lock_is_explained_and_reading_goes_on(locked: Path) -> None:
    with opened(locked, busy_s=0.2) as store:
        with pytest.raises(StoreError, match=r"listener\.db is locked: another process .* try again"):
            save(store, post("b"), cursor={"at": 2})
        assert store.source_state("feed").cursor == {"at": 1}
        reader = trends.open_reader(locked, OSLO)
        assert [row.native_id for row in trends.posts(reader)] == ["a"]
        reader.close()


def test_a_writer_waits_its_turn(path: Path) -> None:
    with opened(path, busy_s=20) as store:
        code = _HOLDER.replace("sys.stdin.read()", "import time; time.sleep(1); connection.execute('COMMIT')")
        holder = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        assert save(store, post("b")).new == 1
        holder.communicate()


def test_another_program_that_looks_in_does_not_take_the_log_away(path: Path) -> None:
    """SQLite's last connection to leave deletes the log; a store opened beside another must not make it look so."""
    with opened(path) as store:
        save(store, post("a"), cursor={"at": 1})
        opened(path).close()
        look = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT id FROM posts'); c.close()"
        subprocess.run([sys.executable, "-c", look, str(path)], check=True)
        assert Path(f"{path}-wal").exists(), "the log was deleted while it was in use"
        save(store, post("b"), cursor={"at": 2})
        assert [row.native_id for row in trends.posts(trends.open_reader(path, OSLO))] == ["b", "a"]


def _write(path: Path, name: int) -> None:
    with opened(path) as store:
        for n in range(12):
            save(store, post(f"{name}-{n}"), post(f"shared-{n}", f"seen by {name}"), brands=("Acme",), cursor={"n": n})
            judge(store, touchpoints=("staff",))


def test_eight_writers_at_once_all_succeed_from_a_file_that_was_not_there(path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    writers = [spawn.Process(target=_write, args=(path, name)) for name in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 8
    with opened(path) as store:
        assert store.connection.execute("SELECT count(*) FROM posts").fetchone() == (8 * 12 + 12,)
        assert store.count_pending("m1") == 0
        assert stored_rollup(store.connection) == counted_rollup(store.connection)


def test_many_that_open_a_new_database_in_one_instant_all_get_it(tmp_path: Path) -> None:
    def at_once(path: Path, all_here: Barrier) -> None:
        all_here.wait()
        opened(path).close()

    for number in range(25):
        all_here = Barrier(6)
        with ThreadPoolExecutor(6) as pool:
            opening = [pool.submit(at_once, tmp_path / f"{number}.db", all_here) for _ in range(6)]
            for each in opening:
                each.result()


def test_a_full_disk_is_named_and_leaves_nothing_half_written(path: Path) -> None:
    with opened(path) as store:
        save(store, post("a"), cursor={"at": 1})
        (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
        store.connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        many = [post(str(n), f"number {n} " * 200) for n in range(200)]
        with pytest.raises(StoreError, match=r"disk full: .*listener\.db"):
            save(store, *many, cursor={"at": 2})
        assert store.source_state("feed").cursor == {"at": 1}
        assert store.connection.execute("SELECT count(*) FROM posts").fetchone() == (1,)
        store.connection.execute("PRAGMA max_page_count = 1000000")  # somebody made room
        assert save(store, *many, cursor={"at": 2}).new == 200
        assert store.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _open_as_nobody(path: Path) -> str:
    """What a process without rights hears. In a process of its own, because root may write anything."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        said = b"it could be written"
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            opened(path).close()
        except StoreError as error:
            said = str(error).encode()
        finally:
            os.write(theirs, said)
            os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with os.fdopen(ours) as pipe:
        return pipe.read()


def test_a_file_or_folder_without_rights_is_explained() -> None:
    folder = Path(tempfile.mkdtemp())  # not below pytest's own folder, which only its owner may enter
    try:
        opened(folder / "listener.db").close()
        (folder / "listener.db").chmod(0o444)
        folder.chmod(0o555)
        said = "cannot be written: Permission denied; check the rights of file and folder"
        assert _open_as_nobody(folder / "listener.db") == f"the database {folder}/listener.db {said}"
        assert _open_as_nobody(folder / "new.db") == f"the database {folder}/new.db {said}"
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_damaged_file_is_explained(path: Path) -> None:
    with opened(path) as store:
        save(store, *(post(str(n), f"number {n} " * 50) for n in range(200)))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    with pytest.raises(StoreError, match="is damaged"), opened(path) as store:
        save(store, *(post(str(n), "other words") for n in range(200)))


def test_a_store_cannot_be_had_where_a_folder_is(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written: Is a directory"):
        Store.open(tmp_path, OSLO, author_key=b"k")


def test_a_reader_cannot_write(path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no database at .*listener collect"):
        trends.open_reader(path, OSLO)
    opened(path).close()
    reader = trends.open_reader(path, OSLO)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM posts")
    reader.close()


def test_a_reader_sees_one_state_while_a_writer_goes_on(path: Path) -> None:
    with opened(path) as store:
        save(store, post("a"))
        reader = trends.open_reader(path, OSLO)
        reader.execute("BEGIN")
        assert len(trends.posts(reader)) == 1
        save(store, post("b", created_at=NOW))
        assert len(trends.posts(reader)) == 1
        reader.execute("COMMIT")
        assert len(trends.posts(reader)) == 2
        reader.close()
