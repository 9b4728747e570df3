"""Finds the optimizer slots that a step may update in place.

Writing the new values of a slot to another buffer takes more cache, since the buffers of several steps alternate.

Nothing orders a write in place after the reads of the old values except data dependence: every node that reads the slot
has to be one that the new values depend on.
"""

from __future__ import annotations

from collections import defaultdict

from ....core.reserved_names import is_slot_name
from ....ir import Graph, Node, State, Value
from .elementwise_updates import ELEMENTWISE_UPDATE_OPS

MIN_SLOT_ELEMENTS = 1 << 16
"""Minimum size of a slot, in elements. All buffers of a smaller one stay in the cache. The packed vectors of small
weights are shorter (`pack_weights.MAX_VECTOR_ELEMENTS`)."""
ALIASING_OPS = {"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
"""Operators whose result may share the slot's memory, so that its readers read the slot, too."""
IN_PLACE_SAFE_OPS = ELEMENTWISE_UPDATE_OPS | {"GatedAdd"}
"""Operators that read an operand of the result's shape only at the element that they write, before they write it."""


def inplace_slots(graph: Graph) -> frozenset[str]:
    """The names of the large slots whose new values depend on all of their readers."""
    readers: defaultdict[Value, list[Node]] = defaultdict(list)
    slots = {name: state for name, state in graph.states.items() if is_slot_name(name) and _is_large(state)}
    slot_values = set(slots.values())
    for node in graph.nodes:
        for x in slot_values.intersection(x for x in node.inputs if x is not None):
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
    """Whether a result depends on all readers of a slot. Only nodes in the scope of the slot's update are searched."""
    last = producers.get(result)
    if last is None or any(node.op in ALIASING_OPS for node in readers):
        return False
    if last in readers and (last.op not in IN_PLACE_SAFE_OPS or slot.shape != result.shape):
        return False
    dependencies, pending = {last}, [last]
    while pending:
        for x in pending.pop().inputs:
            node = None if x is None else producers.get(x)
            if node is not None and node not in dependencies and node.scope == last.scope:
                dependencies.add(node)
                pending.append(node)
    return all(node in dependencies for node in readers)
