"""The products of a recurrence in blocks of columns, for a session that runs on the CPU here and now.

Step by step, few rows meet the same weights. onnxruntime's matrix product puts the weights in its order anew each time,
and to take a row's gates apart, or to put rows together, goes through memory in small pieces. With rows as the columns
of an image one row high, and their columns as its channels, a product is a convolution of one tap by blocks
(`blocks`): its weights are put in order once for all steps, its activation costs next to nothing, and gates lie one
behind the other. What is done to every element is done to blocks as well.

The gradient of the weights, a product over the rows of all steps, is such a convolution too: what these steps gave is
its filters as it lies there, where all rows fill whole blocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any, NamedTuple

from ..graph import Builder, Constant, Graph, Node, Value
from ..types import Dim, Size, TensorType
from .blocks import DOMAIN
from .tidy import tidy

AGAIN = 4
"""How many products weights have at least, for their order to be made for all."""
LARGE = 1 << 16
"""Elements of the weights from which on this is faster: those of an LSTM with 128 units, of a GRU with 256."""
FEW = 8
"""Samples below which a convolution has too few columns."""
WIDE = 128
"""Columns of a gate from which on it is a convolution of its own, with its activation, and need not be taken apart."""

SAME_ORDER = {"Reshape", "Squeeze", "Unsqueeze"}
"""What gives the same numbers in another shape."""


def in_row_blocks(graph: Graph, block: int, samples: int) -> Graph:
    """The graph with products of weights that meet one step's rows after the other's in blocks, and what stands between
    them; `samples` are how many rows a step has as the spec says."""
    weights = _recurrent(graph, block)
    if samples < FEW or not weights:
        return graph
    made = _Rows(graph, block, weights)
    new: dict[Value, Value] = {}
    for node in graph.nodes:
        node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        form = None if node.domain else FORMS.get(node.op)
        with made.g.origin(node):
            results = None if form is None else form(made, node)
        if results is None:
            made.keep(node)
            continue
        new.update(zip(node.outputs, results, strict=True))
        made.readers.update({x: made.readers[old] for x, old in zip(results, node.outputs, strict=True)})
    rewired = graph.rewired(made.g.nodes, new)
    for value in rewired.roots:
        made.plain(value)
    return tidy(replace(rewired, nodes=tuple(made.g.nodes)))


def _recurrent(graph: Graph, block: int) -> set[Value]:
    """The weights of many products, where all those of a layer suit."""
    products = [node for node in graph.nodes if _is_product(node)]
    uses = Counter(node.inputs[1] for node in products)
    again = [node for node in products if uses[node.inputs[1]] >= AGAIN]
    others = {node.scope for node in again if not _suits(node, block)}
    return {node.inputs[1] for node in again if node.inputs[1] and node.scope not in others}


def _suits(node: Node, block: int) -> bool:
    weights, y = node.inputs[1], node.outputs[0]
    assert weights is not None
    return bool(weights.type.is_fixed(0, 1) and prod(weights.shape) >= LARGE and y.shape[1] % block == 0)


def _is_product(node: Node) -> bool:
    """Whether it is of rows with weights, and adds nothing but a value of its result's shape."""
    y, added = node.outputs[0], node.input(2)
    if node.domain or node.op not in ("MatMul", "Gemm") or y.dtype != "float32":
        return False
    if y.rank != 2 or not y.type.is_fixed(1) or not all(x is not None and x.rank == 2 for x in node.inputs[:2]):
        return False
    if (node.attribute("transA", 0), node.attribute("alpha", 1.0), node.attribute("beta", 1.0)) != (0, 1.0, 1.0):
        return False
    return added is None or added.shape == y.shape


class Product(NamedTuple):
    """Rows times weights, both in blocks, and what is added."""

    rows: Value
    filters: Value
    added: Value | None


class _Rows:
    """The nodes made so far, and which of their values [rows, columns] there are in blocks too: [columns / block, rows,
    block], of the type [columns, rows], where columns fill whole blocks.

    Those have nodes that make plain values of them only where somebody reads these.
    """

    def __init__(self, graph: Graph, block: int, weights: set[Value]) -> None:
        self.g = Builder.onto(graph)
        self.g.nodes = []
        self.block, self.weights = block, weights
        self.factors = {node.inputs[0] for node in graph.nodes if _is_product(node) and node.inputs[1] in weights}
        """The values of the graph that are multiplied by these weights."""
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


Results = Sequence[Value] | None


def product(r: _Rows, node: Node) -> Results:
    if not _is_product(node):
        return of_all_steps(r, node)
    (x, w), added = node.inputs[:2], node.input(2)
    if x in r.stacks:
        return through_weights(r, node)
    if w not in r.weights or x is None or w is None or not r.is_whole(node.outputs[0]):
        return None
    filters = r.filters(w, transposed=bool(node.attribute("transB", 0)))
    return [r.multiplied(Product(r.into(x), filters, None if added is None else r.into(added)), node.outputs[0].type)]


def through_weights(r: _Rows, node: Node) -> Results:
    """The rows of all steps times weights."""
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    if x is None or w is None or node.input(2) is not None or not w.type.is_fixed(0, 1) or not r.is_whole(y):
        return None
    g, rows = r.g, x.shape[0]
    filters = r.filters(w, transposed=bool(node.attribute("transB", 0)))
    whole = g.refine(g.Reshape(r.together(x), [1, filters.shape[1], 1, -1]), (1, filters.shape[1], 1, filled(rows)))
    made = as_rows(g, convolved(g, whole, filters), y.type.with_shape((filled(rows), y.shape[1])))
    return [g.refine(g.Slice(made, [0], r.count(x), [0]), y.shape)]


