"""Operators of onnxruntime's own domain, which its optimizer writes into files, in terms of ONNX' operators.

Sources: onnxruntime's docs/ContribOperators.md; results are compared with its kernels in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import pi, sqrt
from typing import Any

import onnx

from ..ir import Builder, Value
from .graph_emitter import MICROSOFT, EmitOperator, GraphEmitter
from .microsoft_attention import attention, group_query_attention, multi_head_attention, rotary_embedding
from .operand_reader import Operands
from .quantized_products import matmul_nbits

GELU_COEFFICIENT = 0.044715

MICROSOFT_OPERATORS: dict[str, EmitOperator] = {}


def _operator(name: str) -> Callable[[Callable[[Builder, Operands], Any]], Any]:
    """Registers the expansion of an operator, whose results are a value or a list of them."""

    def register(expand: Callable[[Builder, Operands], Any]) -> Callable[[Builder, Operands], Any]:
        def emit(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value | None]:
            results = expand(e.g, Operands(e, node))
            return (results,) if isinstance(results, Value) else results

        MICROSOFT_OPERATORS[f"{MICROSOFT}.{name}"] = emit
        return expand

    return register


for _name, _expand in (
    ("Attention", attention),
    ("GroupQueryAttention", group_query_attention),
    ("MultiHeadAttention", multi_head_attention),
    ("RotaryEmbedding", rotary_embedding),
    ("MatMulNBits", matmul_nbits),
):
    _operator(_name)(_expand)


def gelu(g: Builder, x: Value) -> Value:
    half: Value = g.Mul(x, 0.5)
    return g.Mul(half, g.Add(g.Erf(g.Mul(x, 1 / sqrt(2))), 1.0))


def _fast_gelu(g: Builder, x: Value) -> Value:
    cubic = g.Mul(g.Mul(g.Mul(x, x), x), GELU_COEFFICIENT)
    inner = g.Mul(g.Add(x, cubic), sqrt(2 / pi))
    return g.Mul(g.Mul(x, 0.5), g.Add(g.Tanh(inner), 1.0))


@_operator("Gelu")
def _gelu(g: Builder, node: Operands) -> Value:
    return gelu(g, node[0])


@_operator("BiasGelu")
def _bias_gelu(g: Builder, node: Operands) -> Value:
    return gelu(g, g.Add(node[0], node[1]))


@_operator("FastGelu")
def _fast_gelu_with_bias(g: Builder, node: Operands) -> Value:
    return _fast_gelu(g, g.Add(node[0], node[1]) if node.has(1) else node[0])


@_operator("QuickGelu")
def _quick_gelu(g: Builder, node: Operands) -> Value:
    return g.Mul(node[0], g.Sigmoid(g.Mul(node[0], node.attribute("alpha", 1.702))))


@_operator("FusedMatMul")
def _fused_matmul(g: Builder, node: Operands) -> Value:
    a, b = (
        _transposed(g, node[index], node.attribute(f"trans{side}", 0), node.attribute(f"transBatch{side}", 0))
        for index, side in enumerate("AB")
    )
    product: Value = g.MatMul(a, b)
    alpha = node.attribute("alpha", 1.0)
    return product if alpha == 1.0 else g.Mul(product, alpha)


def _transposed(g: Builder, x: Value, last: int, batch: int) -> Value:
    axes = list(range(x.rank))
    if batch and x.rank > 2:  # the axis before the last one becomes the first one
        axes = [*axes[1:-1], axes[0], axes[-1]]
    if last and x.rank > 1:
        axes[-2:] = axes[:-3:-1]
    return g.transpose(x, axes)


_ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "Relu": lambda g, x: g.Relu(x),
    "Tanh": lambda g, x: g.Tanh(x),
    "Sigmoid": lambda g, x: g.Sigmoid(x),
    "Gelu": gelu,
    "LeakyRelu": lambda g, x, alpha=0.01: g.LeakyRelu(x, alpha=alpha),
    "Clip": lambda g, x, low, high: g.Clip(x, g.const(low), g.const(high)),
    "HardSigmoid": lambda g, x, alpha=0.2, beta=0.5: g.HardSigmoid(x, alpha=alpha, beta=beta),
}
"""By the name of the activation in a fused operator: the result for x and its parameters."""


def _activated(g: Builder, node: Operands, x: Value, parameters: Sequence[float]) -> Value:
    name = node.attribute("activation", "")
    if not name:
        return x
    if name not in _ACTIVATIONS:
        raise node.unsupported(f"its activation {name!r} is not known")
    return _ACTIVATIONS[name](g, x, *parameters)


@_operator("FusedConv")
def _fused_conv(g: Builder, node: Operands) -> Value:
    options = {name: value for name, value in node.attributes.items() if not name.startswith("activation")}
    y = g.Conv(node[0], node[1], *([node[2]] if node.has(2) else []), **options)
    y = g.Add(y, node[3]) if node.has(3) else y
    return _activated(g, node, y, node.attribute("activation_params", []))


@_operator("FusedGemm")
def _fused_gemm(g: Builder, node: Operands) -> Value:
    options = {name: value for name, value in node.attributes.items() if not name.startswith("activation")}
    y = g.Gemm(node[0], node[1], *([node[2]] if node.has(2) else []), **options)
    names = ("activation_alpha", "activation_beta", "activation_gamma")
    return _activated(g, node, y, [node.attributes[name] for name in names if name in node.attributes])


# -- normalizations --------------------------------------------------------------------------------------------------


def _simplified(g: Builder, x: Value, scale: Value, epsilon: float, axis: int = -1) -> Value:
    """X divided by the root of the mean of its squares, times the scale."""
    axes = list(range(axis % x.rank, x.rank))
    square = g.ReduceMean(g.Mul(x, x), axes, keepdims=1)
    return g.Mul(g.Mul(x, g.Reciprocal(g.Sqrt(g.Add(square, epsilon)))), scale)


@_operator("LayerNormalization")
def _layer_normalization(g: Builder, node: Operands) -> Value:
    options = {"axis": node.attribute("axis", -1), "epsilon": node.attribute("epsilon", 1e-5)}
    return g.LayerNormalization(*node.present(3), **options)


@_operator("SimplifiedLayerNormalization")
def _simplified_layer_normalization(g: Builder, node: Operands) -> Value:
    return _simplified(g, node[0], node[1], node.attribute("epsilon", 1e-5), node.attribute("axis", -1))


@_operator("SkipLayerNormalization")
def _skip_layer_normalization(g: Builder, node: Operands) -> list[Value | None]:
    total = _sum_with_skip(g, node, bias=4)
    beta = node[3] if node.has(3) else None
    y = g.LayerNormalization(total, node[2], beta, axis=-1, epsilon=node.attribute("epsilon", 1e-12))
    return [y, None, None, total]


@_operator("SkipSimplifiedLayerNormalization")
def _skip_simplified_layer_normalization(g: Builder, node: Operands) -> list[Value | None]:
    total = _sum_with_skip(g, node, bias=3)
    return [_simplified(g, total, node[2], node.attribute("epsilon", 1e-12)), None, None, total]


def _sum_with_skip(g: Builder, node: Operands, bias: int) -> Value:
    total: Value = g.Add(node[0], node[1])
    return g.Add(total, node[bias]) if node.has(bias) else total


@_operator("EmbedLayerNormalization")
def _embed_layer_normalization(g: Builder, node: Operands) -> list[Value | None]:
    """Sums of the embeddings of tokens, positions and segments, normalized; the lengths by a mask."""
    ids = node[0]
    words = g.Gather(node[2], ids, axis=0)
    if node.has(8):
        positions = g.Gather(node[3], node[8], axis=0)
    else:
        end = g.Shape(ids, start=1, end=2)
        positions = g.Slice(node[3], [0], end, [0])
        positions = g.refine(positions, (ids.shape[1], node[3].shape[1]))
    total = g.Add(words, positions)
    if node.has(1) and node.has(4):
        total = g.Add(total, g.Gather(node[4], node[1], axis=0))
    g.refine(total, (*ids.shape, node[2].shape[1]))
    y = g.LayerNormalization(total, node[5], node[6], axis=-1, epsilon=node.attribute("epsilon", 1e-12))
    lengths = g.ReduceSum(node[7], [1], keepdims=0) if node.has(7) else None
    return [y, lengths, total]
