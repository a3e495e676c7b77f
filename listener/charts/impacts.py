"""What each touchpoint does to how people feel, with what is certain of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from listener.charts.beams import interval_told, intervals, measured
from listener.charts.looks import LOOKS, Look, Spec, Theme, framed, name, nothing, stacked, title
from listener.engine.labels import TOUCHPOINT_NAMES
from listener.wording import capital, count

if TYPE_CHECKING:
    from listener.reads.impacts import Impact

_BRANDS_APART = 4  # pictures below each other in one file


def impacts(rows: Sequence[Impact], *, theme: Theme = "light", width: int = 600) -> Spec:
    """The rows of `trends.impact`: the mean sentiment of posts that speak of a touchpoint less that of the others of
    the same sources, with its 95 % interval. A picture for each of the four brands with the most posts.
    """
    groups: dict[str, list[Impact]] = {}
    for row in rows:
        groups.setdefault(row.brand, []).append(row)
    order = sorted(groups, key=lambda brand: (not brand, -sum(row.posts for row in groups[brand]), brand))
    chosen = [brand for brand in order if brand][:_BRANDS_APART] or order or [""]
    return stacked([_impacts(groups.get(brand, []), brand, LOOKS[theme], width) for brand in chosen])


def _impacts(rows: Sequence[Impact], brand: str, look: Look, width: int) -> Spec:
    text, who = "What touchpoints do to sentiment", f"{name(brand)}: posts that speak of it against those that do not"
    told = sorted((row for row in rows if row.score.enough), key=lambda row: (row.score.value or 0.0, row.touchpoint))
    if not told:
        return nothing(title(text, name(brand), width=width), look, width, "Too few posts here speak of a touchpoint.")
    values = [{"label": _named(row.touchpoint), **measured(row.score, look)} for row in told]
    for value, row in zip(values, told, strict=True):
        value["told"] = f"{value['label']} {interval_told(row.score)}"
    few = len(rows) - len(told)
    left = f"; {count(few, 'touchpoint')} with too few posts not shown" if few else ""
    heading = title(text, who, f"Stroke: where the difference is with 95% certainty{left}", width=width)
    ends = (end for row in told for end in (row.score.low or 0.0, row.score.high or 0.0))
    most = math.ceil(max(abs(end) for end in ends) * 4) / 4 or 0.25
    marks = ((-most, f"worse by {most:g}"), (0.0, "no difference"), (most, f"better by {most:g}"))
    alt = f"What touchpoints do to the sentiment of {name(brand)}: {'; '.join(value['told'] for value in values)}."
    return framed({"title": heading, **intervals(values, look, width, marks)}, look, alt)


def _named(touchpoint: str) -> str:
    return capital(TOUCHPOINT_NAMES.get(touchpoint, touchpoint))
