"""How everything grows with the number of posts: storing, trends, search, digest, memory, size on disk.

python benchmarks/grow.py [--posts 10000 1000000] [--sample 200000] [--keep FOLDER]

Each size is a database of its own, filled in bulk with made-up posts (`fill.py`; a test holds that the rows are those
the store writes) and read through the functions that the commands and the digest use, in a process of its own. "cold":
the first read by a new connection, after the file was dropped from the system's memory; "warm": the median of 5 more.
A cell of the table is "warm (cold)", in milliseconds. The last posts (`--sample`) go through the store itself, which is
how the speed of storing is measured.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

import corpus
import fill

from listener import digest, pipeline, trends
from listener.config import Config
from listener.reads import search

# Milliseconds; posts a second for storing.
BARS = {"trend": 100.0, "search": 200.0, "posts": 200.0, "digest": 500.0, "drawn": 1000.0, "sources": 500.0}
STORE_BAR = 5000.0
_SIZE = 500  # posts a page, as `listener import` and the larger sources bring them

CONFIG = """
timezone = "{zone}"
database = "{database}"
[[brand]]
name = "Harbour"
[[brand]]
name = "Lumen"
role = "competitor"
[[brand]]
name = "Quayside"
role = "competitor"
"""

YEAR = {"since": (corpus.END - timedelta(days=366)).date(), "until": (corpus.END - timedelta(days=2)).date()}
HALF = (corpus.END - timedelta(days=184)).date()
DAY = (corpus.END - timedelta(days=3)).date()


def reads(reader: Any, config: Config) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """(sort, name, work) of everything that is read for people."""

    def trend(name: str, **given: Any) -> tuple[str, str, Callable[[], Any]]:
        return "trend", f"a year by {name}", lambda: trends.trends(reader, **{**YEAR, **given})

    def part(name: str, per: Any) -> tuple[str, str, Callable[[], Any]]:
        return "trend", f"a year by {name}", lambda: trends.parts(reader, per, "week", **YEAR)

    def find(name: str, query: str, **given: Any) -> tuple[str, str, Callable[[], Any]]:
        return "search" if query else "posts", name, lambda: search.posts(reader, query, **given)

    for by in ("day", "week", "month"):
        yield trend(by, by=by)
    brand, source = corpus.BRANDS[0], corpus.SOURCES[0]
    yield trend("day, one brand", brands=[brand])
    yield trend("day, one source", sources=[source])
    yield trend("day, four sources", sources=list(corpus.SOURCES[:4]))
    yield trend("day, one moment", moments=["tmot"])
    yield trend("day, one sentiment", sentiments=["negative"])
    yield trend("day, one touchpoint", touchpoints=["staff"])
    yield trend("week, two touchpoints", by="week", touchpoints=["staff", "price"])
    yield trend("week, all filters but words", by="week", brands=[brand], sources=[source], moments=["tmot"],
                sentiments=["negative"], touchpoints=["staff"])  # fmt: skip
    for per in ("source", "moment", "touchpoint", "rating"):
        yield part(f"week, taken apart by {per}", per)
    yield "trend", "a year: share of voice by week", lambda: trends.voice(reader, "week", **YEAR)
    yield "trend", "a year: pairs of brands", lambda: trends.pairs(reader, **YEAR)
    yield "trend", "a year: what each touchpoint does", lambda: trends.impact(reader, **YEAR)
    yield "trend", "half a year against the half before", lambda: trends.changes(reader, HALF, YEAR["until"])
    yield trend("week, a rare word", by="week", query=corpus.rare())
    yield trend("week, a common word", by="week", query=corpus.COMMON)
    yield find("a rare word", corpus.rare())
    yield find("a common word", corpus.COMMON)
    yield find("a phrase", corpus.PHRASE)
    yield find("a common word, brand and moment", corpus.COMMON, brand=corpus.BRANDS[-1], moment="imot")
    yield find("a rare word, brand and sentiment", corpus.rare(), brand=brand, sentiment="negative")
    yield find("two words", "breakfast parking")
    yield find("newest", "")
    yield find("newest of a brand", "", brand=corpus.BRANDS[-1])
    yield find("newest of a source, negative", "", source=source, sentiment="negative")
    yield "digest", "what a digest of a day says", lambda: _digest(config)
    yield "drawn", "the same with its pictures drawn", lambda: _digest(config, pictures=True)
    yield "sources", "health of all sources", lambda: trends.source_health(reader, corpus.END)


def _digest(config: Config, *, pictures: bool = False) -> Any:
    with nullcontext() if pictures else mock.patch.object(digest, "_pictures", return_value=()):
        return pipeline.build_digest(config.database, config, None, DAY, corpus.END)


def measure(database: Path) -> dict[str, Any]:
    """Every read, cold and warm, in milliseconds, and the memory it took."""
    from listener import config as configuration

    folder = Path(tempfile.mkdtemp())
    (folder / "listener.toml").write_text(CONFIG.format(zone=fill.ZONE, database=database))
    config = configuration.load(folder / "listener.toml", None)
    found = {}
    for number in range(len(list(reads(None, config)))):
        _forget(database)
        with closing(trends.open_reader(database, fill.ZONE)) as reader:
            sort, name, work = list(reads(reader, config))[number]
            cold, warm = _timed(work), []
            while len(warm) < 5 and sum(warm) < 3000:
                warm.append(_timed(work))
            found[name] = (sort, cold, statistics.median(warm))
    size = sum(file.stat().st_size for file in database.parent.glob(f"{database.name}*"))
    return {"reads": found, "resident_mb": _resident("VmHWM"), "size_gb": size / 1e9, "hits": _hits(database)}


def _hits(database: Path) -> list[int]:
    with closing(trends.open_reader(database, fill.ZONE)) as reader:
        count = "SELECT count(*) FROM posts_fts WHERE posts_fts MATCH ?"
        asked = (corpus.rare(), corpus.COMMON, corpus.PHRASE)
        return [reader.execute(count, (search.fts_query(query),)).fetchone()[0] for query in asked]


def _timed(work: Callable[[], object]) -> float:
    gc.collect()
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def _forget(database: Path) -> None:
    """Asks the system to drop what it keeps of the file in memory."""
    for file in database.parent.glob(f"{database.name}*"):
        handle = os.open(file, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def _resident(which: str = "VmRSS") -> float:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(which)) / 1024


def filled(database: Path, posts: int, sample: int) -> None:
    """Makes a database of so many posts, all but the last ones in bulk, and notes how fast the store took those: half
    of them first stored and then judged, half by two threads side by side.
    """
    replies, total = corpus.replies(posts), -(-posts // _SIZE)
    last = min(sample // _SIZE, total // 2)
    began = time.perf_counter()
    with fill.opened(database) as store:
        fill.in_bulk(store, islice(replies, total - last), _Progress(posts))
        fill.add_runs(store)
        print(f"\n{(total - last) * _SIZE:,} posts in bulk, {time.perf_counter() - began:,.0f} s", file=sys.stderr)
    with fill.opened(database) as store:
        stored, saving, judging = fill.through_store(store, islice(replies, last // 2))
    both = fill.side_by_side(database, list(replies))
    noted = {"posts": posts, "sample": last * _SIZE, "save": stored / saving, "judge": stored / judging, "both": both}
    database.with_suffix(".json").write_text(json.dumps(noted | {"peak_mb": _resident("VmHWM")}))


def _alone(*arguments: str) -> None:
    """Runs this script with a work of its own in a new process, so that its memory is its own."""
    subprocess.run([sys.executable, __file__, "--work", *arguments], check=True)


def grown(folder: Path, posts: int, sample: int) -> dict[str, Any]:
    """A database of so many posts, filled unless it is there, and measured."""
    database = folder / f"{posts}.db"
    if not database.with_suffix(".json").exists():
        database.unlink(missing_ok=True)
        _alone("fill", str(database), str(posts), str(sample))
    _alone("read", str(database))
    noted = json.loads(database.with_suffix(".json").read_text())
    return {**noted, **json.loads(database.with_suffix(".read").read_text())}


class _Progress:
    def __init__(self, posts: int) -> None:
        self._posts, self._done = posts, 0

    def __call__(self, more: int) -> None:
        self._done += more
        if self._done % 100_000 < more:
            print(f"\r{self._done:,} of {self._posts:,}", end="", file=sys.stderr)


def table(sizes: list[dict[str, Any]]) -> list[str]:
    """Markdown: a row for what was measured, a column for each size, and the bar it is held to."""
    heads = [f"{size['posts']:,} posts" for size in sizes]
    lines = [f"| | {' | '.join(heads)} | bar |", "|---" * (len(sizes) + 2) + "|"]
    both, enough = [f"{size['both']:,.0f}" for size in sizes], sizes[-1]["both"] >= STORE_BAR
    lines.append(_row("stored with verdict and search index, two threads, posts/s", both, "at least 5,000", enough))
    alone = [f"{size['save']:,.0f} / {size['judge']:,.0f}" for size in sizes]
    lines.append(_row("by one thread: saved / judged, posts/s", alone))
    for name, (sort, _, _) in sizes[-1]["reads"].items():
        cells = [f"{_ms(s['reads'][name][2])} ({_ms(s['reads'][name][1])})" for s in sizes]
        met = sizes[-1]["reads"][name][2] < BARS[sort]
        lines.append(_row(f"{sort}: {name}", cells, f"{BARS[sort]:.0f} ms", met))
    lines.append(_row("memory of all those reads, MB", [f"{s['resident_mb']:.0f}" for s in sizes]))
    lines.append(_row("memory while storing, MB", [f"{s['peak_mb']:.0f}" for s in sizes]))
    lines.append(_row("size on disk, GB", [f"{s['size_gb']:.2f}" for s in sizes]))
    lines.append(_row("posts found: rare, common, phrase", [" / ".join(f"{n:,}" for n in s["hits"]) for s in sizes]))
    return lines


def _row(name: str, cells: list[str], bar: str = "", met: bool = True) -> str:
    return f"| {name} | {' | '.join(cells)} | {bar}{'' if not bar else ', met' if met else ', MISSED'} |"


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--sample", type=int, default=200_000, help="posts that go through the store (at most half)")
    parser.add_argument("--keep", type=Path, help="a folder for the databases, which are used again")
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    match given.work:
        case ["fill", database, posts, sample]:
            filled(Path(database), int(posts), int(sample))
        case ["read", database]:
            Path(database).with_suffix(".read").write_text(json.dumps(measure(Path(database))))
        case _:
            with tempfile.TemporaryDirectory() as scratch:
                folder = given.keep or Path(scratch)
                folder.mkdir(parents=True, exist_ok=True)
                print(*table([grown(folder, posts, given.sample) for posts in given.posts]), sep="\n")


if __name__ == "__main__":
    main()
