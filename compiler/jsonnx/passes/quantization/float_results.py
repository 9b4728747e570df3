"""Protects layers in floating point from rewrites of onnxruntime 1.32 that change or slow them.

- It rounds the weights of a Conv, ConvTranspose or Gemm in floating point that reads a DequantizeLinear, if only a
  QuantizeLinear reads the result, or a ReLU in front of that. Such a layer would not stay in floating point.
- It has a kernel for a product with integer weights whose result is in floating point, but not if a ReLU reads the
  result: it converts the weights at every run.

It does neither if a Max reads the result, so ReLUs are written as Max.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...ir import Builder, Node, Value
from .dataflow import Dataflow
from .operators import FUSED_ACTIVATIONS
from .quantization_plan import QuantizationPlan

ROUNDED_OPS = frozenset({"Conv", "ConvTranspose", "Gemm"})
"""Operators in floating point whose weights onnxruntime may round."""
MIN_FLOAT32 = float(np.finfo(np.float32).min)


class FloatResults(NamedTuple):
    """Activations that are written as Max and Min, and results that a Max has to read."""

    activations: frozenset[Node]
    results: frozenset[Value]


def float_results(dataflow: Dataflow, plan: QuantizationPlan) -> FloatResults:
    keeps_float = {each.value for each in plan.activations if each.keeps_float}
    kept, exact = set[Value](), set[Value]()
    """Results of operators in floating point that read a DequantizeLinear, and of products with integer weights."""
    stored = {each.node for each in plan.stored}
    for node in dataflow.graph.nodes:
        if node.domain or node.op not in ROUNDED_OPS | {"MatMul"}:
            continue
        y = _result_with_bias(dataflow, node)
        x = _moved_source(dataflow, node.inputs[0])
        if node.op != "ConvTranspose" and node.op != "Conv" and node in stored | plan.integer_nodes:
            exact.add(y)
        elif node not in plan.integer_nodes and x in plan.groups and x not in keeps_float:
            kept.add(y)
    activations = {
        reader
        for y in kept | exact
        if (reader := dataflow.only_reader(y)) is not None and reader.op in FUSED_ACTIVATIONS and not reader.domain
        if (reader.outputs[0] in plan.groups) == (y in kept)
    }
    return FloatResults(frozenset(activations), frozenset(y for y in kept if y in plan.groups))


def _moved_source(dataflow: Dataflow, x: Value | None) -> Value | None:
    """The value whose elements x has: onnxruntime moves a DequantizeLinear behind operators that only move elements."""
    while (node := dataflow.graph.producers.get(x)) is not None:  # type: ignore[arg-type]
        operand = dataflow.moved_operand(node)
        if operand is None:
            return x
        x = operand
    return x


def _result_with_bias(dataflow: Dataflow, node: Node) -> Value:
    """The result of an operator, or of the Add behind a product that becomes a Gemm with it."""
    y, x = node.outputs[0], node.inputs[0]
    reader = dataflow.only_reader(y)
    is_matrix = node.op == "MatMul" and x is not None and x.rank == 2
    if is_matrix and reader is not None and reader.op == "Add" and dataflow.is_affine(reader):
        return reader.outputs[0]
    return y


def emit_as_max(g: Builder, activation: Node, inputs: Sequence[Value | None]) -> Value:
    """Emits a Relu or Clip as Max and Min."""
    x, low, high = inputs[0], *(*inputs[1:], None, None)[:2]
    if activation.op == "Relu":
        low = g.const(0.0, "float32")
    for op, bound in (("Max", low), ("Min", high)):
        x = x if bound is None else g.emit(op, x, bound)
    assert x is not None
    return g.refine(x, activation.outputs[0].shape)


def emit_unchanged(g: Builder, x: Value) -> Value:
    """Emits a Max that returns its operand."""
    unchanged: Value = g.Max(x, g.const(MIN_FLOAT32, "float32"))
    return g.refine(unchanged, x.shape)
