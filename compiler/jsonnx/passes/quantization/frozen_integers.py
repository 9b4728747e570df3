"""Frozen matrices as integers of 8 or 4 bits: a step reads the integers, and DequantizeLinear makes them float32 just
before their reader.

8 bits have a scale for each output, 4 bits one for each block of `BLOCK_INPUTS` inputs of an output. Scales have
`SCALE_BITS` significant bits, so that integers times scales are exact, and rounding them again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ...core.types import TensorType
from ...ir import Adapter, Builder, Graph, Parameter, Value
from ...ir.adapters import from_matrix, matrix_shape
from ...ir.integer_weights import IntegerWeight
from ..canonicalize import with_replaced_inputs
from ..training_steps.frozen_weights import MIN_STORED_ELEMENTS
from .integers import quantized_weight, weight_scales

BLOCK_INPUTS = 32
SCALE_BITS = 16
LOW_BITS, NIBBLE_BITS, OFFSET = 15, 4, 8
"""Two integers share a byte: `OFFSET` is added to each, and the first half of the inputs lies in the low bits."""


def store_frozen_integers(graph: Graph, bits: int) -> Graph:
    """The graph whose large frozen matrices are integers of 8 or 4 bits. Tables that are looked up stay as they are."""
    tables = {node.inputs[0] for node in graph.nodes if node.op == "Gather"}
    stored: dict[Value, IntegerWeight] = {
        weight: _integer_weight(weight, bits)
        for weight in graph.parameters.values()
        if weight not in tables and _is_storable(weight, bits)
    }
    if not stored:
        return graph
    g = Builder.extending(graph)
    g.nodes = []
    floats: dict[Value, Value] = {}
    for node in graph.nodes:
        with g.inherit(node):
            for x in node.inputs:
                if x is not None and x in stored and x not in floats:
                    floats[x] = _dequantized(g, stored[x])
        g.nodes.append(with_replaced_inputs(node, floats))
    parameters: dict[str, Parameter] = {}
    for name, weight in graph.parameters.items():
        parameters[name] = kept = stored.get(weight, weight)
        if isinstance(kept, IntegerWeight):
            parameters[kept.scales.name] = kept.scales
    return replace(graph, parameters=parameters).with_nodes(g.nodes, floats)


def _is_storable(weight: Parameter, bits: int) -> bool:
    if weight.trainable or weight.dtype != "float32" or not weight.input_axes:
        return False
    inputs, outputs = matrix_shape(weight)
    return inputs * outputs >= MIN_STORED_ELEMENTS and (bits == 8 or inputs % 2 == 0)


def _integer_weight(weight: Parameter, bits: int) -> IntegerWeight:
    inputs, outputs = matrix_shape(weight)
    if bits == 8:
        return IntegerWeight(weight, TensorType("int8", (inputs, outputs)), TensorType("float32", (outputs,)), bits)
    scales = TensorType("float32", (-(-inputs // BLOCK_INPUTS), outputs))
    return IntegerWeight(weight, TensorType("uint8", (inputs // 2, outputs)), scales, bits)


def _dequantized(g: Builder, weight: IntegerWeight) -> Value:
    """The weight as float32."""
    if weight.bits == 8:
        matrix = g.DequantizeLinear(weight, weight.scales, axis=1)
    else:
        low = g.BitwiseAnd(weight, g.const(LOW_BITS, "uint8"))
        high = g.BitShift(weight, g.const(NIBBLE_BITS, "uint8"), direction="RIGHT")
        offsets = g.const(np.full(weight.scales.shape, OFFSET), "uint8")
        both = g.Concat(low, high, axis=0)
        matrix = g.DequantizeLinear(both, weight.scales, offsets, axis=0, block_size=BLOCK_INPUTS)
    original = weight.original
    return from_matrix(g, g.refine(matrix, matrix_shape(original)), Adapter(original, original, original, 1.0))


# -- arrays ----------------------------------------------------------------------------------------------------------


def to_integers(weight: IntegerWeight, array: np.ndarray) -> dict[str, np.ndarray]:
    """The integers and the scales of a weight in the shape of the network, by the names of the variables."""
    matrix = np.ascontiguousarray(array.transpose(_order(weight)).reshape(matrix_shape(weight.original)))
    axis, block = (1, 0) if weight.bits == 8 else (0, BLOCK_INPUTS)
    scales = _rounded_up(weight_scales(matrix, axis, weight.bits, block))
    integers = quantized_weight(matrix, scales, axis, weight.bits, block)
    if weight.bits != 8:
        low, high = np.split((integers + OFFSET).astype(np.uint8), 2)
        integers = low | (high << np.uint8(NIBBLE_BITS))
    return {weight.name: integers, weight.scales.name: scales}


def _rounded_up(scales: np.ndarray) -> np.ndarray:
    """The next larger numbers with few significant bits."""
    mantissas, exponents = np.frexp(scales)
    rounded: np.ndarray = np.ldexp(np.ceil(np.ldexp(mantissas, SCALE_BITS)), exponents - SCALE_BITS)
    return rounded.astype(np.float32)


def to_floats(weight: IntegerWeight, integers: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """The weight that integers and scales stand for, in the shape of the network."""
    if weight.bits != 8:
        pair = integers & np.uint8(LOW_BITS), integers >> np.uint8(NIBBLE_BITS)
        integers = np.concatenate(pair).astype(np.int8) - np.int8(OFFSET)
        scales = np.repeat(scales, BLOCK_INPUTS, 0)[: len(integers)]
    matrix = integers.astype(np.float32) * scales
    order, shape = _order(weight), weight.original.shape
    ordered = matrix.reshape([shape[axis] for axis in order])
    return np.ascontiguousarray(ordered.transpose(np.argsort(order)))


def _order(weight: IntegerWeight) -> list[int]:
    axes = weight.original.input_axes or ()
    return [*axes, *(axis for axis in range(weight.original.rank) if axis not in axes)]


def integer_weights(graph: Graph) -> Iterator[IntegerWeight]:
    """The weights of a graph that are stored as integers."""
    return (weight for weight in graph.parameters.values() if isinstance(weight, IntegerWeight))
