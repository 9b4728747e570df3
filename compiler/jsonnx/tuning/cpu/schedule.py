"""The order in which a step's operators run, where the runtime takes them as they stand in the graph.

onnxruntime's own order goes back from the results one by one, whatever is in a cache by then. In the graph everything
stands behind what it is made of as it was thought of: forward, back, and all new values at the end. What is kept of
that is forward and back. A weight's gradient comes as soon as the way back has what it takes, and new values as soon as
their gradients are there: what these are made of is in a cache still, and is let go. What is quickly made and as large
as a batch waits for who needs it; what is small comes where it stood, since what it is made of may be let go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ...ir import Graph, Node
from ...passes.canonicalize import fold_reshape_chains
from ...passes.training.remat import HEAVY_OPS as LONG
from .target import Target

HEAVY_OR_BRANCHING_OPS = LONG | {"If"}
"""Operators that take long, or may stand for such."""
MAX_HEAVY_TAIL = 2
"""How many heavy operators may follow one another, this one counted, where they are a weight's gradient. The way back
has more to come, but at the network's first layer."""


def schedule(graph: Graph, target: Target) -> Graph:
    """The graph with its nodes in such an order, if the session keeps it.

    Chains of Reshapes are folded first: a Reshape that onnxruntime adds in their place would run last.
    """
    if not target.keeps_order:
        return graph
    graph = fold_reshape_chains(graph)
    return replace(graph, nodes=tuple(_Scheduler(graph)))


class _Scheduler:
    """Iterates over the nodes, once. Those to hurry with come as soon as all heavy ones that they depend on have run;
    other heavy ones, and small results, where they stood; all else just before one of these needs it."""

    def __init__(self, graph: Graph) -> None:
        producers = graph.producers
        self._nodes = graph.nodes
        self._dependencies: dict[Node, list[Node]] = {}
        self._dependents: dict[Node, list[Node]] = {node: [] for node in graph.nodes}
        for node in graph.nodes:
            makers = (producers.get(x) for x in node.inputs if x is not None)
            self._dependencies[node] = list(dict.fromkeys(maker for maker in makers if maker is not None))
            for maker in self._dependencies[node]:
                self._dependents[maker].append(node)
        self._unmet_counts = {node: len(before) for node, before in self._dependencies.items()}
        ends = {producers[value] for value in graph.roots if value in producers}
        self._urgent: set[Node] = set()
        depth: dict[Node, int] = {}
        for node in reversed(graph.nodes):
            heavy = node.op in HEAVY_OR_BRANCHING_OPS
            depth[node] = heavy + max((depth[reader] for reader in self._dependents[node]), default=0)
            if depth[node] <= MAX_HEAVY_TAIL and (heavy or node in ends):
                self._urgent.add(node)
        self._scheduled: set[Node] = set()

    def __iter__(self) -> Iterator[Node]:
        begun = self._ready_urgent(node for node in self._nodes if not self._unmet_counts[node])
        for node in (*begun, *(node for node in self._nodes if _keeps_position(node)), *self._nodes):
            waiting = [node]
            while waiting:
                for done in self._with_dependencies(waiting.pop()):
                    yield done
                    if done.op in HEAVY_OR_BRANCHING_OPS:
                        waiting += self._ready_urgent(self._unblock(done))[::-1]

    def _ready_urgent(self, unblocked: Iterable[Node]) -> list[Node]:
        """Those to hurry with that have nothing heavy to wait for any more, now that these have not."""
        found, ready = list(unblocked), []
        while found:
            node = found.pop()
            if node in self._urgent:
                ready.append(node)
            if node.op not in HEAVY_OR_BRANCHING_OPS:
                found += self._unblock(node)
        return ready

    def _unblock(self, node: Node) -> list[Node]:
        """Those that waited for this one last; counts it off, so it is to be told once."""
        for reader in self._dependents[node]:
            self._unmet_counts[reader] -= 1
        return [reader for reader in self._dependents[node] if not self._unmet_counts[reader]]

    def _with_dependencies(self, node: Node) -> list[Node]:
        """It and what has not run of what it needs, each just before who needs it."""
        following: list[Node] = []
        waiting = [] if node in self._scheduled else [(node, iter(self._dependencies[node]))]
        while waiting:
            node, before = waiting[-1]
            missing = next((maker for maker in before if maker not in self._scheduled), None)
            if missing is not None:
                waiting.append((missing, iter(self._dependencies[missing])))
                continue
            waiting.pop()
            self._scheduled.add(node)
            following.append(node)
        return following


def _keeps_position(node: Node) -> bool:
    """Whether a node comes where it stood."""
    return node.op in HEAVY_OR_BRANCHING_OPS or all(value.type.is_static() for value in node.outputs)
