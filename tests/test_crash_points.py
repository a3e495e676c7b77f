"""Killed with -9 at every named point of every verb, then run again: what is left equals an undisturbed run."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiosmtpd.controller import Controller
from forked import Start, programs
from posting import counted_rollup, stored_rollup

from listener.migrations import MIGRATIONS
from listener.tables import days
from loopback import Answer, serve

POSTS = 620  # of the watched folder: two pages
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()

# Command and the points it passes; NAME:2 is the second passage.
CASES: dict[str, tuple[str, ...]] = {
    "collect": (
        "collect.begun", "collect.fetched", "collect.fetched:2", "page.posts", "page.posts:2", "page.bookmark",
        "page.bookmark:2", "collect.saved", "collect.saved:2", "collect.finishing", "run.written", "collect.finished",
        "collect.begun:2",
    ),
    "classify": (
        "classify.taken", "classify.scored", "rollup.taken", "verdicts.written", "rollup.added", "verdicts.counted",
        "classify.saved",
    ),
    "classify more": ("classify.taken:2", "verdicts.written:2"),
    "zone": ("rollup.cleared",),
    "relink": ("relink.batch", "relink.changed", "relink.batch:2", "relink.changed:2", "rollup.taken"),
    "purge": ("expire.words", "purge.expired", "expire.words:2"),
    "forget": ("delete.emptied", "forget.author", "forget.database", "forget.author:2"),
    "backup": ("backup.noted", "backup.copied", "backup.done"),
    "migrate": ("migrate.copied", "migrate.applied", "migrate.done"),
    "digest": (
        "mail.claimed", "mail.composed", "mail.handing", "mail.text", "mail.accepted", "mail.marked",
    ),
}  # fmt: skip


@dataclass
class World:
    """A template folder for each state of affairs, the feed and the mail server that all of them use."""

    start: Start
    root: Path
    mails: list[str] = field(default_factory=list)

    def run(self, folder: Path, *args: str, crash: str = "") -> int:
        child = self.start(*args, "--config", folder / "listener.toml", log=folder / "log", out=folder / "out",
                           env={"LISTENER_CRASH_AT": crash})  # fmt: skip
        return child.wait()

    def copy(self, name: str, to: Path) -> Path:
        return Path(shutil.copytree(self.root / name, to, dirs_exist_ok=True))


def _feed(_: object) -> Answer:
    items = "".join(
        f"<item><guid>{n}</guid><title>Harbour {n}</title><description>The bed of room {n} was awful.</description>"
        f"<author>anna@example.org</author></item>" for n in range(40)
    )  # fmt: skip
    return Answer(f'<rss version="2.0"><channel><title>t</title>{items}</channel></rss>'.encode())


def _config(folder: Path, feed: str, mail_port: int, **other: str) -> None:
    chosen = {"zone": "UTC", "brand": "Harbour", "keep": ""} | other
    (folder / "listener.toml").write_text(
        f'timezone = "{chosen["zone"]}"\ndatabase = "listener.db"\n[[brand]]\nname = "{chosen["brand"]}"\n'
        f'[http]\nallow_private = ["127.0.0.1"]\ngap_s = 0\n[privacy]\nauthors = "plain"\n{chosen["keep"]}\n'
        f'[mail]\nhost = "127.0.0.1"\nport = {mail_port}\nsecurity = "none"\nsender = "L <l@example.org>"\n'
        '[[recipient]]\nemail = "anna@example.org"\nat = "00:00"\n'
        f'[[source]]\nname = "a-feed"\nkind = "feeds"\nurl = "{feed}"\n'
        '[[source]]\nname = "b-folder"\nkind = "files"\npaths = ["inbox"]\nkeep = "all"\n'
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("worlds")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    class Inbox:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            made.mails.append(envelope.rcpt_tos[0])
            return "250 taken"

    controller = Controller(Inbox(), hostname="127.0.0.1", port=port)
    controller.start()
    with serve({"/feed": _feed}) as server, programs() as start:
        made = World(start, root)
        for name in ("new", "few", "collected", "classified"):
            folder = root / name
            if name == "new":
                (folder / "inbox").mkdir(parents=True)
                rows = [{"id": n, "text": f"Stayed at the Harbour {n}: {n * 7} stars", "author": f"u{n % 9}",
                         "date": YESTERDAY} for n in range(POSTS)]  # fmt: skip
                (folder / "inbox/a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
                os.utime(folder / "inbox/a.jsonl", (1, 1))  # a fresh file in a watched folder may still be growing
                _config(folder, server.url("/feed"), port)
            else:
                made.copy("collected" if name == "classified" else "new", folder)
                if name == "few":  # the feed's posts alone: most of the time goes into scoring
                    (folder / "inbox/a.jsonl").unlink()
                assert made.run(folder, "classify" if name == "classified" else "collect") == 0
        yield made
    controller.stop()


def _change(folder: Path, before: str, after: str) -> None:
    path = folder / "listener.toml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def _sql(folder: Path, statement: str, name: str = "listener.db") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / name)) as database, database:
        return database.execute(statement).fetchall()


def _prepare_purge(folder: Path) -> None:
    _change(folder, 'authors = "plain"', 'authors = "plain"\nkeep_days = 30')
    _sql(folder, "UPDATE posts SET collected_at = '2020-01-01T00:00:00Z' WHERE id % 10")
    with closing(sqlite3.connect(folder / "listener.db")) as database, database:
        days.settle(database, ZoneInfo("UTC"))


def _prepare_old(folder: Path) -> None:
    from sqlite_utils import Database

    with closing(sqlite3.connect(folder / "listener.db", isolation_level=None)) as connection:
        MIGRATIONS.apply(Database(connection), stop_before=[each.name for each in MIGRATIONS._migrations[1:]])


def _prepare_backup(folder: Path) -> None:
    _sql(folder, f"INSERT INTO written_files VALUES ('{folder}/copy.db', 'backup', '2026-01-01T00:00:00Z')")
    shutil.copy(folder / "listener.db", folder / "copy.db")


NOTHING: Callable[[Path], None] = lambda folder: None  # noqa: E731
# Verb -> (the template it begins with, what is changed there, the command).
VERBS: dict[str, tuple[str, Callable[[Path], None], tuple[str, ...]]] = {
    "collect": ("new", NOTHING, ("collect",)),
    "classify": ("few", NOTHING, ("classify",)),
    "classify more": ("collected", NOTHING, ("classify",)),
    "zone": ("classified", lambda folder: _change(folder, '"UTC"', '"Asia/Tokyo"'), ("classify",)),
    "relink": ("classified", lambda folder: _change(folder, 'name = "Harbour"', 'name = "Stars"'), ("collect",)),
    "purge": ("classified", _prepare_purge, ("purge",)),
    "forget": ("classified", _prepare_backup, ("forget", "--author", "u3")),
    "backup": ("classified", NOTHING, ("backup", "kept.db")),
    "migrate": ("new", _prepare_old, ("collect",)),
    "digest": ("classified", NOTHING, ("digest", "--send")),
}


def _state(folder: Path, name: str = "listener.db") -> dict[str, Any]:
    """What the database holds, as two runs must agree on it; the clock's columns left out."""
    with closing(sqlite3.connect(folder / name)) as database:
        ask = lambda query: sorted(map(tuple, database.execute(query)), key=repr)  # noqa: E731
        assert ask("PRAGMA integrity_check") == [("ok",)]
        database.execute("INSERT INTO posts_fts (posts_fts, rank) VALUES ('integrity-check', 1)")
        assert stored_rollup(database) == counted_rollup(database)
        return {
            "posts": ask("SELECT source, native_id, title, text, author, day, deleted_at IS NULL FROM posts"),
            "expired": ask("SELECT native_id FROM posts WHERE expired_at IS NOT NULL"),
            "mentions": ask("SELECT source, native_id, brand, why FROM mentions JOIN posts ON id = post_id"),
            "verdicts": ask("SELECT source, native_id, moment, score FROM verdicts JOIN posts ON id = post_id"),
            "pending": ask("SELECT source, native_id FROM pending JOIN posts ON id = post_id"),
            "rollup": stored_rollup(database),
            "bookmarks": len(ask("SELECT name FROM sources WHERE cursor IS NOT NULL")),
            "forgotten": ask("SELECT source, author FROM forgotten"),
        }


