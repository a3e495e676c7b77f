"""Brands beside each other: share of voice, and net sentiment with what is certain of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from listener.charts import periods
from listener.charts.beams import bars, interval_told, intervals, measured
from listener.charts.lines import HEIGHT, SHAPES, end_labels, line, top
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
    title,
    unlike,
)
from listener.charts.shares import by_brand
from listener.reads.counts import TrendRow
from listener.reads.counts import net as balance_of
from listener.wording import count, listed

_LINES = 6  # that can still be told from each other
_ROWS = 20
_BALANCE = ((-1.0, "all negative"), (0.0, "as many of each"), (1.0, "all positive"))


def voice(rows: Sequence[TrendRow], *, theme: Theme = "light", width: int = 600) -> Spec:
    """Share of voice: how the mentions are divided among the brands, over time or, of one period, as bars."""
    look, text = LOOKS[theme], "Share of voice"
    groups = {brand: of for brand, of in by_brand(rows).items() if brand}
    totals = {brand: sum(row.posts for row in of) for brand, of in groups.items()}
    everyone = sum(totals.values())
    if not everyone:
        return nothing(title(text, width=width), look, width, "No post here names a brand.")
    over = periods.span(row.period for of in groups.values() for row in of)
    shown = list(groups)[: _ROWS if over.length == 1 else _LINES]
    labels = dict(zip(shown, unlike([name(brand, 24) for brand in shown]), strict=True))
    told = [f"{label} {per_cent(totals[brand] / everyone)}" for brand, label in labels.items()]
    left = f"{count(len(groups) - len(shown), 'further brand')} not shown" if len(groups) > len(shown) else ""
    alt = f"Share of voice of {count(everyone, 'mention')}, {over.told}: {listed([*told, *filter(None, [left])])}."
    heading = title(text, f"Of {count(everyone, 'mention')}, {over.told}", left, width=width)
    if over.length > 1:
        lines = _lines(groups, labels, over, look, width - LEFT - MARGIN - 32)
        return framed({"title": heading, **lines}, look, alt)
    values = [
        {"label": label, "share": totals[brand] / everyone, "sign": f"{per_cent(totals[brand] / everyone)}, "
         f"{totals[brand]:,}", "told": f"{label}: {count(totals[brand], 'mention')}"}
        for brand, label in labels.items()
    ]  # fmt: skip
    return framed({"title": heading, **bars(values, look, width)}, look, alt)


def _lines(
    groups: Mapping[str, Sequence[TrendRow]], labels: Mapping[str, str], over: periods.Span, look: Look, plot: int
) -> Spec:
    """One line a brand. A period in which no brand is mentioned has no shares; else who is not mentioned has 0."""
    whole: Counter[str] = Counter()
    for of in groups.values():
        for row in of:
            whole[row.period] += row.posts
    spoken = sorted(period for period, posts in whole.items() if posts)
    lines = [_line(label, groups[brand], whole, spoken, over) for brand, label in labels.items()]
    height = top([point["share"] for points in lines for point in points])
    layers, ends = [], []
    for points, brand, colour, shape in zip(lines, labels, look.brands, SHAPES, strict=False):
        layers += line(points, colour, shape, over, height)
        share = points[-1]["share"]
        ends.append({"label": f"{per_cent(share)} {name(brand, 15)}", "color": colour, "share": share})
    layers += [*end_labels(ends, look, height, plot), periods.names(over, look, HEIGHT, plot)]
    return {"width": plot, "height": HEIGHT, "layer": layers}


def _line(
    label: str, rows: Sequence[TrendRow], whole: Mapping[str, int], spoken: Sequence[str], over: periods.Span
) -> list[Spec]:
    posts = {row.period: row.posts for row in rows}
    points = []
    for period in spoken:
        share = posts.get(period, 0) / whole[period]
        told = f"{periods.told(period)}: {label} {per_cent(share)}, {count(posts.get(period, 0), 'mention')}"
        points.append({"at": over.place(period), "share": share, "told": told})
    return points


def net(rows: Sequence[TrendRow], *, theme: Theme = "light", width: int = 600) -> Spec:
    """Net sentiment of each brand over all the rows' periods: (positive - negative) / both, with its 95 % interval."""
    look, text, groups = LOOKS[theme], "Net sentiment", by_brand(rows)
    chosen = [brand for brand in groups if brand][:_ROWS] or list(groups)
    labels = unlike([name(brand, 24) for brand in chosen])
    found = [_balance(groups[brand], label, look) for brand, label in zip(chosen, labels, strict=True)]
    values = [value for value in found if value]
    if not values:
        return nothing(title(text, width=width), look, width, "No post here is positive or negative.")
    over = periods.span(row.period for row in rows)
    heading = title(
        text, f"(positive − negative) / both, {over.whole}", "Stroke: where it is with 95% certainty", width=width
    )
    alt = f"Net sentiment, {over.whole}: {'; '.join(value['told'] for value in values)}."
    return framed({"title": heading, **intervals(values, look, width, _BALANCE)}, look, alt)


def _balance(rows: Sequence[TrendRow], label: str, look: Look) -> Spec | None:
    """The net sentiment of a brand's rows, without a value where too few posts take a side; None where none does."""
    positive, negative = (sum(row.sentiments[side] for row in rows) for side in ("positive", "negative"))
    balance = balance_of(positive, negative)
    if not balance.n:
        return None
    if not balance.enough:
        return {"label": label, "sign": "too few", "color": look.mute, "told": f"{label}: too few posts take a side"}
    return {"label": label, **measured(balance, look), "told": f"{label} {interval_told(balance)}"}
