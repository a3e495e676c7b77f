"""A trained MomentModel as the folder the engine loads (int8 ONNX, tokenizer, config), and back again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from tokenizers import Tokenizer
from torch import Tensor
from transformers import BertConfig

from listener.engine.calibration import Calibration, Floats
from listener.engine.labels import MOMENTS, SENTIMENTS, TOUCHPOINTS
from listener.errors import ModelError
from listener.training import graph
from listener.training.model import MomentModel


def export(model: MomentModel, tokenizer: Tokenizer, out: Path, *, name: str, version: str, max_tokens: int) -> None:
    """Writes model.onnx (int8), tokenizer.json and config.json, not yet calibrated.

    Raises ModelError when the encoder is of a kind the graph is not built for.
    """
    out.mkdir(parents=True, exist_ok=True)
    model = model.cpu().eval()
    shape = _shape(model)
    weights = {key: value.detach().float().numpy() for key, value in model.state_dict().items()}
    _compare(model, graph.build(weights, shape, quantised=False))
    onnx.save(graph.build(weights, shape), out / "model.onnx")
    tokenizer.save(str(out / "tokenizer.json"))
    write_config(out, name=name, version=version, max_tokens=max_tokens, calibration=Calibration())


def _shape(model: MomentModel) -> graph.Shape:
    config = model.encoder.config
    if config.model_type != "bert" or config.hidden_act != "gelu":
        raise ModelError(
            f"an encoder of the kind {config.model_type} with {getattr(config, 'hidden_act', 'another activation')} "
            "cannot be exported; use a BERT with gelu, as MiniLM, BGE, GTE and E5 are"
        )
    return graph.Shape(config.num_hidden_layers, config.num_attention_heads, config.layer_norm_eps)


def _compare(model: MomentModel, built: onnx.ModelProto) -> None:
    """Raises ModelError when the fp32 graph does not give what torch gives."""
    ids = torch.tensor([[101, 2023, 2003, 1037, 3231, 102], [101, 2009, 2573, 2066, 1012, 102]])
    for batch in (ids[:, :4], ids.repeat(3, 9)):
        theirs = fp32_logits(built, batch.tolist())
        with torch.inference_mode():
            ours = model(batch, torch.ones_like(batch)).numpy()
        if not np.allclose(ours, theirs, atol=1e-3):
            raise ModelError(f"the built graph differs from the trained model by {np.abs(ours - theirs).max():.4f}")


def fp32_logits(built: onnx.ModelProto, ids: Sequence[Sequence[int]]) -> Floats:
    """Logits (n, 27) of token ids of one length by a graph in memory."""
    session = ort.InferenceSession(built.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"input_ids": np.array(ids, dtype=np.int64)})[0], dtype=np.float32)


def restored(folder: Path) -> MomentModel:
    """The model that `export` wrote to `folder`, its weights rounded to int8 where they were stored so.

    A released model is a good place to start from when labels are added: its fp32 weights are not shipped, and what
    rounding took is learnt again within the first steps. Raises ModelError when it cannot be read.
    """
    try:
        built = onnx.load(folder / "model.onnx")
    except Exception as error:  # protobuf's errors have no common class
        raise ModelError(f"{folder / 'model.onnx'} cannot be read: {error}") from error
    stored = {each.name: numpy_helper.to_array(each) for each in built.graph.initializer}
    if "words.int8" not in stored:
        raise ModelError(f"{folder} was not written by this version; give a model that `listener train` made")
    weights = _weights(stored)
    attention = [node for node in built.graph.node if node.op_type == "MultiHeadAttention"]
    norm = next(node for node in built.graph.node if node.op_type == "LayerNormalization")
    vocabulary, width = stored["words.int8"].shape
    model = MomentModel(
        BertConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            max_position_embeddings=len(stored["positions"]),
            num_hidden_layers=len(attention),
            num_attention_heads=_attributes(attention[0])["num_heads"],
            intermediate_size=len(weights["encoder.encoder.layer.0.intermediate.dense.bias"]),
            layer_norm_eps=_attributes(norm)["epsilon"],
        )
    )
    model.load_state_dict(weights)
    return model


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}


def _weights(stored: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    words = stored["words.int8"] * stored["words.scale"]
    found = {
        "encoder.embeddings.word_embeddings.weight": words,
        "encoder.embeddings.position_embeddings.weight": stored["positions"],
        # The position table carries the embedding of the only segment.
        "encoder.embeddings.token_type_embeddings.weight": np.zeros((2, words.shape[1])),
    }
    for name, value in stored.items():
        if name.endswith(".int8") and name != "words.int8":
            layer = name.removesuffix(".int8")
            found[f"{layer}.weight"] = (value * stored[f"{layer}.scale"]).T
        elif name.startswith(("encoder.", "heads.")) and name.endswith((".weight", ".bias")):
            found[name] = value
    return {name: torch.from_numpy(np.array(value, dtype=np.float32)) for name, value in found.items()}


def write_config(out: Path, *, name: str, version: str, max_tokens: int, calibration: Calibration) -> None:
    """config.json: who the model is, its labels in order, its calibration, and the digest of its weights."""
    config = {
        "name": name,
        "version": version,
        "max_tokens": max_tokens,
        "languages": ["en"],
        "moments": MOMENTS,
        "sentiments": SENTIMENTS,
        "touchpoints": TOUCHPOINTS,
        "calibration": asdict(calibration),
        "sha256": hashlib.sha256((out / "model.onnx").read_bytes()).hexdigest(),
    }
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def write_confusion(folder: Path, confusion: Mapping[str, Any]) -> None:
    """Adds to config.json what the model was seen to take for what, by which the shares of trends are corrected."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"confusion": confusion}
    text = json.dumps(config, indent=2)
    path.write_text(re.sub(r"\[[^\[\]{}\"]*\]", _on_one_line, text) + "\n", encoding="utf-8")


def _on_one_line(numbers: re.Match[str]) -> str:
    return " ".join(numbers.group().split()).replace("[ ", "[").replace(" ]", "]")
