"""Rows with a name to the left: bars of shares, and dots with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

from listener.charts.looks import LEFT, Look, Spec, signed, words
from listener.reads.counts import Interval
from listener.wording import count

NAMES = 132  # pixels for the names, beyond those where other pictures have the numbers of their axis
_ROW = 30  # pixels of a row


def rows_y(number: int) -> Spec:
    """The vertical encoding of rows that are numbered from 0 on, from above."""
    scale = {"domain": [number - 0.5, -0.5], "nice": False, "zero": False}
    return {"field": "row", "type": "quantitative", "scale": scale, "axis": None}


def bars(values: Sequence[Spec], look: Look, width: int) -> Spec:
    """Bars from values of `label`, `share`, `sign` (what is written after the bar) and `told`."""
    plot, y = width - LEFT - 32, rows_y(len(values))
    rows = [{**value, "row": row, "zero": 0} for row, value in enumerate(values)]
    scale = {"domain": [0, max(value["share"] for value in values) or 1], "range": [NAMES, plot - 96], "nice": False}
    x: Spec = {"field": "share", "type": "quantitative", "scale": scale, "axis": None}
    tip = {"field": "told", "type": "nominal"}
    seen = {"x": x, "x2": {"field": "zero"}, "y": y, "color": {"value": look.research}}
    bar = {"type": "bar", "orient": "horizontal", "height": 14}
    layers = [
        {"data": {"values": rows}, "mark": bar, "encoding": {**seen, "tooltip": tip, "description": tip}},
        _written(rows, "sign", look, x=x, y=y, dx=8),
        _written(rows, "label", look, x={"value": -LEFT}, y=y, ink=look.ink),
    ]
    return {"width": plot, "height": _ROW * len(rows), "layer": layers}


def intervals(values: Sequence[Spec], look: Look, width: int, marks: Sequence[tuple[float, str]]) -> Spec:
    """Dots on strokes from values of `label`, `value`, `low`, `high`, `sign` (written to the right), `color`, `told`.

    One without `value` has its words alone. `marks` are places of the axis and their names, from its one end to the
    other.
    """
    plot, y = width - LEFT - 32, rows_y(len(values))
    rows = [{**value, "row": row} for row, value in enumerate(values)]
    known = [row for row in rows if "value" in row]
    places = [place for place, _ in marks]
    scale = {"domain": [places[0], places[-1]], "range": [NAMES, plot - 64], "nice": False}
    axis = {"values": places, "labels": False, "grid": True}
    x: Spec = {"type": "quantitative", "scale": scale, "axis": axis}
    colour, tip = {"field": "color", "type": "nominal", "scale": None}, {"field": "told", "type": "nominal"}
    stroke = {"type": "rule", "strokeWidth": 5, "opacity": 0.35, "strokeCap": "round", "aria": False}
    between = {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y, "color": colour}
    at = {"x": {**x, "field": "value"}, "y": y, "color": colour, "tooltip": tip, "description": tip}
    ends = [{"value": place, "label": label} for place, label in marks]
    below: Spec = {"value": _ROW * len(rows) + 8}
    layers = [
        {"data": {"values": known}, "mark": stroke, "encoding": between},
        {"data": {"values": known}, "mark": {"type": "point", "size": 80}, "encoding": at},
        _written(rows, "label", look, x={"value": -LEFT}, y=y, ink=look.ink),
        _written(rows, "sign", look, x={"value": plot}, y=y, align="right", fontWeight="bold"),
        words(ends, look, x={**x, "field": "value"}, y=below, align="center", baseline="top"),
    ]
    return {"width": plot, "height": _ROW * len(rows), "layer": layers}


def measured(figure: Interval, look: Look) -> Spec:
    """A figure that may be below or above 0, for `intervals`; coloured only where the whole interval is on one side."""
    low, high = figure.low or 0.0, figure.high or 0.0
    colour = look.positive if low > 0 else look.negative if high < 0 else look.mute
    ends = {"value": figure.value, "low": low, "high": high}
    return {**ends, "sign": signed(figure.value or 0.0), "color": colour}


def interval_told(figure: Interval) -> str:
    """ "+0.12 (−0.05 to +0.29), of 120 posts"."""
    ends = f"({signed(figure.low or 0.0)} to {signed(figure.high or 0.0)})"
    return f"{signed(figure.value or 0.0)} {ends}, of {count(figure.n, 'post')}"


def _written(rows: Sequence[Spec], which: str, look: Look, **how: object) -> Spec:
    labels = [
        {key: row[key] for key in ("row", "share", "color") if key in row} | {"label": row[which]} for row in rows
    ]
    return words(labels, look, **how)  # type: ignore[arg-type]
