"""Commands beyond one machine: backfill, merge."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listener.cli.filing import column_options, files_entry
from listener.cli.shared import FILE, as_json, common, progress, reasons, say, table

if TYPE_CHECKING:
    from listener.archives import Job, Report
    from listener.config import Config


@click.command(short_help="Scores archives of any size to Parquet.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.argument("output")
@click.option("--source", "name", required=True, help="The name that `listener import` is to store the posts under.")
@column_options
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="local: every core of this machine; ray: every machine of a Ray cluster (needs the extra `ray`).",
)
@click.option("--workers", type=click.IntRange(1, 10_000), help="How many score at once; else one for each core.")
@click.option("--json", "json_", is_flag=True, help="The report as JSON.")
@common
def backfill(
    config: Config,
    inputs: tuple[str, ...],
    output: str,
    name: str,
    engine: str,
    workers: int | None,
    json_: bool,
    **reading: Any,
) -> None:
    """Scores INPUT files to Parquet under OUTPUT, one folder for each day, and stores nothing in the database.

    INPUT is a file, a folder, a glob in quotation marks, or an address that fsspec reads (s3://bucket/*.jsonl.zst):
    JSON Lines, CSV, TSV, JSON or Parquet, plain, gzip or Zstandard. Killed and begun again it goes on with the files
    that are not done; done files are left alone until they change. `listener import OUTPUT` takes the result with its
    verdicts.
    """
    from listener.archives import Report, need_packages
    from listener.archives import reading as archive

    need_packages()
    begun = time.monotonic()
    job = _job(config, output, name, reading)
    found, lost = archive.find(inputs, job.output)
    report = Report(lost)
    with ExitStack() as stack:
        stack.enter_context(_alone(job.output))
        advance = stack.enter_context(progress("scoring", None))
        if engine == "ray":
            from listener.archives import cluster

            done = cluster.run(found, job, workers, advance)
        else:
            from listener.archives import local

            # A model of torch brings its own threads, or a GPU.
            done = local.run(found, job, workers or (1 if config.model.heads else local.cores()), advance)
        report.inputs.extend(done)
    report.seconds = time.monotonic() - begun
    _remember(config, job)
    if json_:
        as_json(report.as_json())
    else:
        _tell(report, output)
    if not report.whole:
        raise click.exceptions.Exit(1)


def _job(config: Config, output: str, name: str, reading: dict[str, Any]) -> Job:
    from typing import cast

    from listener import config as configuration
    from listener import engine, sources
    from listener.archives import Job
    from listener.daemon import now_utc
    from listener.sources.files import Settings
    from listener.tables.rows import Privacy

    entry = files_entry(config, name, [Path()], **reading)
    hashed = config.privacy.authors == "hash"
    return Job(
        output=output if "://" in output else str(Path(output).absolute()),
        source=name,
        brand=entry.brand,
        settings=cast(Settings, sources.settings(entry, config.path)),
        model=config.model,
        model_name=engine.name(config.model),
        privacy=Privacy(config.privacy.authors, configuration.author_key(config) if hashed else b""),
        zone=config.zone,
        now=now_utc(),
    )


def _remember(config: Config, job: Job) -> None:
    """Has the database know that this folder holds what people wrote: `listener forget` is to tell of it."""
    from listener import pipeline

    if "://" not in job.output and config.database.exists():
        with pipeline.open_store(config) as store:
            store.note_file(Path(job.output), "backfill", job.now)


def _alone(output: str) -> ExitStack:
    """Sees to it that no other backfill of this machine writes to the same folder, and sweeps up what one left.

    Raises ListenerError.
    """
    from filelock import FileLock, Timeout

    from listener.archives.writing import Output
    from listener.errors import ListenerError

    out = Output(output)
    if not out.local:
        return ExitStack()
    folder = Path(out.root) / "_backfill"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ListenerError(f"another backfill writes to {output}; wait for it, or name another folder") from error
    out.sweep()
    stack = ExitStack()
    stack.callback(lock.release)
    return stack


def _tell(report: Report, output: str) -> None:
    from listener.wording import count

    told = report.as_json()
    files = told["files"]
    click.echo(output)
    rate = f", {told['scored_now'] / report.seconds:,.0f} a second" if told["scored_now"] else ""
    say(f"{count(told['rows_out'], 'row')} of {told['rows_in']:,}; {told['scored_now']:,} scored now{rate}.")
    say(f"Files: {files['done']} done, {files['before']} before, {files['damaged']} damaged, {files['failed']} failed.")
    for trouble in told["troubles"]:
        say(trouble["why"])
    if told["skipped"]:
        say(f"Left out: {reasons(told['skipped'])}; the rows, with their line: {', '.join(told['rejects'])}")
    if told["doubts"]:
        say(f"Kept, with a value missing: {reasons(told['doubts'])}")


@click.command(short_help="Brings the databases of other machines into this one.")
@click.argument("others", nargs=-1, required=True, metavar="OTHER.db...", type=FILE)
@click.option("--json", "json_", is_flag=True, help="What came of each, as JSON.")
@common
def merge(config: Config, others: tuple[Path, ...], json_: bool) -> None:
    """Brings everything that OTHER.db holds into the database: posts, brands, verdicts, gaps, and what was erased.

    A post that both have met is one post: the newer text and engagement count, a verdict by the model in charge goes
    before others, and what was deleted or forgotten on either machine is so here. Merging again changes nothing, and a
    merge that was stopped may be begun again. Authors have to be hashed with one key on all machines.
    """
    from listener import pipeline
    from listener.daemon import now_utc
    from listener.merging import merge as bring

    told = []
    with pipeline.open_store(config) as store:
        for other in others:
            with progress(f"merging {other}", None) as advance:
                told.append({"database": str(other), **bring(store, other, now_utc(), advance).as_json()})
        pipeline.relink(store, config)
    if json_:
        as_json(told)
        return
    table(list(told[0]), [list(each.values()) for each in told], right=list(told[0])[1:])


COMMANDS = (backfill, merge)
