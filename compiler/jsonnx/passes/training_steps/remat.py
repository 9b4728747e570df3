"""Rematerialisation: the backward pass recomputes values of the forward pass instead of keeping them in memory.

The forward pass is cut into segments. Values that a later segment reads are kept. The other values of a segment that
the backward pass reads are recomputed from these just before it reaches the segment. There are two modes, named as in
Keras:

- `full` searches for the cuts with the lowest peak memory of the whole step, about the square root of what a deep stack
  holds otherwise, at the cost of about one more forward pass (Chen et al., 2016, "Training Deep Nets with Sublinear
  Memory Cost", arXiv:1604.06174);
- `activations` cuts behind every product and convolution, so that only cheap operators are recomputed.

A step whose peak no cuts lower stays as it is.

onnxruntime merges equal nodes, which would undo the recomputation where a session does not prevent it. So the copy of a
node reads kept values through a Reshape to the shape that they have. Its target consists of zeros, which stand for
"unchanged", but onnxruntime cannot know them in advance: they are the size of a cotangent times zero. The Reshape thus
waits for that cotangent, and copies nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import accumulate, pairwise
from math import prod

from ...core.types import Size
from ...ir import Builder, Graph, Node, Value, reachable_nodes, topologically_sorted
from ..canonicalize import prune, with_replaced_inputs
from .live_memory import ValueSizes, live_bytes

MIN_SAVING_RATIO = 0.02
"""Minimum part of the peak that more recomputation has to save."""
MAX_CANDIDATES = 6
"""Maximum number of ways to cut of which the peak of the whole step is computed."""
NEGLIGIBLE_SIZE_RATIO = 64
"""A value that is smaller than the largest one by this factor is kept, because recomputing it saves nothing."""
HEAVY_OPS = {
    "Attention",
    "Conv",
    "ConvTranspose",
    "Einsum",
    "FusedGemm",
    "FusedMatMul",
    "GRU",
    "Gemm",
    "LSTM",
    "Loop",
    "MatMul",
    "RNN",
    "Scan",
}
"""Operators that the mode `activations` does not recompute."""


def rematerialize(
    graph: Graph,
    mode: str | None,
    sizes: ValueSizes,
    finish: Callable[[Graph], Graph] = lambda graph: graph,
    peak_bytes: Callable[[Graph, ValueSizes], Sequence[int]] = lambda graph, sizes: [live_bytes(graph, sizes)],
) -> Graph:
    """Reduces the peak memory of a training step for batches of these sizes; a mode of None changes nothing.

    The peak is that of `peak_bytes`, of which each number has to be lower. The result went through `finish`, which may
    reorder the nodes; if not, they keep their order, and copies come just before their first readers. No pass after it
    may eliminate common subexpressions: that would merge the copies with the original nodes. A node belongs to the
    forward pass if the graph's outputs depend on it.
    """
    best = finish(graph)
    if mode is None:
        return best
    lowest = peak_bytes(best, sizes)
    for segments in MODES[mode](ForwardPass(graph, sizes)):
        candidate = finish(with_copies(graph, segments))
        peak = peak_bytes(candidate, sizes)
        if all(size < (1 - MIN_SAVING_RATIO) * other for size, other in zip(peak, lowest, strict=True)):
            best, lowest = candidate, peak
    return best


def with_copies(graph: Graph, segments: Segments) -> Graph:
    """The graph whose backward pass reads copies of what it recomputes."""
    copies = [copy for number in range(len(segments.starts) - 1) if (copy := segments.recompute(number)) is not None]
    replacements = {value: copied for copy in copies for value, copied in copy.replacements.items()}
    forward = segments.forward
    nodes = [node if node in forward else with_replaced_inputs(node, replacements) for node in graph.nodes]
    nodes = topologically_sorted([*nodes, *(node for copy in copies for node in copy.nodes)])
    return prune(graph.with_nodes(nodes, {}))


class ForwardPass:
    """The nodes on which the outputs depend, in order, with the sizes and readers of their results."""

    def __init__(self, graph: Graph, sizes: ValueSizes) -> None:
        self.nodes = reachable_nodes(graph.nodes, graph.outputs.values())
        self._node_set = set(self.nodes)
        self.backward_nodes = [node for node in graph.nodes if node not in self._node_set]
        self.producer_index = {value: index for index, node in enumerate(self.nodes) for value in node.outputs}
        self.last_use: dict[Value, int] = {
            x: index for index, node in enumerate(self.nodes) for x in present_inputs(node)
        }
        """By value: the index of its last reader."""
        self.data_dependent = {*graph.inputs.values(), *graph.randoms.values()}
        for node in self.nodes:
            if any(x in self.data_dependent for x in node.inputs):
                self.data_dependent.update(node.outputs)
        self.read_by_backward = {
            x
            for node in self.backward_nodes
            for x in present_inputs(node)
            if x in self.producer_index and x in self.data_dependent
        }
        """The values that depend on the data and are read by the backward pass."""
        self.byte_sizes = {x: sizes(x) for x in self.producer_index if x in self.data_dependent}
        negligible = max(self.byte_sizes.values(), default=0) / NEGLIGIBLE_SIZE_RATIO
        self.recomputable = {
            x: size for x, size in self.byte_sizes.items() if x in self.read_by_backward and size > negligible
        }
        """The sizes of the values that are large enough to be recomputed."""

    def __contains__(self, node: Node) -> bool:
        return node in self._node_set

    @cached_property
    def crossing_bytes(self) -> list[int]:
        """For each index of a node: the bytes of values computed before it and read by it or later nodes."""
        changes = [0] * (len(self.nodes) + 1)
        for value, size in self.byte_sizes.items():
            if self.last_use.get(value, -1) > self.producer_index[value]:
                changes[self.producer_index[value] + 1] += size
                changes[self.last_use[value] + 1] -= size
        return list(accumulate(changes))


def present_inputs(node: Node) -> Iterable[Value]:
    return (x for x in node.inputs if x is not None)


# -- cuts --------------------------------------------------------------------------------------------------


def segments_by_budget(forward: ForwardPass) -> list[Segments]:
    """Segments of several budgets, of those with the lowest estimated peaks; the largest budgets, which recompute
    least, come first."""
    totals = [0, *accumulate(sum(forward.recomputable.get(y, 0) for y in node.outputs) for node in forward.nodes)]
    candidates: list[Segments] = []
    budget = totals[-1] / 2
    while budget > totals[-1] / len(totals):
        candidates.append(Segments(forward, segment_starts(budget, totals, forward.crossing_bytes)))
        budget /= 2**0.5
    promising = sorted(candidates, key=Segments.peak_bytes)[:MAX_CANDIDATES]
    return [segments for segments in candidates if segments in promising]


def segment_starts(budget: float, totals: Sequence[int], crossing_bytes: Sequence[int]) -> list[int]:
    """The starts of segments whose recomputable bytes stay within the budget if possible.

    Each segment ends in the latter half of its budget, where the fewest bytes cross. `totals` are the recomputable
    bytes before each index.
    """
    starts = [0]
    for index in range(1, len(totals)):
        base = totals[starts[-1]]
        if totals[index] - base <= budget or index - 1 <= starts[-1]:
            continue
        cuts = [i for i in range(starts[-1] + 1, index) if totals[i] - base >= budget / 2] or [index - 1]
        starts.append(min(cuts, key=lambda i: (crossing_bytes[i], -i)))
    return starts


def segments_after_heavy_ops(forward: ForwardPass) -> list[Segments]:
    """The segments that end with a heavy operator each, whose results are kept."""
    heavy = [index for index, node in enumerate(forward.nodes) if is_heavy(node)]
    starts = [0, *(index + 1 for index in heavy if index + 1 < len(forward.nodes))]
    return [Segments(forward, starts, {y for index in heavy for y in forward.nodes[index].outputs})]


def is_heavy(node: Node) -> bool:
    """Whether a node is a heavy operator, and not a Conv that multiplies each channel by one number."""
    kernel = node.input(1)
    is_scale = node.op == "Conv" and kernel is not None and kernel.type.is_static() and prod(kernel.shape[1:]) == 1
    return node.op in HEAVY_OPS and not is_scale


# -- recomputation -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RecomputedSegment:
    """Copies of a segment's nodes, and the copied values by the original ones."""

    nodes: list[Node]
    replacements: dict[Value, Value]


