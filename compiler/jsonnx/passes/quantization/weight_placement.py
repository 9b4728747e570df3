"""Chooses the weights of a graph that are stored as integers."""

from __future__ import annotations

from ...ir import Node, Value
from .dataflow import Dataflow, LinearChain
from .quantization_plan import DEFAULT_BITS, BiasQuantizer, QuantizationOptions, WeightQuantizer

MIN_STORED_ELEMENTS = 1024
"""Minimum size of a weight of an operator in floating point, in elements, that is stored as integers or float16."""

BLOCK_BITS = 4
BLOCK_SIZE = 32
"""Elements of a block of 4-bit weights of a product, which have one scale: a scale for each column rounds them to
steps that are 1.4 times as large."""

WEIGHT_OPERANDS = {
    "Conv": (1,),
    "ConvTranspose": (1,),
    "GRU": (1, 2),
    "Gather": (0,),
    "Gemm": (1,),
    "LSTM": (1, 2),
    "MatMul": (1,),
    "RNN": (1, 2),
}
"""The operands that are weights, by operator."""


def integer_weights(dataflow: Dataflow, options: QuantizationOptions) -> tuple[WeightQuantizer, ...]:
    """The quantizers of the weights of operators that run on integers."""
    if not options.activations:
        return ()
    quantizers = []
    for node, chain in dataflow.chains_by_node.items():
        weight = node.inputs[1]
        bits = None if weight is None else _bits(dataflow, options, node, weight)
        if bits is not None and weight is not None:
            axis = _channel_axis(node, weight.rank) if options.per_channel else None
            quantizers.append(WeightQuantizer(node.scope, node, weight, axis, bits, chain.normalization))
    return tuple(quantizers)


def stored_weights(dataflow: Dataflow, options: QuantizationOptions) -> tuple[WeightQuantizer, ...]:
    """The quantizers of large weights of operators that stay in floating point."""
    on_integers = dataflow.chains_by_node if options.activations else {}
    return tuple(
        _stored_weight(node, operand, weight, bits)
        for node in dataflow.graph.nodes
        if options.stored and node.op in WEIGHT_OPERANDS and not node.domain and node not in on_integers
        for operand in WEIGHT_OPERANDS[node.op]
        if (weight := node.input(operand)) is not None
        if (bits := _bits(dataflow, options, node, weight)) is not None
        if dataflow.is_quantizable_weight(weight) and _is_large(weight)
    )


def _bits(dataflow: Dataflow, options: QuantizationOptions, node: Node, weight: Value) -> int | None:
    """The bits of a weight. A table whose rows are gathered, and that is multiplied by, is stored once, in bytes."""
    bits = options.bits_of(node.scope)
    operators = {reader.op for reader in dataflow.readers[weight]}
    is_shared_table = "Gather" in operators and len(operators) > 1
    return max(bits, DEFAULT_BITS) if is_shared_table and bits is not None else bits


def _is_large(weight: Value) -> bool:
    elements = weight.type.elements
    return isinstance(elements, int) and elements >= MIN_STORED_ELEMENTS


def _stored_weight(node: Node, operand: int, weight: Value, bits: int) -> WeightQuantizer:
    axis = _channel_axis(node, weight.rank)
    is_product = node.op in ("Gemm", "MatMul") and axis == 1 == weight.rank - 1
    if is_product and bits == BLOCK_BITS and int(weight.shape[0]) > BLOCK_SIZE:
        return WeightQuantizer(node.scope, node, weight, 0, bits, None, operand, BLOCK_SIZE)
    return WeightQuantizer(node.scope, node, weight, axis, bits, None, operand)


def _channel_axis(node: Node, rank: int) -> int:
    """The axis of a weight along which its scales differ: that of the operator's output channels, of the units of a
    recurrent layer or of the rows of a table."""
    if node.op in ("Conv", "Gather"):
        return 0
    if node.op in ("ConvTranspose", "GRU", "LSTM", "RNN"):
        return 1
    return rank - 2 if node.op == "Gemm" and node.attribute("transB", 0) else rank - 1


def bias_quantizers(dataflow: Dataflow, weights: tuple[WeightQuantizer, ...]) -> tuple[BiasQuantizer, ...]:
    """The quantizers of the biases of operators on integers."""
    chains = (dataflow.chains_by_node[each.node] for each in weights)
    return tuple(bias for chain in chains if (bias := _bias(dataflow, chain)) is not None)


def _bias(dataflow: Dataflow, chain: LinearChain) -> BiasQuantizer | None:
    bias = chain.node.input(2)
    if bias is not None:
        return BiasQuantizer(chain.node.scope, chain.node, bias)
    if chain.bias_add is None:
        return None
    (bias,) = (x for x in chain.bias_add.inputs if x is not None and dataflow.is_static(x))
    return BiasQuantizer(chain.node.scope, chain.node, bias, chain.bias_add)
