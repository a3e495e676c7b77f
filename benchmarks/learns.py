"""How much a brand's corrections teach: macro-F1 before and after, beside TF-IDF and SetFit trained on the same labels.

    python benchmarks/learns.py POSTS.jsonl [--model FOLDER] [--intents benchmarks/banking77.tsv] [--setfit PYTHON]

POSTS: one source that the model was never trained on, {"id", "text", "moment"} and "sentiment" where known, also gzip.
With --intents its "label" is turned into a moment by that table. The whole way is the product's: posts in a database,
verdicts, the review queue, corrections, `own.train`. The posts that are kept apart by their identity are the test set.
PYTHON is an interpreter that can import setfit; it starts from the same pretrained encoder as the released model.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from listener import pipeline, trends
from listener.engine import load
from listener.engine.labels import MOMENTS
from listener.reads import review
from listener.records import Correction, Page, Post
from listener.settings import ModelSettings
from listener.store import Store
from listener.training import baselines, measures, own
from listener.training.dataset import Example, rows

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ZONE = ZoneInfo("UTC")

SETFIT = """
import json, sys, time
from setfit import SetFitModel, Trainer, TrainingArguments
from datasets import Dataset
given = json.load(sys.stdin)
began = time.monotonic()
model = SetFitModel.from_pretrained(given["base"])
trainer = Trainer(model=model, args=TrainingArguments(batch_size=16, num_iterations=given["iterations"], num_epochs=1,
    report_to="none"), train_dataset=Dataset.from_dict({"text": given["texts"], "label": given["labels"]}))
