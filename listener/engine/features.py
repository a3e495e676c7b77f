"""What the encoder makes of a text before the heads judge it, and the same encoder under other heads.

Works on the bytes of our own graph (`training.graph`), so that a model of your own needs neither torch nor onnx:
protobuf reads two messages one after the other as one, which adds outputs; and heads of the same size take the place of
the old ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from listener.engine.calibration import WIDTH, Floats
from listener.engine.onnx import OnnxClassifier, open_session
from listener.errors import ModelError

_POOLED = re.compile(rb"ReduceMean_\d+")
# Fields of onnx.proto: ModelProto.graph, GraphProto.output, ValueInfoProto.name.
_GRAPH, _OUTPUT, _NAME = 7, 12, 1


class Encoder:
    """A model folder of ours without its heads. Safe to share between threads."""

    def __init__(self, folder: Path, threads: int = 0) -> None:
        """Raises ModelError when the folder cannot be used, or was not written by this version."""
        self.classifier = OnnxClassifier(folder, threads)
        self._weights = (folder / "model.onnx").read_bytes()
        names = _POOLED.findall(self._weights)
        if not names or b"heads.weight" not in self._weights:
            raise ModelError(f"{folder} was not written by this version; use the released model or one made from it")
        self._pooled = names[-1].decode()
        outputs = [self._pooled, "heads.weight", "heads.bias"]
        self._session = open_session(self._weights + b"".join(map(_as_output, outputs)), folder / "model.onnx")
        nothing = {"input_ids": np.zeros((1, 2), dtype=np.int64)}
        self.heads: tuple[Floats, Floats] = tuple(self._session.run(outputs[1:], nothing))  # (27, width), (27,)

    @property
    def width(self) -> int:
        return int(self.heads[0].shape[1])

    def features(self, texts: Sequence[str]) -> Floats:
        """The mean of each text's token vectors, (n, width): what the heads judge."""
        return self.classifier.outputs(texts, self.width, self._run)

    def with_heads(self, weight: Floats, bias: Floats) -> bytes:
        """The graph, as bytes, with these heads, (27, width) and (27,), in the place of its own."""
        assert weight.shape == (WIDTH, self.width) and bias.shape == (WIDTH,)
        found = self._weights
        for old, new in zip(self.heads, (weight, bias), strict=True):
            if found.count(old.tobytes()) != 1:
                raise ModelError("the heads of this model cannot be told from its other weights; use the released one")
            found = found.replace(old.tobytes(), np.ascontiguousarray(new, dtype=np.float32).tobytes())
        return found

    def _run(self, ids: NDArray[np.int64]) -> Floats:
        return np.asarray(self._session.run([self._pooled], {"input_ids": ids})[0], dtype=np.float32)


def _as_output(name: str) -> bytes:
    """A message that, put behind a model, makes the value of this name an output of its graph."""
    return _field(_GRAPH, _field(_OUTPUT, _field(_NAME, name.encode())))


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited field of a protobuf message; our names are shorter than 128 bytes."""
    assert len(payload) < 128
    return bytes([number << 3 | 2, len(payload)]) + payload
