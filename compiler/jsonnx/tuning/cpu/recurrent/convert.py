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
from ....passes.canonicalize import canonicalize
from ..nchwc.context import NCHWC_DOMAIN
from ..target import Target
from .context import FusedProduct, RecurrentContext, padded_rows, pointwise_conv, rows_from_image

MIN_WEIGHT_USES = 4
"""How many products weights have at least, for their order to be made for all."""
MIN_WEIGHT_ELEMENTS = 1 << 16
"""Elements of the weights from which on this is faster: those of an LSTM with 128 units, of a GRU with 256."""
MIN_SAMPLES = 8
"""Samples below which a convolution has too few columns."""
MIN_GATE_COLUMNS = 128
"""Columns of a gate from which on it is a convolution of its own, with its activation, and need not be taken apart."""


def recurrent_matmuls_to_nchwc(graph: Graph, target: Target) -> Graph:
    """The graph with products of weights that meet one step's rows after the other's in blocks, and what stands between
    them."""
    if target.block_size == 1 or target.usual_batch < MIN_SAMPLES:
        return graph
    weights = _recurrent_weights(graph, target.block_size)
    if not weights:
        return graph
    products = [node for node in graph.nodes if _is_convertible_product(node) and node.inputs[1] in weights]
    made = RecurrentContext(graph, target.block_size, weights, {node.inputs[0] for node in products if node.inputs[0]})
    new: dict[Value, Value] = {}
    for node in graph.nodes:
        node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        form = None if node.domain else CONVERTERS.get(node.op)
        with made.g.inherit(node):
            results = None if form is None else form(made, node)
        if results is None:
            made.keep_node(node)
            continue
        new.update(zip(node.outputs, results, strict=True))
        made.use_counts.update({x: made.use_counts[old] for x, old in zip(results, node.outputs, strict=True)})
    rewired = graph.with_nodes(made.g.nodes, new)
    for value in rewired.roots:
        made.ensure_plain(value)
    return canonicalize(replace(rewired, nodes=tuple(made.g.nodes)))


def _recurrent_weights(graph: Graph, block_size: int) -> set[Value]:
    """The weights of many products, where all those of a layer suit."""
    products = [node for node in graph.nodes if _is_convertible_product(node)]
    uses = Counter(node.inputs[1] for node in products)
    again = [node for node in products if uses[node.inputs[1]] >= MIN_WEIGHT_USES]
    others = {node.scope for node in again if not _is_profitable(node, block_size)}
    return {node.inputs[1] for node in again if node.inputs[1] and node.scope not in others}


def _is_profitable(node: Node, block_size: int) -> bool:
    weights, y = node.inputs[1], node.outputs[0]
    assert weights is not None
    return bool(
        weights.type.is_static(0, 1) and prod(weights.shape) >= MIN_WEIGHT_ELEMENTS and y.shape[1] % block_size == 0
    )


def _is_convertible_product(node: Node) -> bool:
    """Whether it is of rows with weights, and adds nothing but a value of its result's shape."""
    y, added = node.outputs[0], node.input(2)
    if node.domain or node.op not in ("MatMul", "Gemm") or y.dtype != "float32":
        return False
    if y.rank != 2 or not y.type.is_static(1) or not all(x is not None and x.rank == 2 for x in node.inputs[:2]):
        return False
    if (node.attribute("transA", 0), node.attribute("alpha", 1.0), node.attribute("beta", 1.0)) != (0, 1.0, 1.0):
        return False
    return added is None or added.shape == y.shape


Results = Sequence[Value] | None


def convert_matmul(ctx: RecurrentContext, node: Node) -> Results:
    if not _is_convertible_product(node):
        return convert_weight_gradient(ctx, node)
    (x, w), added = node.inputs[:2], node.input(2)
    if x in ctx.steps_of_stack:
        return convert_stacked_matmul(ctx, node)
    if w not in ctx.weights or x is None or w is None or not ctx.fills_blocks(node.outputs[0]):
        return None
    filters = ctx.blocked_filters(w, transposed=bool(node.attribute("transB", 0)))
    return [
        ctx.emit_product(
            FusedProduct(ctx.to_blocked(x), filters, None if added is None else ctx.to_blocked(added)),
            node.outputs[0].type,
        )
    ]


def convert_stacked_matmul(ctx: RecurrentContext, node: Node) -> Results:
    """The rows of all steps times weights."""
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    if x is None or w is None or node.input(2) is not None or not w.type.is_static(0, 1) or not ctx.fills_blocks(y):
        return None
    g, rows = ctx.g, x.shape[0]
    filters = ctx.blocked_filters(w, transposed=bool(node.attribute("transB", 0)))
    whole = g.refine(
        g.Reshape(ctx.concat_steps(x), [1, filters.shape[1], 1, -1]), (1, filters.shape[1], 1, padded_rows(rows))
    )
    made = rows_from_image(g, pointwise_conv(g, whole, filters), y.type.with_shape((padded_rows(rows), y.shape[1])))
    return [g.refine(g.Slice(made, [0], ctx.row_count(x), [0]), y.shape)]


def convert_column_sums(ctx: RecurrentContext, node: Node) -> Results:
    """The sums of the columns over the rows of all steps."""
    x, axes = node.inputs[0], node.input(1)
    if x not in ctx.steps_of_stack or x is None or not ctx.fills_blocks(x):
        return None
    if not isinstance(axes, Constant) or axes.array.tolist() != [0]:
        return None
    g, columns = ctx.g, x.shape[1]
    whole = g.refine(g.Reshape(ctx.concat_steps(x), [1, columns, 1, -1]), (1, columns, 1, padded_rows(x.shape[0])))
    means = g.custom_op("GlobalAveragePool", NCHWC_DOMAIN, [whole], whole.type.with_shape((1, columns, 1, 1)))
    count = g.cast(g.Add(ctx.row_count(x), ctx.padding_row_count(x)), x.dtype)
    return [g.reshape(g.Mul(means, count), node.outputs[0].shape)]


