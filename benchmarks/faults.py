"""Kills the real program with -9 at random moments, thousands of times, and counts what is missing and what came twice.

python benchmarks/faults.py [--kills 2000] [--seed 1]

Episodes of fifty kills on one database each. Every kill meets the daemon, or a command, on its way: a feed on loopback
grows, a watched folder gets files, the brands change, digests fall due, words expire, an author is forgotten.
Then the daemon runs undisturbed until nothing is left to do, and what is stored is compared with what was served.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from aiosmtpd.controller import Controller

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from forked import Child, Start, programs
from posting import counted_rollup, stored_rollup

from listener.tables import days
from loopback import Answer, serve

AN_EPISODE = 50
SHOWN = 200  # posts the feed shows; it grows only as long as none that is not stored falls off its end
DAYS = 5  # whose digests are due when an episode begins
WORDS = ["room", "breakfast", "desk", "lift", "view", "harbour", "ferry", "bed", "shower", "price", "window", "dinner"]
ERRANDS = {  # what is killed, and how often in so many
    "daemon": 10, "collect": 3, "classify": 3, "digest": 2, "purge": 1, "backup": 1, "relink": 1, "forget": 1,
}  # fmt: skip


@dataclass
class World:
    """What is outside: the feed's posts, the files, the mails that arrived. It outlives the episodes."""

    rng: random.Random
    port: int = 0
    feed: list[tuple[int, str]] = field(default_factory=list)
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    mails: Counter[tuple[str, str]] = field(default_factory=Counter)

    def grow(self, folder: Path, stored: int) -> None:
        """A few more posts in the feed, and now and then a file, of up to two pages, in the watched folder."""
        for _ in range(min(self.rng.randrange(40), stored + SHOWN - len(self.feed))):
            number = len(self.feed)
            self.feed.append((number, f"Harbour {number}: {' '.join(self.rng.choices(WORDS, k=8))} {number * 13}"))
        if self.rng.random() < 0.15:
            rows = []
            for _ in range(self.rng.choice((3, 60, 700))):
                number = len(self.rows)
                text = f"Stayed at the Harbour {number}: {' '.join(self.rng.choices(WORDS, k=6))} {number * 17}"
                rows.append((f"r{number}", text, f"u{self.rng.randrange(200)}"))
                self.rows.append(rows[-1])
            file = folder / "inbox" / f"{len(self.rows)}.jsonl"
            lines = [json.dumps({"id": ident, "text": text, "author": author}) for ident, text, author in rows]
            file.with_suffix(".part").write_text("\n".join(lines) + "\n")
            os.utime(file.with_suffix(".part"), (1, 1))
            file.with_suffix(".part").rename(file)

    def show(self, _: object) -> Answer:
        items = "".join(
            f"<item><guid>{number}</guid><title>Post</title><description>{text}</description></item>"
            for number, text in reversed(self.feed[-SHOWN:])
        )
        return Answer(f'<rss version="2.0"><channel><title>t</title>{items}</channel></rss>'.encode())


@contextmanager
def outside(rng: random.Random) -> Iterator[tuple[World, str]]:
    world = World(rng)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        world.port = free.getsockname()[1]

    class Inbox:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            name = next(line for line in envelope.content.decode().splitlines() if line.startswith("Message-ID"))
            world.mails[envelope.rcpt_tos[0], name] += 1
            return "250 taken"

    controller = Controller(Inbox(), hostname="127.0.0.1", port=world.port)
    controller.start()
    with serve({"/feed": world.show}) as server:
        yield world, server.url("/feed")
    controller.stop()


def configure(folder: Path, world: World, feed: str, brand: str) -> None:
    recipients = "".join(f'[[recipient]]\nemail = "{name}@example.org"\nat = "00:00"\n' for name in ("anna", "bo"))
    (folder / "listener.toml").write_text(
        'timezone = "UTC"\ndatabase = "listener.db"\n[http]\nallow_private = ["127.0.0.1"]\ngap_s = 0\n'
        f'[privacy]\nauthors = "plain"\nkeep_days = 30\n[[brand]]\nname = "{brand}"\nquery = "harbour"\n'
        f'[mail]\nhost = "127.0.0.1"\nport = {world.port}\nsecurity = "none"\nsender = "L <l@example.org>"\n'
        f'{recipients}[[source]]\nname = "feed"\nkind = "feeds"\nevery = "10s"\nurl = "{feed}"\n'
        '[[source]]\nname = "folder"\nkind = "files"\nevery = "10s"\npaths = ["inbox"]\nkeep = "all"\n'
    )


