"""A backfill on a Ray cluster of local nodes, one of which is killed on the way: rows out equal rows in, once each.

    python benchmarks/backfill_ray.py [--files 24] [--rows 400] [--nodes 3]

Needs the extras `archives` and `ray` (pip install -c constraints.txt ".[archives,ray]") and duckdb. Exit code 1 when a
row is missing or twice. Every node is a raylet with an object store and workers of its own, as on machines of their
own; what is killed (SIGKILL) is a raylet with its workers, once a quarter of the files is done.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import ray
from ray.cluster_utils import Cluster

from listener import engine
from listener.archives import Job, cluster, local, reading
from listener.config import ModelSettings
from listener.sources.files import Settings
from listener.tables.rows import Privacy

TEXTS = (
    "Checked in an hour ago and the room smells of smoke, they say there is no other",
    "Which of the two hotels near the harbour would you take with three children in May?",
    "Booked! Three nights, the train is paid for as well",
    "The staff remembered our names from last year, we will be back",
    "The parcel was to come on Monday, it is Friday now and nobody answers",
)


def write_archive(folder: Path, files: int, rows: int) -> set[tuple[str, int]]:
    """Files of posts of ten days; returns (file, line) of every row."""
    chance = random.Random(2026)
    places = set()
    for number in range(files):
        path = folder / f"{number:04}.jsonl"
        with path.open("w") as file:
            for line in range(1, rows + 1):
                date = datetime(2026, 11, 20, tzinfo=UTC) - timedelta(hours=chance.randrange(240))
                text = f"{chance.choice(TEXTS)} ({number}/{line})"
                file.write(json.dumps({"id": f"{number}-{line}", "text": text, "date": date.isoformat()}) + "\n")
                places.add((str(path), line))
    return places


def job(output: Path) -> Job:
    usual = ModelSettings()
    return Job(
        str(output), "archive", "", Settings(paths=[Path()]), usual, engine.name(usual), Privacy("drop", b""),
        ZoneInfo("Europe/Oslo"), datetime(2026, 11, 25, tzinfo=UTC),
    )  # fmt: skip


def kill_when_some_are_done(nodes: Cluster, victim: Any, output: Path, files: int, told: dict[str, Any]) -> None:
    """Kills a node with all its processes once a quarter of the files is done and not all of them are."""
    while True:
        done = len(list((output / "_backfill").glob("*.json")))
        if done >= files // 4:
            told["done_at_kill"] = done
            told["at"] = time.monotonic()
            nodes.remove_node(victim, allow_graceful=False)
            return
        time.sleep(0.05)


def check(output: Path, places: set[tuple[str, int]]) -> tuple[int, int, int]:
    """(rows, missing, twice)"""
    found = duckdb.sql(f"SELECT archive, line FROM '{output}/day=*/*.parquet'").fetchall()
    return len(found), len(places - set(found)), len(found) - len(set(found))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=24)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--nodes", type=int, default=3, help="beside the head, which scores nothing; one core each")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        places = write_archive(folder / "in", given.files, given.rows)
        inputs, _ = reading.find([str(folder / "in")])

        begun = time.monotonic()
        alone = list(local.run(inputs, job(folder / "alone"), local.cores()))
        seconds = time.monotonic() - begun
        rate = len(places) / seconds
        print(f"local engine, {local.cores()} workers: {len(places):,} rows in {seconds:.1f} s, {rate:.0f} rows/s")

        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        workers = [nodes.add_node(num_cpus=1) for _ in range(given.nodes)]
        ray.init(address=nodes.address, logging_level="ERROR", log_to_driver=False)
        told: dict[str, Any] = {}
        output = folder / "out"
        killer = threading.Thread(
            target=kill_when_some_are_done, args=(nodes, workers[0], output, given.files, told), daemon=True
        )
        killer.start()
        begun = time.monotonic()
        done = list(cluster.run(inputs, job(output), None))
        seconds = time.monotonic() - begun
        alive = sum(node["Alive"] for node in ray.nodes())
        again = list(cluster.run(inputs, job(output), None))
        ray.shutdown()
        nodes.shutdown()

        rows, missing, twice = check(output, places)
        print(
            f"ray {ray.__version__}, {given.nodes} nodes of one core: one killed when {told.get('done_at_kill')} of "
            f"{given.files} files were done; {alive - 1} of {given.nodes} nodes left at the end, {seconds:.1f} s"
        )
        print(f"rows in {len(places):,}, rows out {rows:,}, missing {missing}, twice {twice}")
        print(f"again: {sum(each.before for each in again)} of {given.files} files done before")
        troubles = [each.trouble for each in (*alone, *done) if each.trouble]
        print(*troubles, sep="\n", end="\n" if troubles else "")
        good = "at" in told and not troubles and not missing and not twice and rows == len(places)
        return 0 if good and all(each.before for each in again) else 1


if __name__ == "__main__":
    sys.exit(main())
