"""Matrix products of large weights in the body of a Scan as NCHWc convolutions.

At every step, onnxruntime's matrix product packs the weights again, which takes three times as long as the product of a
few rows. As one-tap NCHWc convolutions (see `convert`), they are packed once, outside of the loop. The rows are small,
so they are blocked for each product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from ....core.types import TensorType
from ....ir import Builder, Graph, Node, Subgraph, Value
from ....ir.graph import Input
from ..nchwc.context import NCHWC_DOMAIN
from ..target import Target
from .context import pointwise_conv, rows_from_image
from .convert import MIN_SAMPLES, is_convertible_product

MIN_LOOP_WEIGHTS = 1 << 20
"""Minimum size of the weights, in elements: an LSTM with 512 units. Smaller ones stay in a core's cache."""


def loop_matmuls_to_nchwc(graph: Graph, target: Target) -> Graph:
    """Converts the products of large loop-invariant weights in the bodies of Scans."""
    if target.block_size == 1 or target.usual_batch < MIN_SAMPLES:
        return graph
    if not any(_convertible_products(node, target.block_size) for node in graph.nodes):
        return graph
    g = Builder.extending(replace(graph, nodes=()))
    packed: dict[tuple[Value, bool], Value] = {}
    for node in graph.nodes:
        with g.inherit(node):
            g.nodes.append(_with_packed_weights(g, node, target.block_size, packed))
    return graph.with_nodes(g.nodes, {})


def _convertible_products(node: Node, block_size: int) -> list[Node]:
    """The products in the body of a Scan that are converted."""
    body = node.attributes.get("body") if node.op == "Scan" else None
    if not isinstance(body, Subgraph):
        return []
    captured = set(list(body.inputs.values())[body.num_loop_inputs :])
    return [product for product in body.nodes if _is_profitable(product, captured, block_size)]


def _is_profitable(node: Node, captured: set[Input], block_size: int) -> bool:
    if node.op not in ("MatMul", "Gemm") or not is_convertible_product(node) or node.inputs[1] not in captured:
        return False
    weights = node.inputs[1]
    assert weights is not None
    is_large = weights.type.is_static() and prod(weights.shape) >= MIN_LOOP_WEIGHTS
    return is_large and all(size % block_size == 0 for size in weights.shape)


def _with_packed_weights(g: Builder, node: Node, block_size: int, packed: dict[tuple[Value, bool], Value]) -> Node:
    """The node with its products converted. Emits the packed weights, each once."""
    products = {product.outputs[0] for product in _convertible_products(node, block_size)}
    if not products:
        return node
    body: Subgraph = node.attributes["body"]
    operands: dict[Value | None, Value | None] = dict(zip(body.inputs.values(), node.inputs, strict=True))
    inner = g.subgraph_builder()
    replacements: dict[Value, Value] = {}
    filters: dict[Value, Input] = {}
    for inside in body.nodes:
        inside = inside.with_inputs([x if x is None else replacements.get(x, x) for x in inside.inputs])
        if inside.outputs[0] not in products:
            inner.nodes.append(inside)
            continue
        weights, transposed = operands[inside.inputs[1]], bool(inside.attribute("transB", 0))
        assert weights is not None
        if (weights, transposed) not in packed:
            packed[weights, transposed] = _packed(g, weights, block_size, transposed=transposed)
        value = packed[weights, transposed]
        filters.setdefault(value, Input(f"packed_{len(filters)}", value.type))
        with inner.inherit(inside):
            replacements[inside.outputs[0]] = _emit_product(inner, inside, filters[value])
    return _with_captured(node, inner.nodes, replacements, filters)


def _packed(g: Builder, weights: Value, block_size: int, *, transposed: bool) -> Value:
    """Emits weights [inputs, outputs], or their transpose, as the filters of a one-tap NCHWc Conv."""
    if transposed:
        outputs, inputs = weights.shape
        x = g.Transpose(g.reshape(weights, (outputs // block_size, block_size, inputs)), perm=[0, 2, 1])
    else:
        inputs, outputs = weights.shape
        x = g.Transpose(g.reshape(weights, (inputs, outputs // block_size, block_size)), perm=[1, 0, 2])
    return g.reshape(x, (outputs, inputs, 1, 1))


def _emit_product(g: Builder, node: Node, filters: Value) -> Value:
    """Emits rows * filters, plus the summand of a Gemm."""
    rows, summand, y = node.inputs[0], node.input(2), node.outputs[0]
    assert rows is not None
    count, columns = rows.shape
    image_type = TensorType(rows.dtype, (1, columns, 1, count))
    image = g.custom_op(
        "ReorderInput", NCHWC_DOMAIN, [g.reshape(rows, (1, 1, count, columns))], image_type, channels_last=1
    )
    product = rows_from_image(g, pointwise_conv(g, image, filters), y.type)
    return product if summand is None else g.Add(product, summand)


def _with_captured(
    node: Node, nodes: Sequence[Node], replacements: dict[Value, Value], filters: dict[Value, Input]
) -> Node:
    """The Scan with these nodes in its body, which read the packed weights; without the captured values that none of
    them reads."""
    body: Subgraph = node.attributes["body"]
    outputs = {name: replacements.get(value, value) for name, value in body.outputs.items()}
    read = {x for inside in nodes for x in inside.inputs} | set(outputs.values())
    pairs = list(zip(node.inputs, body.inputs.values(), strict=True))
    kept = pairs[: body.num_loop_inputs] + [pair for pair in pairs[body.num_loop_inputs :] if pair[1] in read]
    kept += filters.items()
    inputs = {x.name: x for _, x in kept}
    new_body = replace(body, inputs=inputs, outputs=outputs, nodes=tuple(nodes))
    return replace(node.with_inputs(x for x, _ in kept), attributes={**node.attributes, "body": new_body})
