"""Orders the nodes of a step so that operands are still cached, for sessions that run nodes in the order of the graph.

onnxruntime's own order follows each result back to the inputs, whatever is cached. The graph has another order: forward
pass, backward pass, all updates. The schedule keeps the order of the two passes and moves other nodes:

- A weight's gradient runs as soon as the backward pass has computed its operands, and an update as soon as its gradient
  is known. These operands are still cached, and their memory is released early.
- A node whose result is in `Graph.releasing` runs as soon as its operands are known.
- A cheap node with a result as large as the batch runs just before its first reader.
- A node with a small result keeps its position, since it may release the memory of larger operands.
- The nodes of a region that is computed again keep their positions: what a region computes is released before the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from ...ir import Graph, Node
from ...passes.canonicalize import fold_reshape_chains
from ...passes.training_steps.live_memory import ValueSizes, arena_bytes, live_bytes
from ...passes.training_steps.remat import HEAVY_OPS, rematerialize
from .memory.inplace_updates import with_ordered_writes
from .target import Target

HEAVY_OR_BRANCHING_OPS = HEAVY_OPS | {"If"}
"""Operators that take long, and If, whose branches may contain such."""
MAX_HEAVY_TAIL = 2
"""Heavy operators on the longest path from a node of a weight's gradient to the results, that node included. Nodes of
the backward pass have longer paths, except at the first layer."""


def rematerialize_and_schedule(graph: Graph, target: Target) -> Graph:
    """Orders the nodes, and recomputes results of the forward pass where the target wants it and memory is saved in
    that order."""
    sizes = ValueSizes(target.sizes)
    return rematerialize(graph, target.remat, sizes, partial(schedule, target=target), _peak_bytes)


def _peak_bytes(graph: Graph, sizes: ValueSizes) -> list[int]:
    """The memory for results without an arena, with the usual one, and with one of its own."""
    arenas = (arena_bytes(graph, sizes, doubles=doubles) for doubles in (True, False))
    return [live_bytes(graph, sizes), *arenas]


def schedule(graph: Graph, target: Target) -> Graph:
    """Orders the nodes, if the session keeps their order.

    Folds chains of Reshapes first, since onnxruntime would replace a chain by a Reshape that runs last.
    """
    if not target.keeps_order:
        return graph
    graph = fold_reshape_chains(graph)
    further_dependencies: Mapping[Node, Sequence[Node]] = {}
    if target.overwritten is not None and graph.updates:
        graph, further_dependencies = with_ordered_writes(graph, target.overwritten)
    return replace(graph, nodes=tuple(_Scheduler(graph, further_dependencies)))


class _Scheduler:
    """Iterates once over the nodes in their new order.

    Urgent nodes, which belong to gradients and updates of weights or release memory, run as soon as the heavy nodes
    that they depend on have run. Other heavy nodes and nodes with small results keep their positions. All others run
    just before a reader.
    """

    def __init__(self, graph: Graph, further_dependencies: Mapping[Node, Sequence[Node]] = {}) -> None:
        producers = graph.producers
        self._nodes, self._releasing = graph.nodes, graph.releasing
        self._dependencies: dict[Node, list[Node]] = {}
        self._dependents: dict[Node, list[Node]] = {node: [] for node in graph.nodes}
        for node in graph.nodes:
            read = [producers[x] for x in node.inputs if x in producers]
            dependencies = list(dict.fromkeys([*read, *further_dependencies.get(node, ())]))
            self._dependencies[node] = dependencies
            for dependency in dependencies:
                self._dependents[dependency].append(node)
        self._unmet_counts = {node: len(dependencies) for node, dependencies in self._dependencies.items()}
        result_nodes = {producers[value] for value in graph.roots if value in producers}
        self._urgent: set[Node] = set()
        heavy_tail: dict[Node, int] = {}
        for node in reversed(graph.nodes):
            is_heavy = node.op in HEAVY_OR_BRANCHING_OPS
            heavy_tail[node] = is_heavy + max([heavy_tail[reader] for reader in self._dependents[node]], default=0)
            is_last = heavy_tail[node] <= MAX_HEAVY_TAIL and (is_heavy or node in result_nodes) and node.region is None
            if is_last or self._releases(node):
                self._urgent.add(node)
        self._scheduled: set[Node] = set()

    def __iter__(self) -> Iterator[Node]:
        first = self._ready_urgent(node for node in self._nodes if not self._unmet_counts[node])
        for node in (*first, *(node for node in self._nodes if _keeps_position(node)), *self._nodes):
            pending = [node]
            while pending:
                for scheduled in self._with_dependencies(pending.pop()):
                    yield scheduled
                    if scheduled.op in HEAVY_OR_BRANCHING_OPS:
                        pending += self._ready_urgent(self._unblock(scheduled))[::-1]

    def _ready_urgent(self, unblocked: Iterable[Node]) -> list[Node]:
        """The urgent nodes that wait for no heavy node any more, among unblocked nodes and those behind them."""
        pending, ready = list(unblocked), []
        while pending:
            node = pending.pop()
            if node in self._urgent:
                ready.append(node)
            if node.op not in HEAVY_OR_BRANCHING_OPS:
                pending += self._unblock(node)
        return sorted(ready, key=self._releases, reverse=True)

    def _unblock(self, node: Node) -> list[Node]:
        """Counts the node as a met dependency of its readers, and returns the readers without unmet ones. Call it once
        a node."""
        for reader in self._dependents[node]:
            self._unmet_counts[reader] -= 1
        return [reader for reader in self._dependents[node] if not self._unmet_counts[reader]]

    def _with_dependencies(self, node: Node) -> list[Node]:
        """Schedules a node and its unscheduled dependencies, each just before its first reader."""
        order: list[Node] = []
        stack = [] if node in self._scheduled else [(node, iter(self._dependencies[node]))]
        while stack:
            node, dependencies = stack[-1]
            missing = next((other for other in dependencies if other not in self._scheduled), None)
            if missing is not None:
                stack.append((missing, iter(self._dependencies[missing])))
                continue
            stack.pop()
            self._scheduled.add(node)
            order.append(node)
        return order

    def _releases(self, node: Node) -> bool:
        """Whether much larger operands of a node end there."""
        return node.outputs[0] in self._releasing


def _keeps_position(node: Node) -> bool:
    """Whether a node that is not urgent keeps its position: one that is heavy or in a region, or whose results do not
    grow with the batch."""
    if node.region is not None:
        return True
    return node.op in HEAVY_OR_BRANCHING_OPS or all(value.type.is_static() for value in node.outputs)
