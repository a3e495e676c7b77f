"""From logits to scores: temperatures, thresholds and abstention, the same for every engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from listener.engine.labels import MOMENTS, SENTIMENTS, TOUCHPOINTS
from listener.errors import ModelError
from listener.records import Scores

Floats = NDArray[np.float32]
WIDTH = len(MOMENTS) + len(SENTIMENTS) + len(TOUCHPOINTS)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Fitted on a development split, saved with the model.

    Temperatures divide logits before the softmax, and `moment_bias` (7,) is then added: temperature and vector scaling
    (Guo et al. 2017). Training lifts rare moments, and the bias takes back what that exaggerates. `review_bias` (7,) is
    added besides where the post is a review, most of which are feedback whatever little they say (a shift of the prior,
    Saerens et al. 2002). A touchpoint is named when its probability reaches `touchpoint_threshold`; the moment abstains
    when its calibrated probability is under `abstain_below`.
    """

    moment_temperature: float = 1.0
    sentiment_temperature: float = 1.0
    touchpoint_threshold: float = 0.5
    abstain_below: float = 0.45
    moment_bias: Sequence[float] = (0.0,) * len(MOMENTS)
    review_bias: Sequence[float] = (0.0,) * len(MOMENTS)


def softmax(logits: Floats) -> Floats:
    """Row-wise softmax of a (n, classes) array."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)


def split(logits: Floats) -> tuple[Floats, Floats, Floats]:
    """Logits (n, 27) as moment (n, 7), sentiment (n, 3) and touchpoint (n, 17) columns."""
    return np.split(logits, [len(MOMENTS), len(MOMENTS) + len(SENTIMENTS)], axis=1)  # type: ignore[return-value]


def probabilities(logits: Floats, calibration: Calibration, kinds: Sequence[str] = ()) -> Floats:
    """Calibrated probabilities (n, 27) of the three heads' labels; `kinds` (n) of the posts, where they are known."""
    moment, sentiment, touchpoint = split(logits)
    usual, of_reviews = np.array([calibration.moment_bias, calibration.review_bias], dtype=np.float32)
    bias = np.tile(usual, (len(logits), 1))
    bias[[place for place, kind in enumerate(kinds) if kind == "review"]] += of_reviews
    return np.concatenate(
        [
            softmax(moment / calibration.moment_temperature + bias),
            softmax(sentiment / calibration.sentiment_temperature),
            1 / (1 + np.exp(-touchpoint)),
        ],
        axis=1,
    )


def to_scores(logits: Floats, calibration: Calibration, kinds: Sequence[str] = ()) -> list[Scores]:
    """Scores for every row of (n, 27) logits."""
    moments, sentiments, touchpoints = split(probabilities(logits, calibration, kinds))
    confidence = moments.max(axis=1)
    # As lists, all at once: a call for every number of a numpy row costs more than the softmax.
    rows = zip(
        moments.tolist(), sentiments.tolist(), (touchpoints >= calibration.touchpoint_threshold).tolist(),
        confidence.tolist(), (confidence < calibration.abstain_below).tolist(), strict=True,
    )  # fmt: skip
    return [
        Scores(
            moments=dict(zip(MOMENTS, by_moment, strict=True)),
            sentiments=dict(zip(SENTIMENTS, by_sentiment, strict=True)),
            touchpoints=tuple(compress(TOUCHPOINTS, named)),
            confidence=sure,
            abstained=abstained,
        )
        for by_moment, by_sentiment, named, sure, abstained in rows
    ]


def check_labels(config: Mapping[str, Any], place: str) -> None:
    """Raises ModelError when a saved model was trained for other labels, or another order of them, than ours."""
    for key, ours in (("moments", MOMENTS), ("sentiments", SENTIMENTS), ("touchpoints", TOUCHPOINTS)):
        theirs = tuple(config.get(key, ()))
        if theirs != ours:
            raise ModelError(
                f"{place}: the model's {key} are {', '.join(theirs) or 'not given'}; "
                f"this version needs {', '.join(ours)} in this order. "
                "Use the model that came with this version, or train one with `listener train`."
            )
