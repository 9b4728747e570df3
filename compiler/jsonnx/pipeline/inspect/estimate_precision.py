"""Estimates what the model of a spec costs at a precision: its graph is quantized with drawn weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...analysis.activation_memory import activation_peak
from ...backend import to_model_writer
from ...core.numpy_types import numpy_dtype
from ...core.types import TensorType
from ...data.samples.sample_order import generator
from ...frontend.networks.layer_patterns import quantized_layers
from ...ir import Constant, Graph, Node, Value
from ...ir.element_types import ElementTypes
from ...lowering.precision_cost import PrecisionCost, layer_precisions, variant_peak
from ...passes.canonicalize import canonicalize
from ...passes.quantization import QuantizationOptions, plan_quantization, with_quantized_nodes
from ...passes.rewrite import Match, RuleSet
from ...passes.training_steps.mixed_precision import with_mixed_precision
from ...sections.quantization_section import STATIC_PRECISION, Precision, QuantizationVariant
from ..check.check import CheckedSpec
from ..compile.compile import compile_checked
from ..compile.graphs import inference_graph
from ..compile.model import Model
from ..train.plan_training import in_normalization

DYNAMIC_PRECISION: Precision = "int8-dynamic"

DYNAMIC_OPS = frozenset({"Gather", "Gemm", "LSTM", "MatMul"})
"""The operators that dynamic quantization writes by integers: for convolutions, these take longer."""
DYNAMIC_NODE_BYTES = 1300
"""Bytes of the nodes around a product whose operand is rounded in each run."""


def estimate_precision(checked: CheckedSpec, variant: QuantizationVariant, name: str | None = None) -> PrecisionCost:
    """The cost of the model of a valid spec. Weights are drawn, and ranges of activations assumed: the numbers of bytes
    and operations do not depend on them. Raises CompileError for a network that cannot be compiled."""
    typed = checked.require()
    model = _drawn_model(checked)
    float_graph = model.optimized_graph
    graph = _quantized_graph(model, variant, in_normalization(checked.network))
    dynamic_nodes = _dynamic_nodes(graph, variant) if variant.precision == DYNAMIC_PRECISION else []
    elements, float_elements = ElementTypes(graph, dynamic_nodes), ElementTypes(float_graph)
    if dynamic_nodes:
        weights = [sum(own.weight_bytes().values()) for own in (float_elements, elements)]
        added_bytes = weights[1] - weights[0] + DYNAMIC_NODE_BYTES * len(dynamic_nodes)
    else:
        added_bytes = _file_bytes(graph) - _file_bytes(float_graph)
    return PrecisionCost(
        variant,
        name,
        tuple(layer_precisions(typed, float_elements, elements)),
        model.size_bytes,
        model.size_bytes + added_bytes,
        activation_peak(typed),
        variant_peak(typed, elements),
    )


def _quantized_graph(model: Model, variant: QuantizationVariant, is_normalization: Callable[[Node], bool]) -> Graph:
    """The graph of a variant, in which all ranges of activations are the same; the float graph for dynamic ranges."""
    layers = [call.owner for call in model.network.inference_calls]
    sections = quantized_layers(variant, layers)
    bits = {name: None if section is None else section.bits for name, section in sections.items()}
    if variant.precision == DYNAMIC_PRECISION:
        return model.optimized_graph
    if variant.precision == "float16":
        stays_float = [name for name, own in bits.items() if own is None]
        excluded = lambda node: is_normalization(node) or node.scope in stays_float  # noqa: E731
        return casting.apply(canonicalize(with_mixed_precision(model.optimized_graph, "float16", excluded)))
    is_static = variant.precision == STATIC_PRECISION
    options = QuantizationOptions(
        bits, variant.per_channel, variant.activations, 4 if variant.precision == "int4-weights" else 8, is_static
    )
    plan = plan_quantization(model.quantizable_graph, options)
    ranges = {quantizer.key: (-1.0, 1.0) for quantizer in plan.activations}
    return with_quantized_nodes(model.quantizable_graph, plan, ranges)


casting = RuleSet()


@casting("Cast")
def cast_constant(m: Match) -> Value | None:
    """Cast(constant) -> constant"""
    x, (y,) = m.node.inputs[0], m.node.outputs
    if not isinstance(x, Constant):
        return None
    return Constant(y.type, x.array.astype(numpy_dtype(y.dtype)), x.name)


def _file_bytes(graph: Graph) -> int:
    """The bytes of a graph's file without metadata of the network."""
    return to_model_writer(graph, name="").with_digests().size_bytes


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
    """The nodes whose weights onnxruntime's dynamic quantization makes integers."""
    layers = {node.scope for node in graph.nodes}
    float_layers = {name for name, section in quantized_layers(variant, layers).items() if section is None}
    return [node for node in graph.nodes if node.op in DYNAMIC_OPS and node.scope not in float_layers]
