"""Writes a graph by the operators and element types for which a target has kernels.

onnxruntime runs a node without a kernel on the CPU, and copies its inputs from the device and its outputs back. Rules
(`rules.form`) replace such nodes by others with the same results, up to rounding; `int64_as_int32` changes element
types.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Set
from dataclasses import replace

from ...ir import Graph, Node, Value
from ...ir.shape_arithmetic import shape_values
from ..canonicalize import prune
from . import (
    activations,
    log_softmax_as_exp,
    logic,
    maximum_as_where,
    one_hot_as_equal,
    power_of_count,
    trigonometry,
    zeros_as_expand,
)
from .int64_as_int32 import compute_in_int32
from .rules import TargetContext, forms

__all__ = [
    "activations",
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
    int32_inputs: Collection[str] = (),
    outer_shapes: Set[Value] = frozenset(),
) -> Graph:
    """Rewrites each node once that has no kernel, also those in loops and branches; returns the graph itself if there
    is none that a rule matches.

    `int32_inputs` names inputs of int64 that become int32 if the target does not compute in int64; `outer_shapes` are
    values that are computed from shapes outside of the graph.
    """
    context = TargetContext(lacks_kernel, shape_values(graph, outer_shapes))
    narrowed = compute_in_int32(graph, context, int32_inputs)
    rewritten = forms.apply(_with_rewritten_bodies(narrowed, context), context)
    return graph if rewritten is graph else prune(rewritten)


def _with_rewritten_bodies(graph: Graph, context: TargetContext) -> Graph:
    nodes = [_with_rewritten_body(node, context) if node.bodies else node for node in graph.nodes]
    changed = any(after is not before for after, before in zip(nodes, graph.nodes, strict=True))
    return graph.with_nodes(nodes, {}) if changed else graph


def _with_rewritten_body(node: Node, context: TargetContext) -> Node:
    changed: dict[str, Graph] = {}
    for name, body in node.bodies.items():
        shapes = {inner for inner, outer in zip(body.inputs.values(), node.inputs) if outer in context.shapes}
        rewritten = write_nodes_without_kernel(body, context.lacks_kernel, outer_shapes=shapes)
        if rewritten is not body:
            changed[name] = rewritten
    return replace(node, attributes={**node.attributes, **changed}) if changed else node
