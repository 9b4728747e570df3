"""Rematerialisation: what the way back reads is computed again when it gets there, instead of kept all the time.

The forward pass is cut into segments. What one segment hands to a later one is kept; what the way back reads besides
of a segment is computed anew from that, just before. Two ways to cut (Keras' names): `full` looks for the cuts with
which least is held at once, about the square root of what a deep stack holds (Chen et al., 2016, "Training Deep Nets
with Sublinear Memory Cost", arXiv:1604.06174), for about one forward pass more; `activations` cuts behind every product
and convolution, so that only what is cheap is computed again.

onnxruntime joins equal nodes, and would undo all of this. So a copy reads what was kept through a Reshape to its own
shape, whose target it can tell only when the way back has come to the segment: zeros, which mean "as it is", are the
size of a cotangent times zero. A Reshape copies nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import accumulate, pairwise
from math import prod

from ...core.types import BATCH, Dim, Size
from ...ir import Builder, Graph, Node, Value, reachable_nodes, topologically_sorted
from ..canonicalize import prune

ASSUMED_SIZE = 100
"""What a size counts that only the data tell, other than the batch's."""
NEGLIGIBLE_SIZE_RATIO = 64
"""What is as many times smaller than the largest value is kept: it saves nothing."""
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
"""What `activations` does not compute again."""


def rematerialize(graph: Graph, mode: str | None, expected_batch: int) -> Graph:
    """A training step that holds less at once and computes the same, or the same step where the mode is None; `expected_batch`
    is how many samples it will mostly get.

    The last pass of all: it knows forward and back only by what the outputs depend on, and what stands in one segment
    would look to others like what is computed twice.
    """
    if mode is None:
        return graph
    forward = ForwardPass(graph, expected_batch)
    segments = MODES[mode](forward)
    copies = [copy for number in range(len(segments.starts) - 1) if (copy := segments.recompute(number)) is not None]
    if not copies:
        return graph
    new = {value: again for copy in copies for value, again in copy.replacements.items()}
    rest = (
        node if node in forward else node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        for node in graph.nodes
    )
    nodes = topologically_sorted([*rest, *(node for copy in copies for node in copy.nodes)])
    return prune(graph.with_nodes(nodes, {}))


class ForwardPass:
    """The nodes on which the outputs depend, in order, and who reads what they make."""

    def __init__(self, graph: Graph, expected_batch: int) -> None:
        self.nodes = reachable_nodes(graph.nodes, graph.outputs.values())
        self._node_set = set(self.nodes)
        self.backward_nodes = [node for node in graph.nodes if node not in self._node_set]
        self.expected_batch = expected_batch
        self.producer_index = {value: place for place, node in enumerate(self.nodes) for value in node.outputs}
        self.last_use: dict[Value, int] = {
            x: place for place, node in enumerate(self.nodes) for x in present_inputs(node)
        }
        """The place of the last node that reads a value."""
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
        """What the way back reads, of what depends on the data."""
        self.byte_sizes = {x: self.byte_size(x) for x in self.producer_index if x in self.data_dependent}
        least = max(self.byte_sizes.values(), default=0) / NEGLIGIBLE_SIZE_RATIO
        self.recomputable = {
            x: size for x, size in self.byte_sizes.items() if x in self.read_by_backward and size > least
        }
        """The part of it that is worth to be computed again."""

    def __contains__(self, node: Node) -> bool:
        return node in self._node_set

    def byte_size(self, value: Value) -> int:
        """About how many a value takes."""
        width = int(found[0]) // 8 if (found := re.findall(r"\d+", value.dtype)) else 1
        return width * prod(estimated_size(size, self.expected_batch) for size in value.shape)

    @cached_property
    def crossing_bytes(self) -> list[int]:
        """Bytes that are made before a place and read by nodes from there on, for every place."""
        changes = [0] * (len(self.nodes) + 1)
        for value, size in self.byte_sizes.items():
            if self.last_use.get(value, -1) > self.producer_index[value]:
                changes[self.producer_index[value] + 1] += size
                changes[self.last_use[value] + 1] -= size
        return list(accumulate(changes))


