"""The figures of a recipient's day beside what is usual, and which of the differences may be called a change."""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from listener import trends
from listener.digest.edition import Edition
from listener.trends import DayTotals, TouchpointTotal, Usual
from listener.wording import brand_name, count, listed, touchpoint_name, usually

FEW = 5  # below this, posts are told one by one: "mostly" would say too much
FEW_ANSWERS = 10  # below this, a share is noise


@dataclass(frozen=True, slots=True)
class Change:
    """A figure of the day beside its usual band."""

    told: str  # "43 mentions, usually 18 to 31"
    short: str  # "more mentions than usual"
    direction: int  # 1 above the band, -1 below, 0 inside
    about: str = ""  # a touchpoint


@dataclass(frozen=True, slots=True)
class Figures:
    """The days of the recipient's own brands, added up. A post that names two of them is two mentions."""

    edition: Edition
    totals: tuple[DayTotals, ...]
    usual: tuple[Usual, ...]
    touchpoints: tuple[TouchpointTotal, ...]  # most posts first

    @property
    def brands(self) -> tuple[str, ...]:
        return self.edition.brands

    @property
    def who(self) -> str:
        names = [brand_name(brand) for brand in self.brands]
        return listed(names if len(names) < 4 else [*names[:2], f"{len(names) - 2} more brands"])

    @property
    def noun(self) -> str:
        return "mention" if self.brands[0] else "post"

    def sum(self, field: str) -> int:
        return sum(int(getattr(total, field)) for total in self.totals)

    @property
    def posts(self) -> int:
        return self.sum("posts")

    @property
    def moments(self) -> Mapping[str, int]:
        return sum((Counter(total.moments) for total in self.totals), Counter[str]())

    @property
    def sentiments(self) -> Mapping[str, int]:
        return sum((Counter(total.sentiments) for total in self.totals), Counter[str]())


def gather(reader: sqlite3.Connection, edition: Edition) -> Figures:
    """Reads the figures of the edition's brands."""
    day = edition.day
    some: dict[str, Any] = {"days": edition.days, "sources": edition.sources}
    found: dict[str, list[TouchpointTotal]] = {}
    for brand in edition.brands:
        for total in trends.touchpoint_totals(reader, day, brand, **some):
            found.setdefault(total.touchpoint, []).append(total)
    touchpoints = [_added(totals) for totals in found.values()]
    return Figures(
        edition,
        tuple(trends.day_totals(reader, day, brand, **some) for brand in edition.brands),
        tuple(trends.usual(reader, day, brand, **some) for brand in edition.brands),
        tuple(sorted((t for t in touchpoints if t.posts), key=lambda t: (-t.posts, t.touchpoint))),
    )


def _added(totals: Sequence[TouchpointTotal]) -> TouchpointTotal:
    """One touchpoint over several brands. Without the usual of each of them there is none of the sum."""
    usual = [total.usual_posts for total in totals if total.usual_posts is not None]
    return TouchpointTotal(
        touchpoint=totals[0].touchpoint,
        posts=sum(total.posts for total in totals),
        positive=sum(total.positive for total in totals),
        neutral=sum(total.neutral for total in totals),
        negative=sum(total.negative for total in totals),
        usual_posts=sum(usual) if len(usual) == len(totals) else None,
    )


def compared(figures: Figures, index: int) -> list[Change]:
    """The figures of one brand beside their usual bands; empty without a history.

    A change is what lies outside the band *and* beyond chance: of four earlier days, the highest is passed on every
    fifth day by nothing but chance.
    """
    total, usual = figures.totals[index], figures.usual[index]
    if usual.posts_mean is None or usual.posts_low is None or usual.posts_high is None:
        return []
    whose = f"{brand_name(total.brand)}: " if len(figures.brands) > 1 else ""
    # Two standard errors of a Poisson count, the error of the mean added.
    noise = 2 * math.sqrt(max(usual.posts_mean, 1) * (1 + 1 / usual.days))
    direction = _direction(total.posts, usual.posts_mean, usual.posts_low, usual.posts_high, noise)
    noun = figures.noun
    band = _range(f"{usual.posts_low:,}", f"{usual.posts_high:,}")
    word = {1: f"more {noun}s than usual", -1: f"fewer {noun}s than usual", 0: f"{noun}s as usual"}[direction]
    found = [Change(f"{whose}{count(total.posts, noun)}, usually {band}", whose + word, direction)]
    decided = total.posts - total.abstained
    for name, part, whole, mean, low, high in (
        ("research", total.research, decided, usual.research_mean, usual.research_low, usual.research_high),
        ("feedback", total.feedback, decided, usual.feedback_mean, usual.feedback_low, usual.feedback_high),
        ("negative", total.sentiments["negative"], total.posts - total.unread, usual.negative_mean, usual.negative_low,
         usual.negative_high),
    ):  # fmt: skip
        if whole < FEW_ANSWERS or mean is None or low is None or high is None:
            continue  # not enough data: no change can be told from chance
        share, noise = part / whole, 2 * math.sqrt(max(mean * (1 - mean), 0.01) / whole)
        if direction := _direction(share, mean, low, high, noise):
            told = f"{whose}{share:.0%} {name}, usually {_range(f'{low:.0%}', f'{high:.0%}')}"
            topic = "criticism" if name == "negative" else name
            found.append(Change(told, f"{whose}{'more' if direction > 0 else 'less'} {topic}", direction))
    return found


def _direction(value: float, mean: float, low: float, high: float, noise: float) -> int:
    if value > high and value - mean > noise:
        return 1
    return -1 if value < low and mean - value > noise else 0


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def touchpoint_changes(figures: Figures) -> list[Change]:
    """Touchpoints that far more posts speak of than usual: by three standard errors, since only their mean is known."""
    found = []
    for total in figures.touchpoints:
        usual = total.usual_posts
        if usual is None or total.posts < FEW or total.posts - usual <= 3 * math.sqrt(max(usual, 1)):
            continue
        name = touchpoint_name(total.touchpoint)
        short = f"more posts about {name}"
        if total.negative * 2 > total.posts:
            short = f"more complaints about {name}"
        elif total.positive * 2 > total.posts:
            short = f"more praise for {name}"
        found.append(Change(f"{total.posts:,} posts about {name}, {usually(usual)}", short, 1, total.touchpoint))
    return found


def usual_posts(total: TouchpointTotal) -> str:
    """ "usually about 4", or nothing where there is no history."""
    return "" if total.usual_posts is None else usually(total.usual_posts)


def news(figures: Figures) -> list[Change]:
    """What is out of the usual; what people speak about comes before how many they are."""
    moved = [change for index in range(len(figures.brands)) for change in compared(figures, index) if change.direction]
    return [*touchpoint_changes(figures)[:2], *moved]
