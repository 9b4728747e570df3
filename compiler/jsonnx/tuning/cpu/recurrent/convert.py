"""Converts the matrix products of unrolled recurrent layers to NCHWc convolutions.

At each time step, few rows are multiplied by the same weights. onnxruntime's matrix product packs the weights again at
each step, and splitting gates or concatenating rows copies short pieces of memory. If rows [rows, columns] are read as
an image of height 1, width `rows` and `columns` channels, the product is a convolution with one tap in the NCHWc
layout: the weights are packed once for all steps, the activation is fused, and each gate is contiguous. Element-wise
operators between the products are computed over blocks, too.

The gradient of the weights, a product over the rows of all steps, is such a convolution as well: the blocked rows of
all steps, with zero rows that pad the last block, have the layout of its filters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import prod

from ....core.types import TensorType
from ....ir import Builder, Constant, Graph, Node, Value
from ....passes.conversion import Results
from ..nchwc.context import NCHWC_DOMAIN
from ..target import Target
from .context import FusedProduct, RecurrentContext, padded_rows, pointwise_conv, rows_from_image

MIN_WEIGHT_USES = 4
"""Minimum number of products with the same weights for which packing them once pays."""
MIN_WEIGHT_ELEMENTS = 1 << 16
"""Minimum size of the weights, in elements: an LSTM with 128 units, a GRU with 256. Convolutions are faster from
there."""
MIN_SAMPLES = 8
"""Minimum batch size. Smaller batches are faster as matrix products."""
MIN_GATE_COLUMNS = 128
"""Minimum columns of a gate that gets a convolution of its own, with its activation fused, instead of a Split of the
gates' common product."""


def recurrent_matmuls_to_nchwc(graph: Graph, target: Target) -> Graph:
    """Converts the products of weights that unrolled recurrences use at every step, and the operators between them."""
    if target.block_size == 1 or target.usual_batch < MIN_SAMPLES:
        return graph
    weights = _recurrent_weights(graph, target.block_size)
    if not weights:
        return graph
    products = [node for node in graph.nodes if is_convertible_product(node) and node.inputs[1] in weights]
    matmul_operands = {node.inputs[0] for node in products if node.inputs[0]}
    return RecurrentContext(graph, target.block_size, weights, matmul_operands).run(CONVERTERS)


def _recurrent_weights(graph: Graph, block_size: int) -> set[Value]:
    """The weights with many uses, of layers all of whose products are profitable."""
    products = [node for node in graph.nodes if is_convertible_product(node)]
    uses = Counter(node.inputs[1] for node in products)
    recurrent = [node for node in products if uses[node.inputs[1]] >= MIN_WEIGHT_USES]
    unprofitable_layers = {node.scope for node in recurrent if not _is_profitable(node, block_size)}
    return {node.inputs[1] for node in recurrent if node.inputs[1] and node.scope not in unprofitable_layers}


def _is_profitable(node: Node, block_size: int) -> bool:
    """Whether the weights are static and large, and the columns of the result fill whole blocks."""
    weights, y = node.inputs[1], node.outputs[0]
    assert weights is not None
    return bool(
        weights.type.is_static(0, 1) and prod(weights.shape) >= MIN_WEIGHT_ELEMENTS and y.shape[1] % block_size == 0
    )


def is_convertible_product(node: Node) -> bool:
    """Whether the node is a float32 product x * w or x * w + summand, with a summand of the result's shape."""
    y, summand = node.outputs[0], node.input(2)
    if node.domain or node.op not in ("MatMul", "Gemm") or y.dtype != "float32":
        return False
    if y.rank != 2 or not y.type.is_static(1) or not all(x is not None and x.rank == 2 for x in node.inputs[:2]):
        return False
    if (node.attribute("transA", 0), node.attribute("alpha", 1.0), node.attribute("beta", 1.0)) != (0, 1.0, 1.0):
        return False
    return summand is None or summand.shape == y.shape


