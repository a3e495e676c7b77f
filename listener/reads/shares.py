"""Shares corrected for what the model is known to take for what, each with its 95 % interval. Pure.

A classifier that takes every tenth chat for a question finds questions where there are none, and the share it counts
is wrong by an amount that can be worked out. The counts of a period are a mixture of the rows of the confusion table,
one for each true label; the shares of the mixture are what is asked for ("adjusted count", Forman 2008). Two things are
uncertain, and both are in the interval: the posts are a sample, and so is the labelled data behind the table. The
corrected share is unbiased and noisy, the counted one is neither, so that what is told lies between them: the counted
share as long as the two differ by no more than the noise (James and Stein 1961). docs/measurements.md has the errors of
all three.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from listener.engine.labels import MOMENTS, PHASES, SENTIMENTS
from listener.reads.counts import NOTHING, Z95, Interval, Shares, wilson

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Correction:
    """Turns counts of guessed labels (rows, g) into shares of true ones (rows, t)."""

    labels: tuple[str, ...]  # t: what can be true
    _rates: Floats  # (t, g): how often a post of a true label is guessed as each, which may be "unsure"
    _posts: Floats  # (t,): how many labelled posts each row rests on
    _solve: Floats  # (t, g): the weighted least squares that undo `_rates`

    @classmethod
    def of(cls, table: Mapping[str, Sequence[int]]) -> Correction:
        """From labelled posts: true label -> how many were guessed as each label."""
        counts = np.array(list(table.values()), dtype=np.float64)
        posts = counts.sum(axis=1)
        rates = (counts + 0.5) / (posts + counts.shape[1] / 2)[:, None]  # Jeffreys' prior: no rate is 0
        # Pearson's weights: a guess that is rare varies less. With them the shares add up to 1 by themselves.
        weights = 1 / (rates * (posts / posts.sum())[:, None]).sum(axis=0)
        # The pseudo-inverse, since a model that tells two labels apart no better than a coin leaves nothing to undo.
        return cls(tuple(table), rates, posts, np.linalg.pinv((rates * weights) @ rates.T) @ (rates * weights))

    def shares(self, guessed: Floats) -> list[dict[str, Interval]]:
        """Of each row of counts (rows, g): label -> its share of the posts. None where nothing was counted."""
        wholes = guessed.sum(axis=1)
        seen = guessed / np.maximum(wholes, 1)[:, None]
        values = _to_simplex(seen @ self._solve.T)
        variances = self._sampling(guessed, wholes) + self._model(values**2)
        told = self._shrunk(guessed, values, variances)
        return [
            {
                label: _interval(*each, n=int(whole))
                for label, *each in zip(self.labels, *np.stack(rows).tolist(), strict=True)
            }
            for *rows, whole in zip(told, values, np.sqrt(variances), wholes, strict=True)
        ]

    def differences(self, before: Floats, after: Floats) -> list[dict[str, Interval]]:
        """Of each pair of rows of counts: label -> share after, less share before. The errors of the table, which both
        have in common, count only as far as the shares differ.
        """
        wholes = [np.maximum(counts.sum(axis=1), 1) for counts in (before, after)]
        each = list(zip((before, after), wholes, strict=True))
        found = [_to_simplex(counts / n[:, None] @ self._solve.T) for counts, n in each]
        moved = found[1] - found[0]
        sampling = sum(self._sampling(counts, n) for counts, n in each)
        errors = np.sqrt(sampling + self._model(moved**2))
        fewest = np.minimum(before.sum(axis=1), after.sum(axis=1))
        return [
            {
                label: Interval(float(value), float(value - Z95 * error), float(value + Z95 * error), int(n))
                for label, value, error in zip(self.labels, row, row_errors, strict=True)
            }
            for row, row_errors, n in zip(moved, errors, fewest, strict=True)
        ]  # fmt: skip

    def _shrunk(self, guessed: Floats, values: Floats, variances: Floats) -> Floats:
        """(rows, t): the shares to tell, between the counted and the corrected ones."""
        decided = guessed[:, : len(self.labels)]  # what is guessed beyond the labels is "unsure"
        sums = decided.sum(axis=1)[:, None]
        counted = np.where(sums > 0, decided / np.maximum(sums, 1), values)
        apart = ((values - counted) ** 2).sum(axis=1)
        pull = np.minimum(1, variances.sum(axis=1) / np.maximum(apart, 1e-12))[:, None]
        return np.asarray(pull * counted + (1 - pull) * values)

    def _sampling(self, guessed: Floats, wholes: Floats) -> Floats:
        """(rows, t): variance of the shares because the posts are a sample. Half a post is added to every count, since
        a label that was not guessed in five posts is not known to be absent.
        """
        rates = (guessed + 0.5) / (wholes + guessed.shape[1] / 2)[:, None]
        mean = rates @ self._solve.T
        return np.asarray(np.maximum(rates @ (self._solve**2).T - mean**2, 0) / np.maximum(wholes, 1)[:, None])

    def _model(self, squared: Floats) -> Floats:
        """(rows, t): variance because the table was counted on few labelled posts, for squared shares (rows, t)."""
        # Of the true label i: variance of solve @ (a draw of row i), for every label asked for.
        mean = self._rates @ self._solve.T
        each = np.maximum(self._rates @ (self._solve**2).T - mean**2, 0) / (self._posts + 1)[:, None]
        return np.asarray(squared @ each)


def _to_simplex(values: Floats) -> Floats:
    """(rows, t) with no share below 0 and each row adding up to 1: noise can carry a rare label below nothing."""
    clipped = np.maximum(values, 0)
    sums = clipped.sum(axis=1, keepdims=True)
    return np.asarray(clipped / np.where(sums > 0, sums, 1))


def _interval(told: float, value: float, error: float, *, n: int) -> Interval:
    """`told` with the 95 % interval of the corrected share, widened where that leaves it out."""
    if not n:
        return NOTHING
    low, high = max(0.0, value - Z95 * error), min(1.0, value + Z95 * error)
    return Interval(told, min(low, told), max(high, told), n)


# What is corrected ----------------------------------------------------------------------------------------------------

_PHASE_OF = tuple(dict.fromkeys(PHASES.values()))
_GROUP_OF = {moment: moment if moment in ("zmot", "tmot") else "other" for moment in MOMENTS}
_GROUPS = ("zmot", "tmot", "other")

_CONFUSION = """
SELECT confusion FROM models WHERE name = (SELECT value FROM meta WHERE key = 'model')
"""


@dataclass(frozen=True, slots=True)
class Corrections:
    """The corrections that one model's table of errors allows."""

    phases: Correction
    groups: Correction  # zmot, tmot and the rest
    sentiments: Correction


