"""A convolution by blocks adds what it computes to its summand where this lies, if nobody reads that any more.

If somebody does, onnxruntime copies the summand first, by one thread: of 4 MB in 0.3 ms, where the sum itself takes
0.1. So it is copied by a convolution of one tap, which uses all threads, and nobody else reads that.
"""

from __future__ import annotations

from math import prod

from ....ir import Builder, Graph, Node, Value
from ..target import Target
from .context import NCHWC_DOMAIN, pad_with_conv

MIN_COPY_ELEMENTS = 1 << 18
"""Elements below which one thread has copied them before others have begun."""
SUMMAND_INDEX = 3
"""Its place among a convolution's operands."""


def copy_live_summands(graph: Graph, target: Target) -> Graph:
    """The graph with summands copied that are read later."""
    last = {x: index for index, node in enumerate(graph.nodes) for x in node.inputs}
    last.update(dict.fromkeys(graph.roots, len(graph.nodes)))
    g = Builder.extending(graph)
    g.nodes = []
    for index, node in enumerate(graph.nodes):
        x = node.input(SUMMAND_INDEX)
        if (
            _is_nchwc_conv(node)
            and x is not None
            and last[x] > index
            and _expected_elements(x, target.usual_batch) >= MIN_COPY_ELEMENTS
        ):
            with g.inherit(node):
                node = node.with_inputs((*node.inputs[:SUMMAND_INDEX], pad_with_conv(g, x)))
        g.nodes.append(node)
    return graph.with_nodes(g.nodes, {})


def _is_nchwc_conv(node: Node) -> bool:
    return node.op == "Conv" and node.domain == NCHWC_DOMAIN


def _expected_elements(x: Value, expected_batch: int) -> int:
    """The elements that a value will mostly have."""
    return prod(size if isinstance(size, int) else expected_batch for size in x.shape)
