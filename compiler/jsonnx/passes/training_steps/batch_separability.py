"""Analyses whether a batch can be split: whether no result for one sample depends on another sample.

The gradient of a separable batch is the mean of the gradients of its parts, weighted by their sizes. The analysis
follows the axis of samples from the inputs through every operator, and checks that the losses are means over that axis.
An operator mixes samples if it computes along that axis, as batch normalization does, or if the analysis does not know
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from math import prod

from ...core.reserved_names import is_metric_sums_name
from ...core.types import BATCH, Size
from ...ir import Constant, Graph, Node, Value, reachable_nodes
from ..layout.rules import BROADCASTING_OPS, REDUCTION_OPS, UNARY_OPS

ELEMENTWISE_OPS = {*UNARY_OPS.split(), *BROADCASTING_OPS.split()}
REDUCING_OPS = set(REDUCTION_OPS.split())
MEAN_PRESERVING_OPS = {"Add", "Identity", "Neg", "Sub", "Sum"}
"""Operators that compute a mean over samples from such means and from values without an axis of samples."""
ORDER_PRESERVING_OPS = {"Expand", "OneHot", "Squeeze", "Transpose", "Unsqueeze"}
"""Operators that keep the order of elements along every axis."""
RESHAPE_OPS = {"Flatten", "Reshape"}
"""Operators that may merge the axis of samples with others, or split it."""
NEUTRAL_AMOUNTS = {"Pad": 0, "Tile": 1}
"""By operator: the amount in its second operand with which it leaves an axis unchanged."""
CONTRACTION_OPS = {"Einsum", "FusedMatMul", "Gemm", "MatMul"}
"""Operators that sum over an axis that the result lacks."""
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
"""Operators whose first axis is always the axis of samples."""
RECURRENT_OPS = {"GRU", "LSTM", "RNN"}
"""Operators whose second axis is always the axis of samples."""
SHAPE_OPS = {"Shape", "Size"}
STATISTIC_OPS = {"ReduceSum", "Size"}
"""Operators that compute a statistic from samples; so does a ScatterElements that adds."""
CONCATENATION_OPS = {"Cast", "Concat", "Reshape"}
"""Operators that collect statistics in a vector."""


class _NotSeparable(Exception):
    """A result for one sample depends on others."""


class _BatchAxisAnalysis:
    """Finds the axis of samples of every value, and the values that are means over samples.

    Along the axis of samples, all elements of the first sample precede those of the second, and so on. Values without
    such an axis do not depend on the samples, but for means and for sizes.
    """

    def __init__(self, is_separate: Callable[[Node], bool] = lambda node: False) -> None:
        """`is_separate` tells nodes that are known to keep samples separate."""
        self._is_separate = is_separate
        self.batch_axis: dict[Value, int] = {}
        self.batch_means: set[Value] = set()
        self.batch_sizes: set[Value] = set()
        """Integers and masks that may depend on the number of samples."""

    def record_all(self, values: Iterable[Value]) -> None:
        for value in values:
            self._record_axis(value)

    def visit(self, node: Node) -> None:
        """Raises _NotSeparable if the node mixes samples, unless it is known not to do so."""
        try:
            self._visit(node)
        except _NotSeparable:
            if not self._is_separate(node):
                raise
            self.record_separate(node)

    def record_separate(self, node: Node) -> None:
        """Records the axes of samples of a node's results by their shapes alone."""
        for output in node.outputs:
            if len(axes := batch_axes(output)) == 1:
                self.batch_axis[output] = axes[0]

    def _visit(self, node: Node) -> None:
        inputs = [x for x in node.inputs if x is not None]
        if any(x in self.batch_means for x in inputs):
            self._visit_means(node, inputs)
        elif any(x in self.batch_axis for x in inputs):
            self._visit_batched(node, inputs)
        elif any(x in self.batch_sizes for x in inputs):
            self._visit_sizes(node)
        elif any(batch_axes(x) for x in node.outputs):
            raise _NotSeparable  # such as the index of each sample

    def _visit_batched(self, node: Node, inputs: list[Value]) -> None:
        if node.op in SHAPE_OPS:
            self.batch_sizes.update(node.outputs)
            return
        if node.op in REDUCING_OPS:
            if not any(map(batch_axes, node.outputs)) and node.op == "ReduceMean":
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
        batched = [(x, self.batch_axis[x]) for x in inputs if x in self.batch_axis]
        only_first_is_batched = len(batched) == 1 and batched[0][0] is node.inputs[0]
        if node.op in ELEMENTWISE_OPS:
            return self.batch_sizes.isdisjoint(inputs) and len({axis - x.rank for x, axis in batched}) == 1
        if node.op in CONTRACTION_OPS:
            return len(batched) == 1 or (node.op == "MatMul" and all(axis < x.rank - 2 for x, axis in batched))
        if node.op in BATCH_FIRST_OPS:
            return only_first_is_batched and batched[0][1] == 0
        if (
            node.op == "BatchNormalization"
        ):  # by moving averages; statistics of the batch are emitted as other operators
            return only_first_is_batched and batched[0][1] == 0 and not node.attribute("training_mode", 0)
        if node.op in RECURRENT_OPS:
            return all(axis == x.rank - 2 for x, axis in batched if x.rank > 1)
        x, axis = batched[0]
        if node.op == "Slice":
            axes = node.input(3)
            return isinstance(axes, Constant) and axis not in {a % x.rank for a in axes.array.tolist()}
        if node.op == "Gather" and x is not node.inputs[0]:
            return len(batched) == 1  # a lookup by samples
        operated_axes = OPERATED_AXES.get(node.op)
        if operated_axes is not None:
            return all(other == axis for _, other in batched) and axis not in operated_axes(node, x.rank)
        return only_first_is_batched and (
            node.op in ORDER_PRESERVING_OPS
            or _reshape_keeps_batch_order(node, x, axis)
            or _keeps_batch_axis(node, x, axis)
        )

    def _visit_sizes(self, node: Node) -> None:
        """Results of sizes are sizes, or tensors of equal elements in a shape with the number of samples."""
        if node.op == "ConstantOfShape" or (node.op == "Expand" and node.inputs[0] not in self.batch_sizes):
            self.record_all(node.outputs)
        elif any("int" not in x.dtype and x.dtype != "bool" for x in node.outputs) or any(
            map(batch_axes, node.outputs)
        ):
            raise _NotSeparable
        else:
            self.batch_sizes.update(node.outputs)

    def _visit_means(self, node: Node, inputs: list[Value]) -> None:
        """A linear function of means is the mean of that function over samples."""
        if any(x in self.batch_axis or x in self.batch_sizes for x in inputs):
            raise _NotSeparable
        is_scaling = node.op == "Mul" or (node.op == "Div" and node.inputs[1] not in self.batch_means)
        if (
            node.op in MEAN_PRESERVING_OPS
            or (is_scaling and sum(x in self.batch_means for x in node.inputs if x) == 1)
            or (node.op in (ORDER_PRESERVING_OPS | RESHAPE_OPS) - {"OneHot"} and node.inputs[0] in self.batch_means)
        ):
            self.batch_means.update(node.outputs)
        else:
            raise _NotSeparable

    def _visit_scan(self, node: Node) -> None:
        body = node.attributes["body"]
        analysis = _BatchAxisAnalysis()
        for x, outer in zip(body.inputs.values(), node.inputs, strict=True):
            iterates_over_samples = outer in self.batch_axis and not batch_axes(x)
            if outer in self.batch_sizes or outer in self.batch_means or iterates_over_samples:
                raise _NotSeparable
            if batch_axes(x):
                analysis._record_axis(x)
        for body_node in body.nodes:
            analysis.visit(body_node)

    def _record_axis(self, value: Value) -> None:
        """Raises _NotSeparable if samples lie along several axes, or several samples may share an index of one axis."""
        axes = batch_axes(value)
        has_quotient = any("//" in str(value.shape[axis]) for axis in axes)
        if len(axes) > 1 or has_quotient:
            raise _NotSeparable
        if axes:
            self.batch_axis[value] = axes[0]


