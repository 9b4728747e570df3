"""The conversion of rows to blocks of columns: its two forms of a value, and the state that its converters share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ....core.types import Dim, Size, TensorType
from ....ir import Builder, Constant, Graph, Node, Value
from ....passes.conversion import Conversion
from ..nchwc.context import CHANNEL_MULTIPLE, NCHWC_DOMAIN

RESHAPE_OPS = {"Reshape", "Squeeze", "Unsqueeze"}
"""Operators whose result has the elements of the operand in the same order."""


class FusedProduct(NamedTuple):
    """The operands of a matrix product, all blocked: rows * filters + summand."""

    rows: Value
    filters: Value
    summand: Value | None


class RecurrentContext(Conversion):
    """The second form of rows [rows, columns] is [columns / block, rows, block].

    It is an NCHWc image one row high, whose columns are the rows and whose channels are the columns. Its type is
    [columns, rows] with the columns padded to whole blocks. Plain values of blocked rows are emitted lazily, by
    `ensure_plain`.

    A stack is a plain value [steps * rows, columns] with the rows of all time steps, one step after the other.
    """

    def __init__(self, graph: Graph, block_size: int, weights: set[Value], matmul_operands: set[Value]) -> None:
        """`matmul_operands` are the values of the graph that are multiplied by these weights."""
        super().__init__(graph)
        self.block_size, self.weights, self.matmul_operands = block_size, weights, matmul_operands
        self.steps_of_stack: dict[Value, Sequence[Value]] = {}
        """The blocked rows of each step of a stack."""
        self._products: dict[Value, FusedProduct] = {}
        """The product that a blocked value is the result of."""
        self._pending_plain: dict[Value, Sequence[Value]] = {}
        """The blocked rows of plain values that no node computes yet."""
        self._step_sources: dict[Value, tuple[Value, int]] = {}
        """The value [steps, rows, columns] that a Gather takes a step from, and the index of the step."""
        self._step_images: dict[Value, Sequence[Value]] = {}
        self._images: dict[Value, Value] = {}
        self._ones_columns: dict[Dim, Value] = {}
        self._blocked_filters: dict[tuple[Value, bool], Value] = {}
        self._split_filters: dict[tuple[Any, ...], Sequence[Value]] = {}

    def keep(self, node: Node) -> None:
        """Appends a node, behind the nodes that compute its plain operands."""
        for operand in node.inputs:
            self.ensure_plain(operand)
        super().keep(node)
        if node.inputs and node.inputs[0] is not None and node.outputs[0].dtype == "float32":
            self._track_steps(node, node.inputs[0], node.outputs[0])

    def _track_steps(self, node: Node, x: Value, y: Value) -> None:
        """Records the steps that a node selects, or the steps of the stack that it reshapes or pads."""
        if node.op == "Gather" and x.rank == 3 and x.type.is_static(0, 2) and not node.attribute("axis", 0):
            step = node.inputs[1]
            if isinstance(step, Constant) and step.rank == 0:
                self._step_sources[y] = x, int(step.array)
        if x not in self.steps_of_stack:
            return
        if node.op in RESHAPE_OPS and y.shape[-1] == x.shape[-1]:
            self.steps_of_stack[y] = self.steps_of_stack[x]
        if node.op == "Pad" and self.fills_blocks(x) and appends_ones_column(node):
            self.steps_of_stack[y] = [
                self.g.Concat(step, self._ones_column(step), axis=0) for step in self.steps_of_stack[x]
            ]

    def finish(self) -> Graph:
        for root in self.graph.roots:
            self.ensure_plain(self.current(root))
        return super().finish()

    # -- blocked rows ------------------------------------------------------------------------------------------------

    to_blocked, from_blocked = Conversion.to_form, Conversion.from_form

    def emit_form(self, x: Value) -> Value:
        source, step = self._step_sources.get(x, (None, 0))
        if source in self.steps_of_stack and len(self.steps_of_stack[source]) == source.shape[0]:
            return self.steps_of_stack[source][step]
        image = self._reorder_to_images(x) if source is None else self._split_steps(source)[step]
        _, columns, _, rows = image.shape
        return self.g.reshape(image, (columns, rows))

    def emit_plain(self, form: Value, plain_type: TensorType) -> Value:
        return self.stack_of_steps([form], plain_type)

    def stack_of_steps(self, steps: Sequence[Value], plain_type: TensorType) -> Value:
        """The plain stack of the blocked rows of these steps."""
        stack = Value(plain_type)
        self._pending_plain[stack] = steps
        return stack

    def ensure_plain(self, x: Value | None) -> None:
        """Emits the nodes that compute a plain value, unless they exist."""
        steps = self._pending_plain.pop(x, None) if x is not None else None
        if x is None or steps is None:
            return
        g, (columns, rows) = self.g, steps[0].shape
        images = self.as_image(steps[0])
        if len(steps) > 1:
            images = g.reshape(g.Concat(*steps, axis=0), (len(steps), columns, 1, rows))
        channels_last = TensorType(x.dtype, (len(steps), 1, rows, x.shape[1]))
        plain = g.custom_op(
            "ReorderOutput", NCHWC_DOMAIN, [images], channels_last, channels=x.shape[1], channels_last=1
        )
        g.nodes.append(Node("Reshape", (plain, g.const([-1, x.shape[1]], "int64")), (x,), {}, *g.scope_and_path))

    def fills_blocks(self, x: Value) -> bool:
        """Whether the columns of rows fill whole blocks."""
        return x.type.is_static(1) and x.shape[1] % self.block_size == 0

    def padded_columns(self, columns: int) -> int:
        """The columns, including the padding of the last block."""
        return -(-columns // self.block_size) * self.block_size

    def _reorder_to_images(self, x: Value) -> Value:
        """Emits a plain value [rows, columns] or [steps, rows, columns] as blocked images [steps, columns, 1, rows]."""
        self.ensure_plain(x)
        *steps, rows, columns = x.shape
        padded_columns = self.padded_columns(columns)
        if columns % CHANNEL_MULTIPLE:
            pads = [0] * (2 * x.rank - 1) + [padded_columns - columns]
            x = self.g.refine(self.g.Pad(x, pads), (*x.shape[:-1], padded_columns))
        step_count = steps[0] if steps else 1
        plain = self.g.reshape(x, (step_count, 1, rows, x.shape[-1]))
        image_type = TensorType(x.dtype, (step_count, padded_columns, 1, rows))
        return self.g.custom_op("ReorderInput", NCHWC_DOMAIN, [plain], image_type, channels_last=1)

    def _split_steps(self, x: Value) -> Sequence[Value]:
        """The blocked images of the steps of a plain value [steps, rows, columns]."""
        if x not in self._step_images:
            step_count, images = x.shape[0], self._reorder_to_images(x)
            self._step_images[x] = (
                [images] if step_count == 1 else self.g.Split(images, [1] * step_count, axis=0, outputs=step_count)
            )
        return self._step_images[x]

    def as_image(self, blocks: Value) -> Value:
        """Blocked rows as a blocked image one row high."""
        if blocks not in self._images:
            columns, rows = blocks.shape
            self._images[blocks] = self.g.reshape(blocks, (1, columns, 1, rows))
        return self._images[blocks]

    # -- products ----------------------------------------------------------------------------------------------------

    def emit_product(self, product: FusedProduct, plain_type: TensorType, **activation: Any) -> Value:
        """Emits a product as an NCHWc Conv with one tap; returns its plain result."""
        summand = [] if product.summand is None else [None, self.as_image(product.summand)]
        image = pointwise_conv(self.g, self.as_image(product.rows), product.filters, *summand, **activation)
        _, columns, _, rows = image.shape
        blocks = self.g.reshape(image, (columns, rows))
        if not activation:
            self._products[blocks] = product
        return self.from_blocked(blocks, plain_type)

    def fusable_product(self, x: Value | None) -> FusedProduct | None:
        """The product that computes x, if x has only one use, into which later operators can be fused."""
        return self._products.get(self.forms[x]) if x is not None and x in self and self.use_counts[x] == 1 else None

    def blocked_filters(self, w: Value, *, transposed: bool) -> Value:
        """Weights [inputs, outputs], or their transpose, as [outputs / block, inputs, block]."""
        key = w, transposed
        self.ensure_plain(w)
        if key not in self._blocked_filters:
            g, x = self.g, self.g.Transpose(w, perm=[1, 0]) if transposed else w
            inputs, outputs = x.shape
            padded_inputs = self.padded_columns(inputs)
            if padded_inputs > inputs:
                x = g.Pad(x, [0, 0, padded_inputs - inputs, 0])
            x = g.reshape(x, (padded_inputs, outputs // self.block_size, self.block_size))
            self._blocked_filters[key] = g.reshape(g.Transpose(x, perm=[1, 0, 2]), (outputs, padded_inputs, 1, 1))
        return self._blocked_filters[key]

    def split_filters(self, filters: Value, sizes: Sequence[int]) -> Sequence[Value]:
        """The filters, split into groups of a number of outputs."""
        key = filters, *sizes
        if key not in self._split_filters:
            self._split_filters[key] = self.g.Split(filters, sizes, axis=0, outputs=len(sizes))
        return self._split_filters[key]

    # -- stacks ------------------------------------------------------------------------------------------------------

    def row_count(self, stack: Value) -> Value:
        """The number of rows of a stack: [1]."""
        steps = self.steps_of_stack[stack]
        return self.g.Mul(self.g.Shape(steps[0], start=1, end=2), len(steps))

    def padding_row_count(self, stack: Value) -> Value:
        """The number of rows that pad the last block of rows of a stack: [1]."""
        return self.g.Mod(self.g.Neg(self.row_count(stack)), self.block_size)

    def concat_steps(self, stack: Value) -> Value:
        """The blocked rows of a stack, zero rows padding the last block of rows: [columns / block, rows, block]."""
        steps, g = self.steps_of_stack[stack], self.g
        columns, rows = steps[0].shape
        block_count = columns // self.block_size
        padding_shape = g.Concat(
            g.const([block_count], "int64"),
            self.padding_row_count(stack),
            g.const([self.block_size], "int64"),
            axis=0,
        )
        padding = g.full(0, padding_shape, stack.dtype)
        blocks = [g.reshape(step, (block_count, rows, self.block_size)) for step in steps]
        return g.Concat(*blocks, padding, axis=1)

    def _ones_column(self, like: Value) -> Value:
        """One block of columns for the rows of `like`: ones in the first column, zeros in the others."""
        rows = like.shape[1]
        if rows not in self._ones_columns:
            row = self.g.const([1.0] + [0.0] * (self.block_size - 1), like.dtype)
            row_count = self.g.Shape(like, start=1, end=2)
            shape = self.g.Concat(row_count, self.g.const([self.block_size], "int64"), axis=0)
            block = self.g.Reshape(self.g.Expand(row, shape), [self.block_size, -1])
            self._ones_columns[rows] = self.g.refine(block, (self.block_size, rows))
        return self._ones_columns[rows]


def padded_rows(rows: Dim) -> Dim:
    """The number of rows rounded up to whole blocks."""
    return Size.named(f"filled({rows})")


def appends_ones_column(node: Node) -> bool:
    """Whether a Pad of rows appends one column of ones."""
    pads, value = node.inputs[1], node.input(2)
    if not isinstance(pads, Constant) or not isinstance(value, Constant) or node.attributes or len(node.inputs) > 3:
        return False
    return pads.array.tolist() == [0, 0, 0, 1] and value.array.ravel().tolist() == [1.0]


def rows_from_image(g: Builder, image: Value, rows_type: TensorType) -> Value:
    """Emits a blocked image [1, columns, 1, rows] as plain rows [rows, columns] of this type."""
    rows, columns = image.shape[3], rows_type.shape[1]
    channels_last = TensorType(image.dtype, (1, 1, rows, columns))
    plain = g.custom_op("ReorderOutput", NCHWC_DOMAIN, [image], channels_last, channels=columns, channels_last=1)
    return g.refine(g.Reshape(plain, [-1, columns]), rows_type.shape)


def pointwise_conv(g: Builder, x: Value, filters: Value, *bias_and_summand: Value | None, **activation: Any) -> Value:
    """Emits the NCHWc Conv of an image with filters [outputs, inputs, 1, 1]."""
    result_type = x.type.with_shape((1, filters.shape[0], 1, x.shape[3]))
    operands = [x, filters, *bias_and_summand]
    return g.custom_op("Conv", NCHWC_DOMAIN, operands, result_type, kernel_shape=[1, 1], **activation)
