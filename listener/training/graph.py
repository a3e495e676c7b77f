"""The released graph, built by hand: int8 matrix products, everything around them in fp32.

The quantiser of ONNX Runtime turns an exported graph into whatever its patterns recognise; quantising a graph that was
fused first is slower still, because the fused int8 attention splits its products by head. Built by hand, each layer is
what was measured to be fastest (docs/measurements.md): one quantisation shared by Q, K and V; attention in fp32 without
a mask, which takes its flash path, so a batch holds texts of one length; residual sums as Add and LayerNormalization,
since the fused SkipLayerNormalization takes six times as long. Operators: ContribOperators.md of ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
_FUSED = "com.microsoft"  # the domain of ONNX Runtime's own operators


@dataclass(frozen=True, slots=True)
class Shape:
    """What the weights do not tell about an encoder."""

    layers: int
    heads: int
    epsilon: float  # of the layer norms


def build(weights: Mapping[str, Array], shape: Shape, *, quantised: bool = True) -> onnx.ModelProto:
    """The graph of a MomentModel's state `weights`: input_ids (n, length) int64 without padding -> logits (n, 27).

    int8 weights are symmetric with one scale a column (a row for the word table); activations are quantised as they
    come. With `quantised` False all is fp32: what the int8 graph is compared with.
    """
    graph = _Graph(quantised)
    hidden = _embeddings(graph, weights, shape)
    for number in range(shape.layers):
        hidden = _layer(graph, weights, f"encoder.encoder.layer.{number}", hidden, shape)
    _pooled_heads(graph, weights, hidden)
    whole = helper.make_graph(
        graph.nodes,
        "moments",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "length"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(weights["heads.bias"])])],
        graph.constants,
    )
    domains = [helper.make_opsetid("", 17), helper.make_opsetid(_FUSED, 1)]
    return helper.make_model(whole, opset_imports=domains, ir_version=8, producer_name="listener")


def quantise(matrix: Array, axis: int) -> tuple[Array, Array]:
    """(int8 values, fp32 scales): symmetric, one scale for every index that remains when `axis` is reduced away."""
    top = np.abs(matrix).max(axis=axis, keepdims=True)
    scales = np.maximum(top / 127, np.finfo(np.float32).tiny).astype(np.float32)  # a row of zeros has a scale too
    return np.clip(np.rint(matrix / scales), -127, 127).astype(np.int8), scales.squeeze(axis)


@dataclass(slots=True)
class _Graph:
    """Nodes and constants as they are added; every method returns the name of a value."""

    quantised: bool
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, value: Array | Sequence[int], name: str = "") -> str:
        name = name or f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, operator: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        names = [f"{operator}_{len(self.nodes)}" + (f"_{i}" if i else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def fused(self, operator: str, *inputs: str, **attributes: Any) -> Any:
        return self.add(operator, *inputs, domain=_FUSED, **attributes)

    def dense(self, value: str, *names: str, weights: Mapping[str, Array]) -> list[str]:
        """value @ weight.T + bias for each of the torch layers `names`, which share the quantisation of `value`."""
        if not self.quantised:
            return [self._dense_fp32(value, weights[f"{name}.weight"], weights[f"{name}.bias"]) for name in names]
        if len(names) == 1:
            return [self.fused("DynamicQuantizeMatMul", value, *self._int8(names[0], weights))]
        small, scale, zero = self.add("DynamicQuantizeLinear", value, outputs=3)
        found = []
        for name in names:
            int8, scales, zeros, bias = self._int8(name, weights)
            found.append(self.fused("MatMulIntegerToFloat", small, int8, scale, scales, zero, zeros, bias))
        return found

    def _dense_fp32(self, value: str, matrix: Array, bias: Array) -> str:
        product = self.add("MatMul", value, self.constant(np.ascontiguousarray(matrix.T)))
        return str(self.add("Add", product, self.constant(bias)))

    def _int8(self, name: str, weights: Mapping[str, Array]) -> tuple[str, str, str, str]:
        """Names of the weight (in, out), its scales, its zero points and the bias."""
        int8, scales = quantise(weights[f"{name}.weight"], axis=1)
        return (
            self.constant(np.ascontiguousarray(int8.T), f"{name}.int8"),
            self.constant(scales, f"{name}.scale"),
            self.constant(np.zeros(len(scales), dtype=np.int8), f"{name}.zero"),
            self.constant(weights[f"{name}.bias"], f"{name}.bias"),
        )

    def norm(self, value: str, name: str, weights: Mapping[str, Array], epsilon: float) -> str:
        scale, bias = (self.constant(weights[f"{name}.{part}"], f"{name}.{part}") for part in ("weight", "bias"))
        return str(self.add("LayerNormalization", value, scale, bias, axis=-1, epsilon=epsilon))


def _embeddings(graph: _Graph, weights: Mapping[str, Array], shape: Shape) -> str:
    table = weights["encoder.embeddings.word_embeddings.weight"]
    if graph.quantised:
        int8, scales = quantise(table, axis=1)
        rows = graph.add("Cast", graph.add("Gather", graph.constant(int8, "words.int8"), "input_ids"), to=1)
        words = graph.add("Mul", rows, graph.add("Gather", graph.constant(scales[:, None], "words.scale"), "input_ids"))
    else:
        words = graph.add("Gather", graph.constant(table, "words"), "input_ids")
    # Every text is of one segment, so its embedding is part of the position's.
    places = weights["encoder.embeddings.position_embeddings.weight"]
    places = places + weights["encoder.embeddings.token_type_embeddings.weight"][0]
    length = graph.add("Slice", graph.add("Shape", "input_ids"), *(graph.constant([at]) for at in (1, 2)))
    positions = graph.add("Slice", graph.constant(places, "positions"), graph.constant([0]), length)
    return graph.norm(graph.add("Add", words, positions), "encoder.embeddings.LayerNorm", weights, shape.epsilon)


def _layer(graph: _Graph, weights: Mapping[str, Array], name: str, hidden: str, shape: Shape) -> str:
    parts = (f"{name}.attention.self.{part}" for part in ("query", "key", "value"))
    mixed = graph.fused("MultiHeadAttention", *graph.dense(hidden, *parts, weights=weights), num_heads=shape.heads)
    hidden = _residual(graph, weights, f"{name}.attention.output", mixed, hidden, shape)
    (wide,) = graph.dense(hidden, f"{name}.intermediate.dense", weights=weights)
    return _residual(graph, weights, f"{name}.output", graph.fused("Gelu", wide), hidden, shape)


def _residual(graph: _Graph, weights: Mapping[str, Array], name: str, value: str, before: str, shape: Shape) -> str:
    (dense,) = graph.dense(value, f"{name}.dense", weights=weights)
    return graph.norm(graph.add("Add", dense, before), f"{name}.LayerNorm", weights, shape.epsilon)


def _pooled_heads(graph: _Graph, weights: Mapping[str, Array], hidden: str) -> None:
    """The mean over the tokens, and the heads in fp32: they decide, and cost nothing."""
    pooled = graph.add("ReduceMean", hidden, axes=[1], keepdims=0)
    heads = (graph.constant(weights[name], name) for name in ("heads.weight", "heads.bias"))
    graph.nodes.append(helper.make_node("Gemm", [pooled, *heads], ["logits"], transB=1))