def present_inputs(node: Node) -> Iterable[Value]:
    return (x for x in node.inputs if x is not None)


def estimated_size(size: Dim, expected_batch: int) -> int:
    """A number for a size that may be symbolic."""
    if isinstance(size, int):
        return size
    known = {str(BATCH): expected_batch}
    parts = (
        factor * prod(known.get(s, ASSUMED_SIZE) for s in re.findall(r"[A-Za-z_]\w*", t)) for t, factor in size.terms
    )
    return max(1, sum(parts) + size.offset)


# -- where to cut --------------------------------------------------------------------------------------------------


def min_peak_segments(forward: ForwardPass) -> Segments:
    """Those with which about the least is held at once."""
    totals = [0, *accumulate(sum(forward.recomputable.get(y, 0) for y in node.outputs) for node in forward.nodes)]
    tried = [Segments(forward, [0])]
    budget = totals[-1] / 2
    while budget > totals[-1] / len(totals):
        tried.append(Segments(forward, segment_starts(budget, totals, forward.crossing_bytes)))
        budget /= 2**0.5
    return min(tried, key=Segments.peak_bytes)


def segment_starts(budget: float, totals: Sequence[int], crossing_bytes: Sequence[int]) -> list[int]:
    """The starts of segments that save no more than the budget where that can be, cut where least crosses in their
    latter half."""
    starts = [0]
    for place in range(1, len(totals)):
        base = totals[starts[-1]]
        if totals[place] - base <= budget or place - 1 <= starts[-1]:
            continue
        allowed = [p for p in range(starts[-1] + 1, place) if totals[p] - base >= budget / 2] or [place - 1]
        starts.append(min(allowed, key=lambda p: (crossing_bytes[p], -p)))
    return starts


def segments_after_heavy_ops(forward: ForwardPass) -> Segments:
    """Those that end with what is dear to compute, the results of which are kept."""
    heavy = [place for place, node in enumerate(forward.nodes) if is_heavy(node)]
    starts = [0, *(place + 1 for place in heavy if place + 1 < len(forward.nodes))]
    return Segments(forward, starts, {y for place in heavy for y in forward.nodes[place].outputs})


def is_heavy(node: Node) -> bool:
    """Whether a node is a product, and not one of every channel by one number."""
    kernel = node.input(1)
    scale = node.op == "Conv" and kernel is not None and kernel.type.is_static() and prod(kernel.shape[1:]) == 1
    return node.op in HEAVY_OPS and not scale


# -- what to compute again -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RecomputedSegment:
    """The nodes that make values of a segment again, and which come in the place of which."""

    nodes: list[Node]
    replacements: dict[Value, Value]


