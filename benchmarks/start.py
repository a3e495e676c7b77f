"""How soon the daemon is up, how soon a post has its verdict, and what an idle daemon weighs.

python benchmarks/start.py
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

CONFIG = """
timezone = "UTC"
database = "listener.db"
[[brand]]
name = "Harbour"
[[source]]
name = "folder"
kind = "files"
every = "10s"
paths = ["inbox"]
"""


def main() -> None:
    help_times = []
    for _ in range(5):
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "listener", "--help"], stdout=subprocess.DEVNULL, check=True)
        help_times.append(time.monotonic() - began)
    print(f"listener --help: {sorted(help_times)[2]:.2f} s (median of 5)")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "inbox").mkdir()
        post = folder / "inbox" / "posts.jsonl"
        post.write_text('{"id": 1, "text": "Is the Harbour worth it for two nights?"}\n')
        os.utime(post, (time.time() - 60, time.time() - 60))
        (folder / "listener.toml").write_text(CONFIG)
        began = time.monotonic()
        daemon = subprocess.Popen(
            [sys.executable, "-m", "listener", "run", "--config", str(folder / "listener.toml")],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert daemon.stderr
        for line in daemon.stderr:
            if " started " in line:
                break
        print(f"start to ready: {time.monotonic() - began:.2f} s")
        database = folder / "listener.db"
        while True:
            with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as reader:
                if reader.execute("SELECT count(*) FROM verdicts").fetchone()[0]:
                    break
            time.sleep(0.01)
        print(f"start to first verdict stored: {time.monotonic() - began:.2f} s")
        time.sleep(15)
        process = psutil.Process(daemon.pid)
        before = process.cpu_times()
        time.sleep(20)
        after = process.cpu_times()
        busy = (after.user + after.system - before.user - before.system) / 20
        print(f"idle, model loaded: {process.memory_info().rss / 1e6:.0f} MB resident, {busy:.1%} of a core")
        began = time.monotonic()
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(20)
        print(f"SIGTERM to gone: {time.monotonic() - began:.2f} s, exit code {daemon.returncode}")
        post.unlink()
        database.unlink()
        daemon = subprocess.Popen(
            [sys.executable, "-m", "listener", "run", "--config", str(folder / "listener.toml")],
            stderr=subprocess.DEVNULL,
        )
        time.sleep(8)
        print(f"idle, nothing to judge: {psutil.Process(daemon.pid).memory_info().rss / 1e6:.0f} MB resident")
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(20)


if __name__ == "__main__":
    main()
