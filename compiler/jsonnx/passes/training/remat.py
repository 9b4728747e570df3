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
from ...ir import Builder, Graph, Node, Value, in_order, needed
from ..canonicalize import prune

UNKNOWN = 100
"""What a size counts that only the data tell, other than the batch's."""
SMALL = 64
"""What is as many times smaller than the largest value is kept: it saves nothing."""
HEAVY = {
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


def rematerialised(graph: Graph, mode: str | None, batch: int) -> Graph:
    """A training step that holds less at once and computes the same, or the same step where the mode is None; `batch`
    is how many samples it will mostly get.

    The last pass of all: it knows forward and back only by what the outputs depend on, and what stands in one segment
    would look to others like what is computed twice.
    """
    if mode is None:
        return graph
    forward = Forward(graph, batch)
    segments = MODES[mode](forward)
    copies = [copy for number in range(len(segments.starts) - 1) if (copy := segments.copied(number)) is not None]
    if not copies:
        return graph
    new = {value: again for copy in copies for value, again in copy.values.items()}
    rest = (
        node if node in forward else node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        for node in graph.nodes
    )
    nodes = in_order([*rest, *(node for copy in copies for node in copy.nodes)])
    return prune(graph.rewired(nodes, {}))


class Forward:
    """The nodes on which the outputs depend, in order, and who reads what they make."""

    def __init__(self, graph: Graph, batch: int) -> None:
        self.nodes = needed(graph.nodes, graph.outputs.values())
        self._known = set(self.nodes)
        self.rest = [node for node in graph.nodes if node not in self._known]
        self.batch = batch
        self.made = {value: place for place, node in enumerate(self.nodes) for value in node.outputs}
        self.last: dict[Value, int] = {x: place for place, node in enumerate(self.nodes) for x in reading(node)}
        """The place of the last node that reads a value."""
        self.fed = {*graph.inputs.values(), *graph.randoms.values()}
        for node in self.nodes:
            if any(x in self.fed for x in node.inputs):
                self.fed.update(node.outputs)
        self.back = {x for node in self.rest for x in reading(node) if x in self.made and x in self.fed}
        """What the way back reads, of what depends on the data."""
        self.sizes = {x: self.bytes(x) for x in self.made if x in self.fed}
        least = max(self.sizes.values(), default=0) / SMALL
        self.saved = {x: size for x, size in self.sizes.items() if x in self.back and size > least}
        """The part of it that is worth to be computed again."""

    def __contains__(self, node: Node) -> bool:
        return node in self._known

    def bytes(self, value: Value) -> int:
        """About how many a value takes."""
        width = int(found[0]) // 8 if (found := re.findall(r"\d+", value.dtype)) else 1
        return width * prod(estimated(size, self.batch) for size in value.shape)

    @cached_property
    def crossing(self) -> list[int]:
        """Bytes that are made before a place and read by nodes from there on, for every place."""
        changes = [0] * (len(self.nodes) + 1)
        for value, size in self.sizes.items():
            if self.last.get(value, -1) > self.made[value]:
                changes[self.made[value] + 1] += size
                changes[self.last[value] + 1] -= size
        return list(accumulate(changes))


def reading(node: Node) -> Iterable[Value]:
    return (x for x in node.inputs if x is not None)


def estimated(size: Dim, batch: int) -> int:
    """A number for a size that may be symbolic."""
    if isinstance(size, int):
        return size
    known = {str(BATCH): batch}
    parts = (factor * prod(known.get(s, UNKNOWN) for s in re.findall(r"[A-Za-z_]\w*", t)) for t, factor in size.terms)
    return max(1, sum(parts) + size.offset)


# -- where to cut --------------------------------------------------------------------------------------------------


def least_held(forward: Forward) -> Segments:
    """Those with which about the least is held at once."""
    totals = [0, *accumulate(sum(forward.saved.get(y, 0) for y in node.outputs) for node in forward.nodes)]
    tried = [Segments(forward, [0])]
    budget = totals[-1] / 2
    while budget > totals[-1] / len(totals):
        tried.append(Segments(forward, within(budget, totals, forward.crossing)))
        budget /= 2**0.5
    return min(tried, key=Segments.held)


def within(budget: float, totals: Sequence[int], crossing: Sequence[int]) -> list[int]:
    """The starts of segments that save no more than the budget where that can be, cut where least crosses in their
    latter half."""
    starts = [0]
    for place in range(1, len(totals)):
        base = totals[starts[-1]]
        if totals[place] - base <= budget or place - 1 <= starts[-1]:
            continue
        allowed = [p for p in range(starts[-1] + 1, place) if totals[p] - base >= budget / 2] or [place - 1]
        starts.append(min(allowed, key=lambda p: (crossing[p], -p)))
    return starts


def behind_products(forward: Forward) -> Segments:
    """Those that end with what is dear to compute, the results of which are kept."""
    heavy = [place for place, node in enumerate(forward.nodes) if is_heavy(node)]
    starts = [0, *(place + 1 for place in heavy if place + 1 < len(forward.nodes))]
    return Segments(forward, starts, {y for place in heavy for y in forward.nodes[place].outputs})


def is_heavy(node: Node) -> bool:
    """Whether a node is a product, and not one of every channel by one number."""
    kernel = node.input(1)
    scale = node.op == "Conv" and kernel is not None and kernel.type.is_fixed() and prod(kernel.shape[1:]) == 1
    return node.op in HEAVY and not scale


# -- what to compute again -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Copy:
    """The nodes that make values of a segment again, and which come in the place of which."""

    nodes: list[Node]
    values: dict[Value, Value]


class Segments:
    """A forward pass in segments, each from its start to the next one's."""

    def __init__(self, forward: Forward, starts: list[int], kept: Iterable[Value] = ()) -> None:
        self.forward, self.starts = forward, starts
        self._bounds = list(pairwise([*starts, len(forward.nodes)]))
        numbers = [number for number, (start, end) in enumerate(self._bounds) for _ in range(start, end)]
        self._number = {value: numbers[place] for value, place in forward.made.items()}
        last = {value: numbers[place] for value, place in forward.last.items() if value in self._number}
        self._kept = {value for value, number in self._number.items() if last.get(value, number) > number} | set(kept)

    def held(self) -> int:
        """About the most bytes that are there at once for the way back."""
        kept = sum(size for value, size in self.forward.sizes.items() if value in self._kept)
        inside = [0] * len(self.starts)
        for value, size in self.forward.saved.items():
            if value not in self._kept:
                inside[self._number[value]] += size
        return kept + max(inside)

    @cached_property
    def _again(self) -> list[set[Value]]:
        """What the way back reads of each segment and nobody keeps."""
        found: list[set[Value]] = [set() for _ in self.starts]
        for value in self.forward.saved:
            if value not in self._kept:
                found[self._number[value]].add(value)
        return found

    @cached_property
    def _earliest(self) -> dict[Value, int]:
        """The first of the segments of which a value of the way back needs what is computed again, or in the last
        segment anything."""
        last = len(self.starts) - 1
        found = {x: number for x, number in self._number.items() if number == last or x in self._again[number]}
        for node in self.forward.rest:
            first = min((found[x] for x in reading(node) if x in found), default=None)
            if first is not None:
                found.update(dict.fromkeys(node.outputs, first))
        return found

    @cached_property
    def _signals(self) -> dict[int, Value]:
        """For every segment a value of the way back that is there when this comes to it, and not before.

        It needs nothing of this segment or an earlier one, so that nothing comes to wait for itself; and only the data
        tell its shape.
        """
        found: dict[int, Value] = {}
        for node in self.forward.rest:
            number = min((self._earliest[x] for x in reading(node) if x in self._earliest), default=None)
            if number is None or number in found:
                continue
            later = [x for x in reading(node) if self._earliest.get(x, 0) > number and not x.type.is_fixed()]
            later = [x for x in later if x not in self.forward.made]
            if later:
                found[number] = min(later, key=lambda x: self._earliest[x])
        return found

    def copied(self, number: int) -> Copy | None:
        """What makes the values of a segment again that the way back reads; None where there is none."""
        wanted, signal = set(self._again[number]), self._signals.get(number)
        if not wanted or signal is None:
            return None
        chosen = []
        start, end = self._bounds[number]
        for node in reversed(self.forward.nodes[start:end]):
            if any(y in wanted for y in node.outputs):
                chosen.append(node)
                wanted.update(x for x in reading(node) if self._number.get(x) == number and self._is_gone(x))
        copy = self._copy(chosen[::-1], signal)
        # No other value: what reads the copy of one that is kept would come to need the signal without our knowing.
        return replace(copy, values={x: again for x, again in copy.values.items() if x in self._again[number]})

    def _is_gone(self, value: Value) -> bool:
        """Whether nobody keeps a value that is needed to make others again."""
        if value not in self.forward.fed or value in self._kept:
            return False
        return value in self.forward.saved or value not in self.forward.back

    def _copy(self, nodes: list[Node], signal: Value) -> Copy:
        g = Builder()
        axis = next(axis for axis, size in enumerate(signal.shape) if isinstance(size, Size))
        new: dict[Value, Value] = {}
        with g.origin(nodes[0]):
            size = g.Shape(signal, start=axis, end=axis + 1)
            as_is = cache(lambda rank: g.Mul(size, [0] * rank))
        values: dict[Value, Value] = {}
        for node in nodes:
            with g.origin(node):
                for x in reading(node):
                    if x in self.forward.fed and x not in new:
                        new[x] = g.refine(g.Reshape(x, as_is(x.rank)), x.shape)
            inputs = tuple(None if x is None else new.get(x, x) for x in node.inputs)
            outputs = tuple(Value(y.type) for y in node.outputs)
            g.nodes.append(replace(node, inputs=inputs, outputs=outputs))
            values |= zip(node.outputs, outputs, strict=True)
            new |= values
        return Copy(g.nodes, values)


MODES: Mapping[str, Callable[[Forward], Segments]] = {"full": least_held, "activations": behind_products}
