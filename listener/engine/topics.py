"""Topics by example: a post speaks of a topic when the encoder finds it like the examples, and unlike posts in general.

The features of all posts lie in one narrow cone; seen from their mean, with each direction weighed by how much posts
differ in it anyway (whitening), what is left of two texts in common is what they are about. With ten examples of each
of 77 intents the posts above the threshold were right in 81 % and were 59 % of all (docs/measurements.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from listener.engine.calibration import Floats
from listener.engine.features import Encoder

THRESHOLD = 0.25  # cosine
_LEAST_SPREAD = 0.05  # of the mean variance: directions in which posts hardly differ are not blown up

Doubles = NDArray[np.float64]


class Tagger:
    """Topics made ready. `key` names the model and the topics: with another key posts are to be looked at again."""

    def __init__(
        self, key: str, encoder: Encoder, usual: Floats, topics: Mapping[str, tuple[Sequence[str], float]]
    ) -> None:
        """`usual`: features of some hundreds of posts in general; `topics`: examples and threshold of each name."""
        self.key = key
        self._encoder = encoder
        features = usual.astype(np.float64)
        self._mean = features.mean(axis=0)
        variances, directions = np.linalg.eigh(np.cov(features - self._mean, rowvar=False))
        spread = np.maximum(variances, 0) + _LEAST_SPREAD * variances.mean()
        self._whiten = directions / np.sqrt(spread)
        self._names = list(topics)
        self._thresholds = np.array([threshold for _, threshold in topics.values()])
        middles = [self._seen(examples).mean(axis=0) for examples, _ in topics.values()]
        self._middles = np.array([middle / np.linalg.norm(middle) for middle in middles])

    def tags(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """The topics of each text, with how like their examples it is (cosine, up to 1)."""
        scores = self._seen(texts) @ self._middles.T
        return [
            {name: round(float(score), 4) for name, score, least in zip(self._names, row, self._thresholds, strict=True)
             if score >= least}
            for row in scores
        ]  # fmt: skip

    def _seen(self, texts: Sequence[str]) -> Doubles:
        """Whitened features of length 1, (n, width)."""
        seen = (self._encoder.features(texts) - self._mean) @ self._whiten
        return np.asarray(seen / np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-9))
