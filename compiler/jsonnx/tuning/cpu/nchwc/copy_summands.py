"""A pass that copies the live summands of fused NCHWc convolutions on all threads.

A fused residual Conv writes into its summand in place if the summand is dead. Otherwise onnxruntime copies the summand
first, on one thread. A depthwise convolution of one tap copies it on all threads; the copy has no other reader.
"""

from __future__ import annotations

from math import prod

from ....ir import Builder, Graph, Node, Value
from ..target import Target
from .context import NCHWC_DOMAIN, pad_with_conv

MIN_COPY_ELEMENTS = 1 << 18
"""Minimum size of a summand, in elements. One thread has copied a smaller one before other threads start."""
SUMMAND_INDEX = 3
"""The summand's position among the inputs of an NCHWc Conv."""


def copy_live_summands(graph: Graph, target: Target) -> Graph:
    """The graph with a copy in place of every large summand that a later node reads.

    The size of a summand is estimated for the target's usual batch.
    """
    if not any(map(_is_nchwc_conv, graph.nodes)):
        return graph
    last_uses = {x: index for index, node in enumerate(graph.nodes) for x in node.inputs}
    last_uses.update(dict.fromkeys(graph.roots, len(graph.nodes)))
    g = Builder.extending(graph)
    g.nodes = []
    for index, node in enumerate(graph.nodes):
        summand = node.input(SUMMAND_INDEX)
        if (
            _is_nchwc_conv(node)
            and summand is not None
            and last_uses[summand] > index
            and _usual_elements(summand, target.usual_batch) >= MIN_COPY_ELEMENTS
        ):
            with g.inherit(node):
                node = node.with_inputs((*node.inputs[:SUMMAND_INDEX], pad_with_conv(g, summand)))
        g.nodes.append(node)
    return graph.with_nodes(g.nodes, {})


def _is_nchwc_conv(node: Node) -> bool:
    return node.op == "Conv" and node.domain == NCHWC_DOMAIN


def _usual_elements(x: Value, usual_batch: int) -> int:
    """How many elements x has if every symbolic size is `usual_batch`."""
    return prod(size if isinstance(size, int) else usual_batch for size in x.shape)