def ask(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "listener.db", timeout=30)) as database, database:
        return database.execute(query).fetchall()


@dataclass
class Figures:
    """What came of it."""

    kills: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    twice: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    posts: int = 0
    verdicts: int = 0
    digests: Counter[str] = field(default_factory=Counter)


class Episode:
    """Fifty kills on one database."""

    def __init__(self, start: Start, world: World, feed: str, folder: Path, figures: Figures) -> None:
        self.start, self.world, self.feed, self.folder, self.figures = start, world, feed, folder, figures
        self.brand = "Harbour"
        self.forgotten: set[str] = set()
        world.feed.clear()
        world.rows.clear()
        world.mails.clear()
        (folder / "inbox").mkdir(parents=True)
        configure(folder, world, feed, self.brand)

    def run(self, *args: str) -> Child:
        return self.start(*args, "--config", self.folder / "listener.toml", log=self.folder / "log")

    def make_due(self) -> None:
        """What was due before is due at once, digests of some days too; a tenth of the posts is old."""
        if (self.folder / "listener.db").exists() and ask(self.folder, "SELECT 1 FROM sqlite_master LIMIT 1"):
            ask(self.folder, "UPDATE sources SET next_due_at = '2000-01-01T00:00:00Z'")
            begun = (datetime.now(UTC) - timedelta(days=DAYS)).date().isoformat()
            ask(self.folder, f"INSERT OR REPLACE INTO meta VALUES ('started_on', '{begun}')")
            with closing(sqlite3.connect(self.folder / "listener.db", timeout=30)) as database, database:
                database.execute("UPDATE posts SET collected_at = '2020-01-01T00:00:00Z' WHERE source = 'folder' AND "
                                 "id % 50 = 7 AND id IN (SELECT post_id FROM verdicts)")  # fmt: skip
                days.settle(database, ZoneInfo("UTC"))

    def stored(self) -> int:
        try:
            return int(ask(self.folder, "SELECT count(*) FROM posts WHERE source = 'feed'")[0][0])
        except sqlite3.OperationalError:
            return 0

    def kill_one(self) -> None:
        rng = self.world.rng
        self.world.grow(self.folder, self.stored())
        errand = rng.choices(list(ERRANDS), list(ERRANDS.values()))[0]
        try:
            self.make_due()
        except sqlite3.OperationalError:
            pass  # the tables were not made before the first kill
        began, child = time.monotonic(), self.run(*self._command(errand))
        time.sleep(rng.uniform(0.02, 1.0 if errand in ("daemon", "classify") else 0.2))
        if (status := child.poll()) is None:
            child.send(signal.SIGKILL)
            status = child.wait()
        if status == -9:
            self.figures.kills[errand] += 1
        elif status not in (0, 1):
            self.figures.wrong[f"{errand}: exit {status} after {time.monotonic() - began:.1f} s"] += 1
        self.check()

    def _command(self, errand: str) -> tuple[str, ...]:
        if errand == "daemon":
            return ("run",)
        if errand == "digest":
            return ("digest", "--send")
        if errand == "backup":
            return ("backup", str(self.folder / f"copy-{time.monotonic_ns()}.db"))
        if errand == "relink":
            self.brand = "Lumen" if self.brand == "Harbour" else "Harbour"
            configure(self.folder, self.world, self.feed, self.brand)
            return ("collect",)
        if errand == "forget":
            self.forgotten.add(f"u{self.world.rng.randrange(200)}")
            return ("forget", "--author", max(self.forgotten))
        return (errand,)

    def check(self) -> None:
        """At every kill: the file is whole, counts agree with posts, no post is there twice."""
        if not (self.folder / "listener.db").exists():
            return
        with closing(sqlite3.connect(self.folder / "listener.db", timeout=30)) as database:
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'daily'").fetchone():
                return
            if stored_rollup(database) != counted_rollup(database):
                self.figures.wrong["rollup"] += 1
            if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                self.figures.wrong["damaged"] += 1
        for copy in self.folder.glob("copy-*.db"):
            with closing(sqlite3.connect(copy)) as database:
                if database.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                    self.figures.wrong["damaged backup"] += 1
            if self.world.rng.random() < 0.5:
                copy.unlink()

    def finish(self) -> None:
        """Runs the daemon until nothing is left to do, and compares."""
        for author in self.forgotten:  # who asked for it and was killed asks again
            assert self.run("forget", "--author", author).wait() == 0
        self.make_due()
        ask(self.folder, "UPDATE digests SET claimed_at = '2026-01-01T00:00:00Z'")  # ten minutes later
        child, end = self.run("run"), time.monotonic() + 90
        wanted = len(self.world.feed) + len(self.world.rows)
        while time.monotonic() < end:
            time.sleep(0.2)
            (stored, waiting, mailed), = ask(
                self.folder, "SELECT (SELECT count(*) FROM posts), (SELECT count(*) FROM pending), (SELECT count(*) "
                "FROM digests WHERE state IN ('sent', 'unknown', 'skipped'))")  # fmt: skip
            if stored >= wanted - self._never_taken() and not waiting and mailed == 2 * DAYS:
                break
        child.send(signal.SIGTERM)
        if child.wait() != 0:
            self.figures.wrong["did not end when told"] += 1
        self.compare()

    def _never_taken(self) -> int:
        return sum(author in self.forgotten for _, _, author in self.world.rows)

    def compare(self) -> None:
        figures, world = self.figures, self.world
        served = {("feed", f"127.0.0.1/{number}") for number, _ in world.feed}
        served |= {("folder", ident) for ident, _, author in world.rows if author not in self.forgotten}
        rows = ask(self.folder, "SELECT source, native_id, deleted_at IS NULL, expired_at IS NULL, v.post_id IS NULL "
                   "FROM posts LEFT JOIN verdicts v ON v.post_id = posts.id")  # fmt: skip
        live = [(source, ident) for source, ident, there, *_ in rows if there]
        figures.missing += len(served - set(live))
        figures.twice += len(live) - len(set(live))
        expired = {(source, ident) for source, ident, _, whole, _ in rows if not whole}  # nobody can tell whose it was
        figures.wrong["of a forgotten author"] += len(set(live) - served - expired)
        figures.wrong["never judged"] += sum(there and whole and unjudged for _, _, there, whole, unjudged in rows)
        figures.twice += sum(number - 1 for number in world.mails.values())
        figures.posts += len(live)
        figures.verdicts += ask(self.folder, "SELECT count(*) FROM verdicts")[0][0]
        for state, number in ask(self.folder, "SELECT state, count(*) FROM digests GROUP BY state"):
            figures.digests[state] += number
        figures.digests["arrived"] += len(world.mails)
        self.check()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    figures, began = Figures(), time.monotonic()
    with outside(random.Random(options.seed)) as (world, feed), programs() as start:
        while figures.kills.total() < options.kills:
            with tempfile.TemporaryDirectory() as scratch:
                episode, before = Episode(start, world, feed, Path(scratch), figures), figures.kills.total()
                while figures.kills.total() < before + AN_EPISODE:
                    episode.kill_one()
                episode.finish()
            wrong = +figures.wrong
            print(f"{figures.kills.total()} kills, {figures.posts} posts, missing {figures.missing}, twice "
                  f"{figures.twice}, else wrong {dict(wrong)}, {time.monotonic() - began:.0f} s",
                  flush=True)  # fmt: skip
    print(f"\nkills by what was running: {dict(figures.kills)}")
    print(f"posts stored {figures.posts:,}, verdicts {figures.verdicts:,}, digests {dict(figures.digests)}")
    print(f"missing {figures.missing}, twice {figures.twice}, else wrong {dict(+figures.wrong)}")


if __name__ == "__main__":
    main()
