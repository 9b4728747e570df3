"""The cost of a model whose weights and values have smaller element types, beside that of the float model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..analysis.activation_memory import ActivationPeak, activation_peak
from ..analysis.shape_inference import TypedNetwork
from ..ir.element_types import ElementTypes
from ..ir.polynomial import Polynomial
from ..sections.quantization_section import QuantizationVariant


@dataclass(frozen=True)
class ElementCost:
    """The cost of the operators of a model or a layer."""

    weight_bytes: int = 0
    """Bytes of weights, with their scales and zero points."""
    macs: Mapping[str, Polynomial] = field(default_factory=dict)
    """Multiply-adds for one sample, by the element type of the operands."""

    def __add__(self, other: ElementCost) -> ElementCost:
        macs = dict(self.macs)
        for dtype, count in other.macs.items():
            macs[dtype] = macs.get(dtype, Polynomial()) + count
        return ElementCost(self.weight_bytes + other.weight_bytes, macs)


@dataclass(frozen=True)
class LayerPrecision:
    """A layer in the float model and in the variant."""

    name: str
    type: str
    float_cost: ElementCost
    cost: ElementCost
    result_type: str
    """The element type in which the variant keeps the layer's first result."""


@dataclass(frozen=True)
class PrecisionCost:
    """The cost of the float model and of a variant. The bytes of models are those of their files, the peaks are those
    of one sample, and None if they depend on symbolic sizes."""

    variant: QuantizationVariant
    name: str | None
    """The name of the variant in the spec."""
    layers: tuple[LayerPrecision, ...]
    float_model_bytes: int
    model_bytes: int
    float_peak: ActivationPeak | None
    peak: ActivationPeak | None

    @property
    def float_cost(self) -> ElementCost:
        return sum((layer.float_cost for layer in self.layers), ElementCost())

    @property
    def cost(self) -> ElementCost:
        return sum((layer.cost for layer in self.layers), ElementCost())


def layer_precisions(
    typed: TypedNetwork, float_elements: ElementTypes, elements: ElementTypes
) -> Iterator[LayerPrecision]:
    """The cost of each layer in the float model and in a variant."""
    result_types = _result_types(typed, elements)
    costs = [(own.weight_bytes(), own.macs()) for own in (float_elements, elements)]
    for call in typed.network.inference_calls:
        float_cost, cost = (ElementCost(sizes.get(call.path, 0), macs.get(call.path, {})) for sizes, macs in costs)
        layer_type = call.layer.type_name if call.layer else "?"
        yield LayerPrecision(call.name, layer_type, float_cost, cost, result_types[call.results[0]])


def variant_peak(typed: TypedNetwork, elements: ElementTypes) -> ActivationPeak | None:
    """The peak of the memory of a variant's values for one sample; None if it depends on symbolic sizes. Inputs and
    outputs are those of the float model."""
    outputs = typed.network.inference_outputs
    dtypes = {name: dtype for name, dtype in _result_types(typed, elements).items() if name not in outputs}
    return activation_peak(typed, dtypes=dtypes)


def _result_types(typed: TypedNetwork, elements: ElementTypes) -> dict[str, str]:
    """The element types of the results of all layers. A layer without operators of its own returns its operand."""
    kept_types = elements.result_types()
    types = {name: type.dtype for name, type in typed.types.items()}
    for call in typed.network.inference_calls:
        dtype = kept_types.get(call.path) or (types[call.sources[0]] if call.sources else None)
        for result in call.results:
            if dtype is not None and types[result] == "float32":
                types[result] = dtype
    return types
