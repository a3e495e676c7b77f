"""A day compressed: 200 sources on loopback, restarts every few minutes, an outage of the model; memory and latency.

python benchmarks/load.py [--minutes 25] [--rate 150] [--sources 200]

The daemon runs as its users run it, in a process of its own; every third minute it is told to end or is killed with -9,
in turn. For a tenth of the time the model is damaged, so that a backlog builds up. At the end everything that was
served has to be stored, judged and counted, once.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil

from listener.resources import model_folder

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from loopback import Answer, Request, serve

EVERY_S = 30
RESTART_S = 180
WORDS = ["room", "breakfast", "desk", "lift", "view", "harbour", "ferry", "bed", "shower", "price", "window", "dinner",
         "museum", "quiet", "noise", "parking", "staff", "refund", "delay", "walk", "train", "pillow"]  # fmt: skip


def outside(sources: int, a_fetch: int, port: Synchronized[int], growing: Synchronized[int], served: Any) -> None:
    """The server, in a process of its own: each fetch of a source finds some new posts and the four fetches before."""
    rng = random.Random(1)
    texts: list[list[str]] = [[] for _ in range(sources)]

    def feed(request: Request) -> Answer:
        number = int(request.query["source"])
        own = texts[number]
        if growing.value:
            for _ in range(a_fetch):
                words = " ".join(rng.choices(WORDS, k=rng.randrange(6, 18)))
                own.append(f"Harbour {number}-{len(own)}: {words} {rng.randrange(10**6)}")
            served[number] = len(own)
        shown = list(enumerate(own))[-5 * a_fetch :]
        items = "".join(f"<item><guid>{n}</guid><title/><description>{text}</description></item>" for n, text in shown)
        return Answer(f'<rss version="2.0"><channel><title>t</title>{items}</channel></rss>'.encode())

    with serve({"/feed": feed}) as server:
        port.value = server.port
        while True:
            server.requests.clear()
            time.sleep(1)


def configure(folder: Path, sources: int, port: int) -> None:
    shutil.copytree(model_folder(), folder / "model")
    tables = "".join(
        f'[[source]]\nname = "s{n}"\nkind = "feeds"\nevery = "{EVERY_S}s"\nkeep = "all"\n'
        f'url = "http://127.0.0.1:{port}/feed?source={n}"\n'
        for n in range(sources)
    )
    (folder / "listener.toml").write_text(
        'timezone = "UTC"\ndatabase = "listener.db"\n[model]\nfolder = "model"\n[[brand]]\nname = "Harbour"\n'
        f'[http]\nallow_private = ["127.0.0.1"]\ngap_s = 0\n[privacy]\nauthors = "drop"\n{tables}'
    )


class Load:
    """The daemon, watched, restarted, and without a model for a while."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, (folder / "log").open("w")
        self.daemon: subprocess.Popen[bytes] | None = None
        self.memory: list[tuple[float, float, int]] = []  # seconds since the beginning and since the start, MB
        self.waiting: list[tuple[float, int]] = []
        self.ends = {"SIGTERM": 0, "SIGKILL": 0}
        self.began = time.monotonic()
        self.outage = (0.0, 0.0)

    def start(self) -> None:
        command = [sys.executable, "-m", "listener", "run", "--config", str(self.folder / "listener.toml")]
        self.daemon, self.started = subprocess.Popen(command, stderr=self.log), time.monotonic()

    def end(self, how: signal.Signals) -> None:
        assert self.daemon
        self.daemon.send_signal(how)
        self.daemon.wait()
        self.ends[how.name] += 1

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.folder}/listener.db?mode=ro", uri=True, timeout=60)) as reader:
            return reader.execute(query).fetchall()

    def look(self) -> None:
        assert self.daemon
        now = time.monotonic()
        megabytes = round(psutil.Process(self.daemon.pid).memory_info().rss / 1e6)
        ((waiting, stored),) = self.ask("SELECT (SELECT count(*) FROM pending), (SELECT count(*) FROM posts)")
        self.memory.append((now - self.began, now - self.started, megabytes))
        self.waiting.append((now - self.began, waiting))
        print(f"{now - self.began:6.0f} s  {stored:9,} posts  {waiting:7,} waiting  {megabytes} MB", flush=True)

    def run(self, minutes: float) -> None:
        weights = self.folder / "model" / "model.onnx"
        whole, damaged = weights.read_bytes(), b"damaged"
        until, restart = self.began + 60 * minutes, self.began + RESTART_S
        gone, back = self.began + 27 * minutes, self.began + 33 * minutes
        self.outage = (gone - self.began, back - self.began)
        while time.monotonic() < until:
            time.sleep(min(15.0, max(0.1, until - time.monotonic())))
            now = time.monotonic()
            if gone and now > gone:
                weights.write_bytes(damaged)
                self.end(signal.SIGKILL)
                self.start()
                gone = 0.0
            if back and now > back:
                weights.write_bytes(whole)
                back = 0.0
            if now > restart:
                self.end(signal.SIGTERM if self.ends["SIGTERM"] <= self.ends["SIGKILL"] else signal.SIGKILL)
                self.start()
                restart = now + RESTART_S
            self.look()

    def drain(self, wanted: int) -> None:
        """Until what was served is stored and judged."""
        end = time.monotonic() + 1200
        while time.monotonic() < end:
            time.sleep(5)
            self.look()
            ((stored, waiting),) = self.ask("SELECT (SELECT count(*) FROM posts), (SELECT count(*) FROM pending)")
            if stored >= wanted and not waiting:
                break


