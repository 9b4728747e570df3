"""Whether the samples of a batch stand apart: what the network makes of one depends on no other.

Then a batch can be parted, and the gradients of its parts, each by its share, add up to the batch's. Told by the
operators, value by value: along which axis samples lie, one behind the other, and, of the losses, whether they are
means over these. An operator that is not known here counts as one that mixes samples, as one does that works along that
axis: a batch normalization's means, an area's overlap, a loss that counts some of its terms only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import prod

from ...core.types import BATCH, Size
from ...ir import Constant, Graph, Node, Value, needed
from ...training.reserved_names import STATISTICS
from ..layout.rules import BROADCASTING, REDUCTIONS, UNARY

ELEMENTWISE = {*UNARY.split(), *BROADCASTING.split()}
REDUCING = set(REDUCTIONS.split())
LINEAR = {"Add", "Identity", "Neg", "Sub", "Sum"}
"""Of means and of what is the same for all samples they make a mean again."""
SHAPING = {"Expand", "OneHot", "Squeeze", "Transpose", "Unsqueeze"}
"""They leave the order along every axis as it is."""
FOLDING = {"Flatten", "Reshape"}
"""They may fold the axis of samples with others, or unfold it."""
REPEATING = {"Pad": 0, "Tile": 1}
"""By what operand they leave an axis as it is."""
PRODUCTS = {"Einsum", "FusedMatMul", "Gemm", "MatMul"}
"""They sum over an axis that their result lacks."""
POOLS = {"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"}
BY_SAMPLE = {"Conv", "ConvTranspose", "DepthToSpace", "GroupNormalization", "Resize", "SpaceToDepth", *POOLS}
"""Operators whose first axis is that of samples, always."""
RECURRENT = {"GRU", "LSTM", "RNN"}
"""Operators whose second axis is that of samples, always."""
SIZES = {"Shape", "Size"}
COUNTS = {"ReduceSum", "Size"}
"""What statistics are made of."""
BESIDE = {"Cast", "Concat", "Reshape"}
"""What puts them side by side."""


class _Mixed(Exception):
    """Samples meet."""


class _Samples:
    """Of the values of a graph, along which axis samples lie, and which are means over them. All others are the same
    for all samples. Along that axis stands first all that belongs to the first sample, then the second's, and so on."""

    def __init__(self) -> None:
        self.axis: dict[Value, int] = {}
        self.means: set[Value] = set()
        self.sizes: set[Value] = set()
        """Whole numbers that may depend on how many samples there are."""

    def begin(self, values: Iterable[Value]) -> None:
        for value in values:
            self._place(value)

    def follow(self, node: Node) -> None:
        """Raises _Mixed."""
        inputs = [x for x in node.inputs if x is not None]
        if any(x in self.means for x in inputs):
            self._mean_of_means(node, inputs)
        elif any(x in self.axis for x in inputs):
            self._of_samples(node, inputs)
        elif any(x in self.sizes for x in inputs):
            self._of_sizes(node)
        elif any(_axes(x) for x in node.outputs):
            raise _Mixed  # numbered, say

    def _of_samples(self, node: Node, inputs: list[Value]) -> None:
        if node.op in SIZES:
            self.sizes.update(node.outputs)
            return
        if node.op in REDUCING:
            if not any(map(_axes, node.outputs)) and node.op == "ReduceMean":
                self.means.update(node.outputs)
                return
        elif node.op == "Scan":
            self._scan(node)
        elif not self._keeps_apart(node, inputs):
            raise _Mixed
        for output in node.outputs:
            self._place(output)
            if output not in self.axis:
                raise _Mixed

    def _keeps_apart(self, node: Node, inputs: list[Value]) -> bool:
        places = [(x, self.axis[x]) for x in inputs if x in self.axis]
        if node.op in ELEMENTWISE:
            return self.sizes.isdisjoint(inputs) and len({axis - x.rank for x, axis in places}) == 1
        if node.op in PRODUCTS:
            return len(places) == 1 or (node.op == "MatMul" and all(axis < x.rank - 2 for x, axis in places))
        if node.op in BY_SAMPLE:
            return len(places) == 1 and places[0] == (node.inputs[0], 0)
        if node.op == "BatchNormalization":  # one with means of its own; those of the batch are other operators
            return len(places) == 1 and places[0] == (node.inputs[0], 0) and not node.attribute("training_mode", 0)
        if node.op in RECURRENT:
            return all(axis == x.rank - 2 for x, axis in places if x.rank > 1)
        x, axis = places[0]
        if node.op == "Slice":
            axes = node.input(3)
            return isinstance(axes, Constant) and axis not in {a % x.rank for a in axes.array.tolist()}
        if node.op == "Gather" and x is not node.inputs[0]:
            return len(places) == 1  # of a table
        along = ALONG.get(node.op)
        if along is not None:
            return all(place == axis for _, place in places) and axis not in along(node, x.rank)
        if len(places) > 1 or x is not node.inputs[0]:
            return False
        return node.op in SHAPING or _folds_behind(node, x, axis) or _leaves(node, x, axis)

    def _of_sizes(self, node: Node) -> None:
        """What is made of sizes is a size; or a tensor that has some, and the same everywhere."""
        if node.op == "ConstantOfShape" or (node.op == "Expand" and node.inputs[0] not in self.sizes):
            self.begin(node.outputs)
        elif any("int" not in x.dtype and x.dtype != "bool" for x in node.outputs) or any(map(_axes, node.outputs)):
            raise _Mixed
        else:
            self.sizes.update(node.outputs)

    def _mean_of_means(self, node: Node, inputs: list[Value]) -> None:
        """What is linear in means is the mean of what each sample would give."""
        if any(x in self.axis or x in self.sizes for x in inputs):
            raise _Mixed
        scaled = node.op == "Mul" or (node.op == "Div" and node.inputs[1] not in self.means)
        if (
            node.op in LINEAR
            or (scaled and sum(x in self.means for x in node.inputs if x) == 1)
            or (node.op in (SHAPING | FOLDING) - {"OneHot"} and node.inputs[0] in self.means)
        ):
            self.means.update(node.outputs)
        else:
            raise _Mixed

    def _scan(self, node: Node) -> None:
        body = node.attributes["body"]
        inner = _Samples()
        for x, outer in zip(body.inputs.values(), node.inputs, strict=True):
            if outer in self.sizes or outer in self.means or (outer in self.axis and not _axes(x)):
                raise _Mixed  # a number, or the steps are samples
            if _axes(x):
                inner._place(x)
        for other in body.nodes:
            inner.follow(other)

    def _place(self, value: Value) -> None:
        """Raises _Mixed where samples do not lie along one axis."""
        axes = _axes(value)
        if len(axes) > 1 or any("//" in str(value.shape[axis]) for axis in axes):  # of a quotient, samples may share
            raise _Mixed
        if axes:
            self.axis[value] = axes[0]


