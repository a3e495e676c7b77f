"""Lines over time with their bands and dots, and their names at their ends."""

from __future__ import annotations

from collections.abc import Sequence

from listener.charts import periods
from listener.charts.looks import Look, Spec, apart, edge, words

HEIGHT = 190
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
_LINE = 17  # pixels from one label to the next
_DOTS = 24  # periods of which each has its dot, and a line of full width


def top(shares: Sequence[float]) -> float:
    """Where the axis ends: the next tenth above all shares."""
    return min(1.0, -(-max(shares) // 0.1) * 0.1) or 0.1


def bands(values: Sequence[Spec], colour: str, aside: float, over: periods.Span, top: float) -> list[Spec]:
    """What is certain of a line: values of `at`, `low` and `high`. A point without neighbours has an upright stroke,
    `aside` pixels to the right, so that those of two lines do not cover each other.
    """
    values = _runs(values)
    still: Spec = {"tooltip": None, "aria": False}
    kinds: Sequence[Spec] = (
        {"type": "area", "opacity": 0.16, **still},
        {"type": "rule", "opacity": 0.4, "strokeWidth": 5, "xOffset": aside, **still},
    )
    encoding = {
        "x": periods.x(over), "y": {**_shares(top), "field": "low"}, "y2": {"field": "high"},
        "detail": {"field": "run", "type": "nominal"}, "color": {"value": colour},
    }  # fmt: skip
    return [
        {"data": {"values": [value for value in values if value["alone"] is alone]}, "mark": mark, "encoding": encoding}
        for mark, alone in zip(kinds, (False, True), strict=True)
    ]


def line(
    values: Sequence[Spec], colour: str, shape: str, over: periods.Span, top: float, aside: float = 0
) -> list[Spec]:
    """The layers of one line: values of `at`, `share` and `told`. It is not drawn over periods without a value."""
    values = _runs(values)
    x, y, run = periods.x(over), _shares(top), {"field": "run", "type": "nominal"}
    alone = [value for value in values if value["alone"]]
    joined = [value for value in values if not value["alone"]]
    tip = {"field": "told", "type": "nominal"}
    through = {"type": "line", "aria": False, "strokeWidth": 2 if over.length <= _DOTS else 1.5}
    seen: Spec = {"x": x, "y": y, "color": {"value": colour}}
    told, dots = {**seen, "tooltip": tip, "description": tip}, {"type": "point", "shape": shape}
    return [
        {"data": {"values": joined}, "mark": through, "encoding": {**seen, "detail": run}},
        {"data": {"values": joined if over.length <= _DOTS else []}, "mark": dots, "encoding": told},
        {"data": {"values": alone}, "mark": {**dots, "xOffset": aside}, "encoding": told},
    ]


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
    named = words(rows, look, x={"value": plot + 6}, y=_shares(top), fontWeight="bold")
    return [named, edge(plot)]
