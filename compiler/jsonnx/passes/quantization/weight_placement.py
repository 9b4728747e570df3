"""Chooses the weights of a graph that are stored as integers."""

from __future__ import annotations

from collections.abc import Iterator

from ...ir import Node
from .dataflow import Dataflow, LinearChain
from .quantization_plan import BiasQuantizer, QuantizationOptions, WeightQuantizer

MIN_STORED_ELEMENTS = 1024
"""Minimum size of a weight of an operator in floating point, in elements, that is stored as integers."""

BLOCK_SIZE = 32
"""Elements of a block of 4-bit weights of a product."""

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


def weight_quantizers(dataflow: Dataflow, options: QuantizationOptions) -> tuple[WeightQuantizer, ...]:
    """The quantizers of the weights of operators on integers, and of large weights of other operators."""
    return tuple(quantizer for node in dataflow.graph.nodes for quantizer in _quantizers_of(node, dataflow, options))


def _quantizers_of(node: Node, dataflow: Dataflow, options: QuantizationOptions) -> Iterator[WeightQuantizer]:
    bits = options.bits_of(node.scope)
    if bits is None or node.domain:
        return
    chain = dataflow.chains_by_node.get(node)
    is_integer = chain is not None and options.activations
    for operand in WEIGHT_OPERANDS.get(node.op, ()):
        weight = node.input(operand)
        if weight is None or not dataflow.is_quantizable_weight(weight):
            continue
        elements = weight.type.elements
        if not is_integer and not (isinstance(elements, int) and elements >= MIN_STORED_ELEMENTS):
            continue
        normalization = chain.normalization if chain is not None else None
        axis = _channel_axis(node, weight.rank)
        has_blocks = bits == 4 and not is_integer and node.op in ("Gemm", "MatMul") and weight.rank == 2
        if has_blocks and weight.shape[1 - axis] > BLOCK_SIZE:
            yield WeightQuantizer(node.scope, node, weight, 1 - axis, bits, normalization, operand, True, BLOCK_SIZE)
        else:
            channel_axis = axis if options.per_channel or not is_integer else None
            yield WeightQuantizer(node.scope, node, weight, channel_axis, bits, normalization, operand, not is_integer)


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
    chains = (dataflow.chains_by_node[each.node] for each in weights if not each.is_stored_only)
    return tuple(bias for chain in chains if (bias := _bias(dataflow, chain)) is not None)


def _bias(dataflow: Dataflow, chain: LinearChain) -> BiasQuantizer | None:
    bias = chain.node.input(2)
    if bias is not None:
        return BiasQuantizer(chain.node.scope, chain.node, bias)
    if chain.bias_add is None:
        return None
    (bias,) = (x for x in chain.bias_add.inputs if x is not None and dataflow.is_static(x))
    return BiasQuantizer(chain.node.scope, chain.node, bias, chain.bias_add)
