"""Every figure of speed that Listener states, in one run beside named peers: `benchmarks/run [--full] [--write]`.

Absolute speeds are those of this machine at this hour; the ratios hold better, because both sides ran in turn on it.
`--write` puts the tables, with machine, versions and date, into docs/performance.md and the short one into README.md.
`--full` adds ten million posts to the sizes (some 20 GB of disk under --keep, and most of an hour).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import corpus
import engine
import fill
import grow

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("listener-daemon", "onnxruntime", "tokenizers", "transformers", "torch", "vaderSentiment", "feedparser")
SIZES = (10_000, 100_000, 1_000_000)
FULL = 10_000_000
LENGTHS = (250, 1000, 4000)  # posts scored in one command
PEERS = {
    "pipeline one by one": "transformers pipeline, one by one",
    "pipeline by 32": "transformers pipeline, batches of 32",
    "PyTorch fp32, sorted by 32": "the same weights in PyTorch fp32, sorted, batches of 32",
    "VADER (sentiment alone)": "VADER: rules, sentiment alone",
}


def machine() -> str:
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    kilobytes = int(Path("/proc/meminfo").read_text().split()[1])
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    busy = f", and busy with other work (load {load:.1f})" if load > cores / 2 else ""
    return (
        f"{cores} cores ({model[1] if model else platform.machine()}), {kilobytes / 1e6:.0f} GB{busy}; "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {', '.join(versions)}"
    )


# --- classify ---


def classify(folder: Path) -> tuple[list[str], dict[str, float]]:
    """Posts a second of the model and its peers, on posts that the project wrote, and with the number of posts."""
    texts = [json.loads(line)["text"] for line in _own_posts()]
    pool = folder / "pool.jsonl"
    pool.write_text("".join(json.dumps({"id": n, "text": texts[n % len(texts)]}) + "\n" for n in range(20_000)))
    file = folder / "posts.jsonl"
    tokens = engine.choose(pool, file, 2000, 26)
    ours = engine.contend("listener classify --file", file)
    speeds = {name: engine.contend(name, file) for name in PEERS}
    rows = [f"| classify, {tokens:.0f} tokens a post | {ours:,.0f} posts/s | | |"]
    rows += [f"| | | {PEERS[name]}: {speed:,.0f} posts/s | {_ratio(ours, speed)} |" for name, speed in speeds.items()]
    limit = engine.arithmetic_limit(tokens)
    rows.append(f"| | | its int8 layers alone, the ceiling: {limit:,.0f} posts/s | {_ratio(ours, limit)} |")
    grown = {}
    for number in LENGTHS:
        engine.choose(pool, file, number, 26)
        grown[f"{number:,}"] = engine.contend("listener classify --file", file)
    return rows, grown


def _own_posts() -> Iterator[str]:
    for name in ("gate/posts", "labels/written-a", "labels/written-b"):
        yield from (ROOT / "data" / f"{name}.jsonl").read_text("utf-8").splitlines()
    for path in sorted((ROOT / "data" / "demo").glob("*.jsonl")):
        yield from path.read_text("utf-8").splitlines()


# --- store ---


def storing(folder: Path, posts: int) -> list[str]:
    """Posts a second through the store, beside plain inserts of the same posts by sqlite3. The posts come as densely as
    ten million in three years.
    """
    replies = list(corpus.replies(posts, days=posts / FULL * corpus.DAYS))
    ours = fill.side_by_side(folder / "store.db", replies)
    plain = posts / _timed(lambda: _plain(folder / "plain.db", replies, search=False))
    searched = posts / _timed(lambda: _plain(folder / "searched.db", replies, search=True))
    return [
        f"| store, with verdict, rollups, copies and search index | {ours:,.0f} posts/s | | |",
        f"| | | plain sqlite3 inserts, two tables, the ceiling: {plain:,.0f} posts/s | {_ratio(ours, plain)} |",
        f"| | | the same with a search index: {searched:,.0f} posts/s | {_ratio(ours, searched)} |",
    ]


def _plain(path: Path, replies: list[corpus.Reply], *, search: bool) -> None:
    """What a script of twenty lines would do: a table of posts, one of verdicts, 500 posts a transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(
            "CREATE TABLE posts (id INTEGER PRIMARY KEY, source, native_id, url, text, author, at, rating)"
        )
        connection.execute("CREATE UNIQUE INDEX identity ON posts (source, native_id)")
        connection.execute("CREATE TABLE verdicts (post_id INTEGER PRIMARY KEY, moment, sentiment, score)")
        if search:
            connection.execute("CREATE VIRTUAL TABLE found USING fts5 (text, content='posts', content_rowid='id')")
        for reply in replies:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO posts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", map(_row, reply.posts))
            verdicts = [(m.number, m.scores.moment, m.scores.sentiment, m.scores.score) for m in reply.posts]
            connection.executemany("INSERT INTO verdicts VALUES (?, ?, ?, ?)", verdicts)
            if search:
                texts = [(made.number, made.post.text) for made in reply.posts]
                connection.executemany("INSERT INTO found (rowid, text) VALUES (?, ?)", texts)
            connection.execute("COMMIT")


