"""Periods on an axis: evenly spaced places for days, weeks and months, and their names in plain words.

The words are made here and not by Vega, whose dates follow the browser's time zone: a local day has to stay that day.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from listener.charts.looks import Look, Spec, words
from listener.wording import short_day

Unit = Literal["day", "week", "month"]

_MONDAY = date(1, 1, 1)
_MOST_TICKS = 7
_NAME = 46  # pixels of a period's name


@dataclass(frozen=True, slots=True)
class Span:
    """The periods a picture covers, as numbers that count them."""

    unit: Unit
    first: int
    last: int

    def place(self, period: str) -> int:
        return place(period)[1]

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    @property
    def told(self) -> str:
        """ "by week, 2 Nov to 29 Nov 2026"."""
        return f"by {self.unit}, {self.whole}" if self.length > 1 else self.whole

    @property
    def whole(self) -> str:
        """ "2 Nov to 29 Nov 2026"."""
        first, last = begin(self.unit, self.first), begin(self.unit, self.last + 1) - timedelta(days=1)
        if first == last:
            return f"{short_day(first)} {first.year}"
        end = f"{_day(last)} {last.year}"
        return f"{_day(first)}{'' if first.year == last.year else f' {first.year}'} to {end}"


def span(periods: Iterable[str]) -> Span:
    """The span of some periods of one length, of which there is at least one."""
    places = [place(period) for period in periods]
    numbers = [number for _, number in places]
    return Span(places[0][0], min(numbers), max(numbers))


def place(period: str) -> tuple[Unit, int]:
    """("day", its number), for 2026-11-22, 2026-W47 or 2026-11; neighbours are one apart."""
    if "W" in period:
        year, week = period.split("-W")
        return "week", (date.fromisocalendar(int(year), int(week), 1) - _MONDAY).days // 7
    if len(period) == 7:
        return "month", int(period[:4]) * 12 + int(period[5:]) - 1
    return "day", date.fromisoformat(period).toordinal()


def unit(period: str) -> Unit:
    return place(period)[0]


def begin(unit: Unit, number: int) -> date:
    """The first day of a period."""
    if unit == "month":
        return date(number // 12, number % 12 + 1, 1)
    return date.fromordinal(number) if unit == "day" else _MONDAY + timedelta(weeks=number)


def told(period: str) -> str:
    """A period for a sentence: "Sun 22 Nov 2026", "week from 16 Nov 2026", "November 2026" as "Nov 2026"."""
    unit, number = place(period)
    first = begin(unit, number)
    if unit == "month":
        return f"{_month(first)} {first.year}"
    return f"{'week from ' + _day(first) if unit == 'week' else short_day(first)} {first.year}"


def x(over: Span, places: Sequence[int] = ()) -> Spec:
    """The horizontal encoding of a period's place; lines are drawn at `places`, and `names` writes below them."""
    axis = {"labels": False, "grid": False, "ticks": True, "tickSize": 4, "values": list(places)} if places else None
    return {
        "field": "at",
        "type": "quantitative",
        "scale": {"domain": [over.first - 0.6, over.last + 0.6], "nice": False, "zero": False},
        "axis": axis,
    }


def ticks(over: Span, plot: float) -> list[int]:
    """The periods that are named in `plot` pixels: all where they are few, else evenly spaced back from the last."""
    step = max(1, math.ceil(over.length / max(1, min(_MOST_TICKS, plot // _NAME))))
    if over.unit == "month" and step > 1:
        step = next((nice for nice in (2, 3, 4, 6, 12) if nice >= step), math.ceil(step / 12) * 12)
    return list(range(over.last, over.first - 1, -step))[::-1]


def names(over: Span, look: Look, height: float, plot: float) -> Spec:
    """The layer of words below the axis; of several years, each stands below its first period that is named."""
    rows, year = [], 0
    several = begin(over.unit, over.first).year != begin(over.unit, over.last).year
    named = ticks(over, plot)
    for number in named:
        first = begin(over.unit, number)
        label = [_month(first) if over.unit == "month" else _day(first)]
        if over.unit == "day" and over.length <= _MOST_TICKS:
            label.insert(0, short_day(first).partition(" ")[0])
        rows.append({"at": number, "label": [*label, str(first.year)] if several and first.year != year else label})
        year = first.year
    where: Spec = {"value": height + 10}
    return words(rows, look, x=x(over, named), y=where, align="center", baseline="top", lineHeight=15)


def _day(day: date) -> str:
    return short_day(day).partition(" ")[2]


def _month(day: date) -> str:
    return _day(day).partition(" ")[2]
