"""Commands that read what is stored: posts, trends."""

from __future__ import annotations

import csv
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listener.cli import plotting, showing
from listener.cli.shared import DAY, as_json, common, say, share, table, width
from listener.cli.showing import NAMELESS
from listener.engine.labels import MOMENT_NAMES, MOMENTS, PHASES, SENTIMENTS, TOUCHPOINTS
from listener.language import LANGUAGES
from listener.reads.counts import PARTS

if TYPE_CHECKING:
    from listener.config import Config
    from listener.reads.counts import Interval, TrendRow
    from listener.reads.search import PostRow


_MOMENTS = ", ".join(f"{moment} ({name.split(' (')[0]})" for moment, name in MOMENT_NAMES.items())
_LEGEND = (
    "ZMOT, TMOT: share of the posts that look around before buying, or tell how it was{corrected}, and its 95 % "
    "interval. CSAT: the satisfied among feedback. net: (positive - negative) / both."
)


def filters(command: Any) -> Any:
    """The filters that posts and trends share."""
    for option in reversed(
        (
            click.option("--brand", multiple=True, help="Posts that name this brand."),
            click.option("--source", multiple=True, help="Posts of this source."),
            click.option(
                "--moment", multiple=True, type=click.Choice(MOMENTS), help=f"Posts at this moment: {_MOMENTS}."
            ),
            click.option("--sentiment", multiple=True, type=click.Choice(SENTIMENTS), help="Posts of this sentiment."),
            click.option(
                "--touchpoint",
                multiple=True,
                type=click.Choice(TOUCHPOINTS),
                metavar="TOUCHPOINT",
                help=f"Posts that speak of: {', '.join(TOUCHPOINTS)}.",
            ),
            click.option("--topic", multiple=True, help="Posts of this topic of yours, see `listener topics`."),
            click.option("--since", type=DAY, metavar="DAY", help="From this local day on: 2026-11-21, yesterday, 7d."),
            click.option("--until", type=DAY, metavar="DAY", help="Up to this local day, included."),
        )
    ):
        command = option(command)
    return command


@click.command(short_help="Counts, shares and sentiment by period and brand.")
@filters
@click.option(
    "--phase", multiple=True, type=click.Choice(list(dict.fromkeys(PHASES.values()))), help="Posts of a phase."
)
@click.option("--rating", multiple=True, type=click.IntRange(1, 5), metavar="STARS", help="Posts with 1 to 5 stars.")
@click.option("--query", default="", help='Posts that a search finds: words, "phrases", prefix*, AND, OR, NOT.')
@click.option(
    "--by", type=click.Choice(["day", "week", "month"]), default="day", show_default=True, help="Length of a period."
)
@click.option("--per", type=click.Choice(PARTS), help="Take every period apart by this.")
@click.option(
    "--show",
    type=click.Choice(showing.SHOWS),
    default="periods",
    show_default=True,
    help="Or else: the brands' share of voice, what touchpoints do to sentiment, what changed since the period before, "
    "brands weighed against each other, questions asked before buying.",
)
@click.option("--json", "json_", is_flag=True, help="Rows as JSON, with every interval.")
@click.option("--csv", "csv_", is_flag=True, help="Rows as CSV.")
@plotting.plot_options
@common
def trends(
    config: Config,
    by: str,
    per: Any,
    show: str,
    json_: bool,
    csv_: bool,
    plot: Path | None,
    kinds: tuple[str, ...],
    dark: bool,
    no_chart: bool,
    **chosen: Any,
) -> None:
    """Counts, shares and sentiment by period and brand.

    A post that names two brands counts in both. Research, transaction (purchase and waiting), feedback and none are
    counts of posts. ZMOT and TMOT are shares of posts, corrected for the errors the model is known to make; CSAT is the
    share of the satisfied among feedback; each with its 95 % interval, and "too few" under ten posts. Net sentiment is
    (positive - negative) / (positive + negative).

    Filters may be repeated. A screen of less than 110 columns shows the shares without the counts. docs/reading.md
    explains every figure.
    """
    from listener import trends as reading
    from listener.wording import count

    if json_ and csv_:
        raise click.UsageError("--json and --csv exclude each other")
    if csv_ and (per or show != "periods"):
        raise click.UsageError("--csv is for periods; the others come as --json")
    if per and show != "periods":
        raise click.UsageError("--per takes periods apart; leave out --show")
    plotting.check(plot, kinds, show)
    wanted = {_FIELDS.get(name, name): value for name, value in chosen.items()}
    with closing(reading.open_reader(config.database, config.zone)) as reader:
        if per:
            showing.show_parts(reader, per, by, wanted, json_)
        elif show != "periods":
            showing.show(reader, show, by, wanted, json_)
        else:
            rows = reading.trends(reader, by=by, **wanted)  # type: ignore[arg-type]
            _show_periods(rows, json_, csv_)
            if rows and not (json_ or csv_ or no_chart):
                plotting.small_charts(rows)
        if plot:
            plotting.draw(reader, plot, kinds, dark, by, wanted, per or show)
        waiting = reading.waiting(reader)
    if waiting:
        say(f"Not counted yet: {count(waiting, 'post')} without a verdict; `listener classify` judges.")