def report(load: Load, served: list[int]) -> None:
    seconds = "unixepoch(judged_at) - unixepoch(collected_at)"
    rows = load.ask(f"SELECT {seconds}, unixepoch(collected_at) FROM verdicts JOIN posts ON id = post_id")
    first = min(at for _, at in rows)
    during = [lag for lag, at in rows if load.outage[0] - 60 < at - first < load.outage[1] + 120]
    usual = [lag for lag, at in rows if not load.outage[0] - 60 < at - first < load.outage[1] + 120]
    for name, lags in (("outside the outage", usual), ("around the outage", during)):
        if len(lags) < 2:
            continue
        cut = quantiles(lags, n=100)
        print(f"latency {name}: {len(lags):,} posts, median {median(lags):.0f} s, 99th percentile {cut[98]:.0f} s, "
              f"longest {max(lags):.0f} s")  # fmt: skip
    ((posts, different, verdicts, counted),) = load.ask(
        "SELECT (SELECT count(*) FROM posts), (SELECT count(*) FROM (SELECT DISTINCT source, native_id FROM posts)), "
        "(SELECT count(*) FROM verdicts), (SELECT sum(posts) FROM daily)"
    )
    copies = load.ask("SELECT count(*) FROM posts WHERE copy_of IS NOT NULL")[0][0]
    print(f"served {sum(served):,}, stored {posts:,}, missing {sum(served) - different}, twice {posts - different}, "
          f"verdicts {verdicts:,}, counted {counted:,} and {copies} copies")  # fmt: skip
    late = [megabytes for at, since, megabytes in load.memory if since > 60]
    half = len(late) // 2
    print(f"memory a minute after a start and later: {min(late)} to {max(late)} MB, median of the first half "
          f"{median(late[:half])}, of the second {median(late[half:])}")  # fmt: skip
    print(f"backlog: at most {max(number for _, number in load.waiting):,}; ended {load.ends}; "
          f"database {(load.folder / 'listener.db').stat().st_size / 1e6:.0f} MB")  # fmt: skip
    print(f"integrity: {load.ask('PRAGMA integrity_check')[0][0]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--rate", type=float, default=150, help="new posts a second, all sources together")
    parser.add_argument("--sources", type=int, default=200)
    options = parser.parse_args()
    port, growing = multiprocessing.Value("i", 0), multiprocessing.Value("i", 1)
    served = multiprocessing.Array("i", options.sources)
    a_fetch = max(1, round(options.rate * EVERY_S / options.sources))
    told = (options.sources, a_fetch, port, growing, served)
    server = multiprocessing.Process(target=outside, args=told, daemon=True)
    server.start()
    while not port.value:
        time.sleep(0.05)
    with tempfile.TemporaryDirectory() as scratch:
        configure(Path(scratch), options.sources, port.value)
        load = Load(Path(scratch))
        load.start()
        load.run(options.minutes)
        growing.value = 0
        load.drain(sum(served))
        load.end(signal.SIGTERM)
        report(load, list(served))
    server.terminate()


if __name__ == "__main__":
    main()