class Segments:
    """A forward pass in segments, each from its start to the next start; values in `kept` are never recomputed."""

    def __init__(self, forward: ForwardPass, starts: list[int], kept: Iterable[Value] = ()) -> None:
        self.forward, self.starts = forward, starts
        self._bounds = list(pairwise([*starts, len(forward.nodes)]))
        numbers = [number for number, (start, end) in enumerate(self._bounds) for _ in range(start, end)]
        self._segment_of = {value: numbers[index] for value, index in forward.producer_index.items()}
        last = {value: numbers[index] for value, index in forward.last_use.items() if value in self._segment_of}
        read_later = {value for value, number in self._segment_of.items() if last.get(value, number) > number}
        self._kept = read_later | set(kept)

    def peak_bytes(self) -> int:
        """The estimated peak of the bytes held for the backward pass."""
        kept = sum(size for value, size in self.forward.byte_sizes.items() if value in self._kept)
        recomputed = [0] * len(self.starts)
        for value, size in self.forward.recomputable.items():
            if value not in self._kept:
                recomputed[self._segment_of[value]] += size
        return kept + max(recomputed)

    @cached_property
    def _recomputed(self) -> list[set[Value]]:
        """By segment: the values that the backward pass reads and that are not kept."""
        recomputed: list[set[Value]] = [set() for _ in self.starts]
        for value in self.forward.recomputable:
            if value not in self._kept:
                recomputed[self._segment_of[value]].add(value)
        return recomputed

    @cached_property
    def _earliest_segment(self) -> dict[Value, int]:
        """By value of the backward pass: the first segment on whose recomputed values it depends.

        Dependence on any value of the last segment counts, since the backward pass begins there.
        """
        last, segment_of = len(self.starts) - 1, self._segment_of.items()
        earliest = {x: number for x, number in segment_of if number == last or x in self._recomputed[number]}
        for node in self.forward.backward_nodes:
            first = min((earliest[x] for x in present_inputs(node) if x in earliest), default=None)
            if first is not None:
                earliest.update(dict.fromkeys(node.outputs, first))
        return earliest

    @cached_property
    def _triggers(self) -> dict[int, Value]:
        """By segment: a value of the backward pass that is computed just before this reaches the segment.

        The value depends on later segments only, so that no cycle arises, and its shape is symbolic.
        """
        triggers: dict[int, Value] = {}
        earliest = self._earliest_segment
        for node in self.forward.backward_nodes:
            segment = min((earliest[x] for x in present_inputs(node) if x in earliest), default=None)
            if segment is None or segment in triggers:
                continue
            cotangents = (x for x in present_inputs(node) if x not in self.forward.producer_index)
            later = [x for x in cotangents if earliest.get(x, 0) > segment and not x.type.is_static()]
            if later:
                triggers[segment] = min(later, key=lambda x: earliest[x])
        return triggers

    def recompute(self, segment: int) -> RecomputedSegment | None:
        """Copies the nodes behind the values of a segment that the backward pass reads; None if there are none."""
        required, trigger = set(self._recomputed[segment]), self._triggers.get(segment)
        if not required or trigger is None:
            return None
        nodes = []
        start, end = self._bounds[segment]
        for node in reversed(self.forward.nodes[start:end]):
            if any(y in required for y in node.outputs):
                nodes.append(node)
                inner = (x for x in present_inputs(node) if self._segment_of.get(x) == segment)
                required.update(x for x in inner if self._must_be_recomputed(x))
        copy = self._clone(nodes[::-1], trigger)
        # Copies of other values stay unused: their readers would depend on the trigger, which could close a cycle.
        recomputed = self._recomputed[segment]
        return replace(copy, replacements={x: copied for x, copied in copy.replacements.items() if x in recomputed})

    def _must_be_recomputed(self, value: Value) -> bool:
        """Whether a value that others are recomputed from is itself dropped."""
        if value not in self.forward.data_dependent or value in self._kept:
            return False
        return value in self.forward.recomputable or value not in self.forward.read_by_backward

    def _clone(self, nodes: list[Node], trigger: Value) -> RecomputedSegment:
        """Copies nodes; the copies read kept values through Reshapes that wait for the trigger."""
        g = Builder()
        axis = next(axis for axis, size in enumerate(trigger.shape) if isinstance(size, Size))
        with g.inherit(nodes[0]):
            size = g.Shape(trigger, start=axis, end=axis + 1)
            unchanged_shape = cache(lambda rank: g.Mul(size, [0] * rank))
        operands: dict[Value, Value] = {}
        copies: dict[Value, Value] = {}
        for node in nodes:
            with g.inherit(node):
                for x in present_inputs(node):
                    if x in self.forward.data_dependent and x not in operands:
                        operands[x] = g.refine(g.Reshape(x, unchanged_shape(x.rank)), x.shape)
            outputs = tuple(Value(y.type) for y in node.outputs)
            g.nodes.append(replace(with_replaced_inputs(node, operands), outputs=outputs))
            copies |= zip(node.outputs, outputs, strict=True)
            operands |= copies
        return RecomputedSegment(g.nodes, copies)


MODES: Mapping[str, Callable[[ForwardPass], list[Segments]]] = {
    "full": segments_by_budget,
    "activations": segments_after_heavy_ops,
}
