"""Whether a count of the last hours is more than the same hours of earlier weeks explain: exact, for small counts too.

Counts of posts vary more than chance alone allows. They are taken as negative binomial: a Poisson count whose rate
varies by a gamma of shape r, the same for all weeks. Given the sum of all weeks, the share of the last one is then
beta-binomial whatever the rate is, so the test needs no estimate of the rate and is exact for a rare brand as well. r
is estimated by moments over all hours of the week, on the safe side.

Criticism is looked at in a second way: which part of the posts is negative. Posts of one day are alike, so that n of
them tell as much as n / (1 + (n - 1) rho) independent ones (the design effect of cluster sampling, Kish 1965). rho is
estimated like r; with numbers so reduced the present part is beta-binomial, given what the earlier weeks tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

WEEK_H = 168
WEEKS = 8  # of history; fewer do, but not fewer than LEAST_WEEKS
LEAST_WEEKS = 4
WINDOWS_H = (1, 3, 6, 24)  # a burst shows in one hour, a rare brand's in a day
LEAST_RATIO = 1.5  # less than half as much again is no reason to call anybody, however sure it is
BACK = 0.05  # an event is over when its count is one that every twentieth quiet look shows
_MONTH_H = 720
_LEAST_VARIATION, _MOST_VARIATION = 0.01, 10.0  # 1/r: nobody's rate is the same in every week
_UNKNOWN = 1.0  # of a series too rare to tell
_LEAST_ALIKE, _MOST_ALIKE = 0.002, 0.5  # rho: no brand's share of criticism is the same every day
_Z90 = 1.2815515655446004

Weeks = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Look:
    """A count of the last `window_h` hours beside the same hours of earlier weeks.

    `p` is the chance of so many or more in a quiet week.
    """

    window_h: int
    seen: int
    usual: float  # mean of the earlier weeks
    low: int
    high: int
    weeks: int
    p: float


def looks(weeks: Weeks, least: int, windows: tuple[int, ...] = WINDOWS_H) -> Iterator[Look]:
    """What is to be judged of a series: one look a window, those left out that are too small to be told of.

    `weeks[k, j]` is the count of the hour that ended j hours before the look, k weeks earlier; row 0 is the present.
    NaN stands for an hour that is no evidence.
    """
    for window in windows:
        found = look(weeks, window, LEAST_RATIO)
        if found is not None and found.seen >= least and found.p < 1:
            yield found


def look(weeks: Weeks, window: int, ratio: float = 1.0) -> Look | None:
    """The count of one window and its chance, 1 up to `ratio` times the usual; None where fewer than four earlier weeks
    tell what is usual.
    """
    seen = int(np.nansum(weeks[0, :window]))
    past = weeks[1:, :window].sum(axis=1)
    past = past[~np.isnan(past)]
    if len(past) < LEAST_WEEKS:
        return None
    usual = float(past.mean())
    p = 1.0
    if seen and seen >= ratio * usual:
        p = chance(seen, int(past.sum()), len(past), 1 / variation(weeks[1:], window))
    return Look(window, seen, usual, int(past.min()), int(past.max()), len(past), p)


def share_looks(part: Weeks, whole: Weeks, least: int, windows: tuple[int, ...] = WINDOWS_H) -> Iterator[Look]:
    """The same as `looks` for which part of the posts of a series is of a kind; both are as `looks` takes them."""
    for window in windows:
        found = share_look(part, whole, window, LEAST_RATIO)
        if found is not None and found.seen >= least and found.p < 1:
            yield found


def share_look(part: Weeks, whole: Weeks, window: int, ratio: float = 1.0) -> Look | None:
    """The part in one window and its chance, 1 up to `ratio` times the usual part; None as for `look`."""
    seen, now = int(np.nansum(part[0, :window])), float(np.nansum(whole[0, :window]))
    parts, wholes = (each[1:, :window].sum(axis=1) for each in (part, whole))
    there = ~np.isnan(parts + wholes)
    parts, wholes = parts[there], wholes[there]
    if len(parts) < LEAST_WEEKS or not wholes.sum():
        return None
    usual, p = float(parts.sum() / wholes.sum()), 1.0
    if seen and seen / now >= ratio * usual:
        rho = likeness(part[1:], whole[1:], window)
        tells, told = now / (1 + (now - 1) * rho), float((wholes / (1 + np.maximum(wholes - 1, 0) * rho)).sum())
        other = (1 - usual) * told + 0.5
        p = _tail(math.floor(seen / now * tells), math.floor(tells), usual * told + 0.5, other)
    return Look(window, seen, float(parts.mean()), int(parts.min()), int(parts.max()), len(parts), p)


def threshold(false_alarms: float, series: int, window: int) -> float:
    """The chance below which a look is told of, so that so many false alarms a month are to be expected at most.

    Over `series` series and all windows. Windows of many hours overlap from one look to the next, so that their false
    alarms come in runs, and a run is one alert: they count as fewer looks.
    """
    a_month = _MONTH_H / max(1.0, window / 2)
    return false_alarms / (max(series, 1) * len(WINDOWS_H) * a_month)


def variation(past: Weeks, window: int) -> float:
    """1/r of the counts of `window` hours: how much more they vary from week to week than chance alone allows.

    Moments over all hours of the week, the variance at its upper 90 % limit (Wilson and Hilferty 1931).
    """
    bad = _sums(np.isnan(past).astype(float), window) > 0
    sums = np.where(bad, np.nan, _sums(np.nan_to_num(past), window))
    number = (~bad).sum(axis=0)
    sums, number = sums[:, number >= LEAST_WEEKS - 1], number[number >= LEAST_WEEKS - 1]
    if not sums.size:
        return _UNKNOWN
    mean, variance = np.nanmean(sums, axis=0), np.nanvar(sums, axis=0, ddof=1)
    surely = _upper(max(float((number - 1).sum()) / window, 2.0))
    squares = float((mean**2 - variance / number).sum())
    if squares <= 0:
        return _UNKNOWN
    found = float((surely * variance - mean).sum()) / squares
    return min(max(found, _LEAST_VARIATION), _MOST_VARIATION)


def likeness(part: Weeks, whole: Weeks, window: int) -> float:
    """rho of the part in counts of `window` hours, which divides a day: how much more it varies than by chance.

    Moments over windows side by side (Pearson's statistic), that at its upper 90 % limit.
    """
    parts, wholes = (each.reshape(-1, window).sum(axis=1) for each in (part, whole))
    there = wholes > 0  # NaN is not
    parts, wholes = parts[there], wholes[there]
    mean, pairs = parts.sum() / max(wholes.sum(), 1), float((wholes - 1).sum())
    free = len(parts) - 1
    if free < 2 or not pairs or not 0 < mean < 1:
        return _MOST_ALIKE
    squares = float(((parts - wholes * mean) ** 2 / (wholes * mean * (1 - mean))).sum())
    return min(max((_upper(free) * squares - free) / pairs, _LEAST_ALIKE), _MOST_ALIKE)


def _upper(free: float) -> float:
    """By what a variance with so many degrees of freedom is multiplied to be its upper 90 % limit."""
    return float(1 / max(1 - 2 / (9 * free) - _Z90 * math.sqrt(2 / (9 * free)), 0.3) ** 3)


def _sums(values: NDArray[Any], window: int) -> NDArray[Any]:
    """Sums of every `window` neighbours along the second axis."""
    added = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
    sums: NDArray[Any] = added[:, window:] - added[:, :-window]
    return sums


def chance(seen: int, past: int, weeks: int, shape: float) -> float:
    """P(X >= seen) of X ~ beta-binomial(seen + past; shape, weeks * shape): the present among all weeks."""
    return _tail(seen, seen + past, shape, weeks * shape)


def _tail(seen: int, number: int, one: float, other: float) -> float:
    """P(X >= seen) of X ~ beta-binomial(number; one, other)."""
    if seen <= 0:
        return 1.0
    term = math.exp(
        math.lgamma(number + 1) - math.lgamma(seen + 1) - math.lgamma(number - seen + 1)
        + math.lgamma(seen + one) + math.lgamma(number - seen + other) - math.lgamma(number + one + other)
        + math.lgamma(one + other) - math.lgamma(one) - math.lgamma(other)
    )  # fmt: skip
    total = 0.0
    for each in range(seen, number + 1):
        total += term
        if each == number or term <= total * 1e-12:
            break
        term *= (number - each) / (each + 1) * (each + one) / (number - each - 1 + other)
    return min(total, 1.0)
