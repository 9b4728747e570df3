"""Which values of a graph are quantized, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from ...ir import Node, Value

ActivationDtype = Literal["uint8", "int8"]
DEFAULT_BITS = 8


class QuantizationOptions(NamedTuple):
    """`bits_by_layer` are the bits of the weights of a layer, None for a layer that stays in floating point."""

    bits_by_layer: Mapping[str, int | None] = MappingProxyType({})
    per_channel: bool = True
    activation_dtype: ActivationDtype = "uint8"

    def bits(self, layer: str) -> int | None:
        return self.bits_by_layer.get(layer, DEFAULT_BITS)


class ActivationQuantizer(NamedTuple):
    """A value that is rounded to 8 bits.

    Its key is the same in the graphs of inference and of training. Quantizers of one group have one range. Readers in
    floating point, the graph's outputs included, read the value before the rounding if `keeps_float`, else after it.
    """

    key: str
    value: Value
    group: str
    keeps_float: bool


class MovedValue(NamedTuple):
    """A result of an operator that moves quantized elements, such as MaxPool or Reshape, which has the range of the
    group."""

    value: Value
    group: str


class WeightQuantizer(NamedTuple):
    """An operand of a linear operator that is rounded symmetrically, by one scale for each index of an axis or, without
    axis, by one scale.

    `normalization` is the BatchNormalization behind the operator, whose scale is part of the weight that is rounded.
    """

    layer: str
    node: Node
    weight: Value
    axis: int | None
    bits: int
    normalization: Node | None = None


class BiasQuantizer(NamedTuple):
    """A vector that is added to the result of a linear operator, by the operator or by the node `add`."""

    layer: str
    node: Node
    bias: Value
    add: Node | None = None


@dataclass(frozen=True, eq=False)
class QuantizationPlan:
    """The quantizers of a graph, in the order of its nodes."""

    options: QuantizationOptions
    activations: tuple[ActivationQuantizer, ...]
    moved: tuple[MovedValue, ...]
    weights: tuple[WeightQuantizer, ...]
    biases: tuple[BiasQuantizer, ...]
