"""One input from its first row to its commit, whoever does the scoring; and the scorer that a worker holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from listener import engine
from listener.archives import ROWS_AT_ONCE, Batch, Done, Input, Job, Score
from listener.archives.reading import changed, open_rows
from listener.archives.schema import table
from listener.archives.writing import Output, Parts, earlier
from listener.errors import Broken, ListenerError
from listener.sources.files_posts import Reader
from listener.text import model_input


class Scorer:
    """Holds the models of a worker: one session, one thread, so that workers do not wait for each other."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._judge = engine.load(job.model.model_copy(update={"threads": 1}))

    def score(self, batch: Batch) -> Any:
        """The rows of a batch with their verdicts, as an Arrow table."""
        texts = [model_input(post.title, post.text) for post in batch.posts]
        kinds, hints = [post.kind for post in batch.posts], [post.lang for post in batch.posts]
        return table(batch, self._judge.classify(texts, kinds=kinds, hints=hints), self._job)


def work(item: Input, job: Job, score: Score) -> Done:
    """Scores one input into the output, unless an earlier run did; returns what came of it, and never raises for what
    is wrong with the input, a worker or the disk: then nothing of the input is in the output.

    What stood before a damage is kept.
    """
    try:
        output = Output(job.output)
        if done := earlier(output, item, job):
            return done
        parts = Parts(output, item, job)
        try:
            return _scored(item, job, score, parts)
        finally:
            parts.drop()
    except (ListenerError, MemoryError, EOFError) as error:
        return Done(item.address, trouble=str(error) or type(error).__name__, failed=True)
    except OSError as error:
        place = error.filename or item.address
        return Done(item.address, trouble=f"{place}: {error.strerror or error}", failed=True)


def _scored(item: Input, job: Job, score: Score, parts: Parts) -> Done:
    doubts: Counter[str] = Counter()
    trouble: list[str] = []
    for scored in score(_batches(item, job, parts, doubts, trouble)):
        parts.add(scored)
    if changed(item):
        raise ListenerError(f"{item.address}: it changed while it was read; run the same command again")
    return parts.commit(dict(doubts), "; ".join(trouble))


def _batches(item: Input, job: Job, parts: Parts, doubts: Counter[str], trouble: list[str]) -> Iterator[Batch]:
    """The posts of an input. Rows that cannot be read go to `parts`, damage that ends the reading to `trouble`."""
    lines: list[int] = []
    try:
        with open_rows(item, job.settings.wanted) as rows:
            reader = Reader(job.settings, job.source, job.now, rows)

            def turn() -> Batch:
                # A plain dict, because the empty mapping that a post begins with goes to no other process.
                posts = (replace(post, brand=post.brand or job.brand, engagement={}) for post in reader.posts)
                batch = Batch(item.address, tuple(posts), tuple(lines))
                parts.reject(reader.rejected)
                left_out = Counter(row["reason"] for row in reader.rejected)
                doubts.update(reader.skipped - left_out)
                reader.turn()
                lines.clear()
                return batch

            try:
                for number, row in enumerate(rows.rows, 1):
                    before = len(reader.posts)
                    reader.take(number, row)
                    if len(reader.posts) > before:
                        lines.append(row.line)
                    if len(reader.posts) + len(reader.rejected) >= ROWS_AT_ONCE and (batch := turn()).posts:
                        yield batch
            except Broken as error:
                trouble.append(str(error))
            if (batch := turn()).posts:
                yield batch
    except Broken as error:
        trouble.append(str(error))
