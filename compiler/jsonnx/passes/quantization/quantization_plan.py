"""Which values of a graph are quantized, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal, NamedTuple

from ...ir import Node, Value

ActivationDtype = Literal["uint8", "int8"]
DEFAULT_BITS = 8


class QuantizationOptions(NamedTuple):
    """How a graph is quantized.

    `bits_by_layer` are the bits of the weights of a layer, None for a layer that stays in floating point; `bits` those
    of all other layers. Without `activations`, only weights are rounded; without `stored`, only those of operators on
    integers. Weights that are no constants will fold what scales the results of their operators, unless they
    `are_final`.
    """

    bits_by_layer: Mapping[str, int | None] = MappingProxyType({})
    per_channel: bool = True
    activation_dtype: ActivationDtype = "uint8"
    bits: int = DEFAULT_BITS
    activations: bool = True
    stored: bool = True
    are_final: bool = False

    def bits_of(self, scope: str) -> int | None:
        """The bits of the layer of a node, or of the layer that contains it."""
        return self.bits_by_layer.get(scope.partition("/")[0], self.bits)


class ActivationQuantizer(NamedTuple):
    """A value that is rounded to 8 bits.

    Its key is the same for all options, and in the graphs of inference and of training. Quantizers of one group have
    one range. Readers in floating point, the graph's outputs included, read the value before the rounding if
    `keeps_float`, else after it.
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
    """An operand of a node that is rounded symmetrically: by one scale for each index of an axis or, without axis, by
    one scale; by one for each block of `block_size` elements along the axis, if there are blocks.

    `normalization` is a node of the batch normalization behind the operator, whose scale is part of the weight that is
    rounded.
    """

    layer: str
    node: Node
    weight: Value
    axis: int | None
    bits: int
    normalization: Node | None = None
    operand: int = 1
    block_size: int = 0


class BiasQuantizer(NamedTuple):
    """A vector that is added to the result of a linear operator, by the operator or by the node `add`.

    Its scale is the product of the scales of the operator's operands.
    """

    layer: str
    node: Node
    bias: Value
    add: Node | None = None


@dataclass(frozen=True, eq=False)
class QuantizationPlan:
    """The quantizers of a graph, in the order of its nodes.

    `weights` and `biases` are operands of operators that run on integers; `stored` are weights that are stored as
    integers, and read in floating point. `integer_nodes` read values after the rounding, because they run on integers.
    """

    options: QuantizationOptions
    activations: tuple[ActivationQuantizer, ...]
    moved: tuple[MovedValue, ...]
    weights: tuple[WeightQuantizer, ...]
    biases: tuple[BiasQuantizer, ...]
    stored: tuple[WeightQuantizer, ...]
    integer_nodes: frozenset[Node]

    @cached_property
    def groups(self) -> dict[Value, str]:
        """The groups of the values that are quantized, moved ones included."""
        quantized = {each.value: each.group for each in self.activations}
        return quantized | {each.value: each.group for each in self.moved}
