"""Clones of the nodes that compute a result, for the generic branch of an If on the batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ....ir import Builder, Node, Value
from .context import NchwcContext

MAX_CLONED_NODES = 20
"""Nodes that a clone may have."""


def recompute_slice(ctx: NchwcContext, node: Node, blocked_forms: Mapping[Value, Value]) -> list[Node] | None:
    """The nodes that compute the result of `node` from some values and their blocked forms, in order.

    `blocked_forms` maps these plain values to blocked ones. The slice starts at the blocked form of a value that is
    itself computed from that form, else at either. Returns None if it has MAX_CLONED_NODES nodes or more.
    """
    operands = _slice_operands(ctx, blocked_forms)
    indices: set[int] = set()
    pending = [node]
    while pending and len(indices) < MAX_CLONED_NODES:
        inputs = [x for x in pending.pop().inputs if x is not None and x not in operands]
        producers = {index for index in map(ctx.node_index, inputs) if index is not None} - indices
        indices |= producers
        pending += [ctx.g.nodes[index] for index in producers]
    return [*(ctx.g.nodes[index] for index in sorted(indices)), node] if len(indices) < MAX_CLONED_NODES else None


def _slice_operands(ctx: NchwcContext, blocked_forms: Mapping[Value, Value]) -> set[Value]:
    """The values whose producers stay outside of the slice."""
    operands = set(blocked_forms.values())
    for plain, blocked in blocked_forms.items():
        index = ctx.node_index(plain)
        producer = None if index is None else ctx.g.nodes[index]
        if producer is None or blocked not in producer.inputs:
            operands.add(plain)
        if producer is not None and producer.op == "Unsqueeze" and producer.inputs[0] is not None:
            operands.add(producer.inputs[0])  # a sequence, which the generic gradient reads in place of its image
    return operands


def clone_nodes(g: Builder, nodes: Sequence[Node]) -> Value:
    """Emits the nodes again, with outputs of their own; returns the first output of the last one."""
    clones: dict[Value, Value] = {}
    for node in nodes:
        outputs = tuple(Value(output.type) for output in node.outputs)
        inputs = (x if x is None else clones.get(x, x) for x in node.inputs)
        g.nodes.append(replace(node.with_inputs(inputs), outputs=outputs))
        clones.update(zip(node.outputs, outputs, strict=True))
    return clones[nodes[-1].outputs[0]]
