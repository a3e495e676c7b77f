"""Research against feedback: shares of posts over time, with what is certain of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from listener.charts import periods
from listener.charts.beams import intervals
from listener.charts.lines import HEIGHT, SHAPES, bands, end_labels, line, top
from listener.charts.looks import (
    LEFT,
    LOOKS,
    MARGIN,
    Look,
    Spec,
    Theme,
    framed,
    name,
    nothing,
    per_cent,
    stacked,
    title,
)
from listener.reads.counts import ENOUGH, Interval, TrendRow
from listener.wording import capital, count, listed

_BRANDS_APART = 4  # pictures below each other in one file
_PHASES = ("research", "feedback")
_QUARTERS = tuple((share / 4, f"{share / 4:.0%}") for share in range(5))

Shown = dict[str, list[tuple[TrendRow, Interval]]]

_NARROW, _TIGHT = 480, 94  # pixels: on a telephone the names of the two lines have just their room


def phases(rows: Sequence[TrendRow], *, theme: Theme = "light", width: int = 600) -> Spec:
    """Research against feedback over time, each as a share of the posts, with its 95 % band; a period with too few
    posts for a share is left out.

    Rows of several brands make a picture each, of the most mentioned four.
    """
    return each_brand(rows, lambda own: _phases(own, LOOKS[theme], width))


def each_brand(rows: Sequence[TrendRow], draw: Callable[[Sequence[TrendRow]], Spec]) -> Spec:
    """One picture a brand, the most mentioned first; those of no brand only where there is nothing else."""
    groups = by_brand(rows)
    chosen = [brand for brand in groups if brand][:_BRANDS_APART] or [""]
    return stacked([draw(groups.get(brand, [])) for brand in chosen])


def by_brand(rows: Iterable[TrendRow]) -> dict[str, list[TrendRow]]:
    """The rows of each brand by period, the most mentioned brand first."""
    groups: dict[str, list[TrendRow]] = {}
    for row in rows:
        groups.setdefault(row.brand, []).append(row)
    order = sorted(groups, key=lambda brand: (-sum(row.posts for row in groups[brand]), brand))
    return {brand: sorted(groups[brand], key=lambda row: row.period) for brand in order}


def whose(rows: Sequence[TrendRow]) -> str:
    """Whose posts and of when, for the line below a title: "Acme, 16 Nov to 22 Nov 2026"."""
    if not rows:
        return ""
    brands = [name(brand, 24) for brand in by_brand(rows)]
    told = listed(brands if len(brands) < 4 else [*brands[:2], f"{len(brands) - 2} more"])
    return f"{told}, {periods.span(row.period for row in rows).whole}"


def _phases(rows: Sequence[TrendRow], look: Look, width: int) -> Spec:
    text = "Research and feedback, as shares of posts"
    told = [row for row in rows if row.shares.research.enough]
    if not rows:
        return nothing(title(text, width=width), look, width, "No judged posts here.")
    if not told:
        unit = periods.unit(rows[0].period)
        why = f"No {unit} here has the {ENOUGH} posts that a share takes; longer periods have more."
        return nothing(title(text, name(rows[0].brand), width=width), look, width, why)
    known: Shown = {phase: [(row, getattr(row.shares, phase)) for row in told] for phase in _PHASES}
    over, last = periods.span(row.period for row in rows), told[-1]
    shares = " and ".join(share_told(phase, of[-1][1]) for phase, of in known.items())
    alt = f"{capital(shares)} of the posts of {name(last.brand)}, {periods.told(last.period)}."
    sure = f"{'Stroke' if over.length == 1 else 'Shaded'}: where the share is with 95% certainty"
    corrected = "; corrected for the errors the model is known to make" if last.shares.corrected else ""
    heading = title(text, f"{name(last.brand)}, {over.told}", sure + corrected, width=width)
    if over.length == 1:
        picture = intervals([_row(phase, *of[0], look) for phase, of in known.items()], look, width, _QUARTERS)
        return framed({"title": heading, **picture}, look, alt)
    return framed(
        {
            "title": heading,
            **_over_time(known, over, look, width - LEFT - (MARGIN if width >= _NARROW else _TIGHT) - 32),
        },
        look,
        alt,
    )


def _over_time(known: Shown, over: periods.Span, look: Look, plot: int) -> Spec:
    below: list[Spec] = []
    layers: list[Spec] = []
    ends = []
    height = top([share.high or 0 for of in known.values() for _, share in of])
    for (phase, of), shape in zip(known.items(), SHAPES, strict=False):
        colour = getattr(look, phase)
        points = [_point(phase, row, share, over) for row, share in of]
        aside = 3.0 if layers else -3.0
        below += bands(points, colour, aside, over, height)
        layers += line(points, colour, shape, over, height, aside)
        share = of[-1][1].value or 0
        ends.append({"label": f"{phase.capitalize()} {per_cent(share)}", "color": colour, "share": share})
    layers += [*end_labels(ends, look, height, plot), periods.names(over, look, HEIGHT, plot)]
    return {"width": plot, "height": HEIGHT, "layer": [*below, *layers]}


def share_told(phase: str, share: Interval) -> str:
    """ "research 23% (13% to 38%)"."""
    return f"{phase} {per_cent(share.value or 0)} ({per_cent(share.low or 0)} to {per_cent(share.high or 0)})"


def _point(phase: str, row: TrendRow, share: Interval, over: periods.Span) -> Spec:
    told = f"{periods.told(row.period)}: {share_told(phase, share)}, of {count(share.n, 'post')}"
    return {"at": over.place(row.period), "share": share.value, "low": share.low, "high": share.high, "told": told}


def _row(phase: str, row: TrendRow, share: Interval, look: Look) -> Spec:
    told = f"{periods.told(row.period)}: {share_told(phase, share)}, of {count(share.n, 'post')}"
    return {
        "label": phase.capitalize(), "value": share.value, "low": share.low, "high": share.high,
        "sign": per_cent(share.value or 0), "color": getattr(look, phase), "told": told,
    }  # fmt: skip
