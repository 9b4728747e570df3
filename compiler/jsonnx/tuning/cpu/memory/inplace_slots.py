"""Which of an optimizer's slots a step may write where it reads them.

A step that writes elsewhere goes through more memory than it computes with: for Adam's two slots of 784 x 512 weights,
in a set of their own for each of three steps, the weights' gradient and update took a tenth longer, for 2,048 x 2,048 a
fifth. In place there are a third as many of them.

Nothing orders a write after the reads of what it writes over, but that what is written is made of what was read.
"""

from __future__ import annotations

from collections import defaultdict

from ....core.reserved_names import is_slot_name
from ....ir import Graph, Node, State, Value
from .pack_weights import ELEMENTWISE_UPDATE_OPS

MIN_SLOT_ELEMENTS = 1 << 16
"""Elements of a slot below which all of its sets stay in a processor's cache. Vectors of small weights, whose parts
have names of their own, are shorter (`packing.LONGEST`)."""
ALIASING_OPS = {"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
"""Operators whose result may be the slot itself, in other words: nobody could tell who reads that."""
IN_PLACE_SAFE_OPS = ELEMENTWISE_UPDATE_OPS | {"GatedAdd"}
"""Operators that read of an operand of the result's shape what stands where they write, and nothing later."""


def inplace_slots(graph: Graph) -> frozenset[str]:
    """The names of the large slots whose every reader is a part of what makes their new values."""
    readers: defaultdict[Value, list[Node]] = defaultdict(list)
    slots = {name: state for name, state in graph.states.items() if is_slot_name(name) and _is_large(state)}
    wanted = set(slots.values())
    for node in graph.nodes:
        for x in wanted.intersection(x for x in node.inputs if x is not None):
            readers[x].append(node)
    producers, roots = graph.producers, set(graph.roots)
    return frozenset(
        name
        for name, slot in slots.items()
        if name in graph.updates
        and slot not in roots
        and _is_written_after_reads(graph.updates[name], slot, readers[slot], producers)
    )


def _is_large(slot: State) -> bool:
    return isinstance(slot.type.elements, int) and slot.type.elements >= MIN_SLOT_ELEMENTS


def _is_written_after_reads(result: Value, slot: State, readers: list[Node], producers: dict[Value, Node]) -> bool:
    """Whether a result can only be written when all have read a slot. Only its own update may have anything to do
    with it, so no more is looked at."""
    last = producers.get(result)
    if last is None or any(node.op in ALIASING_OPS for node in readers):
        return False
    if last in readers and (last.op not in IN_PLACE_SAFE_OPS or slot.shape != result.shape):
        return False
    before, todo = {last}, [last]
    while todo:
        for x in todo.pop().inputs:
            node = None if x is None else producers.get(x)
            if node is not None and node not in before and node.scope == last.scope:
                before.add(node)
                todo.append(node)
    return all(node in before for node in readers)
