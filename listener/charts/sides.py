"""Pictures of posts by sentiment: over time, along the journey, by touchpoint. Positive and negative start at one line,
so that both can be compared; neutral posts, which say neither, stand apart, drawn to the same scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from listener.charts import periods
from listener.charts.beams import rows_y
from listener.charts.looks import (
    LEFT,
    LOOKS,
    MARGIN,
    Look,
    Spec,
    Theme,
    apart,
    edge,
    framed,
    name,
    nothing,
    title,
    words,
)
from listener.charts.shares import each_brand
from listener.engine.labels import TOUCHPOINT_NAMES
from listener.reads.counts import TrendRow
from listener.wording import capital, listed

_HEIGHT = 210
_LEAST = 22  # pixels of a panel: one line of words
_LINE = 17
_HIGHEST = 24  # pixels a post, or a day of one post would look like a day of many
_NARROW = 330  # pixels, in which the names of the steps do not stand side by side
_WIDEST = 56  # pixels of a bar
_ROW = 26
_NAMES = 140
STEPS = {"ltzmot": "Trigger", "zmot": "Research", "fmot": "First sight", "smot": "Purchase", "imot": "Waiting",
         "tmot": "Feedback"}  # fmt: skip
_SENTIMENTS = ("positive", "neutral", "negative")


def sentiment(rows: Sequence[TrendRow], *, theme: Theme = "light", width: int = 600) -> Spec:
    """Posts of each period by sentiment. Rows of several brands make a picture each, of the most mentioned four."""

    def draw(own: Sequence[TrendRow]) -> Spec:
        who = name(own[0].brand) if own else ""
        return volumes({row.period: row.sentiments for row in own}, who, theme=theme, width=width)

    return each_brand(rows, draw)


def volumes(counts: Mapping[str, Mapping[str, int]], who: str, *, theme: Theme = "light", width: int = 600) -> Spec:
    """Posts of each period by sentiment, of `who`: {"2026-11-22": {"negative": 3, ...}, ...}."""
    look, text = LOOKS[theme], "Posts by sentiment"
    if not any(sum(of.values()) for of in counts.values()):
        return nothing(title(text, width=width), look, width, "No judged posts here.")
    over = periods.span(counts)
    plot = width - LEFT - MARGIN - 32
    half = min(0.36 if over.length <= 60 else 0.45, _WIDEST * over.length / plot / 2)
    values = [_value(of, over.place(period), half, periods.told(period)) for period, of in counts.items()]
    panels = _panels(values, periods.x(over), look, plot)
    panels[-1]["layer"].append(periods.names(over, look, panels[-1]["height"], plot))
    alt = f"Posts of {who} by sentiment, {over.told}: {_sums(values)}."
    return framed({"title": title(text, f"{who}, {over.told}", width=width), "vconcat": panels}, look, alt)


def journey(steps: Mapping[str, Mapping[str, int]], *, who: str = "", theme: Theme = "light", width: int = 600) -> Spec:
    """The moments of the way, in order, each with its posts by sentiment: {"zmot": {"negative": 3, ...}, ...}.

    `who` and when, in words, as the line below the title.
    """
    look, heading = (
        LOOKS[theme],
        title("Where people are on the way, and how they feel", name(who, 90) if who else "", width=width),
    )
    found = {moment: _counts(steps.get(moment, {})) for moment in STEPS}
    if not any(sum(of.values()) for of in found.values()):
        return nothing(heading, look, width, "No judged posts here that are on the way to a purchase or after it.")
    values = [_value(of, number, 0.3, STEPS[moment]) for number, (moment, of) in enumerate(found.items())]
    plot = width - LEFT - MARGIN - 32
    scale = {"domain": [-0.6, len(STEPS) - 0.4], "nice": False, "zero": False}
    x: Spec = {"field": "at", "type": "quantitative", "scale": scale, "axis": None}
    panels = _panels(values, x, look, plot)
    narrow = plot < _NARROW
    labels = [
        {"at": at, "label": [f"{sum(found[moment].values()):,}", *(label.split() if narrow else [label])]}
        for at, (moment, label) in enumerate(STEPS.items())
    ]
    below: Spec = {"value": panels[-1]["height"] + 8}
    named = words(
        labels, look, x=x, y=below, align="center", baseline="top", lineHeight=15, fontSize=10 if narrow else 12
    )
    panels[-1]["layer"].append(named)
    told = [f"{label.lower()} {_told(found[moment])}" for moment, label in STEPS.items() if sum(found[moment].values())]
    return framed({"title": heading, "vconcat": panels}, look, f"Posts along the way: {'; '.join(told)}.")


def _value(of: Mapping[str, int], at: int, half: float, when: str) -> Spec:
    counts = _counts(of)
    place = {"at": at, "from": at - half, "to": at + half, "zero": 0}
    return {**place, **counts, "below": -counts["negative"], "told": f"{when}: {_told(counts)}"}


def _counts(of: Mapping[str, int]) -> dict[str, int]:
    return {key: of.get(key, 0) for key in _SENTIMENTS}


def _told(counts: Mapping[str, int]) -> str:
    return listed([f"{counts[key]:,} {key}" for key in _SENTIMENTS if counts[key]]) or "none"


def _sums(values: Sequence[Spec]) -> str:
    return _told({key: sum(value[key] for value in values) for key in _SENTIMENTS})


def _panels(values: Sequence[Spec], x: Spec, look: Look, plot: int) -> list[Spec]:
    """Positive above and negative below one line; under them the neutral ones, to the same scale."""
    up, down, aside = (max(value[key] for value in values) for key in ("positive", "negative", "neutral"))
    unit = min(_HEIGHT / (up + down + aside), _HIGHEST)  # pixels a post
    lean = {key: (key, sum(value[key] for value in values)) for key in _SENTIMENTS}
    parts = [_panel(values, x, look, plot, unit, -down, up, [lean["positive"], lean["negative"]])]
    if aside:
        parts.append(_panel(values, x, look, plot, unit, 0, aside, [lean["neutral"]]))
    return parts


def _panel(
    values: Sequence[Spec],
    x: Spec,
    look: Look,
    plot: int,
    unit: float,
    low: int,
    high: int,
    kinds: Sequence[tuple[str, int]],
) -> Spec:
    height = max(_LEAST * len(kinds), (high - low) * unit)
    spare = height / unit - (high - low)  # a panel of few posts is made high enough for its words, not for its bars
    bottom, top = low - (spare / 2 if low < 0 else 0), high + (spare / 2 if low < 0 else spare)
    marks = _steps(low, high, height)
    axis = {"values": marks, "labels": False, "grid": True}
    y: Spec = {"type": "quantitative", "scale": {"domain": [bottom, top], "nice": False}, "axis": axis}
    tip = {"field": "told", "type": "nominal"}
    layers: list[Spec] = []
    for kind, _ in kinds:
        field = "below" if kind == "negative" else kind
        encoding = {
            "x": {**x, "field": "from"}, "x2": {"field": "to"}, "y": {**y, "field": field}, "y2": {"field": "zero"},
            "color": {"value": getattr(look, kind)}, "tooltip": tip, "description": tip,
        }  # fmt: skip
        shown = [value for value in values if value[kind]]
        layers.append({"data": {"values": shown}, "mark": {"type": "rect"}, "encoding": encoding})
    numbers = [{"y": mark, "label": f"{abs(mark):,}"} for mark in marks]
    layers.append(words(numbers, look, x={"value": -8}, y={**y, "field": "y"}, align="right"))
    middles = [top / 2, bottom / 2] if len(kinds) > 1 else [top / 2]
    places = apart(middles, _LINE / unit, bottom, top)
    named = [
        {
            "y": place,
            "label": f"{kind.capitalize()} {number:,}",
            "color": look.mute if kind == "neutral" else getattr(look, kind),
        }
        for (kind, number), place in zip(kinds, places, strict=True)
    ]
    layers += [words(named, look, x={"value": plot + 6}, y={**y, "field": "y"}, fontWeight="bold"), edge(plot)]
    return {"width": plot, "height": round(height), "layer": layers}


def _steps(low: int, high: int, height: float) -> list[int]:
    """Round numbers for an axis from low to high: whole posts, and lines at least 32 pixels apart."""
    least = max(1, (high - low) * 32 / height)
    size = 10 ** math.floor(math.log10(least))
    step = next(int(size * nice) for nice in (1, 2, 5, 10) if size * nice >= least)
    return list(range(-(-low // step) * step, high + 1, step))


def touchpoints(
    counts: Mapping[str, Mapping[str, int]], *, who: str = "", theme: Theme = "light", width: int = 600
) -> Spec:
    """What posts speak of, the most spoken of first, as bars from one line: {"staff": {"negative": 3, ...}, ...}."""
    look, heading = (
        LOOKS[theme],
        title("What people speak about, and how they feel", name(who, 90) if who else "", width=width),
    )
    found = {key: _counts(of) for key, of in counts.items() if sum(of.values())}
    if not found:
        return nothing(heading, look, width, "No judged posts here that speak of a touchpoint.")
    order = sorted(found, key=lambda key: (-sum(found[key].values()), key))
    plot, y = width - LEFT - 32, rows_y(len(order))
    left, right = (max(of[key] for of in found.values()) for key in ("negative", "positive"))
    whole = max(left + right, 1)
    scale = {"domain": [-left, whole - left], "range": [_NAMES, plot - 116], "nice": False}
    x: Spec = {"type": "quantitative", "scale": scale, "axis": {"values": [0], "labels": False, "grid": True}}
    names = {key: capital(TOUCHPOINT_NAMES.get(key, key)) for key in order}
    values = [{"row": row, **_value(found[key], row, 0.3, names[key])} for row, key in enumerate(order)]
    layers = _halves(values, x, y, look)
    named = [{"row": row, "label": names[key]} for row, key in enumerate(order)]
    neutral = [{"row": value["row"], "label": f"{value['neutral']:,}"} for value in values]
    head: Spec = {"value": -10}
    layers += [
        words(named, look, x={"value": -LEFT}, y=y, ink=look.ink),
        words(neutral, look, x={"value": plot}, y=y, align="right"),
        words([{"label": "Neutral"}], look, x={"value": plot}, y=head, align="right", fontWeight="bold"),
        words([{"at": 0, "label": "Negative", "color": look.negative}], look, x={**x, "field": "at"}, y=head,
              align="right", dx=-8, fontWeight="bold"),
        words([{"at": 0, "label": "Positive", "color": look.positive}], look, x={**x, "field": "at"}, y=head,
              dx=8, fontWeight="bold"),
    ]  # fmt: skip
    told = [f"{names[key].lower()} {_told(found[key])}" for key in order]
    alt = f"Posts by touchpoint: {'; '.join(told)}."
    picture = {"title": heading, "width": plot, "height": _ROW * len(order), "layer": layers}
    return framed(picture, look, alt)


def _halves(values: Sequence[Spec], x: Spec, y: Spec, look: Look) -> list[Spec]:
    """Bars to the left and to the right of the line, with their numbers at the ends."""
    tip = {"field": "told", "type": "nominal"}
    layers = []
    for kind, field, align, aside in (("negative", "below", "right", -6), ("positive", "positive", "left", 6)):
        shown = [
            {**value, "label": f"{value[kind]:,}", "color": getattr(look, kind)} for value in values if value[kind]
        ]
        end = {**x, "field": field}
        layers.append({
            "data": {"values": shown},
            "mark": {"type": "bar", "orient": "horizontal", "height": 13},
            "encoding": {"x": end, "x2": {"field": "zero"}, "y": y, "color": {"value": getattr(look, kind)},
                         "tooltip": tip, "description": tip},
        })  # fmt: skip
        layers.append(words(shown, look, x=end, y=y, align=align, dx=aside))
    return layers
