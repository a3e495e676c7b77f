"""Which contact with a business hurts or helps most: what each touchpoint does to sentiment and rating. Reads only."""

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from listener.reads.counts import NOTHING, Z95, Interval, mean
from listener.reads.filters import checked, rows_of

# Sums of a figure and of its squares, of all posts and of those that speak of each touchpoint.
_FIGURES = """
sum(posts) - sum(unread) AS posts, sum(score_sum) AS score, sum(score_squares) AS score_squares,
    sum(stars_1 + stars_2 + stars_3 + stars_4 + stars_5) AS rated, sum(rating_sum) AS rating,
    sum(rating_squares) AS rating_squares
"""
_ALL = f"SELECT brand, source, {_FIGURES} FROM {{table}} WHERE {{which}} GROUP BY 1, 2"  # noqa: S608  # names of ours
_EACH = f"SELECT brand, source, touchpoint, {_FIGURES}, {{felt}} FROM {{table}} WHERE {{which}} GROUP BY 1, 2, 3"  # noqa: S608  # names of ours
_SUMS = ("posts", "score", "score_squares", "rated", "rating", "rating_squares", "negative", "neutral", "positive")


@dataclass(frozen=True, slots=True)
class Impact:
    """What a touchpoint does to how people feel: posts that speak of it beside the other posts of the same sources.

    `score`: mean sentiment of the ones less that of the others, -2..2. `rating`: the same of ratings, in stars of five.
    `weight`: by how much the mean sentiment of all posts is pulled by it, that is `score` times `share`.
    """

    brand: str
    touchpoint: str
    posts: int
    share: float
    negative: int
    positive: int
    score: Interval
    rating: Interval
    weight: Interval


def impact(reader: sqlite3.Connection, **filters: Any) -> list[Impact]:
    """The touchpoints of each brand over the whole period, that which pulls the sentiment down most first.

    Posts are compared within their source, since a forum and a review site differ in everything; the differences of the
    sources are averaged by how many of their posts speak of the touchpoint. Posts that speak of it may speak of others
    too: it is what goes with the touchpoint, which need not be its doing.
    """
    chosen = checked(reader, filters)
    everything = {(row["brand"], row["source"]): row for row in rows_of(reader, _ALL, replace(chosen, touchpoints=()))}
    sums: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0] * len(_SUMS))
    for sign, view, piece in chosen.spans():
        for brand, source, touchpoint, *counts in rows_of(reader, _EACH, piece, view):
            so_far = sums[brand, touchpoint, source]
            so_far[:] = [was + sign * count for was, count in zip(so_far, counts, strict=True)]
    found: dict[tuple[str, str], list[tuple[str, Mapping[str, int]]]] = defaultdict(list)
    for (brand, touchpoint, source), each in sums.items():
        if each[0]:
            found[brand, touchpoint].append((source, dict(zip(_SUMS, each, strict=True))))
    of_brand: dict[str, int] = defaultdict(int)
    for (brand, _), row in everything.items():
        of_brand[brand] += row["posts"]
    rows = []
    for (brand, touchpoint), own in found.items():
        posts = sum(row["posts"] for _, row in own)
        share = posts / max(1, of_brand[brand])
        pairs = [(row, everything[brand, source]) for source, row in own]
        score = _difference(pairs, "posts", "score", 1.0, (-1, 1))
        weight = _scaled(score, share)
        rating = _difference(pairs, "rated", "rating", 4.0, (0, 1))
        negative, positive = (sum(row[side] for _, row in own) for side in ("negative", "positive"))
        rows.append(Impact(brand, touchpoint, posts, share, negative, positive, score, rating, weight))
    return sorted(rows, key=lambda each: (each.brand, not each.weight.enough, each.weight.value or 0, each.touchpoint))


def _difference(
    pairs: Sequence[tuple[Mapping[str, int], sqlite3.Row]], n: str, figure: str, scale: float, ends: tuple[float, float]
) -> Interval:
    """Mean of a figure among the posts with a touchpoint less that of the others, over sources: (with, all) each."""
    weights, differences, variances = [], [], []
    for own, every in pairs:
        there, others = own[n], every[n] - own[n]
        if there < 2 or others < 2:
            continue
        sides = [
            mean(own[figure] / 1e6, own[f"{figure}_squares"] / 1e6, there, *ends),
            mean((every[figure] - own[figure]) / 1e6, (every[f"{figure}_squares"] - own[f"{figure}_squares"]) / 1e6,
                 others, *ends),
        ]  # fmt: skip
        values = [side.value or 0.0 for side in sides]
        weights.append(there)
        differences.append(values[0] - values[1])
        variances.append(sum(_variance(side) for side in sides))
    whole = sum(weights)
    if not whole:
        return NOTHING
    value = scale * sum(w * d for w, d in zip(weights, differences, strict=True)) / whole
    half = scale * Z95 * math.sqrt(sum(w * w * v for w, v in zip(weights, variances, strict=True))) / whole
    return Interval(value, value - half, value + half, whole)


def _variance(figure: Interval) -> float:
    """Of the wider side: the other may be cut off at the end of the scale."""
    assert figure.value is not None and figure.low is not None and figure.high is not None
    return (max(figure.value - figure.low, figure.high - figure.value) / Z95) ** 2


def _scaled(figure: Interval, by: float) -> Interval:
    if figure.value is None or figure.low is None or figure.high is None:
        return figure
    return Interval(figure.value * by, figure.low * by, figure.high * by, figure.n)
