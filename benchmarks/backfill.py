"""How fast `listener backfill` scores: rows a second, and rows a second of processor, which a busy machine tells too.

    python benchmarks/backfill.py CORPORA [--rows 8000] [--workers 1 2]

CORPORA is a folder of SET.jsonl.gz, each line {"text", ...}; the same share is taken of every set. Needs the extra
`archives`.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import resource
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from listener import engine
from listener.archives import Job, local, reading
from listener.config import ModelSettings
from listener.engine.onnx import OnnxClassifier
from listener.sources.files import Settings
from listener.tables.rows import Privacy
from listener.text import model_input


def texts(corpora: Path, number: int) -> list[str]:
    sets = sorted(corpora.glob("*.jsonl.gz"))
    found: list[str] = []
    for path in sets:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            read = (json.loads(line).get("text") for line in itertools.islice(lines, number // len(sets) + 1))
            found += [text for text in read if text]
    return found[:number]


def processor_s(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def by_length(posts: list[str]) -> None:
    """What a second of one core scores, of short posts, of these, and of texts as long as the model reads."""
    model = OnnxClassifier(engine.folder(ModelSettings()), threads=1)
    read = [model_input("", text) for text in posts]
    tokens = [len(each.ids) for each in model.tokenizer.encode_batch_fast(read)]
    groups = {
        "15 to 25 tokens": [text for text, number in zip(read, tokens, strict=True) if 15 <= number <= 25][:800],
        "these posts": read[::3],
        "twelve of them joined": [" ".join(read[at : at + 12]) for at in range(0, 2400, 12)],
    }
    for name, group in groups.items():
        mean = statistics.mean(len(each.ids) for each in model.tokenizer.encode_batch_fast(group))
        begun = time.process_time()
        for at in range(0, len(group), 512):
            model.classify(group[at : at + 512])
        rate = len(group) / (time.process_time() - begun)
        print(f"{name}: {mean:.0f} tokens in the mean, {rate:.0f} rows a second of one core, the model alone")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, local.cores()])
    given = parser.parse_args()
    posts = texts(given.corpora, given.rows)
    print(f"{len(posts):,} posts, {statistics.mean(map(len, posts)):.0f} characters in the mean, one file")
    by_length(posts)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = folder / "a.jsonl"
        archive.write_text("".join(json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(posts)))
        inputs, _ = reading.find([str(archive)])
        usual = ModelSettings()
        for workers in given.workers:
            job = Job(
                str(folder / str(workers)), "a", "", Settings(paths=[archive]), usual, engine.name(usual),
                Privacy("drop", b""), ZoneInfo("UTC"), datetime(2026, 11, 25, tzinfo=UTC),
            )  # fmt: skip
            own, theirs, begun = (
                processor_s(resource.RUSAGE_SELF),
                processor_s(resource.RUSAGE_CHILDREN),
                time.monotonic(),
            )
            (done,) = local.run(inputs, job, workers)
            seconds = time.monotonic() - begun
            own = processor_s(resource.RUSAGE_SELF) - own
            theirs = processor_s(resource.RUSAGE_CHILDREN) - theirs
            rows = done.rows_out
            size = sum(path.stat().st_size for path in (folder / str(workers)).rglob("*.parquet"))
            print(
                f"{workers} workers: {rows / seconds:.0f} rows/s in {seconds:.1f} s; a second of processor scores "
                f"{rows / theirs:.0f} rows, and reads and writes {rows / own:.0f}; {size / rows:.0f} bytes a row out"
            )


if __name__ == "__main__":
    main()