def column_sums(r: _Rows, node: Node) -> Results:
    """The sums of the columns over the rows of all steps."""
    x, axes = node.inputs[0], node.input(1)
    if x not in r.stacks or x is None or not r.is_whole(x):
        return None
    if not isinstance(axes, Constant) or axes.array.tolist() != [0]:
        return None
    g, columns = r.g, x.shape[1]
    whole = g.refine(g.Reshape(r.together(x), [1, columns, 1, -1]), (1, columns, 1, filled(x.shape[0])))
    means = g.custom("GlobalAveragePool", DOMAIN, [whole], whole.type.with_shape((1, columns, 1, 1)))
    count = g.cast(g.Add(r.count(x), r.missing(x)), x.dtype)
    return [g.reshape(g.Mul(means, count), node.outputs[0].shape)]


def of_all_steps(r: _Rows, node: Node) -> Results:
    """A product over the rows of all steps, where those of the second operand are there in blocks: these are filters,
    with zeros to fill the last block of rows."""
    x, dy, y = node.inputs[0], node.inputs[1], node.outputs[0]
    if node.op != "Gemm" or node.attributes.get("transA") != 1 or len(node.attributes) > 1 or node.input(2) is not None:
        return None
    if x is None or dy is None or dy not in r.stacks or not r.is_whole(dy) or not x.type.is_fixed(1):
        return None
    r.plain(x)
    g, (rows, columns), outputs = r.g, x.shape, y.shape[1]
    missing = r.missing(dy)
    filters = g.refine(g.Reshape(r.together(dy), [outputs, -1, 1, 1]), (outputs, filled(rows), 1, 1))

    type = TensorType(x.dtype, (1, filled(rows), 1, columns))

    def ordered(g: Builder, x: Value) -> Value:
        return g.custom("ReorderInput", DOMAIN, [x], type)

    def filled_up(g: Builder) -> Value:
        zeros = g.repeated(0, g.Concat(missing, g.const([columns], "int64"), axis=0), x.dtype)
        return ordered(g, g.refine(g.Reshape(g.Concat(x, zeros, axis=0), [1, -1, 1, columns]), type.shape))

    plain = g.reshape(x, (1, rows, 1, columns))  # outside of the branch, in which it would be copied
    fills = g.Equal(missing, 0)
    of_rows = g.either(fills, lambda g: ordered(g, plain), filled_up)
    return [as_rows(g, convolved(g, of_rows, filters), y.type)]


def elementwise(r: _Rows, node: Node) -> Results:
    """What is done to every element alike."""
    y = node.outputs[0]
    if y.rank != 2 or not r.is_whole(y) or not any(x in r for x in node.inputs):
        return None
    if not all(x is not None and (x.shape == y.shape or x.type.elements == 1) for x in node.inputs):
        return None
    operands = [r.into(x) if x is not None and x.shape == y.shape else x for x in node.inputs]
    return [r.out_of(r.g.emit(node.op, *operands, **node.attributes), y.type)]


def activation(r: _Rows, node: Node) -> Results:
    """A function that goes into the product before it, where there is one."""
    unfinished = r.unfinished(node.inputs[0])
    if unfinished is None or node.outputs[0].shape[1] < WIDE:
        return elementwise(r, node)
    return [r.multiplied(unfinished, node.outputs[0].type, activation=node.op)]


def split(r: _Rows, node: Node) -> Results:
    x, sizes = node.inputs[0], [part.shape[1] for part in node.outputs if part.rank == 2]
    if x not in r or x is None or node.attribute("axis", 0) not in (1, -1) or not all(map(r.is_whole, node.outputs)):
        return None
    made = r.unfinished(x)
    if made is not None and made.added is None and min(sizes) >= WIDE:
        parts = [made._replace(filters=part) for part in r.parts(made.filters, sizes)]
        return [r.multiplied(part, plain.type) for part, plain in zip(parts, node.outputs, strict=True)]
    blocks = r.g.Split(r.into(x), sizes, axis=0, outputs=len(sizes))
    return [r.out_of(part, plain.type) for part, plain in zip(blocks, node.outputs, strict=True)]


def concat(r: _Rows, node: Node) -> Results:
    y, parts = node.outputs[0], [x for x in node.inputs if x is not None]
    if y.rank != 2 or y.dtype != "float32" or not y.type.is_fixed(1):
        return None
    if node.attribute("axis") in (1, -1):
        if not (y in r.factors or any(x in r for x in parts)) or not all(map(r.is_whole, parts[:-1])):
            return None
        return [r.out_of(r.g.Concat(*map(r.into, parts), axis=0), y.type)]
    if not all(x in r and x.shape == parts[0].shape for x in parts):
        return None
    steps = [r.into(x) for x in parts]
    whole = r.stacked(steps, y.type)
    r.stacks[whole] = steps
    return [whole]


FORMS: dict[str, Callable[[_Rows, Node], Results]] = {
    "MatMul": product,
    "Gemm": product,
    "Split": split,
    "Concat": concat,
    "ReduceSum": column_sums,
    **dict.fromkeys(("Relu", "Sigmoid", "Tanh"), activation),
    **dict.fromkeys(("Add", "Elu", "HardSigmoid", "LeakyRelu", "Mul", "Neg", "Sub"), elementwise),
}
