"""Orders a step of a large network so that it overwrites its variables in place.

A step whose variables have one copy writes the new value of a variable into the memory of the old one. Its session runs
the nodes in the order of the graph, without any rewrite by onnxruntime. So the order alone has to guarantee what other
steps get from separate copies:

- The node that writes a variable runs after all nodes that read the old value (`write_dependencies`).
- It is an operator that may overwrite its own operand (`separate_writers`).
- The loss is known to be finite before anything is overwritten (`check_before_writes`): otherwise an operator fails,
  and the variables stay as they were.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from ....core.reserved_names import LOSS
from ....ir import Builder, Graph, Node, Parameter, State, Value, topologically_sorted
from .inplace_slots import ALIASING_OPS, IN_PLACE_SAFE_OPS, MIN_SLOT_ELEMENTS
from .split_updates import Slices

MIN_INPLACE_STEP_BYTES = 64 << 20
"""Minimum size of all weights that a step overwrites, in bytes. Three copies of smaller ones take little memory,
and allow to undo the last step."""
LOSS_CHECK_SCOPE = "+loss_check"
"""The scope of the nodes that fail if the loss is not finite."""


@dataclass(frozen=True)
class OverwrittenVariables:
    """The variables that a step overwrites in place."""

    names: frozenset[str]
    slices: Slices
    """The slices of variables among them."""
    lazy_names: frozenset[str] = frozenset()
    """The variables of lazily updated tables, of which the step writes single rows."""


def inplace_variables(graph: Graph, lazy_names: Collection[str]) -> frozenset[str]:
    """The names of the variables that have one copy, besides those that are updated lazily; none for a step whose
    weights are small."""
    variables: dict[str, Parameter | State] = {**graph.parameters, **graph.states}
    sizes = {name: variables[name].type.elements for name in graph.updates if name not in lazy_names}
    large = {name: size for name, size in sizes.items() if isinstance(size, int) and size >= MIN_SLOT_ELEMENTS}
    weight_bytes = 4 * sum(size for name, size in large.items() if name in graph.parameters)
    return frozenset(large) if weight_bytes >= MIN_INPLACE_STEP_BYTES else frozenset()


def with_ordered_writes(graph: Graph, overwritten: OverwrittenVariables) -> tuple[Graph, Mapping[Node, Sequence[Node]]]:
    """The graph with a check before the writes of these variables, and by node: the nodes that have to run before it,
    besides those whose results it reads.

    The nodes are in such an order.
    """
    graph = check_before_writes(graph)
    for copies_all in (False, True):
        separated = separate_writers(graph, overwritten.names, copies_all=copies_all)
        dependencies = write_dependencies(separated, overwritten)
        with suppress(ValueError):  # two variables are each written before the other one is read for the last time
            return separated.with_nodes(topologically_sorted(separated.nodes, dependencies), {}), dependencies
    raise AssertionError("nothing reads the copies, so they cannot be part of a cycle")


def check_before_writes(graph: Graph) -> Graph:
    """The graph whose output `LOSS` cannot be computed unless it, and all values in `graph.checked`, are finite."""
    g = Builder.extending(graph)
    with g.scope(LOSS_CHECK_SCOPE, ("training", "loss")):
        # The difference of a finite number and itself is 0, of another one NaN.
        differences = [g.Sub(x, x) for x in (graph.outputs[LOSS], *graph.checked)]
        total = differences[0] if len(differences) == 1 else g.Sum(*differences)
        index = g.cast(g.Not(g.Equal(total, 0.0)), "int64")
        loss = g.Gather(g.reshape(graph.outputs[LOSS], (1,)), index, axis=0)  # the index 1 is out of bounds
    return replace(g.graph({**graph.outputs, LOSS: g.refine(loss, ())}), checked=())


def separate_writers(graph: Graph, names: Collection[str], *, copies_all: bool = False) -> Graph:
    """The graph with a copying node behind each new value whose own node may not write it into the memory of the old
    one, or behind all."""
    variables: dict[str, Parameter | State] = {**graph.parameters, **graph.states}
    readers = _readers(graph, [variables[name] for name in names])
    producers = graph.producers
    dependents = _dependents(graph)
    outputs = set(graph.outputs.values())
    written: set[Value] = set()
    copies: list[Node] = []
    updates = dict(graph.updates)
    for name in names:
        variable, result = variables[name], graph.updates[name]
        writer = producers.get(result)
        is_separate = writer is not None and result not in outputs and result not in written
        if (
            copies_all
            or not is_separate
            or writer is None
            or not _may_overwrite(writer, variable, readers[variable], dependents)
        ):
            copy = Value(variable.type)
            scope, path = (writer.scope, writer.path) if writer else ("", ())
            copies.append(Node("Identity", (result,), (copy,), {}, scope, path))
            updates[name] = result = copy
        written.add(result)
    return replace(graph, nodes=(*graph.nodes, *copies), updates=updates) if copies else graph


def _may_overwrite(
    writer: Node, variable: Value, readers: Collection[Node], dependents: Mapping[Node, list[Node]]
) -> bool:
    """Whether the result of a node may take the memory of a variable, as far as the other readers can run before it."""
    if writer in readers and (writer.op not in IN_PLACE_SAFE_OPS or writer.outputs[0].shape != variable.shape):
        return False
    pending, seen = [writer], {writer}
    while pending:
        for reader in dependents[pending.pop()]:
            if reader in readers:
                return False
            if reader not in seen:
                seen.add(reader)
                pending.append(reader)
    return True


def write_dependencies(graph: Graph, overwritten: OverwrittenVariables) -> dict[Node, list[Node]]:
    """By node that overwrites a variable: the nodes that have to run before it, besides those whose results it reads.

    These are the check of the loss and the readers of the old value; for a slice of a variable, or of an optimizer slot
    of a weight, those of the whole variable or weight, so that a slice of a weight and those of its slots are updated
    together. A write of a lazily updated variable depends on the readers anyway.
    """
    variables: dict[str, Parameter | State] = {**graph.parameters, **graph.states}
    weights = {rows.weight: graph.parameters[rows.weight] for rows in overwritten.slices.values()}
    readers = _readers(graph, [*(variables[name] for name in overwritten.names), *weights.values()])
    producers = graph.producers
    check = producers[graph.outputs[LOSS]]
    dependencies: defaultdict[Node, list[Node]] = defaultdict(list)
    for name in overwritten.lazy_names:
        dependencies[producers[graph.updates[name]]].append(check)
    for name in overwritten.names:
        writer = producers[graph.updates[name]]
        dependencies[writer] += [check, *(node for node in readers[variables[name]] if node is not writer)]
        if name in overwritten.slices:
            dependencies[writer] += readers[weights[overwritten.slices[name].weight]]
    return dict(dependencies)


def _readers(graph: Graph, variables: Iterable[Value]) -> dict[Value, dict[Node, None]]:
    """The nodes that read a variable, or a result that shares its memory."""
    owner = {variable: variable for variable in variables}
    readers: dict[Value, dict[Node, None]] = {variable: {} for variable in owner}
    for node in graph.nodes:
        for x in node.inputs:
            if x is not None and x in owner:
                readers[owner[x]][node] = None
                if node.op in ALIASING_OPS and x is node.inputs[0]:
                    owner[node.outputs[0]] = owner[x]
    return readers


def _dependents(graph: Graph) -> dict[Node, list[Node]]:
    producers = graph.producers
    dependents: dict[Node, list[Node]] = {node: [] for node in graph.nodes}
    for node in graph.nodes:
        for producer in _producers_of(node, producers):
            dependents[producer].append(node)
    return dependents


def _producers_of(node: Node, producers: Mapping[Value, Node]) -> Iterator[Node]:
    return (producers[x] for x in node.inputs if x is not None and x in producers)
