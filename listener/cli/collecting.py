"""Commands that bring posts in: run, collect, import."""

from __future__ import annotations

import itertools
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listener.cli.filing import check_brand, column_options, files_entry
from listener.cli.shared import DAY, as_json, common, progress, reasons, say, table

if TYPE_CHECKING:
    from listener.config import Config
    from listener.http import Get
    from listener.records import Run
    from listener.store import Store

_PATIENCE = 5  # times that a source without a word on when to come back is asked again


@click.command(short_help="The daemon: collects, classifies and mails on schedule.")
@common
def run(config: Config) -> None:
    """The daemon, in the foreground: collects on schedule, classifies, sends digests.

    SIGTERM or Ctrl-C finishes the work in hand (at most ten seconds); SIGHUP reads the configuration anew.
    """
    from listener.daemon import Daemon

    if not config.sources:
        say("listener: no source is configured, so nothing will be collected; `listener init` writes an example")
    Daemon(config).run()


@click.command(short_help="Fetches every source once, now.")
@click.argument("names", nargs=-1, metavar="[SOURCE]...")
@click.option(
    "--since",
    type=DAY,
    metavar="DATE",
    help="Walk back to this day as far as the source reaches; begun again, it goes on where it stopped.",
)
@click.option("--json", "json_", is_flag=True, help="The runs as JSON.")
@common
def collect(config: Config, names: tuple[str, ...], since: date | None, json_: bool) -> None:
    """One pass over the sources now (all enabled ones, or those named), whether they are due or not.

    With --since it fetches older posts of the sources named, waits where a server asks to wait, and may be stopped
    with Ctrl-C at any time.
    """
    from listener import pipeline, sources
    from listener.daemon import now_utc
    from listener.errors import ConfigError
    from listener.http import open_get
    from listener.schedule import day_bounds

    sources.check(config)
    if not config.sources:
        raise ConfigError("no source is configured; `listener init` writes an example to edit")
    chosen = [config.source(name) for name in names] or [entry for entry in config.sources if entry.enabled]
    if since and not names:
        raise click.UsageError("--since needs the name of a source")
    runs = []
    with pipeline.open_store(config) as store, open_get(config.http) as get:
        pipeline.adopt(store, config, now_utc())
        if since:
            begin, _ = day_bounds(since, config.zone)
            runs = [_backfill(store, config, entry.name, begin, get) for entry in chosen]
            _show_runs(runs, json_)
            raise click.exceptions.Exit(any(each.error for each in runs))
        with progress("collecting", len(chosen)) as advance:
            for entry in chosen:
                runs.append(pipeline.collect(store, config, entry.name, get, now_utc))
                advance(1)
    _show_runs(runs, json_)
    if any(each.error for each in runs):
        raise click.exceptions.Exit(1)


def _backfill(store: Store, config: Config, name: str, since: datetime, get: Get) -> Run:
    """Walks one source back, through every pause that its server asks for; the runs on the way as one."""
    import time
    from dataclasses import replace

    from listener import pipeline
    from listener.daemon import now_utc

    total: Run | None = None
    with progress(f"{name}, back to {since.astimezone(config.zone):%d %b %Y}", None) as advance:
        for failures in itertools.count():
            run, after = pipeline.backfill(store, config, name, since, get, now_utc, on_page=advance)
            counted = ("seconds", "seen", "new", "edited", "deleted")
            if total is not None:
                run = replace(run, **{each: getattr(total, each) + getattr(run, each) for each in counted})
            progressed = total is None or run.seen > total.seen
            total = run
            # A server that names no time is asked again some times, later each time.
            if run.outcome != "retry" or (after is None and not progressed and failures >= _PATIENCE):
                return run
            wait = after if after is not None else 30.0 * 2 ** min(failures, 5)
            say(f"{run.error} Going on in {wait:.0f} s; Ctrl-C stops, and the same command goes on from here later.")
            time.sleep(wait)
    raise AssertionError("unreachable")


