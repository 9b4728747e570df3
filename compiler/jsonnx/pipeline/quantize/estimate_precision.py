"""Estimates what the model of a spec costs at a precision: it is quantized with drawn weights."""

from __future__ import annotations

import numpy as np

from ...analysis.activation_memory import activation_peak
from ...core.numpy_types import numpy_dtype
from ...core.types import TensorType
from ...data.samples.sample_order import generator
from ...ir import Graph, Node
from ...ir.element_types import ElementTypes
from ...lowering.precision_cost import PrecisionCost, layer_precisions, variant_peak
from ...passes.quantization import QuantizationPlan
from ...runtime.quantization.calibration import Range
from ...runtime.quantization.onnxruntime_tools import DYNAMIC_OPS
from ...sections.quantization_section import Precision, QuantizationVariant
from ..check.check import CheckedSpec
from ..compile.compile import compile_checked
from ..compile.graphs import inference_graph
from ..compile.model import Model
from ..train.plan_training import in_normalization
from .network_quantizer import NetworkQuantizer
from .quantize_options import QuantizeOptions, variant_of

DYNAMIC_PRECISION: Precision = "int8-dynamic"


def estimate_precision(
    checked: CheckedSpec, precision: Precision | None = None, variant: str | None = None
) -> PrecisionCost:
    """The cost of the model of a valid spec at a precision, or as a variant of the spec. It depends neither on weights
    nor on ranges of activations.

    Raises UsageError for an unknown variant, CompileError for a network that cannot be compiled or quantized.
    """
    typed = checked.require()
    section = variant_of(typed.network, QuantizeOptions(precision, variant))
    model = _drawn_model(checked)
    quantized = _UncalibratedQuantizer(model, in_normalization(typed.network), None).quantized(section)
    dynamic_nodes = _dynamic_nodes(model.optimized_graph, section) if section.precision == DYNAMIC_PRECISION else ()
    float_elements, elements = (
        ElementTypes(model.optimized_graph),
        ElementTypes(quantized.optimized_graph, dynamic_nodes),
    )
    return PrecisionCost(
        section,
        variant,
        tuple(layer_precisions(typed, float_elements, elements)),
        model.size_bytes,
        quantized.size_bytes,
        activation_peak(typed),
        variant_peak(typed, elements),
    )


class _UncalibratedQuantizer(NetworkQuantizer):
    """A quantizer that makes up a range for each activation. They differ, since a file has equal scales once."""

    def _calibrated(self, plan: QuantizationPlan, variant: QuantizationVariant) -> dict[str, Range]:
        return {quantizer.key: (-1.0, 1.0 + index) for index, quantizer in enumerate(plan.activations)}


def _drawn_model(checked: CheckedSpec) -> Model:
    """The model with weights that fold into no constant that trained weights would not fold into; those of the first
    step of training do: their biases are zeros."""
    graph = inference_graph(checked)
    rng = generator(0, "weights")
    types = {name: value.type for name, value in {**graph.parameters, **graph.states}.items()}
    return compile_checked(checked, {name: _drawn(rng, type) for name, type in types.items()})


def _drawn(rng: np.random.Generator, type: TensorType) -> np.ndarray:
    """Numbers from 0.5 to 1.5; one token for a vocabulary that is learned from data."""
    shape = tuple(size if isinstance(size, int) else 1 for size in type.shape)
    dtype = numpy_dtype(type.dtype)
    if dtype.kind != "f":
        return np.full(shape, "a" if dtype.kind == "O" else 1, dtype)
    return (rng.random(shape, np.float32) + 0.5).astype(dtype)


def _dynamic_nodes(graph: Graph, variant: QuantizationVariant) -> list[Node]:
    """The nodes whose weights dynamic quantization makes integers."""
    float_layers = {name for name, section in variant.layers.items() if section is None}
    return [node for node in graph.nodes if node.op in DYNAMIC_OPS and node.scope not in float_layers]