def batch_axes(value: Value) -> list[int]:
    """The axes whose sizes depend on the number of samples."""
    return [i for i, size in enumerate(value.shape) if isinstance(size, Size) and _depends_on_batch(size)]


def _depends_on_batch(size: Size) -> bool:
    return any(str(BATCH) in symbol for symbol, _ in size.terms)


def _reshape_keeps_batch_order(node: Node, x: Value, axis: int) -> bool:
    """Whether a reshape merges the axis of samples, if at all, with axes behind it only."""
    y_axes, y_shape = batch_axes(node.outputs[0]), node.outputs[0].shape
    return node.op in RESHAPE_OPS and len(y_axes) == 1 and prod(y_shape[: y_axes[0]]) == prod(x.shape[:axis])


def _keeps_batch_axis(node: Node, x: Value, axis: int) -> bool:
    """Whether a Pad or Tile leaves the axis of samples unchanged."""
    amounts = node.input(1)
    if node.op not in NEUTRAL_AMOUNTS or node.input(3) is not None or not isinstance(amounts, Constant):
        return False
    return all(amount == NEUTRAL_AMOUNTS[node.op] for amount in amounts.array.reshape(-1, x.rank)[:, axis].tolist())


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
"""By operator: the axes along which it computes, of a node whose operand has this rank."""