def convert_matmul(ctx: RecurrentContext, node: Node) -> Results:
    """MatMul or Gemm(rows, w, summand) -> NCHWc Conv; see also the two rules for products over all steps"""
    if not is_convertible_product(node):
        return convert_weight_gradient(ctx, node)
    (x, w), summand, y = node.inputs[:2], node.input(2), node.outputs[0]
    if x in ctx.steps_of_stack:
        return convert_stacked_matmul(ctx, node)
    if w not in ctx.weights or x is None or w is None or not ctx.fills_blocks(y):
        return None
    filters = ctx.blocked_filters(w, transposed=bool(node.attribute("transB", 0)))
    product = FusedProduct(ctx.to_blocked(x), filters, None if summand is None else ctx.to_blocked(summand))
    return ctx.emit_product(product, y.type)


def convert_stacked_matmul(ctx: RecurrentContext, node: Node) -> Results:
    """MatMul(rows of all steps, w) -> Slice(NCHWc Conv) without the padding rows"""
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    if x is None or w is None or node.input(2) is not None or not w.type.is_static(0, 1) or not ctx.fills_blocks(y):
        return None
    g, padded_row_size = ctx.g, padded_rows(x.shape[0])
    filters = ctx.blocked_filters(w, transposed=bool(node.attribute("transB", 0)))
    inputs = filters.shape[1]
    image = g.refine(g.Reshape(ctx.concat_steps(x), [1, inputs, 1, -1]), (1, inputs, 1, padded_row_size))
    padded_type = y.type.with_shape((padded_row_size, y.shape[1]))
    rows = rows_from_image(g, pointwise_conv(g, image, filters), padded_type)
    return g.refine(g.Slice(rows, [0], ctx.row_count(x), [0]), y.shape)


def convert_column_sums(ctx: RecurrentContext, node: Node) -> Results:
    """ReduceSum(rows of all steps, axis 0) -> NCHWc GlobalAveragePool * number of padded rows"""
    x, axes, y = node.inputs[0], node.input(1), node.outputs[0]
    if x not in ctx.steps_of_stack or x is None or not ctx.fills_blocks(x):
        return None
    if not isinstance(axes, Constant) or axes.array.tolist() != [0]:
        return None
    g, columns = ctx.g, x.shape[1]
    image = g.refine(g.Reshape(ctx.concat_steps(x), [1, columns, 1, -1]), (1, columns, 1, padded_rows(x.shape[0])))
    means = g.custom_op("GlobalAveragePool", NCHWC_DOMAIN, [image], image.type.with_shape((1, columns, 1, 1)))
    padded_row_count = g.cast(g.Add(ctx.row_count(x), ctx.padding_row_count(x)), x.dtype)
    return g.reshape(g.Mul(means, padded_row_count), y.shape)


def convert_weight_gradient(ctx: RecurrentContext, node: Node) -> Results:
    """Gemm(transpose of x, dy) over the rows of all steps -> NCHWc Conv of x with the blocked rows of dy as filters

    x becomes an image with the rows as channels and the columns of x as columns. An If pads the rows to whole blocks.
    """
    x, dy, y = node.inputs[0], node.inputs[1], node.outputs[0]
    if node.op != "Gemm" or node.attributes.get("transA") != 1 or len(node.attributes) > 1 or node.input(2) is not None:
        return None
    if x is None or dy is None or dy not in ctx.steps_of_stack or not ctx.fills_blocks(dy) or not x.type.is_static(1):
        return None
    ctx.ensure_plain(x)
    g, (rows, columns), outputs = ctx.g, x.shape, y.shape[1]
    padding_row_count = ctx.padding_row_count(dy)
    filters = g.refine(g.Reshape(ctx.concat_steps(dy), [outputs, -1, 1, 1]), (outputs, padded_rows(rows), 1, 1))
    image_type = TensorType(x.dtype, (1, padded_rows(rows), 1, columns))

    def blocked(g: Builder, image: Value) -> Value:
        return g.custom_op("ReorderInput", NCHWC_DOMAIN, [image], image_type)

    def padded_and_blocked(g: Builder) -> Value:
        zeros = g.full(0, g.Concat(padding_row_count, g.const([columns], "int64"), axis=0), x.dtype)
        return blocked(g, g.refine(g.Reshape(g.Concat(x, zeros, axis=0), [1, -1, 1, columns]), image_type.shape))

    image = g.reshape(x, (1, rows, 1, columns))  # a Reshape inside the branch would copy
    fills_blocks = g.Equal(padding_row_count, 0)
    blocks = g.cond(fills_blocks, lambda g: blocked(g, image), padded_and_blocked)
    return rows_from_image(g, pointwise_conv(g, blocks, filters), y.type)