def _axes(value: Value) -> list[int]:
    """The axes whose sizes depend on how many samples there are."""
    return [i for i, size in enumerate(value.shape) if isinstance(size, Size) and _counts_samples(size)]


def _counts_samples(size: Size) -> bool:
    return any(str(BATCH) in symbol for symbol, _ in size.terms)


def _folds_behind(node: Node, x: Value, axis: int) -> bool:
    """Whether the axis of samples is folded, if at all, with axes behind it, and so are those before it."""
    places = _axes(node.outputs[0])
    return node.op in FOLDING and len(places) == 1 and prod(node.outputs[0].shape[: places[0]]) == prod(x.shape[:axis])


def _leaves(node: Node, x: Value, axis: int) -> bool:
    """Whether nothing is put before, behind or between the samples."""
    operand = node.input(1)
    if node.op not in REPEATING or node.input(3) is not None or not isinstance(operand, Constant):
        return False
    return all(count == REPEATING[node.op] for count in operand.array.reshape(-1, x.rank)[:, axis].tolist())


def _axis(node: Node, rank: int) -> set[int]:
    return {node.attribute("axis", -1) % rank}


def _first(node: Node, rank: int) -> set[int]:
    return {node.attribute("axis", 0) % rank}


def _from_axis(node: Node, rank: int) -> set[int]:
    return set(range(node.attribute("axis", -1) % rank, rank))


def _operand(node: Node, rank: int) -> set[int]:
    axis = node.input(1)
    return {int(axis.array) % rank} if isinstance(axis, Constant) else set(range(rank))


ALONG: Mapping[str, Callable[[Node, int], set[int]]] = {
    "ArgMax": _first,
    "ArgMin": _first,
    "Concat": _axis,
    "CumSum": _operand,
    "Gather": _first,
    "Hardmax": _axis,
    "LayerNormalization": _from_axis,
    "LogSoftmax": _axis,
    "LpNormalization": _axis,
    "RMSNormalization": _from_axis,
    "Softmax": _axis,
    "Split": _first,
    "TopK": _axis,
}
"""The axes along which an operator works."""


def stand_apart(graph: Graph) -> bool:
    """Whether the samples of a graph with a `loss` do, its losses are means of theirs, and statistics their sums."""
    fed = [*graph.inputs.values(), *graph.randoms.values()]
    losses = [value for value in graph.outputs.values() if not value.rank]
    statistics = [value for name, value in graph.outputs.items() if name.startswith(STATISTICS)]
    followed = needed(graph.nodes, losses)
    samples = _Samples()
    try:
        samples.begin(fed)
        for node in followed:
            samples.follow(node)
    except _Mixed:
        return False
    whole = all(x.shape[axis] == BATCH for x in fed if (axis := samples.axis.get(x)) is not None)
    known = set(followed)
    adds = _add_up([node for node in needed(graph.nodes, statistics) if node not in known], samples.means)
    return whole and adds and not graph.updates and all(x in samples.means for x in losses)


def _add_up(nodes: Iterable[Node], means: set[Value]) -> bool:
    """Whether what these make of all samples are sums, and their number, which are only put side by side; no means."""
    sums: set[Value] = set()
    for node in nodes:
        given = [x for x in node.inputs if x is not None]
        made = not sums.isdisjoint(given)
        if not means.isdisjoint(given):
            return False
        if made or (any(map(_axes, given)) and not any(map(_axes, node.outputs))):
            if node.op not in (BESIDE if made else COUNTS):
                return False
            sums.update(node.outputs)
    return True
