"""The database file: how it is opened and brought up to date, and what its errors mean to a person.

The schema is the sum of the migrations, one file each. They are append-only: what was released is never edited.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sqlite_utils import Database, Migrations

from listener import backups, crash
from listener.errors import StoreError
from listener.migrations import m001_first as m001
from listener.migrations import m002_languages as m002
from listener.migrations import m003_copies as m003
from listener.migrations import m004_privacy as m004
from listener.migrations import m005_figures as m005
from listener.migrations import m006_corrections as m006
from listener.migrations import m007_alerts as m007
from listener.migrations import m008_speed as m008
from listener.migrations import m009_topics as m009
from listener.migrations import m010_yearly as m010

MIGRATIONS = Migrations("listener")
BUSY_S = 30.0
_NOT_WRITABLE = "the database {path} cannot be written: {why}; check the rights of file and folder"


@MIGRATIONS()
def m001_first(db: Database) -> None:
    _execute(db, m001.STATEMENTS)


@MIGRATIONS()
def m002_languages(db: Database) -> None:
    _execute(db, m002.STATEMENTS)


@MIGRATIONS()
def m003_copies(db: Database) -> None:
    _execute(db, m003.STATEMENTS)


@MIGRATIONS()
def m004_privacy(db: Database) -> None:
    _execute(db, m004.STATEMENTS)


@MIGRATIONS()
def m005_figures(db: Database) -> None:
    _execute(db, m005.STATEMENTS)


@MIGRATIONS()
def m006_corrections(db: Database) -> None:
    _execute(db, m006.STATEMENTS)


@MIGRATIONS()
def m007_alerts(db: Database) -> None:
    _execute(db, m007.STATEMENTS)


@MIGRATIONS()
def m008_speed(db: Database) -> None:
    _execute(db, m008.STATEMENTS)


@MIGRATIONS()
def m009_topics(db: Database) -> None:
    _execute(db, m009.STATEMENTS)


@MIGRATIONS()
def m010_yearly(db: Database) -> None:
    _execute(db, m010.STATEMENTS)


def _execute(db: Database, statements: Iterable[str]) -> None:
    for statement in statements:
        db.conn.execute(statement)


State = Literal["empty", "foreign", "older", "current", "newer"]


def state(connection: sqlite3.Connection) -> State:
    """How the schema of an open database compares with ours. Reads only."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "_sqlite_migrations" not in tables:
        return "foreign" if tables else "empty"
    query = "SELECT name FROM _sqlite_migrations WHERE migration_set = ?"
    applied = {name for (name,) in connection.execute(query, (MIGRATIONS.name,))}
    ours = {migration.name for migration in MIGRATIONS._migrations}
    if applied - ours:
        return "newer"
    if not applied:
        return "foreign"
    return "older" if ours - applied else "current"


def refuse(found: State, path: Path) -> None:
    """Raises StoreError when a database in this state is not ours to use."""
    if found == "newer":
        raise StoreError(
            f"{path} was written by a newer version of listener; update listener, or name another database"
        )
    if found == "foreign":
        raise StoreError(f"{path} holds the tables of another program; name another database with --db or `database`")


def open_for_writing(path: Path, busy_s: float = BUSY_S) -> sqlite3.Connection:
    """A connection to the database at `path`, made (mode 0600) and migrated where needed, in autocommit mode.

    Raises StoreError: newer schema, another program's tables, not a database, not writable, locked, full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
    except OSError as error:
        raise StoreError(_NOT_WRITABLE.format(path=path, why=error.strerror)) from error
    if path.is_dir() or not os.access(path, os.R_OK | os.W_OK):
        read_only = hasattr(os, "statvfs") and os.statvfs(path).f_flag & os.ST_RDONLY
        why = "Is a directory" if path.is_dir() else "the disk is read-only" if read_only else "Permission denied"
        raise StoreError(_NOT_WRITABLE.format(path=path, why=why))
    with explained(path):
        connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None)
    try:
        with explained(path):
            found = state(connection)
            refuse(found, path)
            if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA cache_size = -16000")  # kB; with the usual 2 MB pages are read again and again
            connection.execute("PRAGMA wal_autocheckpoint = 4000")  # pages; a page that many posts touch is copied once
            connection.execute("PRAGMA secure_delete = ON")  # what is erased is not left in free pages of the file
            if found == "older":
                _keep_copy(path, connection)
                crash.here("migrate.copied")
            if found != "current":
                _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _make(path: Path) -> None:
    """Makes an empty database that its owner alone may read.

    Under another name, closed before it gets its own: a process that closes a database file by hand loses every lock
    that SQLite holds on it (https://sqlite.org/howtocorrupt.html, 2.2), and another one then deletes the log in use. In
    WAL mode already: of several that would switch to it in one instant SQLite tells all but one "locked" at once.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        os.close(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with explained(path), closing(sqlite3.connect(fresh)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass  # another process was faster
        except OSError:  # a file system without hard links
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    finally:
        fresh.unlink(missing_ok=True)


def _keep_copy(path: Path, connection: sqlite3.Connection) -> None:
    """Copies a database before its tables are changed, so that an update can be taken back."""
    applied = [migration.name for migration in MIGRATIONS.applied(Database(connection, execute_plugins=False))]
    out = path.with_name(f"{path.name}.{applied[-1].partition('_')[0]}")
    if not out.exists():  # an earlier attempt has made it
        backups.copy(path, out)


def _migrate(connection: sqlite3.Connection) -> None:
    # One immediate transaction round all of it: of two processes that meet a new file, the second finds it done.
    connection.execute("BEGIN IMMEDIATE")
    try:
        MIGRATIONS.apply(Database(connection, recursive_triggers=False, execute_plugins=False))
        crash.here("migrate.applied")
        connection.execute("COMMIT")
        crash.here("migrate.done")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns those errors of SQLite that a person can mend into StoreError; lets all others through."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        told = _explanation(error, path)
        if told is None:
            raise
        raise StoreError(told) from error


def _explanation(error: sqlite3.DatabaseError, path: Path) -> str | None:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # the low byte is the plain code, the rest its fine print
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return (
                f"the database {path} is locked: another process is writing to it (a second `listener run`, an import, "
                "or a database tool with an open transaction); end that one, or try again when it is done"
            )
        case sqlite3.SQLITE_FULL:
            return (
                f"disk full: {path} cannot grow. Nothing of this step was stored; free some space and it is done again"
            )
        case sqlite3.SQLITE_READONLY:
            return f"the database {path} cannot be written; check the rights of file and folder"
        case sqlite3.SQLITE_CANTOPEN:
            return f"the database {path} cannot be opened; check that the folder is there and that you may write to it"
        case sqlite3.SQLITE_NOTADB:
            return f"{path} is not a SQLite database; name another file with --db or `database`"
        case sqlite3.SQLITE_CORRUPT:
            return f"{path} is damaged ({error}); put back a backup, or save what is left: sqlite3 {path} .recover"
        case sqlite3.SQLITE_IOERR:
            return f"the disk failed under {path} ({error}); check the disk and the space that is left"
        case _:
            return None


def stamp(moment: datetime) -> str:
    """A moment as the database writes it: '2026-11-22T06:30:00Z'. Sorts as text."""
    return moment.astimezone(UTC).isoformat()[:19] + "Z"


def moment_of(text: str | None) -> datetime | None:
    """The aware UTC moment behind a `stamp`; None stays None."""
    return None if text is None else datetime.fromisoformat(text)
