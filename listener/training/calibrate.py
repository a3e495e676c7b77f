"""Fits temperatures and thresholds on held-out posts, so that a probability means what it says."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from listener.engine.calibration import Calibration, Floats, probabilities, softmax, split
from listener.engine.labels import MOMENTS, TOUCHPOINTS
from listener.training.dataset import Example

# Searched on a grid: one number, a smooth curve, and no optimiser to depend on.
_TEMPERATURES = np.geomspace(0.4, 4.0, 120)
_LEASH = 0.001  # a class with a dozen posts must not get a bias that one of them decides
_SHARES = np.linspace(0.0, 1.0, 21)
_THRESHOLDS = np.linspace(0.15, 0.75, 61)


def fit(logits: Floats, examples: Sequence[Example], abstain_share: float = 0.1) -> Calibration:
    """The calibration that suits `examples` (all labelled in full), whose raw outputs (n, 27) are `logits`.

    The abstention threshold is the confidence that `abstain_share` of the examples do not reach.
    """
    by_moment, by_sentiment, by_touchpoint = split(logits)
    moments = np.array([example.moment for example in examples])
    sentiments = np.array([example.sentiment for example in examples])
    moment_temperature, moment_bias = _vector_scaling(by_moment, moments)
    fitted = Calibration(
        moment_temperature=moment_temperature,
        moment_bias=moment_bias,
        sentiment_temperature=_temperature(by_sentiment, sentiments),
        touchpoint_threshold=_threshold(by_touchpoint, examples),
    )
    confidence = split(probabilities(logits, fitted))[0].max(axis=1)
    return replace(fitted, abstain_below=round(float(np.quantile(confidence, abstain_share)), 3))


def review_bias(
    logits: Floats, held: Sequence[Example], kept: Sequence[Example], reviews: Collection[str], fitted: Calibration
) -> tuple[float, ...]:
    """What being a review adds to the moments: the logarithms of how much more or less common each moment is among the
    `kept` posts of the sources `reviews` than among all of them, times a share.

    It is the share at which the reviews among the `held` posts, whose raw outputs are `logits` (n, 27), come to the
    counts that their labels come to. More of it makes more of the single verdicts right, and takes nearly all for
    feedback.
    """
    common, there = (
        np.bincount([example.moment for example in kept if example.source in among], minlength=len(MOMENTS)) + 1.0
        for among in ({example.source for example in kept}, reviews)
    )
    shift = np.log(there / there.sum()) - np.log(common / common.sum())
    chosen = [place for place, example in enumerate(held) if example.source in reviews]
    truth = np.bincount([held[place].moment for place in chosen], minlength=len(MOMENTS))

    def miscounted(share: float) -> int:
        tried = replace(fitted, review_bias=tuple(share * shift))
        said = split(probabilities(logits[chosen], tried, ["review"] * len(chosen)))[0].argmax(axis=1)
        return int(np.abs(np.bincount(said, minlength=len(MOMENTS)) - truth).sum())

    best = min(_SHARES, key=miscounted)
    return tuple(round(float(each), 3) for each in best * shift)


def _vector_scaling(logits: Floats, truth: NDArray[np.int64]) -> tuple[float, tuple[float, ...]]:
    """One temperature and a bias for every class, with the least negative log-likelihood and a leash on the biases."""
    given, labels = torch.from_numpy(logits), torch.from_numpy(truth)
    cold, bias = torch.zeros(1, requires_grad=True), torch.zeros(logits.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS([cold, bias], max_iter=200, line_search_fn="strong_wolfe")

    def cost() -> torch.Tensor:
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(given * cold.exp() + bias, labels) + _LEASH * bias.square().sum()
        value.backward()
        return value

    optimiser.step(cost)
    return round(float((-cold.detach()).exp()), 3), tuple(round(each, 3) for each in bias.tolist())


def _temperature(logits: Floats, truth: NDArray[np.int64]) -> float:
    """The temperature with the least negative log-likelihood (Guo et al. 2017)."""

    def cost(temperature: float) -> float:
        chosen = softmax(logits / temperature)[np.arange(len(truth)), truth]
        return float(-np.log(np.clip(chosen, 1e-9, None)).mean())

    return round(float(min(_TEMPERATURES, key=cost)), 3)


def _threshold(logits: Floats, examples: Sequence[Example]) -> float:
    """The probability from which on a touchpoint is named, by micro-F1."""
    truth = np.array([[label in (x.touchpoints or ()) for label in TOUCHPOINTS] for x in examples])
    probabilities = 1 / (1 + np.exp(-logits))

    def micro_f1(threshold: float) -> float:
        named = probabilities >= threshold
        return float(2 * (named & truth).sum() / max(1, named.sum() + truth.sum()))

    return round(float(max(_THRESHOLDS, key=micro_f1)), 3)
