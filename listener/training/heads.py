"""Heads of your own on the frozen encoder: fitted to your corrections, held near the released ones, rehearsed.

With a few hundred labels the encoder's features are as good as they get, and what differs is what a brand's words mean
(docs/measurements.md compares with training layers). Each head is a regression on the same features, so that the best
one is unique, found in seconds, and the same in every run. Its weights are pulled towards the released ones: a maximum
a posteriori estimate whose prior is the released model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from listener.engine.calibration import WIDTH, Calibration, Floats, probabilities, softmax, split
from listener.engine.features import Encoder
from listener.engine.labels import MOMENTS, SENTIMENTS, TOUCHPOINTS
from listener.training.dataset import UNKNOWN, Example

PULL = 0.3  # of the released weights; the sum of squared distances costs this much
_BIAS_PULL = 0.03
TRUST = 0.2  # the released model's share of what is rehearsed, beside the label
_TEMPERATURES = np.geomspace(0.5, 4.0, 90)
_FEWEST = 50  # posts that a temperature is fitted on

# The rows of each head among the 27.
ROWS = {
    "moment": slice(0, len(MOMENTS)),
    "sentiment": slice(len(MOMENTS), len(MOMENTS) + len(SENTIMENTS)),
    "touchpoints": slice(len(MOMENTS) + len(SENTIMENTS), WIDTH),
}

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lesson:
    """Texts as features (n, width), and what is to be said of each: (n, 27), nan where nobody said anything."""

    features: Doubles
    targets: Doubles
    weights: Doubles  # (n,)


@dataclass(frozen=True, slots=True)
class Heads:
    """Weights (27, width) and biases (27,)."""

    weight: Doubles
    bias: Doubles

    def logits(self, features: Doubles | Floats) -> Floats:
        return np.asarray(features @ self.weight.T + self.bias, dtype=np.float32)


def released(encoder: Encoder) -> Heads:
    """The heads of a model with their calibration worked in, so that all temperatures are 1 and all biases 0."""
    weight, bias = (np.array(part, dtype=np.float64) for part in encoder.heads)
    calibration = encoder.classifier.calibration
    temperatures = {"moment": calibration.moment_temperature, "sentiment": calibration.sentiment_temperature}
    for head, temperature in temperatures.items():
        weight[ROWS[head]] /= temperature
        bias[ROWS[head]] /= temperature
    bias[ROWS["moment"]] += np.array(calibration.moment_bias)
    return Heads(weight, bias)


def lesson(encoder: Encoder, examples: Sequence[Example], advance: Callable[[int], object] = bool) -> Lesson:
    """The labels of `examples` as targets. `advance` hears how many texts were read."""
    found = []
    for start in range(0, len(examples), 128):
        part = examples[start : start + 128]
        found.append(encoder.features([example.text for example in part]))
        advance(len(part))
    features = np.concatenate([np.empty((0, encoder.width)), *found])
    return Lesson(features, np.array([_target(each) for each in examples]).reshape(-1, WIDTH), np.ones(len(examples)))


def rehearsal(told: Lesson, prior: Heads) -> Lesson:
    """The same lesson with the released model's word beside each label, so that it forgets nothing."""
    calibrated = probabilities(prior.logits(told.features), Calibration())
    targets = np.where(np.isnan(told.targets), calibrated, (1 - TRUST) * told.targets + TRUST * calibrated)
    return Lesson(told.features, targets, told.weights)


def _together(*parts: tuple[Lesson, float]) -> Lesson:
    """Several lessons as one, each with its weight."""
    return Lesson(
        np.concatenate([part.features for part, _ in parts]),
        np.concatenate([part.targets for part, _ in parts]),
        np.concatenate([part.weights * weight for part, weight in parts]),
    )


def fit(prior: Heads, taught: Lesson, rehearsed: Lesson, share: float) -> Heads:
    """The heads that say best what they were taught, and what is rehearsed with the weight `share`, and stay near
    `prior`. One that was taught nothing stays as it is.
    """
    weight, bias = prior.weight.copy(), prior.bias.copy()
    both = _together((taught, 1.0), (rehearsed, share))
    for head, rows in ROWS.items():
        if not np.isnan(taught.targets[:, rows.start]).all():
            known = ~np.isnan(both.targets[:, rows.start])
            material = Lesson(both.features[known], both.targets[known, rows], both.weights[known])
            weight[rows], bias[rows] = _fit_head(weight[rows], bias[rows], material, exclusive=head != "touchpoints")
    return Heads(weight, bias)