def _begun(world: World, verb: str, folder: Path) -> tuple[str, ...]:
    template, prepare, command = VERBS[verb]
    world.copy(template, folder)
    prepare(folder)
    return tuple(str(folder / part) if part.endswith(".db") else part for part in command)


@pytest.fixture(scope="module")
def undisturbed(world: World) -> Callable[[str], dict[str, Any]]:
    known: dict[str, dict[str, Any]] = {}

    def of(verb: str) -> dict[str, Any]:
        if verb not in known:
            folder = world.root / f"quiet-{verb}"
            assert world.run(folder, *_begun(world, verb, folder)) == 0
            known[verb] = _state(folder)
        return known[verb]

    return of


@pytest.mark.parametrize(("verb", "point"), [(verb, point) for verb, points in CASES.items() for point in points])
def test_killed_there_and_run_again(
    world: World, undisturbed: Callable[[str], dict[str, Any]], tmp_path: Path, verb: str, point: str
) -> None:
    command = _begun(world, verb, tmp_path)
    quiet, mails = undisturbed(verb), len(world.mails)
    assert world.run(tmp_path, *command, crash=point) == -9, f"{point} was not passed"
    if verb == "backup":  # what is there under its name is whole
        assert not (tmp_path / "kept.db").exists() or _state(tmp_path, "kept.db") == quiet
        (tmp_path / "kept.db").unlink(missing_ok=True)
    again = world.run(tmp_path, *command)
    if verb == "digest":
        if point in ("mail.claimed", "mail.composed"):  # it did not go, and does ten minutes later
            assert again == 1 and "is being made by another listener" in (tmp_path / "log").read_text()
            _sql(tmp_path, "UPDATE digests SET claimed_at = '2026-01-01T00:00:00Z'")
            again = world.run(tmp_path, *command)
        _check_digest(tmp_path, world.mails[mails:], point, again)
    else:
        assert again == 0, (tmp_path / "log").read_text()
    assert _state(tmp_path) == quiet
    if verb == "backup":
        assert _state(tmp_path, "kept.db") == quiet
        assert not list(tmp_path.glob(".kept*")), "half a copy was left behind"
    if verb == "forget":
        assert _sql(tmp_path, "SELECT count(*) FROM posts WHERE author = 'u3'", "copy.db") == [(0,)]
    if verb == "migrate":
        assert _sql(tmp_path, "SELECT count(*) FROM _sqlite_migrations", "listener.db.m001") == [(1,)]


def _check_digest(folder: Path, mails: list[str], point: str, again: int) -> None:
    ((state,),) = _sql(folder, "SELECT state FROM digests")
    assert len(mails) <= 1, "the same digest came twice"
    if point in ("mail.claimed", "mail.composed", "mail.marked"):
        assert (again, state, len(mails)) == (0, "sent", 1)
    else:  # it was begun, and nobody knows how it ended: shown to a person, never sent twice
        assert (again, state) == (1, "unknown")
        assert "may have arrived" in (folder / "log").read_text()


def test_no_point_is_left_out(repo: Path) -> None:
    named = {
        point
        for file in (repo / "listener").rglob("*.py")
        for point in re.findall(r'crash\.here\("([^"]+)"\)', file.read_text("utf-8"))
    }
    tried = {point.partition(":")[0] for points in CASES.values() for point in points}
    assert named == tried