trainer.train()
seconds = time.monotonic() - began
print("@" + json.dumps({"guessed": [int(x) for x in model.predict(given["test"])], "seconds": seconds}))
"""


def read(path: Path, intents: Path | None, at_most: int) -> list[dict[str, Any]]:
    table = dict(line.split("\t") for line in intents.read_text().splitlines()) if intents else {}
    found = [row | ({"moment": table[row["label"]]} if table else {}) for row in rows(path)]
    found = list({row["id"]: row for row in found if row.get("text")}.values())
    random.Random(0).shuffle(found)
    return found[:at_most]


def filled(folder: Path, posts: Sequence[dict[str, Any]], model: Path) -> Store:
    """A database with the posts, judged, and every post of the test set that was kept apart labelled."""
    store = Store.open(folder / "listener.db", ZONE, author_key=None, authors="drop")
    store.sync_sources([("brand", "files", 86400.0, True)], NOW)
    page = Page(tuple(Post("brand", row["id"], row["text"], created_at=NOW) for row in posts))
    store.save_page("brand", page, [{"Brand": "its source"}] * len(posts), NOW)
    for _ in pipeline.classify_pending(store, load(ModelSettings(folder=model, threads=1)), lambda: NOW):
        pass
    return store


def correct(store: Store, post_id: int, row: dict[str, Any], shown: Any) -> None:
    touchpoints = row.get("touchpoints")
    said = Correction(
        moment=row["moment"],
        sentiment=row.get("sentiment"),
        touchpoints=None if touchpoints is None else tuple(touchpoints),
        shown=shown,
    )
    store.correct(post_id, said, NOW)


def macro_f1(examples: Sequence[Example], guessed: Any) -> measures.Figure:
    truth = np.array([each.moment for each in examples])
    there = np.unique(truth)

    def macro(sums: Any) -> Any:
        return measures.by_class(sums)[..., 2 * len(MOMENTS) :][..., there].mean(axis=-1, keepdims=True)

    return measures.figures(measures.cells(truth, np.asarray(guessed), len(MOMENTS)), macro)[0]


def setfit(python: Path, base: Path, teaching: Sequence[Example], test: Sequence[Example], iterations: int) -> Any:
    given = {
        "base": str(base), "iterations": iterations, "texts": [x.text for x in teaching],
        "labels": [x.moment for x in teaching], "test": [x.text for x in test],
    }  # fmt: skip
    command = [python.absolute(), "-c", SETFIT]
    with tempfile.TemporaryDirectory() as folder:  # its trainer writes checkpoints of 270 MB into the working directory
        run = subprocess.run(command, cwd=folder, input=json.dumps(given), capture_output=True, text=True, check=False)
    lines = [line for line in run.stdout.splitlines() if line.startswith("@")]
    return json.loads(lines[0][1:]) if lines else run.stderr.strip().splitlines()[-1]


def teach(store: Store, by_id: dict[str, dict[str, Any]], number: int, by_lot: bool) -> None:
    """Corrects so many more posts: those the review queue shows, or any."""
    with closing(trends.open_reader(store.path, ZONE)) as reader:
        if by_lot:
            free = "SELECT id, source, native_id FROM posts JOIN verdicts ON post_id = id AND NOT unread"
            which = "copy_of IS NULL AND id NOT IN (SELECT post_id FROM corrections)"
            every = reader.execute(f"{free} WHERE {which} ORDER BY id").fetchall()
            chosen = [tuple(row) for row in every if not review.apart(row["source"], row["native_id"])]
            random.Random(number).shuffle(chosen)
            wanted = [(post_id, native_id) for post_id, _, native_id in chosen[:number]]
        else:
            wanted = [(q.post.id, q.post.native_id) for q in review.queue(reader, limit=number, share=0.0)]
    for post_id, native_id in wanted:
        correct(store, post_id, by_id[native_id], "uncertain")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posts", type=Path)
    parser.add_argument("--model", type=Path, default=Path(__file__).parent.parent / "models")
    parser.add_argument("--intents", type=Path)
    parser.add_argument("--at-most", type=int, default=4000)
    parser.add_argument("--steps", type=int, nargs="+", default=(50, 100, 200, 500))
    parser.add_argument("--setfit", type=Path)
    parser.add_argument("--setfit-iterations", type=int, default=20, help="pairs of each kind for every text")
    given = parser.parse_args()
    posts = read(given.posts, given.intents, given.at_most)
    by_id = {row["id"]: row for row in posts}
    print("| chosen | corrections | tests | before | after | p | promoted | seconds | TF-IDF | SetFit (seconds) |")
    print("|---|--:|--:|--:|--:|--:|---|--:|--:|--:|")
    for by_lot in (False,) if given.setfit else (False, True):
        with tempfile.TemporaryDirectory() as folder, filled(Path(folder), posts, given.model) as store:
            ids = dict(
                store.connection.execute(
                    "SELECT native_id, id FROM posts JOIN verdicts ON post_id = id AND NOT unread WHERE copy_of IS NULL"
                ).fetchall()
            )
            for native_id, post_id in ids.items():
                if review.apart("brand", native_id):
                    correct(store, post_id, by_id[native_id], "random")
            done = 0
            for number in given.steps:
                teach(store, by_id, number - done, by_lot)
                done = number
                line(store, Path(folder), given, by_lot)


def line(store: Store, folder: Path, given: argparse.Namespace, by_lot: bool) -> None:
    with closing(trends.open_reader(store.path, ZONE)) as reader:
        teaching, measuring = (own.examples(part) for part in review.labelled(reader))
    began = time.monotonic()
    in_charge = load(ModelSettings(folder=given.model, threads=1))
    result = own.train(teaching, measuring, given.model, in_charge, folder / "models")
    seconds = time.monotonic() - began
    moment = result.comparisons[0]
    tfidf = macro_f1(measuring, baselines.tfidf(teaching, measuring))
    beside = ""
    if given.setfit and not by_lot:
        from listener.training.release import packaged_base

        told = setfit(given.setfit, packaged_base(), teaching, measuring, given.setfit_iterations)
        beside = told if isinstance(told, str) else f"{macro_f1(measuring, told['guessed'])} ({told['seconds']:.0f})"
    print(
        f"| {'at random' if by_lot else 'by the queue'} | {len(teaching)} | {moment.posts} | {moment.before} |"
        f" {moment.after} | {moment.luck:.1g} | {'no' if result.against else 'yes'}, rehearsed {result.rehearsed},"
        f" moved {result.moved:.0%} | {seconds:.0f} | {tfidf} | {beside} |",
        flush=True,
    )
    for reason in result.against:
        print(f"against: {reason}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