def between(first: Heads, second: Heads, share: float) -> Heads:
    """The heads that lie so far from the first towards the second, 0..1 (WiSE-FT, Wortsman et al. 2022)."""
    return Heads((1 - share) * first.weight + share * second.weight, (1 - share) * first.bias + share * second.bias)


def joined(by_head: Mapping[str, Heads]) -> Heads:
    """The rows of each head from the heads given for it."""
    parts = [(by_head[head], rows) for head, rows in ROWS.items()]
    return Heads(
        np.concatenate([each.weight[rows] for each, rows in parts]),
        np.concatenate([each.bias[rows] for each, rows in parts]),
    )


def calibrated(fitted: Heads, drawn: Lesson, was: Calibration) -> Calibration:
    """Temperatures by posts that were drawn at random; thresholds stay as they `were`.

    What the heads were taught could not tell: they know it by heart, and it was chosen for being hard. A temperature
    changes no verdict, so that the same posts may measure those.
    """
    by_moment, by_sentiment, _ = split(fitted.logits(drawn.features))
    moments, sentiments, _ = np.split(drawn.targets, [len(MOMENTS), len(MOMENTS) + len(SENTIMENTS)], axis=1)
    return Calibration(
        moment_temperature=_temperature(by_moment, moments),
        sentiment_temperature=_temperature(by_sentiment, sentiments),
        touchpoint_threshold=was.touchpoint_threshold,
        abstain_below=was.abstain_below,
        review_bias=was.review_bias,
    )


def _target(example: Example) -> Doubles:
    row = np.full(WIDTH, np.nan)
    if example.moment != UNKNOWN:
        row[: len(MOMENTS)] = np.eye(len(MOMENTS))[example.moment]
    if example.sentiment != UNKNOWN:
        row[len(MOMENTS) : len(MOMENTS) + len(SENTIMENTS)] = np.eye(len(SENTIMENTS))[example.sentiment]
    if example.touchpoints is not None:
        row[-len(TOUCHPOINTS) :] = [label in example.touchpoints for label in TOUCHPOINTS]
    return row


def _fit_head(weight: Doubles, bias: Doubles, taught: Lesson, exclusive: bool) -> tuple[Doubles, Doubles]:
    """By weighted cross-entropy, softmax where labels are `exclusive`, sigmoid each where not, and the pull."""
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    features, targets, weights = taught.features, taught.targets, taught.weights

    def cost(moved: Doubles) -> tuple[float, Doubles]:
        by_weight, by_bias = moved[: weight.size].reshape(weight.shape), moved[weight.size :]
        logits = features @ (weight + by_weight).T + bias + by_bias
        if exclusive:
            logits -= logits.max(axis=1, keepdims=True)
            logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
            loss, said = -(targets * logits).sum(axis=1), np.exp(logits)
        else:
            loss = (np.logaddexp(0, logits) - targets * logits).sum(axis=1)
            said = (1 + np.tanh(logits / 2)) / 2
        wrong = weights[:, None] * (said - targets)
        slope = np.concatenate(
            [(wrong.T @ features + 2 * PULL * by_weight).ravel(), wrong.sum(axis=0) + 2 * _BIAS_PULL * by_bias]
        )
        return float(weights @ loss + PULL * (by_weight**2).sum() + _BIAS_PULL * (by_bias**2).sum()), slope

    start = np.zeros(weight.size + bias.size)
    options = {"maxiter": 300, "ftol": 1e-6}
    with threadpool_limits(1):
        found = minimize(cost, start, jac=True, method="L-BFGS-B", options=options).x
    return weight + found[: weight.size].reshape(weight.shape), bias + found[weight.size :]


def _temperature(logits: Floats, targets: Doubles) -> float:
    """The temperature with the least negative log-likelihood (Guo et al. 2017); 1 where too few posts could tell."""
    known = ~np.isnan(targets[:, 0])
    if known.sum() < _FEWEST:
        return 1.0

    def cost(temperature: float) -> float:
        said = np.log(np.clip(softmax(logits[known] / np.float32(temperature)), 1e-9, None))
        return float(-(targets[known] * said).sum(axis=1).mean())

    return round(float(min(_TEMPERATURES, key=cost)), 3)