def convert_elementwise(ctx: RecurrentContext, node: Node) -> Results:
    """element-wise operator, an operand of which is blocked -> the same over blocks"""
    y = node.outputs[0]
    if y.rank != 2 or not ctx.fills_blocks(y) or not any(x in ctx for x in node.inputs):
        return None
    if not all(x is not None and (x.shape == y.shape or x.type.elements == 1) for x in node.inputs):
        return None
    operands = [ctx.to_blocked(x) if x is not None and x.shape == y.shape else x for x in node.inputs]
    return ctx.from_blocked(ctx.g.emit(node.op, *operands, **node.attributes), y.type)


def convert_activation(ctx: RecurrentContext, node: Node) -> Results:
    """activation(product) -> NCHWc Conv with the activation fused; elsewhere the activation over blocks"""
    product, y = ctx.fusable_product(node.inputs[0]), node.outputs[0]
    if product is None or y.shape[1] < MIN_GATE_COLUMNS:
        return convert_elementwise(ctx, node)
    return ctx.emit_product(product, y.type, activation=node.op)


def convert_split(ctx: RecurrentContext, node: Node) -> Results:
    """Split(product, columns) -> one NCHWc Conv per output if these are large; elsewhere Split of the blocks"""
    x, outputs = node.inputs[0], node.outputs
    sizes = [y.shape[1] for y in outputs if y.rank == 2]
    if x not in ctx or x is None or node.attribute("axis", 0) not in (1, -1) or not all(map(ctx.fills_blocks, outputs)):
        return None
    product = ctx.fusable_product(x)
    if product is not None and product.summand is None and min(sizes) >= MIN_GATE_COLUMNS:
        products = [product._replace(filters=filters) for filters in ctx.split_filters(product.filters, sizes)]
        return [ctx.emit_product(part, y.type) for part, y in zip(products, outputs, strict=True)]
    parts = ctx.g.Split(ctx.to_blocked(x), sizes, axis=0, outputs=len(sizes))
    return [ctx.from_blocked(part, y.type) for part, y in zip(parts, outputs, strict=True)]


def convert_concat(ctx: RecurrentContext, node: Node) -> Results:
    """Concat of columns -> Concat of blocks; Concat of the rows of steps -> a stack"""
    y, parts = node.outputs[0], [x for x in node.inputs if x is not None]
    if y.rank != 2 or y.dtype != "float32" or not y.type.is_static(1):
        return None
    if node.attribute("axis") in (1, -1):
        is_blocked = y in ctx.matmul_operands or any(x in ctx for x in parts)
        if not is_blocked or not all(map(ctx.fills_blocks, parts[:-1])):
            return None
        return ctx.from_blocked(ctx.g.Concat(*map(ctx.to_blocked, parts), axis=0), y.type)
    if not all(x in ctx and x.shape == parts[0].shape for x in parts):
        return None
    steps = [ctx.to_blocked(x) for x in parts]
    stack = ctx.stack_of_steps(steps, y.type)
    ctx.steps_of_stack[stack] = steps
    return stack


CONVERTERS: dict[str, Callable[[RecurrentContext, Node], Results]] = {
    "MatMul": convert_matmul,
    "Gemm": convert_matmul,
    "Split": convert_split,
    "Concat": convert_concat,
    "ReduceSum": convert_column_sums,
    **dict.fromkeys(("Relu", "Sigmoid", "Tanh"), convert_activation),
    **dict.fromkeys(("Add", "Elu", "HardSigmoid", "LeakyRelu", "Mul", "Neg", "Sub"), convert_elementwise),
}
