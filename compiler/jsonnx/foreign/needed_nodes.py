"""The nodes of a graph that some of its values depend on."""

from __future__ import annotations

from collections.abc import Sequence

import onnx


def needed_nodes(nodes: Sequence[onnx.NodeProto], names: Sequence[str]) -> list[onnx.NodeProto]:
    """The nodes that values of these names depend on, in their order."""
    needed, kept = set(names), []
    for node in reversed(nodes):
        if not needed.isdisjoint(node.output):
            kept.append(node)
            needed.update(inputs_with_captures(node))
    return kept[::-1]


def needed_names(nodes: Sequence[onnx.NodeProto], names: Sequence[str]) -> set[str]:
    """These names, and those that the nodes read on which values of these names depend."""
    return {*names} | {name for node in needed_nodes(nodes, names) for name in inputs_with_captures(node)}


def inputs_with_captures(node: onnx.NodeProto) -> set[str]:
    names = set(node.input)
    for attribute in node.attribute:
        if attribute.HasField("g"):
            names |= {value.name for value in attribute.g.output}
            for inner in attribute.g.node:
                names |= inputs_with_captures(inner)
    return names
