"""Commands for whoever runs it: init, demo, doctor."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from listener.cli.shared import as_json, common, progress, say

if TYPE_CHECKING:
    from listener.config import Config


@click.command(short_help="Writes a commented configuration to edit.")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), default="listener.toml")
def init(path: Path) -> None:
    """Writes a commented configuration to PATH (listener.toml beside you). Asks nothing, overwrites nothing."""
    from listener import config, sources
    from listener.errors import ConfigError

    text = config.example({kind: sources.load(kind).Settings for kind in sources.kinds()})
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigError(f"{path} exists and was left as it is; name another file, or edit that one") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    click.echo(path)
    say(
        f"Written. Now\n  1. put your brand and your sources into {path}\n  2. listener doctor    what is still wrong\n"
        "  3. listener collect   one fetch now\n  4. listener run       everything, on schedule"
    )


@click.command(short_help="Sample posts the whole way, offline, with a digest to open.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="listener-demo",
    show_default=True,
    help="Where the digest and the database go.",
)
@common
def demo(config: Config, out: Path) -> None:
    """Sample posts the whole way, offline: verdicts, trends and a digest to open. Touches no database of yours."""
    from listener import demo as samples
    from listener import pipeline
    from listener.cli import reading
    from listener.daemon import now_utc

    began = time.monotonic()
    now = now_utc()
    config = samples.config(config, samples.fresh_database(out))
    with pipeline.open_store(config) as store:
        posts = samples.store_posts(store, config, now)
        with progress("classifying", posts) as advance:
            for number in pipeline.classify_pending(store, pipeline.load_model(store, config, now_utc()), now_utc):
                advance(number)
    say(f"{posts} sample posts about an invented hotel group and its rival, judged. By week:\n")
    reading.show_trends(config, by="week")
    day = samples.yesterday(now, config)
    files = pipeline.digest_files(config, day, now, out)
    say(f"Done in {time.monotonic() - began:.1f} s. The digest of yesterday:")
    for path in files:
        click.echo(path)
    say(
        f"\nOpen the .html in a browser. Look further:  listener posts --db {out / 'demo.db'} --moment zmot\n"
        "Listen to your own brand:               listener init"
    )


@click.command(short_help="Says what is wrong and what to do about it.")
@click.option("--json", "json_", is_flag=True, help="The findings as JSON.")
@common
def doctor(config: Config, json_: bool) -> None:
    """Checks configuration, database, disk, model, daemon, sources and mail, and names the remedy for what is wrong.

    Exit code 1 when something is wrong; warnings alone are 0.
    """
    from dataclasses import asdict

    from listener.daemon import now_utc
    from listener.doctor import examine

    findings = []
    for finding in examine(config, now_utc()):
        findings.append(finding)
        if not json_:
            mark, colour = {"ok": ("ok     ", "green"), "warning": ("warning", "yellow"), "wrong": ("wrong  ", "red")}[
                finding.state
            ]
            click.echo(f"{click.style(mark, fg=colour)}  {finding.what}: {finding.detail}")
            if finding.remedy:
                click.echo(f"         -> {finding.remedy}")
    if json_:
        as_json([asdict(finding) for finding in findings])
    if any(finding.state == "wrong" for finding in findings):
        raise click.exceptions.Exit(1)


COMMANDS = (init, demo, doctor)