def corrections(reader: sqlite3.Connection) -> Corrections | None:
    """Those of the model in charge; None where nobody has measured what it takes for what."""
    row = reader.execute(_CONFUSION).fetchone()
    return parse(row[0]) if row and row[0] else None


@cache
def parse(confusion: str) -> Corrections:
    """From the table of errors as `config.json` of a model holds it: true label -> how many posts were guessed as each
    label, and of a moment, last, how many the model was unsure of.
    """
    table = json.loads(confusion)
    return Corrections(
        Correction.of(_grouped(table["moments"], PHASES, _PHASE_OF)),
        Correction.of(_grouped(table["moments"], _GROUP_OF, _GROUPS)),
        Correction.of({label: table["sentiments"][label] for label in SENTIMENTS}),
    )


def _grouped(table: Mapping[str, Sequence[int]], of: Mapping[str, str], groups: Sequence[str]) -> dict[str, list[int]]:
    found = {group: [0] * (len(groups) + 1) for group in groups}
    for true, row in table.items():
        for guessed, posts in zip((*MOMENTS, None), row, strict=True):
            found[of[true]][groups.index(of[guessed]) if guessed else -1] += posts
    return found


def of(totals: Sequence[Mapping[str, Any]], known: Corrections | None) -> list[Shares]:
    """The shares of every row of `counts.totals`."""
    if known is None:
        return [_counted(each) for each in totals]
    moments = known.phases.shares(_table(totals, _PHASE_OF, PHASES))
    groups = known.groups.shares(_table(totals, _GROUPS, _GROUP_OF))
    feelings = known.sentiments.shares(_felt(totals))
    return [
        Shares(corrected=True, **phases, zmot=group["zmot"], tmot=group["tmot"], **felt)
        for phases, group, felt in zip(moments, groups, feelings, strict=True)
    ]


def _table(totals: Sequence[Mapping[str, Any]], groups: Sequence[str], of: Mapping[str, str]) -> Floats:
    """(rows, groups + 1): the counts of every row by group, and last those the model was unsure of."""
    found = np.zeros((len(totals), len(groups) + 1))
    for place, each in enumerate(totals):
        for moment, posts in each["moments"].items():
            found[place, groups.index(of[moment])] += posts
        found[place, -1] = each["abstained"] - each["unread"]
    return found


def _felt(totals: Sequence[Mapping[str, Any]]) -> Floats:
    counts = [[each["sentiments"][label] for label in SENTIMENTS] for each in totals]
    return np.array(counts, dtype=np.float64).reshape(-1, len(SENTIMENTS))


def _counted(row: Mapping[str, Any]) -> Shares:
    decided, felt = row["posts"] - row["abstained"], sum(row["sentiments"].values())
    return Shares(
        corrected=False,
        **{phase: wilson(row[phase], decided) for phase in _PHASE_OF},
        **{moment: wilson(row["moments"][moment], decided) for moment in ("zmot", "tmot")},
        **{sentiment: wilson(row["sentiments"][sentiment], felt) for sentiment in SENTIMENTS},
    )


def difference(before: Mapping[str, Any], after: Mapping[str, Any], known: Corrections | None) -> dict[str, Interval]:
    """Share after less share before, of every phase and sentiment, for two rows of `counts.totals`."""
    if known is None:
        return _counted_difference(before, after)
    moments = [_table([each], _PHASE_OF, PHASES) for each in (before, after)]
    felt = [_felt([each]) for each in (before, after)]
    return known.phases.differences(*moments)[0] | known.sentiments.differences(*felt)[0]


def _counted_difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Interval]:
    decided = [each["posts"] - each["abstained"] for each in (before, after)]
    felt = [sum(each["sentiments"].values()) for each in (before, after)]
    of_moments = {phase: newcombe(before[phase], decided[0], after[phase], decided[1]) for phase in _PHASE_OF}
    return of_moments | {
        label: newcombe(before["sentiments"][label], felt[0], after["sentiments"][label], felt[1])
        for label in SENTIMENTS
    }


def newcombe(part: int, whole: int, later_part: int, later_whole: int) -> Interval:
    """Difference of two shares with its 95 % interval (Newcombe 1998, method 10); `n` is the smaller whole."""
    first, last = wilson(part, whole), wilson(later_part, later_whole)
    if first.value is None or last.value is None:
        return NOTHING
    assert first.low is not None and first.high is not None and last.low is not None and last.high is not None
    moved = last.value - first.value
    low = moved - math.hypot(last.value - last.low, first.high - first.value)
    high = moved + math.hypot(last.high - last.value, first.value - first.low)
    return Interval(moved, low, high, min(whole, later_whole))
