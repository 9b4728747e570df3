"""Quantizes a model that is compiled from its spec and weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...backend import to_loadable, to_model_proto, to_model_writer
from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.files.loadable_model import LoadableModel
from ...ir import Constant, Graph, Node
from ...passes.quantization import (
    QuantizationOptions,
    QuantizationPlan,
    observed_graph,
    plan_quantization,
)
from ...passes.quantization.half_precision import with_half_precision
from ...runtime.quantization.calibration import NotFiniteError, Range, collected_ranges
from ...runtime.quantization.onnxruntime_tools import quantize_dynamic
from ...runtime.session.session import Session
from ...sections.quantization_section import STATIC_PRECISION, Precision, QuantizationVariant
from ..compile.model import Model
from ..compile.quantized_network import quantized_graph
from .calibration_samples import CalibrationSamples
from .quantizer import bits_by_layer, quantization_metadata

NO_CALIBRATION_HELP = (
    "name samples with --data FILE, or use a precision that needs none: int8-dynamic, float16, int8-weights"
)
UNUSABLE_RANGE_HELP = "find the samples with numbers that are so large, or leave the layer in floating point"

PLANNED_PRECISIONS: tuple[Precision, ...] = (STATIC_PRECISION, "int8-weights", "int4-weights")
UNNAMED_LAYER = object()
"""Stands for the settings of a layer that a variant does not name."""


@dataclass(frozen=True, eq=False)
class TrainedVariant:
    """A variant whose ranges were trained: its model, and the ranges by key."""

    variant: QuantizationVariant
    model: Model
    ranges: Mapping[str, Range]


class NetworkQuantizer:
    """Quantizes the graph of a model. `calibration` are the samples that ranges are measured on."""

    def __init__(
        self,
        model: Model,
        is_normalization: Callable[[Node], bool],
        calibration: CalibrationSamples | None,
        trained: TrainedVariant | None = None,
    ) -> None:
        self.float_model, self._trained = model, trained
        self._is_normalization, self._calibration = is_normalization, calibration
        self._ranges: dict[tuple[str, float], dict[str, Range]] = {}

    def layers(self, variant: QuantizationVariant) -> list[str]:
        """The layers that the variant quantizes."""
        if self._is_planned(variant):
            plan = self._plan(variant)
            return [*dict.fromkeys(quantizer.layer for quantizer in (*plan.weights, *plan.stored))]
        weighted = {
            node.scope: None
            for node in self.float_model.optimized_graph.nodes
            for x in node.inputs
            if isinstance(x, Constant) and x.dtype == "float32" and x.rank > 1 and x.name
        }
        return [name for name in weighted if variant.layers.get(name, UNNAMED_LAYER) is not None]

    def quantized(self, variant: QuantizationVariant) -> Model:
        """The model as a variant. Raises CompileError, UsageError."""
        if self._trained is not None and self.was_trained(variant):
            return self._trained.model
        metadata = quantization_metadata(variant)
        if variant.precision == "int8-dynamic":
            proto = quantize_dynamic(self.float_model.proto, variant.per_channel, self._float_nodes(variant))
            return self.float_model.with_proto(proto, metadata)
        return self.float_model.with_graph(self._transformed(self.graph(variant), variant), metadata)

    def graph(self, variant: QuantizationVariant) -> Graph:
        """The graph of the float model in the form that is quantized."""
        is_static = variant.precision == STATIC_PRECISION
        return self.float_model.quantizable_graph if is_static else self.float_model.optimized_graph

    def loadable(self, graph: Graph, variant: QuantizationVariant) -> LoadableModel:
        """A graph with the nodes of the model, such as one with further outputs, as a variant."""
        if variant.precision == "int8-dynamic":
            proto = quantize_dynamic(to_model_proto(graph), variant.per_channel, self._float_nodes(variant))
            return LoadableModel(proto.SerializeToString())
        return to_loadable(to_model_writer(self._transformed(graph, variant)))

    def was_trained(self, variant: QuantizationVariant) -> bool:
        """Whether the ranges of a variant were trained, not measured."""
        return self._trained is not None and variant == self._trained.variant

    def _transformed(self, graph: Graph, variant: QuantizationVariant) -> Graph:
        if not self._is_planned(variant):
            float_layers = [name for name, section in variant.layers.items() if section is None]
            return with_half_precision(graph, self._is_normalization, float_layers)
        plan = self._plan(variant)
        ranges = self._calibrated(plan, variant) if plan.options.activations else {}
        return quantized_graph(graph, plan, ranges, UNUSABLE_RANGE_HELP)

    def _is_planned(self, variant: QuantizationVariant) -> bool:
        """Whether quantizers are placed in the graph."""
        return variant.precision in PLANNED_PRECISIONS

    def _plan(self, variant: QuantizationVariant) -> QuantizationPlan:
        bits = 4 if variant.precision == "int4-weights" else 8
        is_static = variant.precision == STATIC_PRECISION
        options = QuantizationOptions(
            bits_by_layer(variant), variant.per_channel, variant.activations, bits, activations=is_static
        )
        return plan_quantization(self.graph(variant), options)

    def _float_nodes(self, variant: QuantizationVariant) -> list[str]:
        """The nodes of the file that belong to layers that stay in floating point."""
        layers = {name for name, section in variant.layers.items() if section is None}
        nodes = self.float_model.proto.graph.node if layers else ()
        return [node.name for node in nodes if node.name.removeprefix("/").rpartition("/")[0] in layers]

    def _calibrated(self, plan: QuantizationPlan, variant: QuantizationVariant) -> Mapping[str, Range]:
        """The ranges of the values of a plan; those of a method are measured once, for all values that are quantized if
        no layer stays in floating point."""
        if self._trained is not None and self.was_trained(variant):
            return self._trained.ranges
        method = variant.calibration.method
        key = method, variant.calibration.percentile if method == "percentile" else 0.0
        known = self._ranges.setdefault(key, {})
        if any(quantizer.key not in known for quantizer in plan.activations):
            whole = plan_quantization(self.float_model.quantizable_graph, QuantizationOptions())
            known |= self._measured(whole, *key)
        if any(quantizer.key not in known for quantizer in plan.activations):
            known |= self._measured(plan, *key)
        return known

    def _measured(self, plan: QuantizationPlan, method: str, percentile: float) -> dict[str, Range]:
        if self._calibration is None:
            message = "int8 needs samples to measure the ranges of activations, and there are none"
            raise UsageError("no-data", message, NO_CALIBRATION_HELP)
        if not plan.activations:
            return {}
        observed = observed_graph(self.float_model.quantizable_graph, plan)
        session = Session(to_loadable(to_model_writer(observed)))
        try:
            return collected_ranges(map(session.run, self._calibration.batches()), method, percentile)
        except NotFiniteError as error:
            message = f"the values of {error.key!r} are not finite on the samples of calibration"
            help = "find the samples with NaN or infinity, or the layer that computes them: `jsonnx trace`"
            raise CompileError([Diagnostic("not-finite", message, help=help)]) from error
