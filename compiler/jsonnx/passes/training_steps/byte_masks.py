"""Feeds large dropout masks as bytes, a quarter of the memory.

The host draws a mask of 0 and 1, and a DequantizeLinear multiplies it by the scale just before each reader: what it
computes is the mask that the host draws otherwise. Operators that only move elements move bytes. The backward pass
makes the mask again, so that no mask of floating-point numbers is kept for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...core.types import TensorType
from ...ir import Builder, Graph, Node, Random, Value
from ..canonicalize import with_replaced_inputs
from .expected_bytes import expected_bytes

MIN_MASK_BYTES = 1 << 22
"""Minimum size of a mask of floating-point numbers that is fed as bytes."""
MOVING_OPS = {"Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
"""Operators whose results have elements of their first operand only."""
BYTE = "uint8"


def byte_randoms(randoms: Mapping[str, Random], sizes: Mapping[str, int]) -> dict[str, Random]:
    """The random inputs of a step for batches of about these sizes, with large masks as bytes."""
    return {name: _as_bytes(random) if _is_large_mask(random, sizes) else random for name, random in randoms.items()}


def _is_large_mask(random: Random, sizes: Mapping[str, int]) -> bool:
    is_mask = random.kind == "mask" and random.dtype == "float32" and not random.is_model_input
    return is_mask and expected_bytes(random.type, sizes) >= MIN_MASK_BYTES


def _as_bytes(random: Random) -> Random:
    type = TensorType(BYTE, random.shape)
    return Random(random.name, type, random.kind, random.keep, random.scale, random.seed)


def with_byte_masks(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """The graph whose large masks are inputs of bytes, for batches of about these sizes."""
    randoms = byte_randoms(graph.randoms, sizes)
    masks = {graph.randoms[name]: random for name, random in randoms.items() if random is not graph.randoms[name]}
    roots = set(graph.roots)
    if not masks or not roots.isdisjoint(masks):
        return graph
    g = Builder.extending(graph)
    g.nodes = []
    moved: dict[Value, tuple[Value, Random]] = {x: (random, random) for x, random in masks.items()}
    """By value of the graph: the bytes in its place, and their mask."""
    for node in graph.nodes:
        if node.inputs and node.inputs[0] in moved and node.op in MOVING_OPS and roots.isdisjoint(node.outputs):
            source, mask = moved[node.inputs[0]]
            outputs = tuple(Value(y.type.with_dtype(BYTE)) for y in node.outputs)
            g.nodes.append(replace(node, inputs=(source, *node.inputs[1:]), outputs=outputs))
            moved |= {y: (output, mask) for y, output in zip(node.outputs, outputs, strict=True)}
            continue
        with g.inherit(node):
            dequantized = {
                x: g.DequantizeLinear(moved[x][0], g.const(moved[x][1].scale, "float32"))
                for x in node.inputs
                if x is not None and x in moved
            }
        g.nodes.append(
            node.with_inputs(dequantized.get(x, x) if x else None for x in node.inputs) if dequantized else node
        )
    return replace(graph, nodes=tuple(g.nodes), randoms=randoms)


def separate_mask_reads(step: Graph) -> Graph:
    """Lets the backward pass make a mask again that the forward pass has made from bytes.

    The attribute `axis`, which means nothing for one scale, keeps the second node from being merged with the first.
    Regions that are computed again contain such nodes already.
    """
    copies: dict[Value, Value] = {}
    read: set[Value] = set()
    masks = {node.outputs[0]: node for node in step.nodes if _is_mask(node)}
    nodes: list[Node] = []
    for node in step.nodes:
        read_masks = {x for x in node.inputs if x is not None and x in masks}
        for x in (read_masks & read) - copies.keys():
            copies[x] = Value(x.type)
            nodes.append(replace(masks[x], outputs=(copies[x],), attributes={"axis": 0}))
        read |= read_masks
        nodes.append(with_replaced_inputs(node, copies))
    return replace(step, nodes=tuple(nodes)) if copies else step


def _is_mask(node: Node) -> bool:
    x = node.inputs[0] if node.inputs else None
    return node.op == "DequantizeLinear" and x is not None and x.dtype == BYTE and node.region is None
