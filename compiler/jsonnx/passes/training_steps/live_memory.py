"""The memory that the results of a graph's nodes take while the nodes run in their order on the CPU.

As in onnxruntime's plan, a view shares the memory of its operand, an element-wise operator writes into an operand that
nothing reads later, and another result takes the buffer of the last one of its shape that is no longer read. A buffer
exists until the last reader of the last value in it, also while it holds none. Variables, fed values and the roots of
the graph have memory of their own, which is not counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import prod

from ...core.types import BATCH, evaluate_size
from ...ir import Graph, Node, Value
from .arena import Arena

ASSUMED_SIZE = 100
"""The estimate of a symbolic size that does not follow from those that are known."""
ELEMENT_BYTES = {"bool": 1, "int8": 1, "uint8": 1, "bfloat16": 2, "float16": 2, "float64": 8, "int64": 8, "uint64": 8}
DEFAULT_ELEMENT_BYTES = 4
STEPS_TO_FILL_ARENA = 2
"""A step may find less room in the chunks that the one before has left than that one found in new regions."""
VIEW_OPS = {"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
"""Operators whose result is the memory of their first operand."""
EARLY_OPS = {"Shape", "Size"}
"""Operators that run as soon as their operand exists, whatever the order of the nodes."""
OVERWRITING_OPS = frozenset(
    [
        *("Abs", "Add", "Cast", "Ceil", "Clip", "Div", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid"),
        *("LeakyRelu", "Log", "Mul", "Neg", "Not", "Reciprocal", "Relu", "ScatterElements", "ScatterND", "Selu"),
        *("Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Sub", "Tanh"),
    ]
)
"""Operators of onnxruntime's CPU provider that may write their result into an operand."""


SUMMAND_INDEX = 3
"""The position of the operand that a Conv in blocked layout may write into."""


class ValueSizes:
    """The bytes of values, by the sizes of the symbols in their shapes."""

    def __init__(self, sizes: Mapping[str, int], assumed_size: int = ASSUMED_SIZE) -> None:
        """`assumed_size` is that of symbols that do not follow from the sizes."""
        self._sizes, self._assumed_size = sizes, assumed_size
        self._elements: dict[object, int] = {}

    @staticmethod
    def of_batch(samples: int) -> ValueSizes:
        return ValueSizes({str(BATCH): samples})

    def __call__(self, value: Value) -> int:
        """The bytes of a value."""
        elements = self._elements.get(value.shape)
        if elements is None:
            elements = self._elements[value.shape] = prod(max(0, self._size(size)) for size in value.shape)
        return elements * ELEMENT_BYTES.get(value.dtype, DEFAULT_ELEMENT_BYTES)

    def _size(self, size: object) -> int:
        try:
            return evaluate_size(size, self._sizes)  # type: ignore[arg-type]
        except ValueError:
            return self._assumed_size


@dataclass(frozen=True)
class LivePeak:
    """The moment at which most bytes are live."""

    total_bytes: int
    node: Node | None
    """The node that runs then."""
    live: Mapping[Value, int]
    """The bytes of the buffers that exist then, by their first value."""


def live_peak(graph: Graph, sizes: ValueSizes) -> LivePeak:
    """The largest memory that results of nodes take."""
    buffers = _Buffers(graph, sizes)
    totals = buffers.totals()
    if not totals:
        return LivePeak(0, None, {})
    index = max(range(len(totals)), key=totals.__getitem__)
    return LivePeak(totals[index], graph.nodes[index], buffers.live_at(index))


def live_bytes(graph: Graph, sizes: ValueSizes) -> int:
    """The largest memory that results of nodes take, without an arena."""
    return live_peak(graph, sizes).total_bytes


def arena_bytes(graph: Graph, sizes: ValueSizes, *, doubles: bool = True) -> int:
    """The memory that the session of a step holds for results, after the first steps; `doubles` as in `Arena`."""
    buffers, arena = _Buffers(graph, sizes), Arena(doubles=doubles)
    for _ in range(STEPS_TO_FILL_ARENA):
        buffers.run(arena)
    return arena.resident_bytes


