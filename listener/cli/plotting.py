"""What `trends` draws: a picture into a file, and small charts of blocks below the table of a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listener.cli.shared import say, table, width

if TYPE_CHECKING:
    import sqlite3

    from listener.charts import Spec, Theme
    from listener.reads.counts import TrendRow

KINDS = ("phases", "sentiment", "journey", "touchpoints", "impacts", "voice", "net")
_SUFFIXES = (".png", ".svg", ".html")
_COURSE = 3  # periods; fewer show no course
_NARROWEST = 80  # columns of a screen with room for charts


def plot_options(command: Any) -> Any:
    """The options of `trends` that draw."""
    for option in reversed(
        (
            click.option(
                "--plot",
                type=click.Path(dir_okay=False, path_type=Path),
                metavar="FILE",
                help="Draw it too, into FILE: .png, .svg, or .html, which answers to the pointer.",
            ),
            click.option(
                "--plot-kind",
                "kinds",
                multiple=True,
                type=click.Choice(KINDS),
                help="What --plot draws; several stand below each other. Without it, what fits the figures asked for.",
            ),
            click.option("--plot-dark", "dark", is_flag=True, help="Draw for a dark background."),
            click.option("--no-chart", is_flag=True, help="No small charts below the table."),
        )
    ):
        command = option(command)
    return command


def check(plot: Path | None, kinds: Sequence[str], show: str) -> None:
    """Raises UsageError for a file of no known kind, and where there is nothing to draw; ListenerError without the
    package that draws.
    """
    if plot is None:
        if kinds:
            raise click.UsageError("--plot-kind says what --plot FILE draws; name the file")
        return
    if plot.suffix.lower() not in _SUFFIXES:
        raise click.BadParameter(f"{plot.name} should end in one of {', '.join(_SUFFIXES)}", param_hint="--plot")
    if show in ("changes", "pairs", "questions") and not kinds:
        raise click.UsageError(f"--show {show} has no picture of its own; --plot-kind draws another")
    from listener import charts

    charts.check()


def draw(
    reader: sqlite3.Connection,
    plot: Path,
    kinds: Sequence[str],
    dark: bool,
    by: str,
    filters: dict[str, Any],
    asked: str,
) -> None:
    """Draws the figures of `trends` into a file. `asked` is what --per or --show were given."""
    from listener import charts
    from listener import trends as reading
    from listener.exports import whole

    rows = reading.trends(reader, by=by, **filters)  # type: ignore[arg-type]
    chosen = kinds or _fitting(rows, asked)
    theme: Theme = "dark" if dark else "light"
    spec = charts.stacked([_picture(kind, reader, rows, by, filters, theme) for kind in chosen])
    ending = plot.suffix.lower()
    drawn = charts.png(spec) if ending == ".png" else (charts.svg if ending == ".svg" else charts.html)(spec).encode()
    with whole(plot) as half:
        half.write_bytes(drawn)
    say(f"Drawn: {plot}")


def _fitting(rows: Sequence[TrendRow], asked: str) -> tuple[str, ...]:
    """What is drawn when nobody says what: of several brands how they compare, of one how it goes."""
    own: Mapping[str, tuple[str, ...]] = {
        "voice": ("voice", "net"), "touchpoints": ("impacts", "touchpoints"), "moment": ("journey",),
        "touchpoint": ("touchpoints",), "sentiment": ("sentiment",),
    }  # fmt: skip
    several = len({row.brand for row in rows if row.brand}) > 1
    return own.get(asked, ("voice", "net") if several else ("phases", "sentiment"))


def _picture(
    kind: str, reader: sqlite3.Connection, rows: Sequence[TrendRow], by: str, filters: dict[str, Any], theme: Theme
) -> Spec:
    from listener import charts
    from listener import trends as reading

    if kind == "impacts":
        return charts.impacts(reading.impact(reader, **filters), theme=theme)
    if kind in ("journey", "touchpoints"):
        per = "moment" if kind == "journey" else "touchpoint"
        counts: dict[str, dict[str, int]] = {}
        for part in reading.parts(reader, per, by, **filters):  # type: ignore[arg-type]
            of = counts.setdefault(part.part, {"negative": 0, "neutral": 0, "positive": 0})
            for side in of:
                of[side] += getattr(part, side)
        pictures = {"journey": charts.journey, "touchpoints": charts.touchpoints}
        return pictures[kind](counts, who=charts.whose(rows), theme=theme)
    over = {"phases": charts.phases, "sentiment": charts.sentiment, "voice": charts.voice, "net": charts.net}
    return over[kind](rows, theme=theme)


def small_charts(rows: Sequence[TrendRow]) -> None:
    """The course of each brand as blocks, where there is a screen with room for it and a course to be seen."""
    if not sys.stdout.isatty() or width() < _NARROWEST:
        return
    from listener.charts import sparkline
    from listener.charts.periods import span

    over = span(row.period for row in rows)
    if over.length < _COURSE:
        return
    room = min((width() - 34) // 4, 40)
    places = range(max(over.first, over.last - room + 1), over.last + 1)
    found: dict[str, dict[int, TrendRow]] = {}
    for row in rows:
        found.setdefault(row.brand, {})[over.place(row.period)] = row
    drawn = []
    for brand, of in found.items():
        seen = [of.get(place) for place in places]
        shares = [[row and getattr(row.shares, phase) for row in seen] for phase in ("research", "feedback")]
        told = [[share.value if share and share.enough else None for share in each] for each in shares]
        balance = [row.net.value if row and row.net.enough else None for row in seen]
        drawn.append([
            brand or "(none)", sparkline([row.posts if row else 0 for row in seen]),
            *(sparkline(each, high=1.0) for each in told), sparkline(balance, low=-1.0, high=1.0),
        ])  # fmt: skip
    titles = ["posts", "research\n0 to 100%", "feedback\n0 to 100%", "net\n-1 to +1"]
    table([f"the last {len(places)} {over.unit}s", *titles], drawn, whole=titles)