def _row(made: corpus.Made) -> tuple[Any, ...]:
    post = made.post
    at = post.created_at and post.created_at.isoformat()
    rating = post.rating and post.rating.value
    return made.number, post.source, post.native_id, post.url, post.text, post.author, at, rating


# --- feeds ---


def feeds(entries: int) -> list[str]:
    """Entries a second of a feed read into posts, beside feedparser alone, which is under it."""
    import feedparser

    from listener.sources import feeds as source

    payload = _feed(entries)
    now = corpus.END
    page = source.parse(payload, url="https://paper.example/feed", name="paper", now=now)
    assert len(page.posts) == entries
    ours = entries / _timed(lambda: source.parse(payload, url="https://paper.example/feed", name="paper", now=now), 3)
    alone = entries / _timed(lambda: feedparser.parse(payload), 3)
    return [
        f"| parse feeds ({entries} entries) | {ours:,.0f} posts/s | | |",
        f"| | | feedparser alone, the floor of the time: {alone:,.0f} entries/s | {_ratio(ours, alone)} |",
    ]


def _feed(entries: int) -> bytes:
    made = [made for reply in corpus.replies(entries, 100) for made in reply.posts]
    items = "".join(
        f"<item><title>{each.post.text[:40]}</title><link>{each.post.url}</link><guid>{each.post.native_id}</guid>"
        f"<pubDate>{each.post.created_at:%a, %d %b %Y %H:%M:%S} +0000</pubDate>"
        f"<description>&lt;p&gt;{each.post.text}&lt;/p&gt;</description></item>"
        for each in made
    )
    head = "<title>The Paper</title><link>https://paper.example/</link>"
    return f'<?xml version="1.0"?><rss version="2.0"><channel>{head}{items}</channel></rss>'.encode()


# --- all of it ---


def _timed(work: Callable[[], object], times: int = 1) -> float:
    """Seconds, the median of `times`."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _ratio(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.1f} times as fast" if ours >= theirs else f"{ours / theirs:.0%} of its speed"


def report(folder: Path, sizes: list[int], sample: int) -> tuple[list[str], list[str]]:
    """The lines for docs/performance.md, and the short ones for README.md."""
    dated = f"{datetime.now(UTC):%d %B %Y}: {machine()}."
    scored, by_number = classify(folder)
    beside = [*scored, *storing(folder, max(1000, min(sample, 50_000))), *feeds(1000)]
    grown = [grow.grown(folder, posts, sample) for posts in sizes]
    beside = ["| | Listener | beside | ratio |", "|---|---|---|---|", *beside]
    numbers = ", ".join(f"{speed:,.0f} posts/s for {number} posts" for number, speed in by_number.items())
    long = [dated, "", *beside, "", f"Classify with the number of posts: {numbers}.", "", *grow.table(grown)]
    return long, [*beside, "", f"{dated} `benchmarks/run` prints these; [docs/performance.md](docs/performance.md)."]


def write(path: Path, lines: list[str]) -> None:
    """Puts the lines between the marks of a file."""
    text = path.read_text("utf-8")
    put = "<!-- figures -->\n" + "\n".join(lines) + "\n<!-- end of figures -->"
    new, found = re.subn(r"<!-- figures -->.*?<!-- end of figures -->", lambda _: put, text, flags=re.DOTALL)
    if not found:
        raise SystemExit(f"{path} has no place for figures: <!-- figures --> and <!-- end of figures -->")
    path.write_text(new, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="ten million posts too")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="posts in the databases")
    parser.add_argument("--sample", type=int, default=200_000, help="posts that go through the store, of each")
    parser.add_argument("--keep", type=Path, help="a folder for the databases, which are used again")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/performance.md and README.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for left in ("store", "plain", "searched"):
            for file in folder.glob(f"{left}.db*"):
                file.unlink()
        sizes = [*given.sizes, *([FULL] if given.full else [])]
        long, short = report(folder, sizes, given.sample)
    print(*long, sep="\n")
    if given.write:
        write(ROOT / "docs" / "performance.md", long)
        write(ROOT / "README.md", short)


if __name__ == "__main__":
    main()
