"""Values of rows in blocks of columns, beside the plain ones, as the pass `row_blocked` makes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ....core.types import Dim, Size, TensorType
from ....ir import Builder, Constant, Graph, Node, Value
from ..nchwc.context import NCHWC_DOMAIN

RESHAPE_OPS = {"Reshape", "Squeeze", "Unsqueeze"}
"""What gives the same numbers in another shape."""


class FusedProduct(NamedTuple):
    """Rows times weights, both in blocks, and what is added."""

    rows: Value
    filters: Value
    summand: Value | None


class RecurrentContext:
    """The nodes made so far, and which of their values [rows, columns] there are in blocks too: [columns / block, rows,
    block], of the type [columns, rows], where columns fill whole blocks.

    Those have nodes that make plain values of them only where somebody reads these.
    """

    def __init__(self, graph: Graph, block_size: int, weights: set[Value], matmul_operands: set[Value]) -> None:
        """`matmul_operands` are the values of the graph that are multiplied by these weights."""
        self.g = Builder.extending(graph)
        self.g.nodes = []
        self.block_size, self.weights, self.matmul_operands = block_size, weights, matmul_operands
        self.use_counts = Counter([*(x for node in graph.nodes for x in node.inputs), *graph.roots])
        self.steps_of_stack: dict[Value, Sequence[Value]] = {}
        """Of a value with the rows of all steps, one behind the other: those of each, in blocks."""
        self.products: dict[Value, FusedProduct] = {}
        """How a value in blocks came to be."""
        self._blocked_forms: dict[Value, Value] = {}
        self._filter_cache: dict[Any, Any] = {}
        self._step_sources: dict[Value, tuple[Value, int]] = {}
        self._step_images: dict[Value, Sequence[Value]] = {}
        self._images: dict[Value, Value] = {}
        self._pending_plain: dict[Value, Sequence[Value]] = {}

    def __contains__(self, x: Value | None) -> bool:
        return x in self._blocked_forms

    def padded_columns(self, columns: int) -> int:
        """Columns of as many whole blocks as these need."""
        return -(-columns // self.block_size) * self.block_size

    def fills_blocks(self, x: Value) -> bool:
        return x.type.is_static(1) and x.shape[1] % self.block_size == 0

    def keep_node(self, node: Node) -> None:
        """A node stays as it is."""
        for operand in node.inputs:
            self.ensure_plain(operand)
        self.g.nodes.append(node)
        x, y = node.inputs[0] if node.inputs else None, node.outputs[0]
        if x is None or y.dtype != "float32":
            return
        if node.op == "Gather" and x.rank == 3 and x.type.is_static(0, 2) and not node.attribute("axis", 0):
            step = node.inputs[1]
            if isinstance(step, Constant) and step.rank == 0:
                self._step_sources[y] = x, int(step.array)
        if node.op in RESHAPE_OPS and x in self.steps_of_stack and y.shape[-1] == x.shape[-1]:
            self.steps_of_stack[y] = self.steps_of_stack[x]
        if node.op == "Pad" and x in self.steps_of_stack and self.fills_blocks(x) and appends_ones_column(node):
            self.steps_of_stack[y] = [
                self.g.Concat(step, self._ones_column(step), axis=0) for step in self.steps_of_stack[x]
            ]

    def to_blocked(self, x: Value) -> Value:
        """A value [rows, columns] in blocks."""
        if x not in self._blocked_forms:
            steps, step = self._step_sources.get(x, (None, 0))
            if steps in self.steps_of_stack and len(self.steps_of_stack[steps]) == steps.shape[0]:
                self._blocked_forms[x] = self.steps_of_stack[steps][step]
            else:
                made = self._reorder_to_images(x) if steps is None else self._split_steps(steps)[step]
                self._blocked_forms[x] = self.g.reshape(made, (made.shape[1], made.shape[3]))
        return self._blocked_forms[x]

    def _ones_column(self, like: Value) -> Value:
        """A block for as many rows, ones in its first column and zeros in the others."""
        rows = like.shape[1]
        if rows not in self._filter_cache:
            first = self.g.const([1.0] + [0.0] * (self.block_size - 1), like.dtype)
            count = self.g.Shape(like, start=1, end=2)
            made = self.g.Expand(first, self.g.Concat(count, self.g.const([self.block_size], "int64"), axis=0))
            self._filter_cache[rows] = self.g.refine(
                self.g.Reshape(made, [self.block_size, -1]), (self.block_size, rows)
            )
        return self._filter_cache[rows]

    def _split_steps(self, x: Value) -> Sequence[Value]:
        """A value [time, rows, columns] as images, step by step."""
        if x not in self._step_images:
            time, whole = x.shape[0], self._reorder_to_images(x)
            self._step_images[x] = [whole] if time == 1 else self.g.Split(whole, [1] * time, axis=0, outputs=time)
        return self._step_images[x]

    def _reorder_to_images(self, x: Value) -> Value:
        """A value [..., rows, columns] as images [..., columns, 1, rows] in blocks."""
        self.ensure_plain(x)
        *before, rows, columns = x.shape
        if columns % 4:  # which the reordering goes by
            more = [0] * (2 * x.rank - 1) + [self.padded_columns(columns) - columns]
            x = self.g.refine(self.g.Pad(x, more), (*x.shape[:-1], self.padded_columns(columns)))
        count = before[0] if before else 1
        plain = self.g.reshape(x, (count, 1, rows, x.shape[-1]))
        type = TensorType(x.dtype, (count, self.padded_columns(columns), 1, rows))
        return self.g.custom_op("ReorderInput", NCHWC_DOMAIN, [plain], type, channels_last=1)

    def as_image(self, blocks: Value) -> Value:
        """Blocks as an image one row high."""
        if blocks not in self._images:
            columns, rows = blocks.shape
            self._images[blocks] = self.g.reshape(blocks, (1, columns, 1, rows))
        return self._images[blocks]

    def from_blocked(self, blocks: Value, plain_type: TensorType) -> Value:
        """A plain value for one in blocks."""
        result = self.from_blocked_steps([blocks], plain_type)
        self._blocked_forms[result] = blocks
        return result

    def from_blocked_steps(self, steps: Sequence[Value], plain_type: TensorType) -> Value:
        """A plain value for the rows of steps in blocks, one behind the other."""
        result = Value(plain_type)
        self._pending_plain[result] = steps
        return result

    def ensure_plain(self, x: Value | None) -> None:
        """Sees to it that there is a node which gives a plain value."""
        steps = self._pending_plain.pop(x, None) if x is not None else None
        if x is None or steps is None:
            return
        g, (columns, rows) = self.g, steps[0].shape
        images = self.as_image(steps[0])
        if len(steps) > 1:
            images = g.reshape(g.Concat(*steps, axis=0), (len(steps), columns, 1, rows))
        last = TensorType(x.dtype, (len(steps), 1, rows, x.shape[1]))
        ordered = g.custom_op("ReorderOutput", NCHWC_DOMAIN, [images], last, channels=x.shape[1], channels_last=1)
        shape = g.const([-1, x.shape[1]], "int64")
        g.nodes.append(
            replace(g.nodes[-1], op="Reshape", domain="", inputs=(ordered, shape), outputs=(x,), attributes={})
        )

    def emit_product(self, product: FusedProduct, plain_type: TensorType, **activation: Any) -> Value:
        """The result of a product as a plain value."""
        added = [] if product.summand is None else [None, self.as_image(product.summand)]
        made = pointwise_conv(self.g, self.as_image(product.rows), product.filters, *added, **activation)
        blocks = self.g.reshape(made, made.shape[1::2])
        if not activation:
            self.products[blocks] = product
        return self.from_blocked(blocks, plain_type)

    def fusable_product(self, x: Value | None) -> FusedProduct | None:
        """The product that one node alone reads, so that what this does may become a part of it."""
        return (
            self.products.get(self._blocked_forms[x])
            if x is not None and x in self and self.use_counts[x] == 1
            else None
        )

    def blocked_filters(self, w: Value, *, transposed: bool) -> Value:
        """Weights [inputs, outputs], or transposed, as [outputs / block, inputs, block]."""
        key = w, transposed
        self.ensure_plain(w)
        if key not in self._filter_cache:
            g, x = self.g, self.g.Transpose(w, perm=[1, 0]) if transposed else w
            inputs, outputs = x.shape
            full = self.padded_columns(inputs)
            if full > inputs:
                x = g.Pad(x, [0, 0, full - inputs, 0])
            x = g.Transpose(g.reshape(x, (full, outputs // self.block_size, self.block_size)), perm=[1, 0, 2])
            self._filter_cache[key] = g.reshape(x, (outputs, full, 1, 1))
        return self._filter_cache[key]

    def split_filters(self, filters: Value, sizes: Sequence[int]) -> Sequence[Value]:
        """Filters by groups of so many outputs."""
        key = filters, *sizes
        if key not in self._filter_cache:
            self._filter_cache[key] = self.g.Split(filters, sizes, axis=0, outputs=len(sizes))
        return self._filter_cache[key]

    def row_count(self, stack: Value) -> Value:
        """How many rows all steps have: [1]."""
        steps = self.steps_of_stack[stack]
        return self.g.Mul(self.g.Shape(steps[0], start=1, end=2), len(steps))

    def padding_row_count(self, stack: Value) -> Value:
        """How many of these the last block lacks: [1]."""
        return self.g.Mod(self.g.Neg(self.row_count(stack)), self.block_size)

    def concat_steps(self, stack: Value) -> Value:
        """The rows of all steps in blocks, [columns / block, rows, block], with zeros behind them that fill the last
        block of rows."""
        steps, g = self.steps_of_stack[stack], self.g
        columns, rows = steps[0].shape
        several = (
            g.const([columns // self.block_size], "int64"),
            self.padding_row_count(stack),
            g.const([self.block_size], "int64"),
        )
        zeros = g.full(0, g.Concat(*several, axis=0), stack.dtype)
        lines = [g.reshape(step, (columns // self.block_size, rows, self.block_size)) for step in steps]
        return g.Concat(*lines, zeros, axis=1)


def padded_rows(rows: Dim) -> Dim:
    """The size of so many rows with those that fill their last block."""
    return Size.named(f"filled({rows})")


def appends_ones_column(node: Node) -> bool:
    """Whether a Pad of rows puts a column of ones behind the others."""
    pads, value = node.inputs[1], node.input(2)
    if not isinstance(pads, Constant) or not isinstance(value, Constant) or node.attributes or len(node.inputs) > 3:
        return False
    return pads.array.tolist() == [0, 0, 0, 1] and value.array.ravel().tolist() == [1.0]


def rows_from_image(g: Builder, image: Value, rows_type: TensorType) -> Value:
    """An image [1, columns, 1, rows] in blocks as rows [rows, columns], of this type."""
    last = TensorType(image.dtype, (1, 1, image.shape[3], rows_type.shape[1]))
    x = g.custom_op("ReorderOutput", NCHWC_DOMAIN, [image], last, channels=rows_type.shape[1], channels_last=1)
    return g.refine(g.Reshape(x, [-1, rows_type.shape[1]]), rows_type.shape)


def pointwise_conv(g: Builder, x: Value, filters: Value, *bias_and_summand: Value | None, **activation: Any) -> Value:
    """The convolution of an image with filters [outputs, inputs, 1, 1], all in blocks."""
    type = x.type.with_shape((1, filters.shape[0], 1, x.shape[3]))
    return g.custom_op("Conv", NCHWC_DOMAIN, [x, filters, *bias_and_summand], type, kernel_shape=[1, 1], **activation)