class _Buffers:
    """The buffers that hold the results of nodes: their sizes, and from which to which node they exist."""

    def __init__(self, graph: Graph, sizes: ValueSizes) -> None:
        self._nodes, self._sizes = graph.nodes, sizes
        self._last_use: dict[Value, int] = {}
        for index, node in enumerate(graph.nodes):
            for x in node.inputs if node.op not in EARLY_OPS else ():
                if x is not None:
                    self._last_use[x] = index
        self._buffer_of: dict[Value, int] = {}
        self._first: list[Value] = []
        self._bytes: list[int] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._bound = {*graph.outputs.values(), *graph.updates.values()}
        self._free: defaultdict[tuple[object, int], list[int]] = defaultdict(list)
        """By shape and bytes: the buffers of that shape that hold nothing, in the order of their release."""
        self._workspace = [0] * len(graph.nodes)
        for index, node in enumerate(graph.nodes):
            self._add_node(index, node)

    def _add_node(self, index: int, node: Node) -> None:
        for number, value in enumerate(node.outputs):
            if value in self._bound:
                continue
            if node.op in VIEW_OPS and not number:
                buffer = self._buffer_of.get(node.inputs[0])  # type: ignore[arg-type]
                if buffer is None:  # a view of memory that is not counted
                    continue
            else:
                buffer = self._overwritten(index, node, value) if not number else None
                free = self._free[self._key(value)]
                if buffer is None and free:
                    buffer = free.pop()
            end = self._last_use.get(value, index)
            if buffer is None:
                buffer = len(self._first)
                self._first.append(value)
                self._bytes.append(self._sizes(value))
                self._starts.append(index)
                self._ends.append(end)
            self._ends[buffer] = max(self._ends[buffer], end)
            self._buffer_of[value] = buffer
        values = (x for x in (*node.inputs, *node.outputs) if x is not None)
        for buffer in {self._buffer_of[x] for x in values if x in self._buffer_of}:
            if self._ends[buffer] == index:
                self._free[self._key(self._first[buffer])].append(buffer)
        for name, body in node.bodies.items():
            if name == "else_branch":  # the fallback for other batches
                continue
            inner = live_peak(body, self._sizes).total_bytes
            self._workspace[index] = max(self._workspace[index], inner)

    def _key(self, value: Value) -> tuple[object, int]:
        return value.shape, self._sizes(value)

    def _overwritten(self, index: int, node: Node, result: Value) -> int | None:
        """The buffer of the operand that a node writes its result into."""
        operands = node.inputs[:2] if node.op in OVERWRITING_OPS else ()
        if node.op == "Conv" and node.domain:
            operands = node.inputs[SUMMAND_INDEX:]
        size = self._sizes(result)
        for x in operands:
            buffer = None if x is None else self._buffer_of.get(x)
            if buffer is not None and self._ends[buffer] == index and self._bytes[buffer] == size:
                return buffer
        return None

    def totals(self) -> list[int]:
        """By node: the bytes of the buffers that exist while it runs."""
        changes = [0] * (len(self._nodes) + 1)
        for size, start, end in zip(self._bytes, self._starts, self._ends, strict=True):
            changes[start] += size
            changes[end + 1] -= size
        live = accumulate(changes[:-1])
        return [total + workspace for total, workspace in zip(live, self._workspace, strict=True)]

    def run(self, arena: Arena) -> None:
        """Allocates and releases the buffers in the order of the nodes."""
        released: dict[int, list[int]] = {}
        for buffer, end in enumerate(self._ends):
            released.setdefault(end, []).append(buffer)
        started = iter(enumerate(self._starts))
        next_buffer, next_start = next(started, (0, -1))
        places: dict[int, tuple[int, int]] = {}
        for index, workspace in enumerate(self._workspace):
            while next_start == index:
                places[next_buffer] = arena.allocate(self._bytes[next_buffer])
                next_buffer, next_start = next(started, (0, -1))
            if workspace:
                arena.release(arena.allocate(workspace))
            for buffer in released.get(index, ()):
                arena.release(places.pop(buffer))

    def live_at(self, index: int) -> dict[Value, int]:
        bounds = zip(self._first, self._bytes, self._starts, self._ends, strict=True)
        return {value: size for value, size, start, end in bounds if start <= index <= end}
