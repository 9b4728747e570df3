"""Whether the samples of a batch stand apart: what the network makes of one depends on no other.

Then a batch can be parted, and the gradients of its parts, each by its share, add up to the batch's. Told by the
operators, value by value: along which axis samples lie, one behind the other, and, of the losses, whether they are
means over these. An operator that is not known here counts as one that mixes samples, as one does that works along that
axis: a batch normalization's means, an area's overlap, a loss that counts some of its terms only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import prod

from ...core.reserved_names import is_metric_sums_name
from ...core.types import BATCH, Size
from ...ir import Constant, Graph, Node, Value, reachable_nodes
from ..layout.rules import BROADCASTING_OPS, REDUCTION_OPS, UNARY_OPS

ELEMENTWISE_OPS = {*UNARY_OPS.split(), *BROADCASTING_OPS.split()}
REDUCING_OPS = set(REDUCTION_OPS.split())
MEAN_PRESERVING_OPS = {"Add", "Identity", "Neg", "Sub", "Sum"}
"""Of means and of what is the same for all samples they make a mean again."""
ORDER_PRESERVING_OPS = {"Expand", "OneHot", "Squeeze", "Transpose", "Unsqueeze"}
"""They leave the order along every axis as it is."""
RESHAPE_OPS = {"Flatten", "Reshape"}
"""They may fold the axis of samples with others, or unfold it."""
NEUTRAL_AMOUNTS = {"Pad": 0, "Tile": 1}
"""By what operand they leave an axis as it is."""
CONTRACTION_OPS = {"Einsum", "FusedMatMul", "Gemm", "MatMul"}
"""They sum over an axis that their result lacks."""
POOLING_OPS = {"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"}
BATCH_FIRST_OPS = {
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "GroupNormalization",
    "Resize",
    "SpaceToDepth",
    *POOLING_OPS,
}
"""Operators whose first axis is that of samples, always."""
RECURRENT_OPS = {"GRU", "LSTM", "RNN"}
"""Operators whose second axis is that of samples, always."""
SHAPE_OPS = {"Shape", "Size"}
STATISTIC_OPS = {"ReduceSum", "Size"}
"""What statistics are made of."""
CONCATENATION_OPS = {"Cast", "Concat", "Reshape"}
"""What puts them side by side."""


class _NotSeparable(Exception):
    """Samples meet."""


class _BatchAxisAnalysis:
    """Of the values of a graph, along which axis samples lie, and which are means over them. All others are the same
    for all samples. Along that axis stands first all that belongs to the first sample, then the second's, and so on."""

    def __init__(self) -> None:
        self.batch_axis: dict[Value, int] = {}
        self.batch_means: set[Value] = set()
        self.batch_sizes: set[Value] = set()
        """Whole numbers that may depend on how many samples there are."""

    def record_all(self, values: Iterable[Value]) -> None:
        for value in values:
            self._record_axis(value)

    def visit(self, node: Node) -> None:
        """Raises _Mixed."""
        inputs = [x for x in node.inputs if x is not None]
        if any(x in self.batch_means for x in inputs):
            self._visit_means(node, inputs)
        elif any(x in self.batch_axis for x in inputs):
            self._visit_batched(node, inputs)
        elif any(x in self.batch_sizes for x in inputs):
            self._visit_sizes(node)
        elif any(_batch_axes(x) for x in node.outputs):
            raise _NotSeparable  # numbered, say

    def _visit_batched(self, node: Node, inputs: list[Value]) -> None:
        if node.op in SHAPE_OPS:
            self.batch_sizes.update(node.outputs)
            return
        if node.op in REDUCING_OPS:
            if not any(map(_batch_axes, node.outputs)) and node.op == "ReduceMean":
                self.batch_means.update(node.outputs)
                return
        elif node.op == "Scan":
            self._visit_scan(node)
        elif not self._keeps_samples_separate(node, inputs):
            raise _NotSeparable
        for output in node.outputs:
            self._record_axis(output)
            if output not in self.batch_axis:
                raise _NotSeparable

    def _keeps_samples_separate(self, node: Node, inputs: list[Value]) -> bool:
        places = [(x, self.batch_axis[x]) for x in inputs if x in self.batch_axis]
        if node.op in ELEMENTWISE_OPS:
            return self.batch_sizes.isdisjoint(inputs) and len({axis - x.rank for x, axis in places}) == 1
        if node.op in CONTRACTION_OPS:
            return len(places) == 1 or (node.op == "MatMul" and all(axis < x.rank - 2 for x, axis in places))
        if node.op in BATCH_FIRST_OPS:
            return len(places) == 1 and places[0] == (node.inputs[0], 0)
        if node.op == "BatchNormalization":  # one with means of its own; those of the batch are other operators
            return len(places) == 1 and places[0] == (node.inputs[0], 0) and not node.attribute("training_mode", 0)
        if node.op in RECURRENT_OPS:
            return all(axis == x.rank - 2 for x, axis in places if x.rank > 1)
        x, axis = places[0]
        if node.op == "Slice":
            axes = node.input(3)
            return isinstance(axes, Constant) and axis not in {a % x.rank for a in axes.array.tolist()}
        if node.op == "Gather" and x is not node.inputs[0]:
            return len(places) == 1  # of a table
        along = OPERATED_AXES.get(node.op)
        if along is not None:
            return all(place == axis for _, place in places) and axis not in along(node, x.rank)
        if len(places) > 1 or x is not node.inputs[0]:
            return False
        return (
            node.op in ORDER_PRESERVING_OPS
            or _reshape_keeps_batch_order(node, x, axis)
            or _keeps_batch_axis(node, x, axis)
        )

    def _visit_sizes(self, node: Node) -> None:
        """What is made of sizes is a size; or a tensor that has some, and the same everywhere."""
        if node.op == "ConstantOfShape" or (node.op == "Expand" and node.inputs[0] not in self.batch_sizes):
            self.record_all(node.outputs)
        elif any("int" not in x.dtype and x.dtype != "bool" for x in node.outputs) or any(
            map(_batch_axes, node.outputs)
        ):
            raise _NotSeparable
        else:
            self.batch_sizes.update(node.outputs)

    def _visit_means(self, node: Node, inputs: list[Value]) -> None:
        """What is linear in means is the mean of what each sample would give."""
        if any(x in self.batch_axis or x in self.batch_sizes for x in inputs):
            raise _NotSeparable
        scaled = node.op == "Mul" or (node.op == "Div" and node.inputs[1] not in self.batch_means)
        if (
            node.op in MEAN_PRESERVING_OPS
            or (scaled and sum(x in self.batch_means for x in node.inputs if x) == 1)
            or (node.op in (ORDER_PRESERVING_OPS | RESHAPE_OPS) - {"OneHot"} and node.inputs[0] in self.batch_means)
        ):
            self.batch_means.update(node.outputs)
        else:
            raise _NotSeparable

    def _visit_scan(self, node: Node) -> None:
        body = node.attributes["body"]
        inner = _BatchAxisAnalysis()
        for x, outer in zip(body.inputs.values(), node.inputs, strict=True):
            if (
                outer in self.batch_sizes
                or outer in self.batch_means
                or (outer in self.batch_axis and not _batch_axes(x))
            ):
                raise _NotSeparable  # a number, or the steps are samples
            if _batch_axes(x):
                inner._record_axis(x)
        for other in body.nodes:
            inner.visit(other)

    def _record_axis(self, value: Value) -> None:
        """Raises _Mixed where samples do not lie along one axis."""
        axes = _batch_axes(value)
        if len(axes) > 1 or any("//" in str(value.shape[axis]) for axis in axes):  # of a quotient, samples may share
            raise _NotSeparable
        if axes:
            self.batch_axis[value] = axes[0]