# What the options are called, which people give one at a time, and the fields of `Filters`.
_FIELDS = {
    name: f"{name}s" for name in ("brand", "source", "moment", "phase", "sentiment", "touchpoint", "topic", "rating")
}  # fmt: skip


def _show_periods(rows: list[TrendRow], json_: bool, csv_: bool) -> None:
    if json_:
        as_json([row.as_json() for row in rows])
    elif csv_:
        _write_csv(rows)
    else:
        _draw(rows)


def show_trends(config: Config, by: Any) -> None:
    """The table of `trends`, over everything."""
    from listener import trends as reading

    with closing(reading.open_reader(config.database, config.zone)) as reader:
        _draw(reading.trends(reader, by=by))


def _draw(rows: list[TrendRow]) -> None:
    if not rows:
        say(
            "No judged posts here. `listener collect` and `listener classify` bring some; "
            "`listener demo` shows how it looks."
        )
        return
    figures: dict[str, list[Any]] = {
        "period": [r.period for r in rows],
        "brand": [r.brand or NAMELESS for r in rows],
        "posts": [r.posts for r in rows],
        "research": [r.research for r in rows],
        "trans-\naction": [r.transaction for r in rows],
        "feedback": [r.feedback for r in rows],
        "none": [r.none for r in rows],
        "unsure": [r.abstained - r.unread for r in rows],
        "not\nread": [r.unread for r in rows],
        "ZMOT": [share(r.shares.zmot) for r in rows],
        "TMOT": [share(r.shares.tmot) for r in rows],
        "net": [_net(r.net) for r in rows],
        "CSAT": [share(r.csat) for r in rows],
    }
    if not any(figures["not\nread"]):
        del figures["not\nread"]
    names = list(figures)
    table(names, zip(*figures.values(), strict=True), right=names[2:], whole=["period"], spare=names[3:7])
    nameless = f" {NAMELESS}: posts that name none of the brands." if any(not r.brand for r in rows) else ""
    corrected = ", corrected for the errors the model is known to make" if rows[0].shares.corrected else ""
    late = sum(r.late for r in rows)
    # Of a history that was imported or walked into, nearly all is late, and it is no news.
    few = 0 < late < sum(r.posts for r in rows) / 2
    came = f" {late:,} of the posts came in after the digest of their day." if few else ""
    say(click.wrap_text(_LEGEND.format(corrected=corrected) + nameless + came, min(width(), 120)))


def _net(net: Interval) -> str:
    return "-" if net.value is None else f"{net.value:+.2f}" if net.enough else "too few"


def _write_csv(rows: list[TrendRow]) -> None:
    writer = csv.writer(sys.stdout)
    flat = [_flatten(row.as_json()) for row in rows]
    if flat:
        writer.writerow(flat[0])
        writer.writerows(row.values() for row in flat)


def _flatten(row: dict[str, Any]) -> dict[str, Any]:
    """{"csat": {"value": 1}} as {"csat_value": 1}, for tables. A text a spreadsheet would run is quoted."""
    from listener.exports import harmless

    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            flat |= {f"{key}_{inner}": each for inner, each in value.items()}
        else:
            flat[key] = harmless(value)
    return flat


def single(chosen: dict[str, Any]) -> dict[str, Any]:
    """The filters of a command that takes each of them once."""
    for name, given in chosen.items():
        if isinstance(given, tuple) and len(given) > 1:
            raise click.BadParameter("this command takes it once", param_hint=f"--{name}")
    return {
        name: (given[0] if given else None) if isinstance(given, tuple) else given for name, given in chosen.items()
    }


@click.command(short_help="Searches the stored posts, newest first.")
@click.argument("query", default="")
@filters
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100_000), help="At most this many.")
@click.option("--json", "json_", is_flag=True, help="Everything known of every post, as JSON.")
@common
def posts(config: Config, query: str, limit: int, json_: bool, **chosen: Any) -> None:
    """Stored posts, newest first. QUERY searches titles and texts: words, "phrases", prefix*, AND, OR, NOT."""
    from listener import trends as reading
    from listener.reads import search
    from listener.wording import cut

    with closing(reading.open_reader(config.database, config.zone)) as reader:
        found = search.posts(reader, query, limit=limit, **single(chosen))
    if json_:
        as_json([row.as_json() for row in found])
        return
    if not found:
        say("No stored post fits.")
        return
    table(
        ["day", "source", "brands", "moment", "sentiment", "touchpoints", "text"],
        [
            [
                f"{p.day:%d %b %y}",
                p.source,
                ", ".join(p.brands),
                _moment(p),
                p.sentiment,
                ", ".join(p.touchpoints),
                cut(f"{p.title} {p.text}".strip(), 160) + (f" (+{len(p.copies)} more places)" if p.copies else ""),
            ]
            for p in found
        ],
        whole=["day"],
        spare=["source", "touchpoints"],
    )


def _moment(post: PostRow) -> str:
    if post.unread:
        return f"not read ({LANGUAGES[post.language]})" if post.language else "no words"
    return "unsure" if post.abstained else post.moment or "waiting"


COMMANDS = (trends, posts)
