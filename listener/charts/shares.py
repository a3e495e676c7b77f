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
from listener.counts import Interval, TrendRow, wilson
from listener.wording import capital, count

_FEW = 10  # posts; a share of fewer is drawn with its band, but no figure is written beside it
_BRANDS_APART = 4  # pictures below each other in one file
_PHASES = ("research", "feedback")
_QUARTERS = tuple((share / 4, f"{share / 4:.0%}") for share in range(5))

Shown = dict[str, list[tuple[TrendRow, Interval]]]


def phases(rows: Sequence[TrendRow], *, theme: Theme = "light", width: int = 600) -> Spec:
    """Research against feedback over time, each as a share of the posts the model was sure of, with its 95 % band.

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


def _phases(rows: Sequence[TrendRow], look: Look, width: int) -> Spec:
    text = "Research and feedback, as shares of posts"
    known: Shown = {phase: [(row, _share(row, phase)) for row in rows] for phase in _PHASES}
    known = {phase: [(row, share) for row, share in of if share.value is not None] for phase, of in known.items()}
    if not known["research"]:
        return nothing(title(text), look, width, "No posts here that the model was sure of.")
    over = periods.span(row.period for row, _ in known["research"])
    last = known["research"][-1][0]
    told = " and ".join(_told(phase, of[-1][1]) for phase, of in known.items())
    alt = f"{capital(told)} of the posts of {name(last.brand)}, {periods.told(last.period)}."
    strokes = "Stroke" if over.length == 1 else "Shaded"
    heading = title(text, f"{name(last.brand)}, {over.told}", f"{strokes}: where the share is with 95% certainty")
    if over.length == 1:
        picture = intervals([_row(phase, *of[0], look) for phase, of in known.items()], look, width, _QUARTERS)
        return framed({"title": heading, **picture}, look, alt)
    return framed({"title": heading, **_over_time(known, over, look, width - LEFT - MARGIN - 32)}, look, alt)


def _over_time(known: Shown, over: periods.Span, look: Look, plot: int) -> Spec:
    below, layers, ends = [], [], []
    height = top([share.high or 0 for of in known.values() for _, share in of])
    for (phase, of), shape in zip(known.items(), SHAPES, strict=False):
        colour = getattr(look, phase)
        points = [_point(phase, row, share, over) for row, share in of]
        below += bands(points, colour, over, height)
        layers += line(points, colour, shape, over, height)
        last = of[-1][1]
        label = f"{phase.capitalize()} {per_cent(last.value or 0)}" if last.n >= _FEW else phase.capitalize()
        ends.append({"label": label, "color": colour, "share": last.value})
    layers += [*end_labels(ends, look, height, plot), periods.names(over, look, HEIGHT)]
    return {"width": plot, "height": HEIGHT, "layer": [*below, *layers]}


def _share(row: TrendRow, phase: str) -> Interval:
    return wilson(getattr(row, phase), row.posts - row.abstained)


def _told(phase: str, share: Interval) -> str:
    """ "research 23% (13% to 38%)"."""
    return f"{phase} {per_cent(share.value or 0)} ({per_cent(share.low or 0)} to {per_cent(share.high or 0)})"


def _point(phase: str, row: TrendRow, share: Interval, over: periods.Span) -> Spec:
    told = f"{periods.told(row.period)}: {_told(phase, share)}, of {count(share.n, 'post')}"
    return {"at": over.place(row.period), "share": share.value, "low": share.low, "high": share.high, "told": told}


def _row(phase: str, row: TrendRow, share: Interval, look: Look) -> Spec:
    told = f"{periods.told(row.period)}: {_told(phase, share)}, of {count(share.n, 'post')}"
    return {
        "label": phase.capitalize(), "value": share.value, "low": share.low, "high": share.high,
        "sign": per_cent(share.value or 0), "color": getattr(look, phase), "told": told,
    }  # fmt: skip
