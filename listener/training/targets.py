"""What a model is trained towards: hard labels softened by doubt, weighted by class, mixed with a teacher's word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from listener.engine.calibration import Floats, split
from listener.engine.labels import MOMENTS, SENTIMENTS, TOUCHPOINTS
from listener.training.dataset import UNKNOWN, Example

SMOOTHING = 0.05  # probability taken from a label and spread over the others
DOUBTFUL = 0.15  # the same where the reader thought another reader could choose another moment


@dataclass(frozen=True, slots=True)
class Weights:
    """Class weights of moments (7,) and, for texts with a sentiment alone, of sentiments (3,); mean 1 over examples."""

    moments: Floats
    sentiments: Floats


def weights(
    labelled: Sequence[Example], sentiment: Sequence[Example], moment_power: float, sentiment_power: float
) -> Weights:
    """Weights (share of the class) ** -power: macro figures ask for the rare classes as much as for the common ones."""
    return Weights(
        _balanced([example.moment for example in labelled], len(MOMENTS), moment_power),
        _balanced([example.sentiment for example in sentiment], len(SENTIMENTS), sentiment_power),
    )


def _balanced(labels: Sequence[int], classes: int, power: float) -> Floats:
    counts = np.bincount([label for label in labels if label != UNKNOWN], minlength=classes).astype(np.float32)
    if not counts.sum():
        return np.ones(classes, dtype=np.float32)
    raised = (np.maximum(counts, 1) / counts.sum()) ** -power
    return np.asarray(raised * counts.sum() / (raised * counts).sum(), dtype=np.float32)


def targets(example: Example, by_class: Weights, trust: float) -> tuple[Floats, Floats, Floats]:
    """Target rows of the three heads, (7,), (3,) and (17,), as `model.loss` takes them.

    Where there is both a label and a teacher, the teacher has the share `trust` of the target; but a text of a
    sentiment corpus keeps its own sentiment, which its annotators gave by rules other than those the teacher learnt.
    """
    moment = _smooth(example.moment, len(MOMENTS), SMOOTHING if example.sure else DOUBTFUL)
    sentiment = _smooth(example.sentiment, len(SENTIMENTS), SMOOTHING)
    if example.touchpoints is None:
        touchpoints = np.full(len(TOUCHPOINTS), np.nan, dtype=np.float32)
    else:
        touchpoints = np.array([label in example.touchpoints for label in TOUCHPOINTS], dtype=np.float32)
    if example.taught is not None:
        by_moment, by_sentiment, by_touchpoint = (head[0] for head in split(example.taught[None]))
        moment = _mix(moment, by_moment, trust if example.moment != UNKNOWN else 1.0)
        if example.moment != UNKNOWN or example.sentiment == UNKNOWN:
            sentiment = _mix(sentiment, by_sentiment, trust if example.sentiment != UNKNOWN else 1.0)
        touchpoints = by_touchpoint if example.touchpoints is None else _mix(touchpoints, by_touchpoint, trust)
    if example.moment != UNKNOWN:
        moment = moment * by_class.moments[example.moment]
    elif example.sentiment != UNKNOWN:
        sentiment = sentiment * by_class.sentiments[example.sentiment]
    return moment, sentiment, touchpoints


def _smooth(label: int, classes: int, doubt: float) -> Floats:
    if label == UNKNOWN:
        return np.zeros(classes, dtype=np.float32)
    row = np.full(classes, doubt / classes, dtype=np.float32)
    row[label] += 1 - doubt
    return row


def _mix(label: Floats, taught: Floats, trust: float) -> Floats:
    return (1 - trust) * label + trust * taught