def convert_weight_gradient(ctx: RecurrentContext, node: Node) -> Results:
    """A product over the rows of all steps, where those of the second operand are there in blocks: these are filters,
    with zeros to fill the last block of rows."""
    x, dy, y = node.inputs[0], node.inputs[1], node.outputs[0]
    if node.op != "Gemm" or node.attributes.get("transA") != 1 or len(node.attributes) > 1 or node.input(2) is not None:
        return None
    if x is None or dy is None or dy not in ctx.steps_of_stack or not ctx.fills_blocks(dy) or not x.type.is_static(1):
        return None
    ctx.ensure_plain(x)
    g, (rows, columns), outputs = ctx.g, x.shape, y.shape[1]
    missing = ctx.padding_row_count(dy)
    filters = g.refine(g.Reshape(ctx.concat_steps(dy), [outputs, -1, 1, 1]), (outputs, padded_rows(rows), 1, 1))

    type = TensorType(x.dtype, (1, padded_rows(rows), 1, columns))

    def ordered(g: Builder, x: Value) -> Value:
        return g.custom_op("ReorderInput", NCHWC_DOMAIN, [x], type)

    def filled_up(g: Builder) -> Value:
        zeros = g.full(0, g.Concat(missing, g.const([columns], "int64"), axis=0), x.dtype)
        return ordered(g, g.refine(g.Reshape(g.Concat(x, zeros, axis=0), [1, -1, 1, columns]), type.shape))

    plain = g.reshape(x, (1, rows, 1, columns))  # outside of the branch, in which it would be copied
    fills = g.Equal(missing, 0)
    of_rows = g.cond(fills, lambda g: ordered(g, plain), filled_up)
    return [rows_from_image(g, pointwise_conv(g, of_rows, filters), y.type)]


def convert_elementwise(ctx: RecurrentContext, node: Node) -> Results:
    """What is done to every element alike."""
    y = node.outputs[0]
    if y.rank != 2 or not ctx.fills_blocks(y) or not any(x in ctx for x in node.inputs):
        return None
    if not all(x is not None and (x.shape == y.shape or x.type.elements == 1) for x in node.inputs):
        return None
    operands = [ctx.to_blocked(x) if x is not None and x.shape == y.shape else x for x in node.inputs]
    return [ctx.from_blocked(ctx.g.emit(node.op, *operands, **node.attributes), y.type)]


def convert_activation(ctx: RecurrentContext, node: Node) -> Results:
    """A function that goes into the product before it, where there is one."""
    unfinished = ctx.fusable_product(node.inputs[0])
    if unfinished is None or node.outputs[0].shape[1] < MIN_GATE_COLUMNS:
        return convert_elementwise(ctx, node)
    return [ctx.emit_product(unfinished, node.outputs[0].type, activation=node.op)]


def convert_split(ctx: RecurrentContext, node: Node) -> Results:
    x, sizes = node.inputs[0], [part.shape[1] for part in node.outputs if part.rank == 2]
    if (
        x not in ctx
        or x is None
        or node.attribute("axis", 0) not in (1, -1)
        or not all(map(ctx.fills_blocks, node.outputs))
    ):
        return None
    made = ctx.fusable_product(x)
    if made is not None and made.summand is None and min(sizes) >= MIN_GATE_COLUMNS:
        parts = [made._replace(filters=part) for part in ctx.split_filters(made.filters, sizes)]
        return [ctx.emit_product(part, plain.type) for part, plain in zip(parts, node.outputs, strict=True)]
    blocks = ctx.g.Split(ctx.to_blocked(x), sizes, axis=0, outputs=len(sizes))
    return [ctx.from_blocked(part, plain.type) for part, plain in zip(blocks, node.outputs, strict=True)]


def convert_concat(ctx: RecurrentContext, node: Node) -> Results:
    y, parts = node.outputs[0], [x for x in node.inputs if x is not None]
    if y.rank != 2 or y.dtype != "float32" or not y.type.is_static(1):
        return None
    if node.attribute("axis") in (1, -1):
        if not (y in ctx.matmul_operands or any(x in ctx for x in parts)) or not all(map(ctx.fills_blocks, parts[:-1])):
            return None
        return [ctx.from_blocked(ctx.g.Concat(*map(ctx.to_blocked, parts), axis=0), y.type)]
    if not all(x in ctx and x.shape == parts[0].shape for x in parts):
        return None
    steps = [ctx.to_blocked(x) for x in parts]
    whole = ctx.from_blocked_steps(steps, y.type)
    ctx.steps_of_stack[whole] = steps
    return [whole]


CONVERTERS: dict[str, Callable[[RecurrentContext, Node], Results]] = {
    "MatMul": convert_matmul,
    "Gemm": convert_matmul,
    "Split": convert_split,
    "Concat": convert_concat,
    "ReduceSum": convert_column_sums,
    **dict.fromkeys(("Relu", "Sigmoid", "Tanh"), convert_activation),
    **dict.fromkeys(("Add", "Elu", "HardSigmoid", "LeakyRelu", "Mul", "Neg", "Sub"), convert_elementwise),
}
