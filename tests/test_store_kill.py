"""Killed at any moment, the store holds every post its bookmark has passed, once, and rollups that agree with them."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from posting import counted_rollup, opened, stored_rollup

_KILLS = 20

# Goes on from the bookmark it finds, as a source does: page n holds posts 7n .. 7n+9, three of them seen before.
_WORKER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from posting import NOW, judge, opened, post, save

with opened(Path(sys.argv[1])) as store:
    state = store.source_state("feed")
    n = state.cursor["page"] + 1 if state else 0
    print("ready", flush=True)
    while True:
        posts = [post(str(k), f"text {k} as page {n % 3} has it") for k in range(7 * n, 7 * n + 10)]
        save(store, *posts, brands=("Acme", "Bolt")[: n % 3], cursor={"page": n})
        if n % 2:
            judge(store, moment="tmot" if n % 4 == 1 else "zmot", touchpoints=("staff", "price")[: n % 3])
        n += 1
"""


def test_kill_9_at_any_moment_loses_nothing_and_counts_nothing_twice(tmp_path: Path, repo: Path) -> None:
    path = tmp_path / "listener.db"
    delays = random.Random(2026)
    last_page = -1
    for _ in range(_KILLS):
        worker = subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(path), str(repo), str(repo / "tests")],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert worker.stdout
        assert worker.stdout.readline() == "ready\n"
        time.sleep(delays.uniform(0.0, 0.25))
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
        assert worker.returncode == -signal.SIGKILL
        with opened(path) as store:
            state = store.source_state("feed")
            page = state.cursor["page"] if state else -1
            assert page >= last_page
            last_page = page
            stored = [int(row[0]) for row in store.connection.execute("SELECT native_id FROM posts ORDER BY id")]
            assert stored == list(range(7 * page + 10 if page >= 0 else 0))
            assert stored_rollup(store.connection) == counted_rollup(store.connection)
            unjudged = "FROM posts p LEFT JOIN verdicts v ON id = post_id WHERE v.text_hash IS NOT p.text_hash"
            assert store.connection.execute(f"SELECT count(*) {unjudged}").fetchone()[0] == store.count_pending("m1")
            assert store.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            store.connection.execute("INSERT INTO posts_fts (posts_fts, rank) VALUES ('integrity-check', 1)")
    assert last_page > _KILLS  # it did get on between the kills
