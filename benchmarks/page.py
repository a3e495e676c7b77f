"""How long the pages take with many posts: python benchmarks/page.py DATABASE [--config FILE] [--word WORD]

Starts `listener serve` over a database that is there (`benchmarks/grow.py --keep` leaves one) and asks for every page
six times. The first column is the median in milliseconds as a browser waits for it, the second the processor time of
the server, which other work on the machine does not change, the third the size in kilobytes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import requests

TIMES = 6
PAGES = (
    ("overview, 4 weeks", "/"),
    ("overview, 13 weeks", "/?days=91"),
    ("overview, a year", "/?days=365"),
    ("picture of the journey, a year", "/picture/journey.json?days=365"),
    ("picture of both phases, a year", "/picture/phases.json?days=365"),
    ("picture of all brands, a year", "/picture/voice.json?days=365"),
    ("posts, the newest", "/posts"),
    ("posts, three filters", "/posts?phase=feedback&sentiment=negative&touchpoint=staff"),
    ("posts, a word", "/posts?q={word}"),
    ("posts, a word and two filters", "/posts?q={word}&phase=feedback&sentiment=negative"),
    ("posts, half way back", "/posts?before={middle}"),
    ("one post", "/posts/{post}"),
    ("review, the queue", "/review"),
    ("review, one post", "/review/{post}"),
    ("sources", "/sources"),
    ("a brand query on 20,000 posts", "/brands?query={word} OR lobby"),
    ("data, a table", "/data/posts"),
    (
        "data, a month by SQL",
        "/data.json?sql=select day, sum(posts) from trend_daily where day >= '{month}' group by 1",
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database", type=Path)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--word", default="breakfast")
    given = parser.parse_args()
    command = [sys.executable, "-m", "listener", "serve", "--port", "0", "--db", str(given.database)]
    with subprocess.Popen(
        [*command, *(["--config", str(given.config)] if given.config else [])], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip().rstrip("/")
        requests.get(f"{address}/look/vega.js", timeout=120)  # made once, beside the first pages
        known = places(address)
        print("| page | ms | of the processor | kB |\n|---|---|---|---|")
        for name, path in PAGES:
            waited, worked, size = measured(f"{address}{path.format(word=given.word, **known)}", server.pid)
            print(f"| {name} | {waited:.0f} | {worked:.0f} | {size / 1000:.0f} |")
        print(f"{resident(server.pid):.0f} MB resident; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        server.terminate()


def places(address: str) -> dict[str, str]:
    """A post and a time in the middle, and the last month."""
    sql = (
        "select (select count(*) from posts) / 2 as post, (select coalesce(created_at, collected_at) from posts"
        " where id = (select count(*) / 2 from posts)) as middle, (select max(day) from daily) as last"
    )
    (row,) = requests.get(f"{address}/data.json", {"sql": sql, "_shape": "array"}, timeout=60).json()
    return {"post": str(row["post"]), "middle": f"{row['middle']}~{row['post']}", "month": f"{row['last'][:7]}-01"}


def measured(address: str, pid: int) -> tuple[float, float, float]:
    waited = []
    requests.get(address, timeout=120).raise_for_status()
    before = used_ms(pid)
    for _ in range(TIMES):
        began = time.perf_counter()
        answer = requests.get(address, timeout=120)
        waited.append(1000 * (time.perf_counter() - began))
    return statistics.median(waited), (used_ms(pid) - before) / TIMES, len(answer.content)


def used_ms(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
