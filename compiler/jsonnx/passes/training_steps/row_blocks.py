"""Computes large logits by blocks of rows: the product that makes them, the loss, metrics, and so their gradients.

The logits of a vocabulary are larger than all other values of a batch, and are read only to be reduced to a few numbers
a row. So the product and the operators behind it, up to the reductions, are emitted once for each block of rows. As a
loss is a sum over rows, the gradient of a block needs nothing of the other blocks: `order_by_block` puts it behind the
block, and only one block exists at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from ...core.reserved_names import is_metric_sums_name
from ...core.types import Dim, Size, evaluate_size
from ...ir import Builder, Graph, Node, Parameter, Value, topologically_sorted
from ..canonicalize import prune, with_replaced_inputs
from .expected_bytes import expected_bytes
from .remat import HEAVY_OPS
from .row_axes import NotByRow, operand_axes, reduced_axes, result_axis

MIN_LOGITS_BYTES = 1 << 26
"""Minimum size of logits that are computed by blocks."""
MIN_BLOCK_BYTES = 1 << 24
"""Minimum size of the logits of a block."""
MAX_BLOCKS = 16
"""A block takes about 25 operators of a training step."""
MIN_BLOCK_ROWS = 256
"""Minimum rows of a block: each block adds a gradient of the whole weight, which takes as long as 10 % of the products
of so many rows."""
MIN_RATIO_TO_KEPT = 16
"""Values that are smaller than the logits by this factor are kept for all rows."""
COMBINING_OPS = {"ReduceMax": "Max", "ReduceMin": "Min", "ReduceSum": "Sum"}
"""By reduction: the operator that combines its results of several blocks."""

Products = Sequence[Value]
"""The logits of each block."""


def with_row_blocks(graph: Graph, sizes: Mapping[str, int]) -> tuple[Graph, list[Products]]:
    """Computes the large logits of a graph with losses by blocks, for batches of about these sizes.

    Drops outputs that are neither losses nor sums of metrics. Returns the graph, and the logits of the blocks of each
    product; the graph itself if there is nothing to split.
    """
    kept = {name: value for name, value in graph.outputs.items() if not value.rank or is_metric_sums_name(name)}
    result, groups = prune(replace(graph, outputs=kept)), list[Products]()
    indices = {node: index for index, node in enumerate(result.nodes)}
    for product in [node for node in result.nodes if _is_large_product(node, sizes)]:
        region = _find_region(result, indices[product], sizes) if product in indices else None
        if region is not None:
            result, products = _emit_blocks(result, region, f"rows_{len(groups)}_")
            groups.append(products)
            indices = {node: index for index, node in enumerate(result.nodes)}
    return (prune(result), groups) if groups else (graph, [])


def _is_large_product(node: Node, sizes: Mapping[str, int]) -> bool:
    if node.op not in ("Gemm", "MatMul") or node.domain:
        return False
    weight = node.inputs[1]
    return weight is not None and weight.rank == 2 and expected_bytes(node.outputs[0].type, sizes) >= MIN_LOGITS_BYTES


# -- the nodes to split ------------------------------------------------------------------------------------------------


@dataclass
class _Region:
    """The nodes between a product and the reductions of its rows."""

    product: Node
    count: int
    """The number of blocks."""
    nodes: list[Node]
    """The nodes to emit once for each block, in topological order."""
    reductions: list[Node]
    """The nodes that reduce split values over the rows."""
    axes: dict[Value, int]
    """The axis of rows of each value that is split."""
    results: set[Value]
    """The values that depend on the product."""


def _find_region(graph: Graph, index: int, sizes: Mapping[str, int]) -> _Region | None:
    """The nodes to split behind the product with an index; None if it is too small, or if a result depends on several
    rows."""
    product = graph.nodes[index]
    logits = product.outputs[0]
    rows = [evaluate_size(size, sizes) for size in logits.shape[:-1]]
    axis = max(range(len(rows)), key=rows.__getitem__)
    logits_bytes = expected_bytes(logits.type, sizes)
    count = min(MAX_BLOCKS, rows[axis], prod(rows) // MIN_BLOCK_ROWS, logits_bytes // MIN_BLOCK_BYTES)
    if count < 2:
        return None
    growing = _GrowingRegion(graph, logits_bytes // MIN_RATIO_TO_KEPT, sizes)
    try:
        growing.add_product(product, axis)
        for later in range(index + 1, len(graph.nodes)):
            growing.visit(graph.nodes[later])
    except NotByRow:
        return None
    if any(growing.is_large_result(x) for x in graph.roots):
        return None
    nodes = [node for node in graph.nodes if node in growing.nodes]
    return _Region(product, count, nodes, growing.reductions, growing.axes, growing.results)


class _GrowingRegion:
    """Collects the nodes that read large split values, and the nodes that compute their other large operands."""

    def __init__(self, graph: Graph, max_kept_bytes: int, sizes: Mapping[str, int]) -> None:
        self._producers, self._max_kept_bytes, self._sizes = graph.producers, max_kept_bytes, sizes
        self.nodes: set[Node] = set()
        self.reductions: list[Node] = []
        self.axes: dict[Value, int] = {}
        self.results: set[Value] = set()

    def is_large_result(self, value: Value | None) -> bool:
        return value in self.results and value is not None and self._is_large(value)

    def _is_large(self, value: Value) -> bool:
        return expected_bytes(value.type, self._sizes) > self._max_kept_bytes

    def visit(self, node: Node) -> None:
        """Adds a node that reads large split values. Raises NotByRow."""
        operand = next((x for x in node.inputs if self.is_large_result(x)), None)
        if operand is None:
            return
        if node.op in HEAVY_OPS or node.bodies:
            raise NotByRow
        axis = self.axes[operand]
        if node.op in ("ReduceMean", *COMBINING_OPS) and axis in reduced_axes(node):
            if node.op == "ReduceMean" and not class_axes(node, axis):
                raise NotByRow
            self.reductions.append(node)
        else:
            self.add(node, result_axis(node, operand, axis))
            self.results.update(node.outputs)

    def add_product(self, node: Node, axis: int) -> None:
        """Adds the node that computes the logits, with their axis of rows. Its operands are sliced."""
        operand_axes(node, axis)
        self.nodes.add(node)
        self.axes[node.outputs[0]] = axis
        self.results.add(node.outputs[0])

    def add(self, node: Node, axis: int) -> None:
        """Adds a node whose results have their rows along an axis, and nodes that compute its large operands. Raises
        NotByRow."""
        axes = operand_axes(node, axis)
        self.nodes.add(node)
        self.axes |= dict.fromkeys(node.outputs, axis)
        for x, operand_axis in zip(node.inputs, axes, strict=True):
            if x is None or (x in self.axes and self.axes[x] != operand_axis):
                raise NotByRow
            if operand_axis is not None and x not in self.axes and self._is_large(x):
                self._add_producer(x, operand_axis)

    def _add_producer(self, value: Value, axis: int) -> None:
        """Adds the node that computes an operand, unless that takes long or its rows depend on each other: then the
        operand is sliced."""
        producer = self._producers.get(value)
        before = set(self.nodes), dict(self.axes)
        try:
            if producer is not None and producer.op not in HEAVY_OPS:
                self.add(producer, axis)
        except NotByRow:
            self.nodes, self.axes = before


def class_axes(node: Node, row_axis: int) -> list[int]:
    """The static axes other than that of rows along which a node reduces."""
    x = node.inputs[0]
    assert x is not None
    return [axis for axis in reduced_axes(node) if axis != row_axis and isinstance(x.shape[axis], int)]


# -- blocks ------------------------------------------------------------------------------------------------------------


def _emit_blocks(graph: Graph, region: _Region, prefix: str) -> tuple[Graph, Products]:
    """The graph with the region's nodes once for each block, and the logits of each block.

    `prefix` begins the symbols for the numbers of rows.
    """
    blocks = _Blocks(graph, region, prefix)
    parts = [blocks.emit(index) for index in range(region.count)]
    replaced = {node for node in region.nodes if node.outputs[0] in region.results}.union(region.reductions)
    read = {x for node in graph.nodes if node not in replaced for x in node.inputs}.union(graph.roots)
    replacements: dict[Value, Value] = {}
    for value in (value for node in region.nodes for value in node.outputs):
        if value in read and value in region.results:
            replacements[value] = blocks.joined(value, [part[value] for part in parts])
    for node in region.reductions:
        replacements[node.outputs[0]] = blocks.reduced(node, [part[node.outputs[0]] for part in parts])
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes += blocks.g.nodes if node is region.product else ()
        nodes += [] if node in replaced else [with_replaced_inputs(node, replacements)]
    nodes = topologically_sorted(nodes)
    return graph.with_nodes(nodes, replacements), [part[region.product.outputs[0]] for part in parts]


class _Blocks:
    """Emits the blocks of a region: about equally many rows each, none where there are fewer rows than blocks."""

    def __init__(self, graph: Graph, region: _Region, prefix: str) -> None:
        self.g = Builder.extending(graph)
        self.g.nodes = []
        self._producers, self._region = graph.producers, region
        rows, axis = region.product.inputs[0], region.axes[region.product.outputs[0]]
        assert rows is not None
        count, size = region.count, rows.shape[axis]
        with self.g.inherit(region.product):
            self._starts, self._ends = self._bounds(rows, axis)
            if isinstance(size, int):
                self._row_counts: list[Dim] = [size * (i + 1) // count - size * i // count for i in range(count)]
                self._split: Value = self.g.const(self._row_counts, "int64")
            else:
                self._row_counts = [Size.named(f"{prefix}{i}") for i in range(count)]
                self._split = self.g.Sub(self._ends, self._starts)
        self._slices = {(rows, axis): self._parts(rows, axis)}

    def _bounds(self, rows: Value, axis: int) -> tuple[Value, Value]:
        """The first row of each block, and the first one behind it."""
        size, count = rows.shape[axis], self._region.count
        if isinstance(size, int):
            numbers = [size * i // count for i in range(count + 1)]
            return self.g.const(numbers[:-1], "int64"), self.g.const(numbers[1:], "int64")
        length = self.g.Shape(rows, start=axis, end=axis + 1)
        first, behind = (self.g.Mul(length, list(range(start, start + count))) for start in (0, 1))
        return self.g.Div(first, count), self.g.Div(behind, count)

    def _parts(self, x: Value, axis: int) -> list[Value]:
        """The rows of each block."""
        parts = self.g.Split(x, self._split, axis=axis, outputs=self._region.count)
        return [self.g.refine(part, self._shape(x, axis, index)) for index, part in enumerate(parts)]

    def _shape(self, value: Value, axis: int, index: int) -> Sequence[Dim]:
        return (*value.shape[:axis], self._row_counts[index], *value.shape[axis + 1 :])

    def emit(self, index: int) -> dict[Value, Value]:
        """Emits a block; returns its values by those of the whole graph."""
        values: dict[Value, Value] = {}
        for node in self._region.nodes:
            axis = self._region.axes[node.outputs[0]]
            with self.g.inherit(node):
                axes = operand_axes(node, axis)
                inputs = [self._operand(x, i, index, values) for x, i in zip(node.inputs, axes, strict=True)]
            outputs = tuple(Value(y.type.with_shape(self._shape(y, axis, index))) for y in node.outputs)
            self.g.nodes.append(replace(node, inputs=tuple(inputs), outputs=outputs))
            values |= zip(node.outputs, outputs, strict=True)
        for node in self._region.reductions:
            values[node.outputs[0]] = self._partial_reduction(node, values)
        return values

    def _operand(self, x: Value | None, axis: int | None, index: int, values: Mapping[Value, Value]) -> Value | None:
        """The rows of an operand that a block reads."""
        if x is None or x in values:
            return None if x is None else values[x]
        if axis is None:
            return self._own_transpose(x)
        if x not in self._producers and not isinstance(
            x, Parameter
        ):  # one block at a time, since nothing is differentiated by an input
            bounds = (self.g.Slice(rows, [index], [index + 1], [0]) for rows in (self._starts, self._ends))
            return self.g.refine(self.g.Slice(x, *bounds, [axis]), self._shape(x, axis, index))
        if (x, axis) not in self._slices:
            self._slices[x, axis] = self._parts(x, axis)
        return self._slices[x, axis][index]

    def _own_transpose(self, x: Value) -> Value:
        """A Transpose of each block's own in place of a shared one, so that gradients are summed before it: none of
        them is then transposed."""
        producer = self._producers.get(x)
        if x is not self._region.product.inputs[1] or producer is None or producer.op != "Transpose":
            return x
        copy = Value(x.type)
        self.g.nodes.append(replace(producer, outputs=(copy,)))
        return copy

    def _partial_reduction(self, node: Node, values: Mapping[Value, Value]) -> Value:
        """The reduction of a block; means are taken over the classes only, since blocks may differ in size."""
        x = node.inputs[0]
        assert x is not None
        with self.g.inherit(node):
            if node.op == "ReduceMean":
                partial: Value = self.g.ReduceMean(values[x], class_axes(node, self._region.axes[x]), keepdims=1)
                return partial
            reduced = self.g.emit(node.op, values[x], *node.inputs[1:], **node.attributes)
            return self.g.refine(reduced, node.outputs[0].shape)

    def joined(self, value: Value, parts: Sequence[Value]) -> Value:
        """The values of all rows."""
        with self.g.inherit(self._producers[value]):
            return self.g.refine(self.g.Concat(*parts, axis=self._region.axes[value]), value.shape)

    def reduced(self, node: Node, parts: Sequence[Value]) -> Value:
        """The result of a reduction, from its results for the blocks."""
        x, y = node.inputs[0], node.outputs[0]
        assert x is not None
        with self.g.inherit(node):
            if node.op != "ReduceMean":
                return self.g.refine(self.g.emit(COMBINING_OPS[node.op], *parts), y.shape)
            row_axis = self._region.axes[x]
            classes = class_axes(node, row_axis)
            shape = [1 if axis in classes else size for axis, size in enumerate(x.shape)]
            means = self.g.refine(self.g.Concat(*parts, axis=row_axis), shape)
            return self.g.refine(self.g.ReduceMean(means, *node.inputs[1:], **node.attributes), y.shape)
