"""A trained MomentModel as the folder the engine loads: ONNX, int8, tokenizer, config."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer

from listener.engine.calibration import Calibration
from listener.engine.labels import MOMENTS, SENTIMENTS, TOUCHPOINTS
from listener.errors import ModelError
from listener.training.model import MomentModel


def export(model: MomentModel, tokenizer: Tokenizer, out: Path, *, name: str, version: str, max_tokens: int) -> None:
    """Writes model.onnx (dynamic int8, per-channel weights), tokenizer.json and config.json, not yet calibrated."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "plain.onnx"
        to_onnx(model, plain)
        _drop_shapes(plain)
        quantize_dynamic(plain, out / "model.onnx", weight_type=QuantType.QInt8, per_channel=True)
    tokenizer.save(str(out / "tokenizer.json"))
    write_config(out, name=name, version=version, max_tokens=max_tokens, calibration=Calibration())


def to_onnx(model: MomentModel, path: Path) -> None:
    """The fp32 graph with free batch and length. Raises ModelError when it does not give what torch gives."""
    model = model.cpu().eval()
    # The fused attention of torch exports its guards against rows that are masked whole; we never have such a row.
    model.encoder.set_attn_implementation("eager")
    ids = torch.tensor([[101, 2023, 2003, 102], [101, 2009, 102, 0]])
    mask = (ids != 0).long()
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", max=512)
    torch.onnx.export(
        model, (ids, mask), str(path), input_names=["input_ids", "attention_mask"], output_names=["logits"],
        dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}), dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip
    import onnxruntime as ort

    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    longer = torch.nn.functional.pad(ids.repeat(3, 1), (0, 29))  # another shape than the traced one
    longer_mask = (longer != 0).long()
    ours = session.run(None, {"input_ids": longer.numpy(), "attention_mask": longer_mask.numpy()})[0]
    with torch.inference_mode():
        theirs = model(longer, longer_mask).numpy()
    if not np.allclose(ours, theirs, atol=1e-3):
        raise ModelError(f"the exported graph differs from the trained model by {np.abs(ours - theirs).max():.4f}")


def _drop_shapes(path: Path) -> None:
    """Removes the exporter's notes on inner shapes: the quantiser transposes weights and then trips over them."""
    graph = onnx.load(path)
    del graph.graph.value_info[:]
    onnx.save(graph, path)


def write_config(out: Path, *, name: str, version: str, max_tokens: int, calibration: Calibration) -> None:
    """config.json: who the model is, its labels in order, its calibration, and the digest of its weights."""
    config = {
        "name": name,
        "version": version,
        "max_tokens": max_tokens,
        "moments": MOMENTS,
        "sentiments": SENTIMENTS,
        "touchpoints": TOUCHPOINTS,
        "calibration": asdict(calibration),
        "sha256": hashlib.sha256((out / "model.onnx").read_bytes()).hexdigest(),
    }
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
