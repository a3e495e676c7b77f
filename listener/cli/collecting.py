"""Commands that bring posts in and have them judged: run, collect, import, sources."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listener.cli.shared import as_json, common, progress, say, table

if TYPE_CHECKING:
    from listener.config import Config, SourceSettings
    from listener.records import Run


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
@click.option("--json", "json_", is_flag=True, help="The runs as JSON.")
@common
def collect(config: Config, names: tuple[str, ...], json_: bool) -> None:
    """One pass over the sources now (all enabled ones, or those named), whether they are due or not."""
    from listener import pipeline, sources
    from listener.daemon import now_utc
    from listener.errors import ConfigError
    from listener.http import open_get

    sources.check(config)
    if not config.sources:
        raise ConfigError("no source is configured; `listener init` writes an example to edit")
    chosen = [config.source(name) for name in names] or [entry for entry in config.sources if entry.enabled]
    runs = []
    with pipeline.open_store(config) as store, open_get(config.http) as get:
        pipeline.adopt(store, config, now_utc())
        with progress("collecting", len(chosen)) as advance:
            for entry in chosen:
                runs.append(pipeline.collect(store, config, entry.name, get, now_utc))
                advance(1)
    _show_runs(runs, json_)
    if any(each.error for each in runs):
        raise click.exceptions.Exit(1)


def _show_runs(runs: list[Run], json_: bool) -> None:
    if json_:
        names = ("source", "started_at", "seconds", "seen", "new", "skipped", "outcome", "error")
        as_json([{name: getattr(each, name) for name in names} for each in runs])
        return
    table(
        ["source", "outcome", "seen", "new", "left out", "seconds", "why"],
        [[r.source, r.outcome, r.seen, r.new, _reasons(r.skipped), f"{r.seconds:.1f}", r.error] for r in runs],
        right=["seen", "new", "seconds"],
    )


def _reasons(skipped: Any) -> str:
    return "; ".join(f"{number} × {reason}" for reason, number in skipped.items())


@click.command("import", short_help="Reads files of posts: CSV, TSV, JSON, JSON Lines.")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--source",
    "name",
    required=True,
    help="The name the posts are stored under. Keep it for later exports of the same place.",
)
@click.option("--brand", default="", help="Every post belongs to this brand, named or not.")
@click.option("--preset", default="", help="Whose export it is: generic, booking, google, trustpilot.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="FIELD=HEADER",
    help="Which column is what, as text='Review body'. May be repeated.",
)
@click.option("--dayfirst", is_flag=True, help="Dates are day first (3/11/2026 is 3 November).")
@click.option("--timezone", default="", help="Time zone of dates that name none; else that of the configuration.")
@click.option("--json", "json_", is_flag=True, help="The run as JSON.")
@common
def import_(
    config: Config,
    files: tuple[Path, ...],
    name: str,
    brand: str,
    preset: str,
    columns: tuple[str, ...],
    dayfirst: bool,
    timezone: str,
    json_: bool,
) -> None:
    """Reads FILES into the database: CSV, TSV, JSON or JSON Lines, plain or gzip.

    Rows that cannot be read are kept in FILE.rejected.jsonl and counted. Importing again adds nothing; an import that
    was interrupted goes on where it stopped.
    """
    from listener import pipeline
    from listener.config import SourceSettings
    from listener.daemon import now_utc
    from listener.errors import ConfigError
    from listener.http import open_get
    from listener.wording import count

    if any(each.name == name and each.kind != "files" for each in config.sources):
        # Its bookmark would be overwritten by one that its kind cannot read.
        raise ConfigError(f"{name!r} is a [[source]] of another kind; choose another --source for what you import")
    mapping = {}
    for pair in columns:
        field, equals, header = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} should be FIELD=HEADER, as text='Review body'", param_hint="--column")
        mapping[field.strip()] = header.strip()
    options: dict[str, Any] = {"paths": [str(file.absolute()) for file in files]}
    options |= {"preset": preset} if preset else {}
    options |= {"columns": mapping} if mapping else {}
    options |= {"dayfirst": True} if dayfirst else {}
    options |= {"timezone": timezone or str(config.zone)}
    entry = SourceSettings(name=name, kind="files", brand=brand, keep="all", options=options)
    _check_import(config, entry)
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


def _check_import(config: Config, entry: SourceSettings) -> None:
    """Raises ConfigError naming the option that cannot be used; a mistyped brand would be stored as a new one."""
    from listener import sources as registry
    from listener.errors import ConfigError
    from listener.settings import nearest

    names = [brand.name for brand in config.brands]
    if entry.brand and names and entry.brand not in names:
        raise ConfigError(
            f"--brand: there is no [[brand]] called {entry.brand!r}"
            + (nearest(entry.brand, names) or f"; there are: {', '.join(names)}")
        )
    try:
        registry.settings(entry, config.path)
    except ConfigError as error:  # it names a table of the configuration, where this came from the command line
        said = str(error).rpartition(f'[[source]] "{entry.name}" ')[2]
        raise ConfigError(f"--{said.replace('columns', 'column', 1)}") from error


@click.group(invoke_without_command=True, short_help="How every source is doing; what kinds there are; a trial.")
@click.option("--json", "json_", is_flag=True, help="Everything known of every source, as JSON.")
@common
def sources(config: Config, json_: bool) -> None:
    """How every source is doing: state, since when, why, last success, last new post, next fetch."""
    from dataclasses import asdict

    from listener import trends
    from listener.daemon import now_utc
    from listener.wording import clock

    with closing(trends.open_reader(config.database, config.zone)) as reader:
        health = trends.source_health(reader)
    if json_:
        as_json([asdict(each) for each in health])
        return
    today = now_utc().astimezone(config.zone).date()

    def when(moment: Any) -> str:
        return clock(moment, today, config.zone) if moment else "never"

    table(
        ["source", "kind", "state", "since", "posts", "24 h", "last success", "last new", "next", "why"],
        [
            [
                h.name,
                h.kind,
                h.state if h.enabled or h.kind == "import" else "off",
                when(h.since),
                h.posts,
                h.posts_24h,
                when(h.last_success_at),
                when(h.last_new_at),
                when(h.next_due_at) if h.enabled else "",
                _why(h),
            ]
            for h in health
        ],
        right=["posts", "24 h"],
        whole=["kind", "state"],
        spare=["kind", "24 h", "last success", "last new"],
    )
    if not health:
        say("No source has run yet: `listener collect` fetches now, `listener run` on schedule.")


def _why(health: Any) -> str:
    gaps = f"{health.gaps} gap(s) in what the source would show" if health.gaps else ""
    return "; ".join(
        filter(None, [health.why, gaps, _reasons(health.skipped) and f"left out: {_reasons(health.skipped)}"])
    )


@sources.command(short_help="Every kind of source there is, with its terms.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def kinds(json_: bool) -> None:
    """Every kind of source there is: what it brings, what it needs, its limits and terms."""
    from dataclasses import asdict

    from listener import sources as registry

    about = {kind: registry.load(kind).ABOUT for kind in sorted(registry.kinds())}
    if json_:
        as_json({kind: asdict(each) for kind, each in about.items()})
        return
    for kind, each in about.items():
        click.secho(kind, bold=True)
        for label, text in (
            ("brings", each.brings),
            ("key", each.key),
            ("limits", each.limits),
            ("terms", each.terms),
            ("caution", each.caution),
        ):
            if text:
                click.echo(click.wrap_text(f"{label:8} {text}", 100, "  ", " " * 11))
        click.echo()


@sources.command("test", short_help="Fetches one page of a source; stores nothing.")
@click.argument("name")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@common
def test_source(config: Config, name: str, json_: bool) -> None:
    """Fetches one page of a configured source now, and shows what it would store. Stores nothing."""
    from listener import pipeline
    from listener import sources as registry
    from listener.daemon import now_utc
    from listener.http import open_get
    from listener.wording import cut

    entry = config.source(name)
    settings = registry.settings(entry, config.path)
    if "side_files" in type(settings).model_fields:  # a trial writes nothing, not even the list of bad rows
        settings = settings.model_copy(update={"side_files": False})
    with open_get(config.http) as get:
        page = next(iter(registry.load(entry.kind).fetch(settings, None, get, now_utc(), name)), None)
    if page is None:
        say(f"{name}: answered, and held nothing")
        return
    kept, links = pipeline.link(page, entry, pipeline.brand_matcher(config))
    if json_:
        found = [
            {
                "native_id": p.native_id,
                "created_at": p.created_at,
                "title": p.title,
                "text": p.text,
                "url": p.url,
                "brands": dict(b),
            }
            for p, b in zip(kept.posts, links, strict=True)
        ]
        as_json({"seen": len(page.posts), "kept": len(kept.posts), "skipped": dict(kept.skipped), "posts": found})
        return
    say(
        f"{name}: {len(page.posts)} posts on the first page, {len(kept.posts)} would be stored; "
        f"left out: {_reasons(kept.skipped) or 'none'}"
    )
    table(
        ["written", "brands", "text"],
        [
            [
                p.created_at and p.created_at.astimezone(config.zone).strftime("%d %b %H:%M"),
                ", ".join(b),
                cut(f"{p.title} {p.text}".strip(), 120),
            ]
            for p, b in list(zip(kept.posts, links, strict=True))[:20]
        ],
    )


COMMANDS = (run, collect, import_, sources)
