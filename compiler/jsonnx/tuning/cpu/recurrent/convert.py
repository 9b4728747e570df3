"""The products of a recurrence in blocks of columns, for a session that runs on the CPU here and now.

Step by step, few rows meet the same weights. onnxruntime's matrix product puts the weights in its order anew each time,
and to take a row's gates apart, or to put rows together, goes through memory in small pieces. With rows as the columns
of an image one row high, and their columns as its channels, a product is a convolution of one tap by blocks
(`blocked`): its weights are put in order once for all steps, its activation costs next to nothing, and gates lie one
behind the other. What is done to every element is done to blocks as well.

The gradient of the weights, a product over the rows of all steps, is such a convolution too: what these steps gave is
its filters as it lies there, with zeros that fill the last block of rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

from ....core.types import TensorType
from ....ir import Builder, Constant, Graph, Node, Value
from ....passes.canonicalize import tidy
from ..nchwc.context import DOMAIN
from .context import Product, RowBlocks, as_rows, convolved, filled

AGAIN = 4
"""How many products weights have at least, for their order to be made for all."""
LARGE = 1 << 16
"""Elements of the weights from which on this is faster: those of an LSTM with 128 units, of a GRU with 256."""
FEW = 8
"""Samples below which a convolution has too few columns."""
WIDE = 128
"""Columns of a gate from which on it is a convolution of its own, with its activation, and need not be taken apart."""


def row_blocked(graph: Graph, block: int, samples: int) -> Graph:
    """The graph with products of weights that meet one step's rows after the other's in blocks, and what stands between
    them; `samples` are how many rows a step has as the spec says."""
    weights = _recurrent(graph, block)
    if samples < FEW or not weights:
        return graph
    products = [node for node in graph.nodes if _is_product(node) and node.inputs[1] in weights]
    made = RowBlocks(graph, block, weights, {node.inputs[0] for node in products if node.inputs[0]})
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


Results = Sequence[Value] | None


def product(r: RowBlocks, node: Node) -> Results:
    if not _is_product(node):
        return of_all_steps(r, node)
    (x, w), added = node.inputs[:2], node.input(2)
    if x in r.stacks:
        return through_weights(r, node)
    if w not in r.weights or x is None or w is None or not r.is_whole(node.outputs[0]):
        return None
    filters = r.filters(w, transposed=bool(node.attribute("transB", 0)))
    return [r.multiplied(Product(r.into(x), filters, None if added is None else r.into(added)), node.outputs[0].type)]


def through_weights(r: RowBlocks, node: Node) -> Results:
    """The rows of all steps times weights."""
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    if x is None or w is None or node.input(2) is not None or not w.type.is_fixed(0, 1) or not r.is_whole(y):
        return None
    g, rows = r.g, x.shape[0]
    filters = r.filters(w, transposed=bool(node.attribute("transB", 0)))
    whole = g.refine(g.Reshape(r.together(x), [1, filters.shape[1], 1, -1]), (1, filters.shape[1], 1, filled(rows)))
    made = as_rows(g, convolved(g, whole, filters), y.type.with_shape((filled(rows), y.shape[1])))
    return [g.refine(g.Slice(made, [0], r.count(x), [0]), y.shape)]


def column_sums(r: RowBlocks, node: Node) -> Results:
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


def of_all_steps(r: RowBlocks, node: Node) -> Results:
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


def elementwise(r: RowBlocks, node: Node) -> Results:
    """What is done to every element alike."""
    y = node.outputs[0]
    if y.rank != 2 or not r.is_whole(y) or not any(x in r for x in node.inputs):
        return None
    if not all(x is not None and (x.shape == y.shape or x.type.elements == 1) for x in node.inputs):
        return None
    operands = [r.into(x) if x is not None and x.shape == y.shape else x for x in node.inputs]
    return [r.out_of(r.g.emit(node.op, *operands, **node.attributes), y.type)]


def activation(r: RowBlocks, node: Node) -> Results:
    """A function that goes into the product before it, where there is one."""
    unfinished = r.unfinished(node.inputs[0])
    if unfinished is None or node.outputs[0].shape[1] < WIDE:
        return elementwise(r, node)
    return [r.multiplied(unfinished, node.outputs[0].type, activation=node.op)]


def split(r: RowBlocks, node: Node) -> Results:
    x, sizes = node.inputs[0], [part.shape[1] for part in node.outputs if part.rank == 2]
    if x not in r or x is None or node.attribute("axis", 0) not in (1, -1) or not all(map(r.is_whole, node.outputs)):
        return None
    made = r.unfinished(x)
    if made is not None and made.added is None and min(sizes) >= WIDE:
        parts = [made._replace(filters=part) for part in r.parts(made.filters, sizes)]
        return [r.multiplied(part, plain.type) for part, plain in zip(parts, node.outputs, strict=True)]
    blocks = r.g.Split(r.into(x), sizes, axis=0, outputs=len(sizes))
    return [r.out_of(part, plain.type) for part, plain in zip(blocks, node.outputs, strict=True)]


def concat(r: RowBlocks, node: Node) -> Results:
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


FORMS: dict[str, Callable[[RowBlocks, Node], Results]] = {
    "MatMul": product,
    "Gemm": product,
    "Split": split,
    "Concat": concat,
    "ReduceSum": column_sums,
    **dict.fromkeys(("Relu", "Sigmoid", "Tanh"), activation),
    **dict.fromkeys(("Add", "Elu", "HardSigmoid", "LeakyRelu", "Mul", "Neg", "Sub"), elementwise),
}
