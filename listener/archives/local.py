"""`--engine local`: every core of this machine scores. A process a core, because Python's own share of the work would
else wait for one lock; the files are read and written here.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Self

from listener.archives import Batch, Done, Input, Job
from listener.archives.scoring import Scorer, work
from listener.errors import ListenerError

_STOPPED = "stopped before it was done; the same command goes on"
_AHEAD = 2  # batches that wait for each worker

_job: Job
_scorer: Scorer | None = None


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(inputs: Sequence[Input], job: Job, workers: int, on_rows: Callable[[int], object] = bool) -> Iterator[Done]:
    """Scores the inputs; what became of each, in their order. `on_rows` hears of rows that were scored."""
    # One file more than workers, so that none of them waits where the files are small.
    with _Pool(job, workers, on_rows) as pool, ThreadPoolExecutor(workers + 1) as files:
        waiting = [files.submit(work, item, job, pool.score) for item in inputs]
        try:
            for each in waiting:
                yield each.result()
        finally:
            left = [each for each in waiting if not each.done()]
            for each in left:
                each.cancel()
            if left:  # Ctrl-C: what was not done is for the next run
                pool.stop()


class _Pool:
    """Processes that score batches. One that dies is replaced, and what it held is scored again."""

    def __init__(self, job: Job, workers: int, on_rows: Callable[[int], object]) -> None:
        self._job, self._workers, self._on_rows = job, workers, on_rows
        self._lock = threading.Lock()
        self._alone = threading.Lock()
        self._apart: ProcessPoolExecutor | None = None
        self._pool = self._start(workers)
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in filter(None, (self._pool, self._apart)):
            pool.shutdown(cancel_futures=True)

    def stop(self) -> None:
        """Lets go of what waits; batches that are being scored are of no use any more."""
        with self._lock:
            self._stopped = True
            self._pool.shutdown(wait=False, cancel_futures=True)
        for worker in multiprocessing.active_children():
            worker.terminate()

    def _start(self, workers: int) -> ProcessPoolExecutor:
        # Not forked: this process has threads, whose locks a copy would inherit.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(workers, context, _begin, (self._job,))

    def score(self, batches: Iterator[Batch]) -> Iterator[Any]:
        """Batches to Arrow tables, in their order, some of them ahead of the one that is asked for."""
        waiting: deque[tuple[Batch, Future[Any]]] = deque()
        for batch in batches:
            waiting.append((batch, self._submit(batch)))
            if len(waiting) > _AHEAD * self._workers:
                yield self._result(*waiting.popleft())
        while waiting:
            yield self._result(*waiting.popleft())

    def _submit(self, batch: Batch) -> Future[Any]:
        with self._lock:
            if self._stopped:
                raise ListenerError(_STOPPED)
            try:
                return self._pool.submit(_score, batch)
            except BrokenProcessPool:
                self._pool.shutdown(wait=False)
                self._pool = self._start(self._workers)
                return self._pool.submit(_score, batch)

    def _result(self, batch: Batch, future: Future[Any]) -> Any:
        try:
            table = future.result()
        except BrokenProcessPool as error:
            if self._stopped:
                raise ListenerError(_STOPPED) from error
            table = self._scored_alone(batch)
        self._on_rows(len(batch.posts))
        return table

    def _scored_alone(self, batch: Batch) -> Any:
        """A batch that was under way when a worker died, in a process of its own: if it was this one, no other batch
        goes with it.
        """
        with self._alone:
            self._apart = self._apart or self._start(1)
            try:
                return self._apart.submit(_score, batch).result()
            except BrokenProcessPool as error:
                self._apart = None
                raise ListenerError(
                    f"{batch.address}: two workers died on lines {batch.lines[0]} to {batch.lines[-1]} (killed for "
                    "memory? --workers makes fewer); nothing of this file was stored, and the next run tries it again"
                ) from error


def _begin(job: Job) -> None:
    """Starts a worker. It goes when its parent does, which a pool of Python's does not see to after `kill -9`."""
    global _job
    _job = job
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to heed
    parent = multiprocessing.parent_process()
    assert parent

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _score(batch: Batch) -> Any:
    global _scorer
    if _scorer is None:  # here and not at the start, so that a model that cannot be used raises what is wrong with it
        _scorer = Scorer(_job)
    return _scorer.score(batch)
