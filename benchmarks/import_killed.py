"""Imports many posts through the real command, killed with -9 on the way and resumed, and compares with a quiet run.

python benchmarks/import_killed.py CORPORA [--posts 50000] [--kills 3]

CORPORA is a folder of gzip JSON Lines files of {"id", "text"}; their texts stay in a temporary folder.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

LISTENER = [sys.executable, "-m", "listener"]


def draw(corpora: Path, posts: int, out: Path) -> None:
    """`posts` random rows of all sets, as one JSON Lines file. Ids are made unique by the set's name."""
    rows = []
    for path in sorted(corpora.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows += [(f"{path.name}:{number}", json.loads(line)["text"]) for number, line in enumerate(lines)]
    random.Random(5).shuffle(rows)
    with out.open("w", encoding="utf-8") as file:
        for ident, text in rows[:posts]:
            file.write(json.dumps({"id": ident, "text": text}) + "\n")


def counted(db: Path) -> dict[str, object]:
    """What the database holds, as figures that two runs must agree on."""
    with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as reader:
        one = lambda query: reader.execute(query).fetchone()[0]  # noqa: E731
        return {
            "posts": one("SELECT count(*) FROM posts"),
            "different ids": one("SELECT count(DISTINCT native_id) FROM posts"),
            "characters": one("SELECT sum(length(text)) FROM posts"),
            "waiting": one("SELECT count(*) FROM pending"),
            "searchable 'hotel'": one("SELECT count(*) FROM posts_fts WHERE posts_fts MATCH 'hotel'"),
            "integrity": one("PRAGMA integrity_check"),
        }


def run(command: list[str], env: dict[str, str], kill_after: float | None = None) -> tuple[float, float, int]:
    """Runs a command; (seconds, greatest resident MB, exit code). With `kill_after` it is killed with -9 then."""
    began = time.monotonic()
    child = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    watched, most = psutil.Process(child.pid), 0
    while child.poll() is None:
        if kill_after is not None and time.monotonic() - began > kill_after:
            child.send_signal(signal.SIGKILL)
        try:
            most = max(most, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.02)
    child.wait()
    return time.monotonic() - began, most / 1e6, child.returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--posts", type=int, default=50_000)
    parser.add_argument("--kills", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        draw(options.corpora, options.posts, folder / "posts.jsonl")
        env = {**os.environ, "LISTENER_DB": str(folder / "quiet.db")}
        command = [*LISTENER, "import", str(folder / "posts.jsonl"), "--source", "corpora"]
        seconds, memory, code = run(command, env)
        quiet = counted(folder / "quiet.db")
        print(
            f"import, undisturbed: {options.posts / seconds:,.0f} posts/s ({seconds:.1f} s), "
            f"{memory:.0f} MB, exit {code}"
        )

        killed = {**env, "LISTENER_DB": str(folder / "killed.db")}
        for number in range(options.kills):
            _, _, code = run(command, killed, kill_after=seconds * 0.27)
            reached = counted(folder / "killed.db")["posts"] if (folder / "killed.db").exists() else 0
            print(f"  kill -9 number {number + 1}: exit {code}, {reached:,} posts stored so far")
        took, _, code = run(command, killed)
        print(f"  resumed: {took:.1f} s, exit {code}")
        after = counted(folder / "killed.db")
        print(f"equal to the undisturbed run: {after == quiet}   {after}")

        took, _, _ = run(command, killed)
        (folder / "copy.jsonl").write_bytes((folder / "posts.jsonl").read_bytes())
        copied, _, _ = run([*LISTENER, "import", str(folder / "copy.jsonl"), "--source", "corpora"], killed)
        print(
            f"again: adds {counted(folder / 'killed.db')['posts'] - after['posts']} posts "
            f"({took:.1f} s; {copied:.1f} s for a copy)"
        )

        seconds, memory, code = run([*LISTENER, "classify"], env)
        print(
            f"classify: {options.posts / seconds:,.0f} posts/s ({seconds:.1f} s), {memory:.0f} MB, exit {code}; "
            f"{counted(folder / 'quiet.db')['waiting']} still waiting"
        )
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