def mixing_nodes(graph: Graph, is_separate: Callable[[Node], bool]) -> list[Node]:
    """The nodes of a graph with losses by which a result for one sample may depend on others, but for those that
    `is_separate` knows to be separate. Metric statistics are not considered."""
    losses = [value for value in graph.outputs.values() if not value.rank]
    analysis, mixing = _analyse(graph, losses, is_separate)
    producers = [graph.producers[x] for x in losses if x not in analysis.batch_means and x in graph.producers]
    return mixing or [node for node in producers if not is_separate(node)]


def output_mixing_nodes(graph: Graph, is_separate: Callable[[Node], bool]) -> list[Node]:
    """The nodes by which a sample's results may depend on others, but for those that `is_separate` knows to be
    separate; the first axis of each output counts the samples."""
    analysis, mixing = _analyse(graph, [*graph.outputs.values()], is_separate)
    outputs = [x for x in graph.outputs.values() if x in graph.producers]
    return mixing or [graph.producers[x] for x in outputs if analysis.batch_axis.get(x) != 0 or x.shape[0] != BATCH]


def _analyse(
    graph: Graph, outputs: list[Value], is_separate: Callable[[Node], bool]
) -> tuple[_BatchAxisAnalysis, list[Node]]:
    """The analysis of all nodes that outputs depend on, and those that may mix samples."""
    analysis, mixing = _BatchAxisAnalysis(is_separate), list[Node]()
    for value in (*graph.inputs.values(), *graph.randoms.values()):
        with suppress(_NotSeparable):
            analysis.record_all([value])
    for node in reachable_nodes(graph.nodes, outputs):
        try:
            analysis.visit(node)
        except _NotSeparable:
            mixing.append(node)
            analysis.record_separate(node)
    return analysis, mixing


def is_batch_separable(graph: Graph) -> bool:
    """Whether no result of a graph with losses mixes samples, but for losses, which are means over them, and metric
    statistics, which are sums."""
    fed = [*graph.inputs.values(), *graph.randoms.values()]
    losses = [value for value in graph.outputs.values() if not value.rank]
    statistics = [value for name, value in graph.outputs.items() if is_metric_sums_name(name)]
    if any(map(batch_axes, statistics)):  # rows of samples, which a sum over shards would add
        return False
    loss_nodes = reachable_nodes(graph.nodes, losses)
    analysis = _BatchAxisAnalysis()
    try:
        analysis.record_all(fed)
        for node in loss_nodes:
            analysis.visit(node)
    except _NotSeparable:
        return False
    if graph.updates or not all(x in analysis.batch_means for x in losses):
        return False
    axes = [(x, axis) for x in fed if (axis := analysis.batch_axis.get(x)) is not None]
    if not all(x.shape[axis] == BATCH for x, axis in axes):
        return False
    visited = set(loss_nodes)
    metric_nodes = [node for node in reachable_nodes(graph.nodes, statistics) if node not in visited]
    return _are_batch_sums(metric_nodes, analysis.batch_means)


def _is_sum(node: Node) -> bool:
    return node.op in STATISTIC_OPS or (node.op == "ScatterElements" and node.attribute("reduction", "none") == "add")


def _are_batch_sums(nodes: Iterable[Node], batch_means: set[Value]) -> bool:
    """Whether the nodes reduce samples only to sums and counts, which they then only concatenate, and read no means."""
    sums: set[Value] = set()
    for node in nodes:
        inputs = [x for x in node.inputs if x is not None]
        reads_sums = not sums.isdisjoint(inputs)
        if not batch_means.isdisjoint(inputs):
            return False
        if reads_sums or (any(map(batch_axes, inputs)) and not any(map(batch_axes, node.outputs))):
            if not (node.op in CONCATENATION_OPS if reads_sums else _is_sum(node)):
                return False
            sums.update(node.outputs)
    return True
