"""Writes a graph by the operators and element types for which a target has kernels.

onnxruntime runs a node without a kernel on the CPU, and copies its inputs from the device and its outputs back. Rules
(`rules.form`) replace such nodes by others with the same results, up to rounding; `int64_as_int32` changes element
types.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import replace

from ...ir import Graph, Node, Value
from ...ir.host_values import host_values
from ..canonicalize import prune
from . import (
    activations,
    booleans_as_numbers,
    dequantized_bias,
    log_softmax_as_exp,
    logic,
    maximum_as_where,
    one_hot_as_equal,
    power_of_count,
    trigonometry,
    zeros_as_expand,
)
from .embedding_gradient import scatter_embedding_rows
from .int64_as_int32 import compute_in_int32
from .rules import TargetContext, forms

__all__ = [
    "activations",
    "booleans_as_numbers",
    "dequantized_bias",
    "log_softmax_as_exp",
    "logic",
    "maximum_as_where",
    "one_hot_as_equal",
    "power_of_count",
    "trigonometry",
    "write_nodes_without_kernel",
    "zeros_as_expand",
]


def write_nodes_without_kernel(
    graph: Graph,
    lacks_kernel: Callable[[Node], bool],
    outer_host_values: Set[Value] = frozenset(),
) -> Graph:
    """Rewrites each node once that has no kernel, also those in loops and branches; returns the graph itself if there
    is none that a rule matches.

    `outer_host_values` are the inputs of a body that are computed from shapes or texts.
    """
    context = TargetContext(lacks_kernel, host_values(graph, outer_host_values))
    narrowed = compute_in_int32(scatter_embedding_rows(graph, context), context)
    rewritten = forms.apply(_with_rewritten_bodies(narrowed, context), context)
    return graph if rewritten is graph else prune(rewritten)


def _with_rewritten_bodies(graph: Graph, context: TargetContext) -> Graph:
    nodes = [_with_rewritten_body(node, context) if node.bodies else node for node in graph.nodes]
    changed = any(after is not before for after, before in zip(nodes, graph.nodes, strict=True))
    return graph.with_nodes(nodes, {}) if changed else graph


def _with_rewritten_body(node: Node, context: TargetContext) -> Node:
    changed: dict[str, Graph] = {}
    for name, body in node.bodies.items():
        pairs = zip(body.inputs.values(), node.inputs, strict=True)
        known = {inner for inner, outer in pairs if outer in context.host_values}
        rewritten = write_nodes_without_kernel(body, context.lacks_kernel, known)
        if rewritten is not body:
            changed[name] = rewritten
    return replace(node, attributes={**node.attributes, **changed}) if changed else node
