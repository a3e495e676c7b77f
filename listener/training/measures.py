"""Figures from true and guessed labels, each with its interval. numpy alone, whole arrays at a time.

Every figure is a function of sums over posts (cells of a confusion table, bins of confidence), so that one resampling
of the posts gives the interval of any of them: the Poisson bootstrap (Hanley and MacGibbon 2006), which counts each
post a Poisson(1) number of times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Sums = NDArray[np.float64]

BINS = 15  # of confidence, equally wide: what papers report as ECE
_TIMES = 1000
_CELLS_AT_ONCE = 2_000_000  # of the matrix of counts: 16 MB, whatever the number of posts


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its 95 % interval and standard error over resampled posts."""

    value: float
    low: float
    high: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}-{self.high:.3f})"


def figures(columns: Sums, measure: Callable[[Sums], Sums], seed: int = 0, *, centred: bool = False) -> list[Figure]:
    """Figures of what `measure` makes of the sums of `columns` (posts, c): (..., c) -> (..., figures).

    `centred` moves the resampled figures back by what they exceed the measured one on average: resampling adds noise,
    and noise makes a sum of absolute distances larger, so that a small calibration error would lie under its interval.
    """
    rng = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // max(1, len(columns)))
    drawn = [
        measure(rng.poisson(1.0, (min(at_once, _TIMES - done), len(columns))) @ columns)
        for done in range(0, _TIMES, at_once)
    ]
    again = np.concatenate(drawn)
    values = measure(columns.sum(axis=0))
    if centred:
        again = np.maximum(again - again.mean(axis=0) + values, 0)
    low, high = np.percentile(again, [2.5, 97.5], axis=0)
    return [Figure(*map(float, each)) for each in zip(values, low, high, again.std(axis=0), strict=True)]


def cells(truth: Labels, guessed: Labels, classes: int) -> Sums:
    """(posts, classes * classes): 1 in the cell of the confusion table that a post falls into."""
    found = np.zeros((len(truth), classes * classes))
    found[np.arange(len(truth)), truth * classes + guessed] = 1
    return found


def by_class(sums: Sums) -> Sums:
    """Precision, recall and F1 of every class, (..., 3 * classes), from the sums of `cells`; 0 where undefined."""
    classes = round(sums.shape[-1] ** 0.5)
    table = sums.reshape(*sums.shape[:-1], classes, classes)
    right = np.diagonal(table, axis1=-2, axis2=-1)
    true, named = table.sum(axis=-1), table.sum(axis=-2)
    parts = [right / np.maximum(named, 1e-12), right / np.maximum(true, 1e-12)]
    return np.concatenate([*parts, 2 * right / np.maximum(true + named, 1e-12)], axis=-1)


def overall(sums: Sums) -> Sums:
    """Macro-F1, macro-recall and accuracy, (..., 3), from the sums of `cells`.

    A class that is neither there nor named counts as 0, as in scikit-learn with all labels given.
    """
    classes = round(sums.shape[-1] ** 0.5)
    each = by_class(sums)
    right = sums[..., :: classes + 1].sum(axis=-1)
    recall, f1 = each[..., classes : 2 * classes], each[..., 2 * classes :]
    return np.stack([f1.mean(axis=-1), recall.mean(axis=-1), right / np.maximum(sums.sum(axis=-1), 1e-12)], axis=-1)


def named_cells(truth: NDArray[np.bool_], named: NDArray[np.bool_]) -> Sums:
    """(posts, 3 * labels) for labels of which several hold at once: rightly named, wrongly named, missed."""
    return np.concatenate([truth & named, ~truth & named, truth & ~named], axis=1).astype(np.float64)


def by_label(sums: Sums) -> Sums:
    """Precision, recall, F1 of every label and last the micro-F1, (..., 3 * labels + 1), from `named_cells`' sums."""
    right, wrong, missed = np.split(sums, 3, axis=-1)
    total = [part.sum(axis=-1, keepdims=True) for part in (right, wrong, missed)]
    return np.concatenate(
        [
            right / np.maximum(right + wrong, 1e-12),
            right / np.maximum(right + missed, 1e-12),
            2 * right / np.maximum(2 * right + wrong + missed, 1e-12),
            2 * total[0] / np.maximum(2 * total[0] + total[1] + total[2], 1e-12),
        ],
        axis=-1,
    )


def bins(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> Sums:
    """(posts, 3 * BINS): for the bin of its confidence, a post's count, confidence and 1 when it was right."""
    place = np.clip((np.asarray(confidence, dtype=np.float64) * BINS).astype(int), 0, BINS - 1)
    found = np.zeros((len(place), 3 * BINS))
    rows = np.arange(len(place))
    found[rows, place], found[rows, place + BINS], found[rows, place + 2 * BINS] = 1, confidence, right
    return found


def calibration_error(sums: Sums) -> Sums:
    """ECE, (..., 1): mean distance of confidence and accuracy over bins, weighted by posts (Guo et al. 2017)."""
    count, confidence, right = np.split(sums, 3, axis=-1)
    gaps = np.abs(confidence - right).sum(axis=-1, keepdims=True)
    return np.asarray(gaps / np.maximum(count.sum(axis=-1, keepdims=True), 1e-12), dtype=np.float64)


def accuracy_of_surest(confidence: NDArray[np.floating], right: NDArray[np.bool_], share: float) -> float:
    """Accuracy when the `share` of posts with the least confidence abstain."""
    return float(right[_surest(confidence, share)].mean())


def surest(confidence: NDArray[np.floating], right: NDArray[np.bool_], share: float) -> Sums:
    """(posts, 4): 1, right, kept, kept and right; the `share` of posts with the least confidence is not kept."""
    kept = np.zeros(len(right), dtype=bool)
    kept[_surest(confidence, share)] = True
    return np.stack([np.ones_like(kept), right, kept, kept & right], axis=1).astype(np.float64)


def gain(sums: Sums) -> Sums:
    """How much more accurate the kept posts are than all, (..., 1), from the sums of `surest`."""
    posts, right, kept, kept_right = np.split(sums, 4, axis=-1)
    return np.asarray(kept_right / np.maximum(kept, 1e-12) - right / np.maximum(posts, 1e-12), dtype=np.float64)


def _surest(confidence: NDArray[np.floating], share: float) -> Labels:
    return np.argsort(confidence, kind="stable")[int(share * len(confidence)) :]
