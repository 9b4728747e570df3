"""Writes exact Gelu operators by Erf, so that a model does not need opset 20."""

from __future__ import annotations

from math import sqrt

from ..ir import Graph, Value
from .rewrite import Match, RuleSet

activations = RuleSet(cleanup=None)


def write_gelu_as_erf(graph: Graph) -> Graph:
    """Writes Gelu operators in the form that onnxruntime fuses into one kernel, with the same result.

    Gelu came with opset 20, and a model of opset 20 has no kernels on CUDA for some other operators. The approximation
    by Tanh stays as it is, since onnxruntime does not fuse it on the CPU.
    """
    return activations.apply(graph)


@activations("Gelu")
def gelu_as_erf(m: Match) -> Value | None:
    """Gelu(x) -> x * (Erf(x / sqrt(2)) + 1) * 0.5"""
    if m.node.attribute("approximate", "none") != "none":
        return None
    g, x = m.g, m.node.inputs[0]
    with g.inherit(m.node):
        doubled: Value = g.Mul(x, g.Add(g.Erf(g.Div(x, sqrt(2))), 1.0))
        return g.Mul(doubled, 0.5)