def _show_runs(runs: list[Run], json_: bool) -> None:
    if json_:
        names = ("source", "started_at", "seconds", "seen", "new", "edited", "deleted", "skipped", "outcome", "error")
        as_json([{name: getattr(each, name) for name in names} for each in runs])
        return
    table(
        ["source", "outcome", "seen", "new", "edited", "deleted", "left out", "seconds", "why"],
        [
            [r.source, r.outcome, r.seen, r.new, r.edited, r.deleted, reasons(r.skipped), f"{r.seconds:.1f}", r.error]
            for r in runs
        ],
        right=["seen", "new", "edited", "deleted", "seconds"],
        spare=["edited", "deleted"],
    )


@click.command("import", short_help="Reads files of posts: CSV, TSV, JSON, JSON Lines, XLSX.")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--source",
    "name",
    default="",
    help="The name the posts are stored under. Keep it for later exports of the same place. The result of a backfill "
    "may go without: it was told then.",
)
@column_options
@click.option("--json", "json_", is_flag=True, help="The run as JSON.")
@common
def import_(
    config: Config,
    files: tuple[Path, ...],
    name: str,
    json_: bool,
    **reading: Any,
) -> None:
    """Reads FILES into the database: CSV, TSV, JSON or JSON Lines, plain or gzip, and Excel workbooks (XLSX).

    Of a workbook every sheet is read whose columns are known; it needs the extra package of
    `pip install 'listener-daemon[xlsx]'`. Rows that cannot be read are kept in FILE.rejected.jsonl, with their line or
    their sheet and row, and counted. Importing again adds nothing; an import that was interrupted goes on where it
    stopped. A folder that `listener backfill` wrote is taken with its verdicts.
    """
    from listener import pipeline
    from listener.archives import importing
    from listener.daemon import now_utc
    from listener.errors import ConfigError
    from listener.http import open_get
    from listener.wording import count

    if all(importing.is_result(file) for file in files):
        _import_results(config, files, name, reading["brand"], json_)
        return
    if not name:
        raise click.UsageError("--source: under which name are the posts to be stored?")
    if any(each.name == name and each.kind != "files" for each in config.sources):
        # Its bookmark would be overwritten by one that its kind cannot read.
        raise ConfigError(f"{name!r} is a [[source]] of another kind; choose another --source for what you import")
    entry = files_entry(config, name, files, **reading)
    config = config.with_source(entry)
    with (
        pipeline.open_store(config) as store,
        open_get(config.http) as get,
        progress(f"importing {name}", None) as advance,
    ):
        pipeline.relink(store, config)
        done = pipeline.collect(store, config, name, get, now_utc, on_page=advance)
    _show_runs([done], json_)
    if done.error:
        raise click.exceptions.Exit(1)
    if not json_:
        aside = [f"{file}.rejected.jsonl" for file in files if Path(f"{file}.rejected.jsonl").exists()]
        if done.skipped and aside:
            say(f"The rows that could not be read, with their line and the reason: {', '.join(aside)}")
        say(f"{count(done.new, 'new post')}. Next: `listener classify` judges, `listener trends` counts.")


def _import_results(config: Config, folders: tuple[Path, ...], name: str, brand: str, json_: bool) -> None:
    """Takes the results of backfills, with their verdicts."""
    from listener import pipeline
    from listener.archives import importing, need_packages
    from listener.daemon import now_utc
    from listener.wording import count

    need_packages()
    check_brand(config, brand)
    parts = [part for folder in folders for part in importing.parts(folder)]
    total = importing.Taken()
    with pipeline.open_store(config) as store, progress("importing", None) as advance:
        pipeline.relink(store, config)
        for part in parts:
            total += importing.take(store, config, part, name, brand, now_utc(), advance)
        for folder in folders:
            store.note_file(folder.absolute(), "backfill", now_utc())
    told = total.as_json()
    if json_:
        as_json(told)
        return
    table(list(told), [["; ".join(value) if isinstance(value, list) else value for value in told.values()]])
    say(f"{count(total.new, 'new post')}, {count(total.verdicts, 'verdict')} taken. Next: `listener trends` counts.")


COMMANDS = (run, collect, import_)
