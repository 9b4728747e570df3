"""What a result comes from, emitted once more: as the other branch of a choice between two forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ....ir import Builder, Node, Value
from .context import NchwcContext

MAX_CLONED_NODES = 20
"""Nodes that such a result may come from."""


def recompute_slice(ctx: NchwcContext, node: Node, converted: Mapping[Value, Value]) -> list[Node] | None:
    """The nodes by which the result of a node comes from these operands so far, from their other forms where these are
    what they come from; None where there are many."""
    operands: set[Value | None] = set(converted.values())
    for plain, form in converted.items():
        place = ctx.node_index(plain)
        maker = None if place is None else ctx.g.nodes[place]
        if maker is None or form not in maker.inputs:
            operands.add(plain)
        if maker is not None and maker.op == "Unsqueeze":  # the twin of a sequence, which they read itself
            operands.add(maker.inputs[0])
    found: set[int] = set()
    waiting = [node]
    while waiting and len(found) < MAX_CLONED_NODES:
        read = [ctx.node_index(value) for value in waiting.pop().inputs if value is not None and value not in operands]
        more = {place for place in read if place is not None} - found
        found |= more
        waiting += [ctx.g.nodes[place] for place in more]
    return [*(ctx.g.nodes[place] for place in sorted(found)), node] if len(found) < MAX_CLONED_NODES else None


def clone_nodes(g: Builder, nodes: Sequence[Node]) -> Value:
    """The result of the last of these nodes, which are emitted once more."""
    new: dict[Value, Value] = {}
    for node in nodes:
        outputs = tuple(Value(output.type) for output in node.outputs)
        g.nodes.append(
            replace(node.with_inputs(x if x is None else new.get(x, x) for x in node.inputs), outputs=outputs)
        )
        new.update(zip(node.outputs, outputs, strict=True))
    return new[nodes[-1].outputs[0]]