def _batch_axes(value: Value) -> list[int]:
    """The axes whose sizes depend on how many samples there are."""
    return [i for i, size in enumerate(value.shape) if isinstance(size, Size) and _depends_on_batch(size)]


def _depends_on_batch(size: Size) -> bool:
    return any(str(BATCH) in symbol for symbol, _ in size.terms)


def _reshape_keeps_batch_order(node: Node, x: Value, axis: int) -> bool:
    """Whether the axis of samples is folded, if at all, with axes behind it, and so are those before it."""
    places = _batch_axes(node.outputs[0])
    return (
        node.op in RESHAPE_OPS and len(places) == 1 and prod(node.outputs[0].shape[: places[0]]) == prod(x.shape[:axis])
    )


def _keeps_batch_axis(node: Node, x: Value, axis: int) -> bool:
    """Whether nothing is put before, behind or between the samples."""
    operand = node.input(1)
    if node.op not in NEUTRAL_AMOUNTS or node.input(3) is not None or not isinstance(operand, Constant):
        return False
    return all(count == NEUTRAL_AMOUNTS[node.op] for count in operand.array.reshape(-1, x.rank)[:, axis].tolist())


def _axis_default_last(node: Node, rank: int) -> set[int]:
    return {node.attribute("axis", -1) % rank}


