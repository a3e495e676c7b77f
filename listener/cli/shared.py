"""What the commands share: the options every one of them takes, the configuration, tables and progress."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from listener.config import Config

Command = TypeVar("Command", bound=Callable[..., Any])
_PLACES = (Path("listener.toml"), Path("/etc/listener/listener.toml"))


class _Day(click.ParamType[date]):
    """A local day: 2026-11-21, today, yesterday, or 7d for seven days ago."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        text = str(value).strip().lower()
        try:
            if text.endswith("d") and text[:-1].isdigit():
                return _today() - timedelta(days=int(text[:-1]))
            return {"today": _today(), "yesterday": _today() - timedelta(days=1)}.get(text) or date.fromisoformat(text)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is not a day: write 2026-11-21, today, yesterday, or 7d for seven days ago", param, ctx
            )


DAY = _Day()


def _today() -> date:
    return datetime.now().astimezone().date()


def common(command: Command) -> Command:
    """Adds --config, --db and -v, and hands the command its loaded configuration as first argument."""

    @click.option(
        "--config",
        "config_path",
        envvar="LISTENER_CONFIG",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The configuration file (or $LISTENER_CONFIG); else ./listener.toml.",
    )
    @click.option(
        "--db",
        envvar="LISTENER_DB",
        type=click.Path(path_type=Path),
        help="The database (or $LISTENER_DB); else the one the configuration names.",
    )
    @click.option("-v", "--verbose", is_flag=True, help="Log what is done, to stderr.")
    @functools.wraps(command)
    def wrapped(config_path: Path | None, db: Path | None, verbose: bool, **options: Any) -> Any:
        context = click.get_current_context()
        if context.invoked_subcommand is not None:  # `sources --db X test NAME`: the subcommand loads, with these
            context.obj = (config_path, db)
            return None
        before = context.obj or (None, None)
        config = load_config(config_path or before[0], db or before[1])
        from listener import log

        level = "DEBUG" if verbose else config.log.level if command.__name__ == "run" else "WARNING"
        log.set_up(level, config.log.format)
        return command(config, **options)

    return wrapped  # type: ignore[return-value]


def load_config(path: Path | None, db: Path | None) -> Config:
    """The configuration at `path`, else in the usual places, else the defaults; `db` outranks its database."""
    from listener import config as configuration

    if path is None:
        path = next((place for place in _PLACES if place.is_file()), None)
    if db is not None:
        os.environ["LISTENER_DB"] = str(db)
    return configuration.load(path)


def as_json(data: Any) -> None:
    """Prints data as JSON; times as ISO 8601."""
    click.echo(json.dumps(data, ensure_ascii=False, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Prints a table; the columns named in `right` hold numbers."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    # Into a file or a pipe nothing is cut: the width is a matter of screens.
    Console(width=None if sys.stdout.isatty() else 200).print(drawn)


def say(text: str) -> None:
    """A remark for the person: to stderr, so that stdout holds data alone."""
    click.echo(text, err=True)


def progress(what: str, total: int | None) -> Any:
    """A progress bar on stderr, as a context manager giving `advance(n)`."""
    return _Bar(what, total)


class _Bar:
    def __init__(self, what: str, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task(what, total=total)

    def __enter__(self) -> Callable[[int], None]:
        self._progress.start()
        return lambda number: self._progress.advance(self._task, number)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
