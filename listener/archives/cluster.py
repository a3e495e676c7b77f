"""`--engine ray`: every machine of a Ray cluster scores. An actor a worker holds the session and takes file after file.

Each actor reads, scores and commits by itself, so that nothing but a line of the report comes back to this machine. An
actor that dies with its machine is started on another one and does its file anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from listener.archives import Done, Input, Job
from listener.archives.scoring import Scorer, work
from listener.errors import ListenerError


class _Worker:
    """An actor: one core, one session."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._scorer = Scorer(job)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"done": asdict(work(Input(**row), self._job, lambda batches: map(self._scorer.score, batches)))}


def run(
    inputs: Sequence[Input], job: Job, workers: int | None, on_rows: Callable[[int], object] = bool
) -> Iterator[Done]:
    """Scores the inputs on the cluster that $RAY_ADDRESS names, else on this machine; what became of each, as it comes.
    `on_rows` hears of rows that were scored.

    `workers` is the number of actors, None for one to each core of the cluster. Raises ListenerError when Ray is not
    installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ListenerError("--engine ray needs Ray: pip install 'listener-daemon[archives,ray]'") from error
    if not ray.is_initialized():
        ray.init(logging_level="WARNING", log_to_driver=False)
    if not inputs:
        return
    ray.data.DataContext.get_current().enable_progress_bars = False  # the command has its own
    most = min(workers or int(ray.cluster_resources().get("CPU", 1)), len(inputs))
    data = ray.data.from_items([asdict(item) for item in inputs], override_num_blocks=len(inputs))
    told = data.map(
        _Worker,
        fn_constructor_args=(job,),
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most),
        num_cpus=1,
        max_restarts=-1,  # a machine that is lost costs time and no rows
        max_task_retries=-1,
    )
    for row in told.iter_rows():
        done = Done(**row["done"])
        if not done.before:
            on_rows(done.rows_out)
        yield done
