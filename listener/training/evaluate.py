"""Measures a classifier on labelled posts: every figure of the model card, with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from listener.engine import Classifier
from listener.engine.labels import MOMENTS, SENTIMENTS, TOUCHPOINTS
from listener.records import Scores
from listener.training import measures
from listener.training.dataset import UNKNOWN, Example
from listener.training.measures import BINS, Figure, Labels

GROUPS = ("other", "zmot", "tmot")
ABSTAINING = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)  # shares of the posts, for the abstention curve
_TO_GROUP = np.array([{"zmot": 1, "tmot": 2}.get(moment, 0) for moment in MOMENTS])
_AT_ONCE = 512  # posts between two steps of a progress bar
_SMALLEST_SOURCE = 10  # posts; figures of fewer would only be luck


@dataclass(frozen=True, slots=True)
class PerLabel:
    label: str
    precision: Figure
    recall: Figure
    f1: Figure
    posts: int


@dataclass(frozen=True, slots=True)
class Bin:
    """Posts whose confidence falls between two edges: mean confidence and share right."""

    confidence: float
    accuracy: float
    posts: int


@dataclass(frozen=True, slots=True)
class HeadReport:
    """One head on one set. `ece` and `reliability` are None and empty for a baseline, which has no confidence."""

    macro_f1: Figure
    macro_recall: Figure
    accuracy: Figure
    classes: tuple[PerLabel, ...]
    confusion: tuple[tuple[int, ...], ...]  # row the true class, column the guessed one
    ece: Figure | None = None
    reliability: tuple[Bin, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceReport:
    source: str
    posts: int
    accuracy: float
    macro_f1: float  # over the moments that occur in the source's labels


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one classifier on one set. A head the set has no labels for is None."""

    name: str
    posts: int
    moment: HeadReport | None
    groups: HeadReport | None  # zmot, tmot and everything else
    sentiment: HeadReport | None
    touchpoints: tuple[PerLabel, ...]
    touchpoint_micro_f1: Figure | None
    abstained: float | None
    accuracy_when_sure: float | None  # of the moment, over the posts that did not abstain
    abstention: tuple[tuple[float, float], ...]  # share abstaining, accuracy of the moment of the others
    gain_at_15: Figure | None  # accuracy of the moment when 15 % abstain, less that of all
    sources: tuple[SourceReport, ...]
    confusion: dict[str, dict[str, list[int]]] | None  # as `shares` reads it; None where a head has no labels

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def evaluate(classifier: Classifier, examples: Sequence[Example], advance: Callable[[int], object] = bool) -> Report:
    """Scores `examples` and reports every head they carry labels for. `advance` hears how many were scored."""
    scores: list[Scores] = []
    for start in range(0, len(examples), _AT_ONCE):
        part = examples[start : start + _AT_ONCE]
        scores += classifier.classify([example.text for example in part], [example.kind for example in part])
        advance(len(part))
    moments = np.array([example.moment for example in examples])
    known = moments != UNKNOWN
    matrix = np.array([list(score.moments.values()) for score in scores])
    guessed, confidence = matrix.argmax(axis=1), matrix.max(axis=1)
    right = (guessed == moments)[known]
    sure = np.array([not score.abstained for score in scores])
    touchpoints, micro = _touchpoints(scores, examples)
    return Report(
        name=classifier.model,
        posts=len(examples),
        moment=_head(MOMENTS, moments, matrix),
        groups=head_report(GROUPS, _TO_GROUP[moments[known]], _TO_GROUP[guessed[known]]) if known.any() else None,
        sentiment=_head(
            SENTIMENTS,
            np.array([example.sentiment for example in examples]),
            np.array([list(score.sentiments.values()) for score in scores]),
        ),
        touchpoints=touchpoints,
        touchpoint_micro_f1=micro,
        abstained=float(1 - sure[known].mean()) if known.any() else None,
        accuracy_when_sure=float(right[sure[known]].mean()) if sure[known].any() else None,
        abstention=tuple(
            (share, measures.accuracy_of_surest(confidence[known], right, share)) for share in ABSTAINING
        ) if known.any() else (),
        gain_at_15=_gain(confidence[known], right) if known.any() else None,
        sources=_sources([x for x in examples if x.moment != UNKNOWN], moments[known], guessed[known]),
        confusion=_confusion(scores, examples),
    )  # fmt: skip


