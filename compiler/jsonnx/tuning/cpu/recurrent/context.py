"""Values of rows in blocks of columns, beside the plain ones, as the pass `row_blocked` makes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ....core.types import Dim, Size, TensorType
from ....ir import Builder, Constant, Graph, Node, Value
from ..nchwc.context import DOMAIN

SAME_ORDER = {"Reshape", "Squeeze", "Unsqueeze"}
"""What gives the same numbers in another shape."""


class Product(NamedTuple):
    """Rows times weights, both in blocks, and what is added."""

    rows: Value
    filters: Value
    added: Value | None


class RowBlocks:
    """The nodes made so far, and which of their values [rows, columns] there are in blocks too: [columns / block, rows,
    block], of the type [columns, rows], where columns fill whole blocks.

    Those have nodes that make plain values of them only where somebody reads these.
    """

    def __init__(self, graph: Graph, block: int, weights: set[Value], factors: set[Value]) -> None:
        """`factors` are the values of the graph that are multiplied by these weights."""
        self.g = Builder.onto(graph)
        self.g.nodes = []
        self.block, self.weights, self.factors = block, weights, factors
        self.readers = Counter([*(x for node in graph.nodes for x in node.inputs), *graph.roots])
        self.stacks: dict[Value, Sequence[Value]] = {}
        """Of a value with the rows of all steps, one behind the other: those of each, in blocks."""
        self.products: dict[Value, Product] = {}
        """How a value in blocks came to be."""
        self._blocks: dict[Value, Value] = {}
        self._filters: dict[Any, Any] = {}
        self._taken: dict[Value, tuple[Value, int]] = {}
        self._apart: dict[Value, Sequence[Value]] = {}
        self._images: dict[Value, Value] = {}
        self._waiting: dict[Value, Sequence[Value]] = {}

    def __contains__(self, x: Value | None) -> bool:
        return x in self._blocks

    def full(self, columns: int) -> int:
        """Columns of as many whole blocks as these need."""
        return -(-columns // self.block) * self.block

    def is_whole(self, x: Value) -> bool:
        return x.type.is_fixed(1) and x.shape[1] % self.block == 0

    def keep(self, node: Node) -> None:
        """A node stays as it is."""
        for operand in node.inputs:
            self.plain(operand)
        self.g.nodes.append(node)
        x, y = node.inputs[0] if node.inputs else None, node.outputs[0]
        if x is None or y.dtype != "float32":
            return
        if node.op == "Gather" and x.rank == 3 and x.type.is_fixed(0, 2) and not node.attribute("axis", 0):
            step = node.inputs[1]
            if isinstance(step, Constant) and step.rank == 0:
                self._taken[y] = x, int(step.array)
        if node.op in SAME_ORDER and x in self.stacks and y.shape[-1] == x.shape[-1]:
            self.stacks[y] = self.stacks[x]
        if node.op == "Pad" and x in self.stacks and self.is_whole(x) and adds_ones(node):
            self.stacks[y] = [self.g.Concat(step, self._ones(step), axis=0) for step in self.stacks[x]]

    def into(self, x: Value) -> Value:
        """A value [rows, columns] in blocks."""
        if x not in self._blocks:
            steps, step = self._taken.get(x, (None, 0))
            if steps in self.stacks and len(self.stacks[steps]) == steps.shape[0]:
                self._blocks[x] = self.stacks[steps][step]
            else:
                made = self._ordered(x) if steps is None else self._each_step(steps)[step]
                self._blocks[x] = self.g.reshape(made, (made.shape[1], made.shape[3]))
        return self._blocks[x]

    def _ones(self, like: Value) -> Value:
        """A block for as many rows, ones in its first column and zeros in the others."""
        rows = like.shape[1]
        if rows not in self._filters:
            first = self.g.const([1.0] + [0.0] * (self.block - 1), like.dtype)
            count = self.g.Shape(like, start=1, end=2)
            made = self.g.Expand(first, self.g.Concat(count, self.g.const([self.block], "int64"), axis=0))
            self._filters[rows] = self.g.refine(self.g.Reshape(made, [self.block, -1]), (self.block, rows))
        return self._filters[rows]

    def _each_step(self, x: Value) -> Sequence[Value]:
        """A value [time, rows, columns] as images, step by step."""
        if x not in self._apart:
            time, whole = x.shape[0], self._ordered(x)
            self._apart[x] = [whole] if time == 1 else self.g.Split(whole, [1] * time, axis=0, outputs=time)
        return self._apart[x]

    def _ordered(self, x: Value) -> Value:
        """A value [..., rows, columns] as images [..., columns, 1, rows] in blocks."""
        self.plain(x)
        *before, rows, columns = x.shape
        if columns % 4:  # which the reordering goes by
            more = [0] * (2 * x.rank - 1) + [self.full(columns) - columns]
            x = self.g.refine(self.g.Pad(x, more), (*x.shape[:-1], self.full(columns)))
        count = before[0] if before else 1
        plain = self.g.reshape(x, (count, 1, rows, x.shape[-1]))
        type = TensorType(x.dtype, (count, self.full(columns), 1, rows))
        return self.g.custom("ReorderInput", DOMAIN, [plain], type, channels_last=1)

    def image(self, blocks: Value) -> Value:
        """Blocks as an image one row high."""
        if blocks not in self._images:
            columns, rows = blocks.shape
            self._images[blocks] = self.g.reshape(blocks, (1, columns, 1, rows))
        return self._images[blocks]

    def out_of(self, blocks: Value, plain: TensorType) -> Value:
        """A plain value for one in blocks."""
        result = self.stacked([blocks], plain)
        self._blocks[result] = blocks
        return result

    def stacked(self, steps: Sequence[Value], plain: TensorType) -> Value:
        """A plain value for the rows of steps in blocks, one behind the other."""
        result = Value(plain)
        self._waiting[result] = steps
        return result

    def plain(self, x: Value | None) -> None:
        """Sees to it that there is a node which gives a plain value."""
        steps = self._waiting.pop(x, None) if x is not None else None
        if x is None or steps is None:
            return
        g, (columns, rows) = self.g, steps[0].shape
        images = self.image(steps[0])
        if len(steps) > 1:
            images = g.reshape(g.Concat(*steps, axis=0), (len(steps), columns, 1, rows))
        last = TensorType(x.dtype, (len(steps), 1, rows, x.shape[1]))
        ordered = g.custom("ReorderOutput", DOMAIN, [images], last, channels=x.shape[1], channels_last=1)
        shape = g.const([-1, x.shape[1]], "int64")
        g.nodes.append(
            replace(g.nodes[-1], op="Reshape", domain="", inputs=(ordered, shape), outputs=(x,), attributes={})
        )

    def multiplied(self, product: Product, plain: TensorType, **activation: Any) -> Value:
        """The result of a product as a plain value."""
        added = [] if product.added is None else [None, self.image(product.added)]
        made = convolved(self.g, self.image(product.rows), product.filters, *added, **activation)
        blocks = self.g.reshape(made, made.shape[1::2])
        if not activation:
            self.products[blocks] = product
        return self.out_of(blocks, plain)

    def unfinished(self, x: Value | None) -> Product | None:
        """The product that one node alone reads, so that what this does may become a part of it."""
        return self.products.get(self._blocks[x]) if x is not None and x in self and self.readers[x] == 1 else None

    def filters(self, w: Value, *, transposed: bool) -> Value:
        """Weights [inputs, outputs], or transposed, as [outputs / block, inputs, block]."""
        key = w, transposed
        self.plain(w)
        if key not in self._filters:
            g, x = self.g, self.g.Transpose(w, perm=[1, 0]) if transposed else w
            inputs, outputs = x.shape
            full = self.full(inputs)
            if full > inputs:
                x = g.Pad(x, [0, 0, full - inputs, 0])
            x = g.Transpose(g.reshape(x, (full, outputs // self.block, self.block)), perm=[1, 0, 2])
            self._filters[key] = g.reshape(x, (outputs, full, 1, 1))
        return self._filters[key]

    def parts(self, filters: Value, sizes: Sequence[int]) -> Sequence[Value]:
        """Filters by groups of so many outputs."""
        key = filters, *sizes
        if key not in self._filters:
            self._filters[key] = self.g.Split(filters, sizes, axis=0, outputs=len(sizes))
        return self._filters[key]

    def count(self, stack: Value) -> Value:
        """How many rows all steps have: [1]."""
        steps = self.stacks[stack]
        return self.g.Mul(self.g.Shape(steps[0], start=1, end=2), len(steps))

    def missing(self, stack: Value) -> Value:
        """How many of these the last block lacks: [1]."""
        return self.g.Mod(self.g.Neg(self.count(stack)), self.block)

    def together(self, stack: Value) -> Value:
        """The rows of all steps in blocks, [columns / block, rows, block], with zeros behind them that fill the last
        block of rows."""
        steps, g = self.stacks[stack], self.g
        columns, rows = steps[0].shape
        several = g.const([columns // self.block], "int64"), self.missing(stack), g.const([self.block], "int64")
        zeros = g.repeated(0, g.Concat(*several, axis=0), stack.dtype)
        lines = [g.reshape(step, (columns // self.block, rows, self.block)) for step in steps]
        return g.Concat(*lines, zeros, axis=1)


def filled(rows: Dim) -> Dim:
    """The size of so many rows with those that fill their last block."""
    return Size.named(f"filled({rows})")


def adds_ones(node: Node) -> bool:
    """Whether a Pad of rows puts a column of ones behind the others."""
    pads, value = node.inputs[1], node.input(2)
    if not isinstance(pads, Constant) or not isinstance(value, Constant) or node.attributes or len(node.inputs) > 3:
        return False
    return pads.array.tolist() == [0, 0, 0, 1] and value.array.ravel().tolist() == [1.0]


def as_rows(g: Builder, image: Value, wanted: TensorType) -> Value:
    """An image [1, columns, 1, rows] in blocks as rows [rows, columns], of this type."""
    last = TensorType(image.dtype, (1, 1, image.shape[3], wanted.shape[1]))
    x = g.custom("ReorderOutput", DOMAIN, [image], last, channels=wanted.shape[1], channels_last=1)
    return g.refine(g.Reshape(x, [-1, wanted.shape[1]]), wanted.shape)


def convolved(g: Builder, x: Value, filters: Value, *more: Value | None, **activation: Any) -> Value:
    """The convolution of an image with filters [outputs, inputs, 1, 1], all in blocks."""
    type = x.type.with_shape((1, filters.shape[0], 1, x.shape[3]))
    return g.custom("Conv", DOMAIN, [x, filters, *more], type, kernel_shape=[1, 1], **activation)
