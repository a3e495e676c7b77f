"""How pictures look: colours for light and dark, type, and the frame every picture stands in."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Literal

from listener.wording import cut

Theme = Literal["light", "dark"]
Spec = dict[str, Any]

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"  # vl-convert carries the first; what it lacks it leaves blank
MARGIN = 128  # pixels to the right of a plot, for the words that name what is drawn
LEFT = 44  # for the numbers of the axis
_NAME = 40  # letters of a brand's name that are shown
_TITLE_SIZE, _TEXT_SIZE = 15, 12
_LARGE, _SMALL = 7.8, 5.6  # pixels of a letter of these sizes, taken together


@dataclass(frozen=True, slots=True)
class Look:
    """Colours. Each stands out from `paper` by 4.5:1, since words are written in them too; `grid` need not.

    Negative and positive differ in brightness as well as hue, so that they survive a grey print and colour-blind eyes.
    """

    paper: str
    ink: str
    mute: str
    grid: str
    research: str
    feedback: str
    negative: str
    neutral: str
    positive: str
    brands: tuple[str, ...]


LOOKS: dict[Theme, Look] = {
    "light": Look(
        paper="#fffefb", ink="#1f2a2e", mute="#5c686b", grid="#e4e0d6",
        research="#2b5f9e", feedback="#9a5b0a", negative="#8a2f0e", neutral="#7d8583", positive="#24757f",
        brands=("#2b5f9e", "#9a5b0a", "#3f7f6e", "#5a0f38", "#10191f", "#8a5fc4"),
    ),
    "dark": Look(
        paper="#1c2326", ink="#eceae3", mute="#a9b4b5", grid="#333d40",
        research="#7fb2f0", feedback="#e6bd6b", negative="#e07b52", neutral="#8f9a9c", positive="#7fcbd8",
        brands=("#7fb2f0", "#e6bd6b", "#8fd6b0", "#e58bb5", "#f4f2ec", "#a68f7a"),
    ),
}  # fmt: skip


def framed(picture: Spec, look: Look, told: str) -> Spec:
    """A whole specification: the picture, its look, and what it says in words for those who do not see it."""
    return {**picture, "description": told, "background": look.paper, "padding": 16, "config": _config(look)}


def stacked(pictures: Sequence[Spec]) -> Spec:
    """Several whole specifications of one theme as one picture, below each other."""
    if len(pictures) == 1:
        return pictures[0]
    outer = ("description", "background", "padding", "config")
    inner = [{key: value for key, value in picture.items() if key not in outer} for picture in pictures]
    told = " ".join(picture["description"] for picture in pictures)
    return {
        "vconcat": inner,
        "spacing": 36,
        **{key: pictures[0][key] for key in outer},
        "description": told,
    }


def _config(look: Look) -> Spec:
    return {
        "font": FONT,
        "view": {"stroke": None},
        "concat": {"spacing": 14},
        "axis": {
            "labelColor": look.mute, "labelFontSize": _TEXT_SIZE, "labelPadding": 6, "title": None,
            "domain": False, "ticks": False, "gridColor": look.grid, "tickColor": look.grid,
        },
        "axisY": {"minExtent": LEFT, "maxExtent": LEFT, "tickCount": 4},
        "title": {
            "anchor": "start", "frame": "group", "offset": 14, "dx": -LEFT, "color": look.ink,
            "fontSize": _TITLE_SIZE, "fontWeight": "bold", "subtitleColor": look.mute, "subtitleFontSize": _TEXT_SIZE,
            "subtitlePadding": 5,
        },
        "text": {"font": FONT, "fontSize": _TEXT_SIZE, "color": look.ink},
        "line": {"strokeWidth": 2, "strokeJoin": "round", "strokeCap": "round"},
        "point": {"filled": True, "size": 36, "opacity": 1},
    }  # fmt: skip


def title(text: str, *more: str, width: int) -> Spec:
    """A title that says what is shown, and below it whose, when and what else has to be known."""
    lines = [line for each in more for line in wrap(each, int((width - 36) / _SMALL))]
    return {"text": wrap(text, int((width - 36) / _LARGE)), "subtitle": lines}


def words(
    rows: Sequence[Spec], look: Look, *, x: Spec, y: Spec, align: str = "left", ink: str = "", **mark: Any
) -> Spec:
    """A layer of text: rows of `label`, each of its own `color`, or all of `ink`; `x` and `y` say where."""
    colour: Spec = {"field": "color", "type": "nominal", "scale": None}
    if ink or not any("color" in row for row in rows):
        colour = {"value": ink or look.mute}
    return {
        "data": {"values": list(rows)},
        "mark": {"type": "text", "align": align, "baseline": "middle", "tooltip": None, "aria": False, **mark},
        "encoding": {"x": x, "y": y, "text": {"field": "label", "type": "nominal"}, "color": colour},
    }


def nothing(heading: Spec, look: Look, width: int, why: str) -> Spec:
    """The picture of no data: it says so."""
    plot = width - LEFT - 32
    layers = [words([{"label": why}], look, x={"value": -LEFT}, y={"value": 8}, fontSize=13), edge(plot, 0)]
    return framed({"title": heading, "width": plot, "height": 16, "layer": layers}, look, why)


def name(brand: str, limit: int = _NAME) -> str:
    """A brand's name on one line of its own direction, as broad as `limit` small letters; "" names no brand.

    It is cut here: Vega cuts what is too long between the two halves of an emoji as well, and fails.
    """
    shown = _fitted(cut(brand, limit), limit) or "no brand named"
    if any(unicodedata.bidirectional(letter) in ("R", "AL", "RLE", "RLO", "RLI") for letter in shown):
        return f"\u2068{shown}\u2069"  # isolated, or it would turn round the words and numbers beside it
    return shown


def _fitted(text: str, limit: float) -> str:
    room = limit
    for place, letter in enumerate(text):
        room -= _breadth(letter)
        if room < 0:
            return text[:place].rstrip(" …") + "…"
    return text


def _breadth(letter: str) -> float:
    """How many small letters it is broad, roughly."""
    if unicodedata.east_asian_width(letter) in "WF" or letter in "MW@%…—":
        return 2
    return 1.3 if letter.isupper() or letter in "mw" else 0 if unicodedata.combining(letter) else 1


def unlike(names: Sequence[str]) -> list[str]:
    """The names, told apart where cutting made them the same."""
    seen: dict[str, int] = {}
    found = []
    for each in names:
        seen[each] = seen.get(each, 0) + 1
        found.append(each if seen[each] == 1 else f"{each} ({seen[each]})")
    return found


def edge(plot: float, right: float = MARGIN) -> Spec:
    """A layer that cannot be seen and holds the place of the words beside a plot, so that all pictures are as wide."""
    where = {"x": {"value": plot + right}, "y": {"value": 0}, "y2": {"value": 1}}
    return {"data": {"values": [{}]}, "mark": {"type": "rule", "opacity": 0, "aria": False}, "encoding": where}


def per_cent(share: float) -> str:
    return f"{share:.0%}"


def signed(value: float) -> str:
    """ "+0.12", "0.00", "−0.05"."""
    return f"{value:+.2f}".replace("-", "−") if abs(value) >= 0.005 else "0.00"


def apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """The places moved as little as need be to lie `gap` from each other, within low..high where they fit."""
    order = sorted(range(len(places)), key=lambda number: places[number])
    moved = [float(place) for place in places]
    floor = low
    for number in order:
        moved[number] = floor = max(moved[number], floor)
        floor += gap
    ceiling = high
    for number in reversed(order):
        moved[number] = ceiling = min(moved[number], ceiling)
        ceiling -= gap
    return moved