def head_report(
    labels: Sequence[str], truth: Labels, guessed: Labels, confidence: NDArray[np.floating] | None = None
) -> HeadReport:
    """Figures of one head from true and guessed class numbers (n,), and with `confidence` (n,) its calibration."""
    cells = measures.cells(truth, guessed, len(labels))
    macro_f1, macro_recall, accuracy = measures.figures(cells, measures.overall)
    posts = np.bincount(truth, minlength=len(labels)).tolist()
    classes = _per_label(labels, measures.figures(cells, measures.by_class), posts)
    table = cells.sum(axis=0).astype(int).reshape(len(labels), len(labels))
    confusion = tuple(tuple(row) for row in table.tolist())
    if confidence is None:
        return HeadReport(macro_f1, macro_recall, accuracy, classes, confusion)
    bins = measures.bins(confidence, guessed == truth)
    (ece,) = measures.figures(bins, measures.calibration_error, centred=True)
    count, confident, right = np.split(bins.sum(axis=0), 3)
    reliability = tuple(
        Bin(float(confident[i] / count[i]), float(right[i] / count[i]), int(count[i])) for i in range(BINS) if count[i]
    )
    return HeadReport(macro_f1, macro_recall, accuracy, classes, confusion, ece, reliability)


def _head(labels: Sequence[str], truth: Labels, matrix: NDArray[np.floating]) -> HeadReport | None:
    known = truth != UNKNOWN
    if not known.any():
        return None
    return head_report(labels, truth[known], matrix.argmax(axis=1)[known], matrix.max(axis=1)[known])


def _confusion(scores: Sequence[Scores], examples: Sequence[Example]) -> dict[str, dict[str, list[int]]] | None:
    """True label -> posts guessed as each label; those of moments that the model was unsure of are counted last."""
    moments = {label: [0] * (len(MOMENTS) + 1) for label in MOMENTS}
    sentiments = {label: [0] * len(SENTIMENTS) for label in SENTIMENTS}
    for score, example in zip(scores, examples, strict=True):
        if example.moment != UNKNOWN:
            moments[MOMENTS[example.moment]][-1 if score.abstained else MOMENTS.index(score.moment)] += 1
        if example.sentiment != UNKNOWN:
            sentiments[SENTIMENTS[example.sentiment]][SENTIMENTS.index(score.sentiment)] += 1
    full = all(map(sum, (*moments.values(), *sentiments.values())))
    return {"moments": moments, "sentiments": sentiments} if full else None


def _gain(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> Figure:
    (gain,) = measures.figures(measures.surest(confidence, right, 0.15), measures.gain)
    return gain


def _per_label(labels: Sequence[str], each: Sequence[Figure], posts: Sequence[int]) -> tuple[PerLabel, ...]:
    precision, recall, f1 = (each[at * len(labels) : (at + 1) * len(labels)] for at in range(3))
    return tuple(PerLabel(*row) for row in zip(labels, precision, recall, f1, posts, strict=True))


def _touchpoints(scores: Sequence[Scores], examples: Sequence[Example]) -> tuple[tuple[PerLabel, ...], Figure | None]:
    pairs = [(s.touchpoints, x.touchpoints) for s, x in zip(scores, examples, strict=True) if x.touchpoints is not None]
    if not pairs:
        return (), None
    named, truth = (
        np.array([[label in row[side] for label in TOUCHPOINTS] for row in pairs], dtype=bool) for side in (0, 1)
    )
    *each, micro = measures.figures(measures.named_cells(truth, named), measures.by_label)
    return _per_label(TOUCHPOINTS, each, truth.sum(axis=0).tolist()), micro


def _sources(examples: Sequence[Example], truth: Labels, guessed: Labels) -> tuple[SourceReport, ...]:
    found = []
    names = np.array([example.source for example in examples])
    for name in sorted(set(names) - {""}):
        of = names == name
        if of.sum() < _SMALLEST_SOURCE:
            continue
        sums = measures.cells(truth[of], guessed[of], len(MOMENTS)).sum(axis=0)
        there = np.unique(truth[of])
        f1 = measures.by_class(sums)[2 * len(MOMENTS) :][there].mean()
        found.append(SourceReport(name, int(of.sum()), float((truth == guessed)[of].mean()), float(f1)))
    return tuple(found)
