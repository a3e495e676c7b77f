"""Lines over time with their bands and dots, and their names at their ends."""

from __future__ import annotations

from collections.abc import Sequence

from listener.charts import periods
from listener.charts.looks import MARGIN, Look, Spec, apart, edge, words

HEIGHT = 190
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
_LINE = 17  # pixels from one label to the next
_DOTS = 45  # periods of which each has its dot, and a line of full width


def top(shares: Sequence[float]) -> float:
    """Where the axis ends: the next tenth above all shares."""
    return min(1.0, -(-max(shares) // 0.1) * 0.1) or 0.1


def line(values: Sequence[Spec], colour: str, shape: str, over: periods.Span, top: float) -> list[Spec]:
    """The layers of one line: values of `at`, `share`, `told` and, where there is a band, `low` and `high`.

    A point whose neighbours are missing stands alone, with its interval as an upright stroke.
    """
    values = _runs(values)
    x, y, run = periods.x(over), _shares(top), {"field": "run", "type": "nominal"}
    dotted = [value for value in values if value["alone"] or over.length <= _DOTS]
    tip = {"field": "told", "type": "nominal"}
    layers = []
    if "low" in values[0]:
        band = {"mark": {"type": "area", "opacity": 0.16, "tooltip": None, "aria": False}}
        stroke = {"mark": {"type": "rule", "opacity": 0.4, "strokeWidth": 5, "tooltip": None, "aria": False}}
        between = {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": {"value": colour}}
        for mark, alone in ((band, False), (stroke, True)):
            of = {"values": [value for value in values if value["alone"] is alone]}
            layers.append({"data": of, **mark, "encoding": {**between, "detail": run}})
    through = {"type": "line", "aria": False, "strokeWidth": 2 if over.length <= _DOTS else 1.5}
    seen: Spec = {"x": x, "y": y, "color": {"value": colour}}
    layers.append({"data": {"values": values}, "mark": through, "encoding": {**seen, "detail": run}})
    dots = {"type": "point", "shape": shape}
    layers.append({"data": {"values": dotted}, "mark": dots, "encoding": {**seen, "tooltip": tip, "description": tip}})
    return layers


def _runs(values: Sequence[Spec]) -> list[Spec]:
    """The points with the number of their run: a line is not drawn over periods of which nothing is known."""
    run, found = 0, []
    for number, value in enumerate(values):
        if number and value["at"] != values[number - 1]["at"] + 1:
            run += 1
        found.append({**value, "run": run})
    sizes = [0] * (run + 1)
    for value in found:
        sizes[value["run"]] += 1
    return [{**value, "alone": sizes[value["run"]] == 1} for value in found]


def _shares(top: float) -> Spec:
    scale = {"domain": [0, top], "nice": False}
    return {"field": "share", "type": "quantitative", "scale": scale, "axis": {"format": ".0%", "grid": True}}


def end_labels(ends: Sequence[Spec], look: Look, top: float, plot: int) -> list[Spec]:
    """The names of lines at their ends, moved apart where they would touch: rows of `share`, `label` and `color`."""
    places = apart([end["share"] for end in ends], top * _LINE / HEIGHT, 0.0, top)
    rows = [{**end, "share": share} for end, share in zip(ends, places, strict=True)]
    named = words(rows, look, x={"value": plot + 6}, y=_shares(top), fontWeight="bold", limit=MARGIN - 8)
    return [named, edge(plot)]