def _axis_default_first(node: Node, rank: int) -> set[int]:
    return {node.attribute("axis", 0) % rank}


def _axes_from_attribute(node: Node, rank: int) -> set[int]:
    return set(range(node.attribute("axis", -1) % rank, rank))


def _axis_operand(node: Node, rank: int) -> set[int]:
    axis = node.input(1)
    return {int(axis.array) % rank} if isinstance(axis, Constant) else set(range(rank))


OPERATED_AXES: Mapping[str, Callable[[Node, int], set[int]]] = {
    "ArgMax": _axis_default_first,
    "ArgMin": _axis_default_first,
    "Concat": _axis_default_last,
    "CumSum": _axis_operand,
    "Gather": _axis_default_first,
    "Hardmax": _axis_default_last,
    "LayerNormalization": _axes_from_attribute,
    "LogSoftmax": _axis_default_last,
    "LpNormalization": _axis_default_last,
    "RMSNormalization": _axes_from_attribute,
    "Softmax": _axis_default_last,
    "Split": _axis_default_first,
    "TopK": _axis_default_last,
}
"""The axes along which an operator works."""


def is_batch_separable(graph: Graph) -> bool:
    """Whether the samples of a graph with a `loss` do, its losses are means of theirs, and statistics their sums."""
    fed = [*graph.inputs.values(), *graph.randoms.values()]
    losses = [value for value in graph.outputs.values() if not value.rank]
    statistics = [value for name, value in graph.outputs.items() if is_metric_sums_name(name)]
    followed = reachable_nodes(graph.nodes, losses)
    samples = _BatchAxisAnalysis()
    try:
        samples.record_all(fed)
        for node in followed:
            samples.visit(node)
    except _NotSeparable:
        return False
    whole = all(x.shape[axis] == BATCH for x in fed if (axis := samples.batch_axis.get(x)) is not None)
    known = set(followed)
    adds = _are_batch_sums(
        [node for node in reachable_nodes(graph.nodes, statistics) if node not in known], samples.batch_means
    )
    return whole and adds and not graph.updates and all(x in samples.batch_means for x in losses)


def _are_batch_sums(nodes: Iterable[Node], batch_means: set[Value]) -> bool:
    """Whether what these make of all samples are sums, and their number, which are only put side by side; no means."""
    sums: set[Value] = set()
    for node in nodes:
        given = [x for x in node.inputs if x is not None]
        made = not sums.isdisjoint(given)
        if not batch_means.isdisjoint(given):
            return False
        if made or (any(map(_batch_axes, given)) and not any(map(_batch_axes, node.outputs))):
            if node.op not in (CONCATENATION_OPS if made else STATISTIC_OPS):
                return False
            sums.update(node.outputs)
    return True