class Segments:
    """A forward pass in segments, each from its start to the next one's."""

    def __init__(self, forward: ForwardPass, starts: list[int], kept: Iterable[Value] = ()) -> None:
        self.forward, self.starts = forward, starts
        self._bounds = list(pairwise([*starts, len(forward.nodes)]))
        numbers = [number for number, (start, end) in enumerate(self._bounds) for _ in range(start, end)]
        self._segment_of = {value: numbers[place] for value, place in forward.producer_index.items()}
        last = {value: numbers[place] for value, place in forward.last_use.items() if value in self._segment_of}
        self._kept = {value for value, number in self._segment_of.items() if last.get(value, number) > number} | set(
            kept
        )

    def peak_bytes(self) -> int:
        """About the most bytes that are there at once for the way back."""
        kept = sum(size for value, size in self.forward.byte_sizes.items() if value in self._kept)
        inside = [0] * len(self.starts)
        for value, size in self.forward.recomputable.items():
            if value not in self._kept:
                inside[self._segment_of[value]] += size
        return kept + max(inside)

    @cached_property
    def _recomputed(self) -> list[set[Value]]:
        """What the way back reads of each segment and nobody keeps."""
        found: list[set[Value]] = [set() for _ in self.starts]
        for value in self.forward.recomputable:
            if value not in self._kept:
                found[self._segment_of[value]].add(value)
        return found

    @cached_property
    def _earliest_segment(self) -> dict[Value, int]:
        """The first of the segments of which a value of the way back needs what is computed again, or in the last
        segment anything."""
        last = len(self.starts) - 1
        found = {x: number for x, number in self._segment_of.items() if number == last or x in self._recomputed[number]}
        for node in self.forward.backward_nodes:
            first = min((found[x] for x in present_inputs(node) if x in found), default=None)
            if first is not None:
                found.update(dict.fromkeys(node.outputs, first))
        return found

    @cached_property
    def _triggers(self) -> dict[int, Value]:
        """For every segment a value of the way back that is there when this comes to it, and not before.

        It needs nothing of this segment or an earlier one, so that nothing comes to wait for itself; and only the data
        tell its shape.
        """
        found: dict[int, Value] = {}
        for node in self.forward.backward_nodes:
            number = min(
                (self._earliest_segment[x] for x in present_inputs(node) if x in self._earliest_segment), default=None
            )
            if number is None or number in found:
                continue
            later = [
                x for x in present_inputs(node) if self._earliest_segment.get(x, 0) > number and not x.type.is_static()
            ]
            later = [x for x in later if x not in self.forward.producer_index]
            if later:
                found[number] = min(later, key=lambda x: self._earliest_segment[x])
        return found

    def recompute(self, segment: int) -> RecomputedSegment | None:
        """What makes the values of a segment again that the way back reads; None where there is none."""
        wanted, signal = set(self._recomputed[segment]), self._triggers.get(segment)
        if not wanted or signal is None:
            return None
        chosen = []
        start, end = self._bounds[segment]
        for node in reversed(self.forward.nodes[start:end]):
            if any(y in wanted for y in node.outputs):
                chosen.append(node)
                wanted.update(
                    x
                    for x in present_inputs(node)
                    if self._segment_of.get(x) == segment and self._must_be_recomputed(x)
                )
        copy = self._clone(chosen[::-1], signal)
        # No other value: what reads the copy of one that is kept would come to need the signal without our knowing.
        return replace(
            copy, replacements={x: again for x, again in copy.replacements.items() if x in self._recomputed[segment]}
        )

    def _must_be_recomputed(self, value: Value) -> bool:
        """Whether nobody keeps a value that is needed to make others again."""
        if value not in self.forward.data_dependent or value in self._kept:
            return False
        return value in self.forward.recomputable or value not in self.forward.read_by_backward

    def _clone(self, nodes: list[Node], trigger: Value) -> RecomputedSegment:
        g = Builder()
        axis = next(axis for axis, size in enumerate(trigger.shape) if isinstance(size, Size))
        new: dict[Value, Value] = {}
        with g.inherit(nodes[0]):
            size = g.Shape(trigger, start=axis, end=axis + 1)
            as_is = cache(lambda rank: g.Mul(size, [0] * rank))
        values: dict[Value, Value] = {}
        for node in nodes:
            with g.inherit(node):
                for x in present_inputs(node):
                    if x in self.forward.data_dependent and x not in new:
                        new[x] = g.refine(g.Reshape(x, as_is(x.rank)), x.shape)
            inputs = tuple(None if x is None else new.get(x, x) for x in node.inputs)
            outputs = tuple(Value(y.type) for y in node.outputs)
            g.nodes.append(replace(node, inputs=inputs, outputs=outputs))
            values |= zip(node.outputs, outputs, strict=True)
            new |= values
        return RecomputedSegment(g.nodes, values)


MODES: Mapping[str, Callable[[ForwardPass], Segments]] = {
    "full": min_peak_segments,
    "activations": segments_after_heavy_ops,
}
