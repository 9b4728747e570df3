"""Frozen weights that are stored as integers."""

from __future__ import annotations

from ..core.types import TensorType
from .graph import Graph, Parameter

SCALES_SUFFIX = "/scales"


class IntegerWeight(Parameter):
    """A frozen matrix as integers of 8 bits [inputs, outputs], or of 4 bits, two in a byte [inputs / 2, outputs].

    `original` is the weight that it stands for, `scales` are the factors of its columns, or of blocks of them.
    """

    __slots__ = ("bits", "original", "scales")

    def __init__(self, original: Parameter, type: TensorType, scales: TensorType, bits: int) -> None:
        super().__init__(original.name, type, original.initializer, trainable=False, input_axes=original.input_axes)
        self.original, self.bits = original, bits
        self.scales = Parameter(original.name + SCALES_SUFFIX, scales, original.initializer, trainable=False)


def network_parameters(graph: Graph) -> dict[str, Parameter]:
    """The parameters of a graph as those of its network, in which integers with scales are one weight."""
    scales = {weight.scales.name for weight in graph.parameters.values() if isinstance(weight, IntegerWeight)}
    return {
        name: weight.original if isinstance(weight, IntegerWeight) else weight
        for name, weight in graph.parameters.items()
        if name not in scales
    }
