"""What the commands share: the options every one of them takes, the configuration, tables and progress."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

if TYPE_CHECKING:
    from listener.config import Config
    from listener.reads.counts import Interval

Command = TypeVar("Command", bound=Callable[..., Any])
_PLACES = (Path("listener.toml"), Path("/etc/listener/listener.toml"))


@dataclass(frozen=True, slots=True)
class _DaysAgo:
    """A day that only the configuration's time zone can tell."""

    days: int

    def day(self, config: Config) -> date:
        return datetime.now(config.zone).date() - timedelta(days=self.days)


class _Day(click.ParamType["date | _DaysAgo"]):
    """A local day: 2026-11-21, today, yesterday, or 7d for seven days ago."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date | _DaysAgo:
        if isinstance(value, (date, _DaysAgo)):
            return value
        text = str(value).strip().lower()
        try:
            if text.endswith("d") and text[:-1].isdigit() and int(text[:-1]) < 366_000:
                return _DaysAgo(int(text[:-1]))
            return {"today": _DaysAgo(0), "yesterday": _DaysAgo(1)}.get(text) or date.fromisoformat(text)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is not a day: write 2026-11-21, today, yesterday, or 7d for seven days ago", param, ctx
            )


DAY = _Day()
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


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
        # What a fetch came to is in the table that such a command prints; the daemon has only its log to say it.
        told = () if verbose or command.__name__ == "run" else ("collected", "backfilled")
        log.set_up(level, config.log.format, without=told)
        days = {name: given.day(config) for name, given in options.items() if isinstance(given, _DaysAgo)}
        return command(config, **options | days)

    return wrapped  # type: ignore[return-value]


def load_config(path: Path | None, db: Path | None) -> Config:
    """The configuration at `path`, else in the usual places, else the defaults; `db` outranks its database."""
    from listener import config as configuration

    if path is None:
        path = next((place for place in _PLACES if place.is_file()), None)
    return configuration.load(path, db)


def as_json(data: Any) -> None:
    """Prints data as JSON; times as ISO 8601, records by the names of their fields."""
    click.echo(json.dumps(_named(data), ensure_ascii=False, indent=2, default=_plain))


def _named(data: Any) -> Any:
    """The data with named tuples, which json would write as lists, as what they name."""
    if isinstance(data, tuple) and hasattr(data, "_asdict"):
        return _named(data._asdict())
    if isinstance(data, dict):
        return {name: _named(value) for name, value in data.items()}
    return [_named(value) for value in data] if isinstance(data, (list, tuple)) else data


def _plain(value: Any) -> Any:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, (date, datetime)) else str(value)


_WIDE = 110  # columns of a screen that shows every column of a table


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
    spare: Sequence[str] = (),
) -> None:
    """Prints a table. The columns named in `right` hold numbers, those in `whole` are never broken, those in `spare`
    are left out on a narrow screen. A newline in a column's name breaks it there.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    shown = [number for number, column in enumerate(columns) if width() >= _WIDE or column not in spare]
    for column in (columns[number] for number in shown):
        justify: Literal["right", "left"] = "right" if column in right else "left"
        drawn.add_column(column, justify=justify, overflow="fold", no_wrap=column in right or column in whole)
    for row in rows:
        drawn.add_row(*(Text("" if row[number] is None else str(row[number])) for number in shown))
    console = Console(width=width())
    console.print()
    console.print(drawn)
    console.print()


def share(interval: Interval, *, of_few: bool = False) -> str:
    """A share and its interval in per cent: 21% 13-34. `of_few`: however few posts it is a share of."""
    if interval.value is None or interval.low is None or interval.high is None:
        return "-"
    if not (interval.enough or of_few):
        return "too few"
    return f"{interval.value:.0%} {interval.low * 100:.0f}-{interval.high * 100:.0f}"


def width() -> int:
    """Columns of the screen. Into a file or a pipe it is wide: the width is a matter of screens."""
    from rich.console import Console

    return Console().width if sys.stdout.isatty() else 200


def say(text: str) -> None:
    """A remark for the person: to stderr, so that stdout holds data alone."""
    click.echo(text, err=True)


def need_training() -> None:
    """Raises ListenerError when the packages of the extra `train` are not installed."""
    from importlib.util import find_spec

    from listener.errors import ListenerError

    if not (find_spec("torch") and find_spec("transformers") and find_spec("sklearn")):
        raise ListenerError("this needs the training packages: pip install 'listener-daemon[train]'")


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr while the block runs; gives `advance(n)`. Without a screen nothing is drawn."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda number: bar.advance(task, number)


def reasons(skipped: Mapping[str, int]) -> str:
    """Counted drops as one line: `3 × no text; 1 × no id`."""
    return "; ".join(f"{number} × {reason}" for reason, number in skipped.items())
