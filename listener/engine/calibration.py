"""From logits to scores: temperatures, thresholds and abstention, the same for every engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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

    Temperatures divide logits before the softmax (Guo et al. 2017); a touchpoint is named when its probability
    reaches `touchpoint_threshold`; the moment abstains when its calibrated probability is under `abstain_below`.
    """

    moment_temperature: float = 1.0
    sentiment_temperature: float = 1.0
    touchpoint_threshold: float = 0.5
    abstain_below: float = 0.45


def softmax(logits: Floats) -> Floats:
    """Row-wise softmax of a (n, classes) array."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)


def split(logits: Floats) -> tuple[Floats, Floats, Floats]:
    """Logits (n, 27) as moment (n, 7), sentiment (n, 3) and touchpoint (n, 17) columns."""
    return np.split(logits, [len(MOMENTS), len(MOMENTS) + len(SENTIMENTS)], axis=1)  # type: ignore[return-value]


def to_scores(logits: Floats, calibration: Calibration) -> list[Scores]:
    """Scores for every row of (n, 27) logits."""
    moment, sentiment, touchpoint = split(logits)
    moments = softmax(moment / calibration.moment_temperature)
    sentiments = softmax(sentiment / calibration.sentiment_temperature)
    # sigmoid(x) >= t, without computing the sigmoid
    named = touchpoint >= np.log(calibration.touchpoint_threshold / (1 - calibration.touchpoint_threshold))
    confidence = moments.max(axis=1)
    return [
        Scores(
            moments=dict(zip(MOMENTS, row_m.tolist(), strict=True)),
            sentiments=dict(zip(SENTIMENTS, row_s.tolist(), strict=True)),
            touchpoints=tuple(label for label, on in zip(TOUCHPOINTS, row_t, strict=True) if on),
            confidence=float(sure),
            abstained=bool(sure < calibration.abstain_below),
        )
        for row_m, row_s, row_t, sure in zip(moments, sentiments, named, confidence, strict=True)
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
