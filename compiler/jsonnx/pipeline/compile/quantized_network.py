"""The network of a spec with `training.quantize`: its rounding in evaluation, in training and in a compiled model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic
from ...core.reserved_names import FROZEN_RANGES, range_name
from ...core.types import TensorType
from ...frontend.network import Call
from ...frontend.networks.layer_patterns import quantized_layers
from ...ir import Builder, Graph, State, Value
from ...layers import Layer
from ...passes.canonicalize import canonicalize, merge_common_subexpressions
from ...passes.constant_folding import bind_weights
from ...passes.inference import STRUCTURAL_PASSES
from ...passes.quantization import (
    QuantizationOptions,
    QuantizationPlan,
    UnusableRange,
    plan_quantization,
    with_quantized_nodes,
)
from ...passes.quantization.corresponding_values import training_quantizers
from ...passes.quantization.fake_quantizers import (
    FakeActivation,
    FakeQuantizers,
    fake_quantizers,
    is_trained,
    with_fake_quantizers,
)
from ...passes.quantization.fold_normalization import fold_normalization
from ...training.weights.initializers import Constant
from ..check.check import CheckedSpec
from .graphs import forward_graph, inference_only

RANGE_MOMENTUM = 0.9
"""Momentum of the moving averages of ranges. With a larger one, ranges lag behind the values in the first epochs, and
clipped values have no gradient."""
RECURRENT_MODULES = Layer.__module__.rpartition(".")[0] + ".rnn."
"""The modules of recurrent layers."""
ZERO = Constant(value=0)
NOTHING_QUANTIZED_HELP = (
    "convolutions and matrix products can be quantized, unless `layers` of the variant leaves them in floating point; "
    "leave `quantize` out to train without rounding"
)


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """A network with the rounding of its compiled model.

    `graph` is `original` in the form of an inference model, with batch normalizations folded; `inference` is the part
    of it that a compiled model has.
    """

    original: Graph
    graph: Graph
    inference: Graph
    plan: QuantizationPlan
    quantizers: FakeQuantizers

    @property
    def dtype(self) -> str:
        """The element type of activations."""
        return self.plan.options.activation_dtype

    def evaluation_graph(self) -> Graph:
        """The network with its rounding, whose ranges are states."""
        return with_fake_quantizers(self.graph, self.quantizers, self._stored_range, self.dtype, training=False)

    def training_graph(self, training: Graph) -> Graph:
        """A forward pass in training with the same rounding, whose steps update the ranges. Raises NoCounterpart."""
        training = merge_common_subexpressions(training)
        folded = fold_normalization(training, training)
        quantizers = training_quantizers(self.quantizers, self.original, self.graph, training, folded)
        return with_fake_quantizers(folded, quantizers, self._updated_range, self.dtype, training=True)

    def bound(self, arrays: Mapping[str, np.ndarray]) -> Graph:
        """The graph of the compiled model, with QuantizeLinear and DequantizeLinear. Raises CompileError
        `not-quantizable`."""
        graph = canonicalize(bind_weights(self.inference, arrays))
        plan = trained_plan(graph, self.plan.options)
        if [each.key for each in plan.activations] != [each.key for each in self.plan.activations]:
            raise ValueError("the plans of a graph with and without its weights differ")
        return quantized_graph(graph, plan, self.ranges(arrays), "train again from the weights without ranges")

    def ranges(self, arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[float, float]]:
        """The trained ranges by key, among the weights of the network."""
        keys = [each.key for each in self.plan.activations]
        return {key: (float(arrays[range_name(key, "low")]), float(arrays[range_name(key, "high")])) for key in keys}

    def has_ranges(self, arrays: Mapping[str, np.ndarray]) -> bool:
        """Whether the weights have been trained with this rounding: a range is no longer empty."""
        return any(low < high for low, high in self.ranges(arrays).values())

    def _stored_range(self, g: Builder, quantizer: FakeActivation, x: Value) -> tuple[Value, Value]:
        """The union of the ranges of a group."""
        keys = [each.key for each in self.plan.activations if each.group == quantizer.group]
        lows, highs = zip(*(range_states(g, key) for key in keys), strict=True)
        return (lows[0], highs[0]) if len(keys) == 1 else (g.Min(*lows), g.Max(*highs))

    def _updated_range(self, g: Builder, quantizer: FakeActivation, x: Value) -> tuple[Value, Value]:
        """The union of the ranges of a group, of which the quantizer's own is updated.

        Its first range is that of the first batch. Zero is always in the range.
        """
        low, high = range_states(g, quantizer.key)
        is_frozen = g.Greater(frozen_ranges(g), 0.0)
        kept = g.Where(is_frozen, 1.0, g.Where(g.Equal(low, high), 0.0, g.const(RANGE_MOMENTUM)))
        taken = g.Sub(1.0, kept)
        seen = g.Min(g.ReduceMin(x, keepdims=0), 0.0), g.Max(g.ReduceMax(x, keepdims=0), 0.0)
        for state, bound in zip((low, high), seen, strict=True):
            g.assign(state, g.Add(g.Mul(state, kept), g.Mul(bound, taken)))
        lows, highs = [g.updates[low.name]], [g.updates[high.name]]
        for each in self.plan.activations:
            if each.group == quantizer.group and each.key != quantizer.key:
                for bounds, state in zip((lows, highs), range_states(g, each.key), strict=True):
                    bounds.append(state)
        return (lows[0], highs[0]) if len(lows) == 1 else (g.Min(*lows), g.Max(*highs))


def quantized_graph(
    graph: Graph, plan: QuantizationPlan, ranges: Mapping[str, tuple[float, float]], help: str
) -> Graph:
    """`with_quantized_nodes` with ranges of the user. Raises CompileError `not-quantizable`."""
    try:
        return with_quantized_nodes(graph, plan, ranges)
    except UnusableRange as error:
        raise CompileError([Diagnostic("not-quantizable", str(error), help=help)]) from error


def range_states(g: Builder, key: str) -> tuple[State, State]:
    """The least and the largest value of the range of a quantizer. They are equal before the first step."""
    low, high = (_scalar_state(g, range_name(key, bound)) for bound in ("low", "high"))
    return low, high


def frozen_ranges(g: Builder) -> State:
    """1 while ranges are frozen, else 0."""
    return _scalar_state(g, FROZEN_RANGES)


def _scalar_state(g: Builder, name: str) -> State:
    return g.states.setdefault(name, State(name, TensorType("float32", ()), ZERO))


def quantized_network(checked: CheckedSpec) -> QuantizedNetwork | None:
    """The network with the rounding of `training.quantize`; None without it. Raises CompileError if nothing of it can
    be quantized."""
    variant = checked.network.training_variant
    if variant is None:
        return None
    layers = {call.owner for call in checked.network.calls}
    sections = quantized_layers(variant, layers)
    bits = {name: None if section is None else section.bits for name, section in sections.items()}
    bits |= dict.fromkeys(call.owner for call in checked.network.calls if is_recurrent(call))
    original = canonicalize(forward_graph(checked))
    folded = fold_normalization(original, inference_only(original, checked.network))
    graph = reduce(lambda graph, apply: apply(graph), STRUCTURAL_PASSES, folded)
    inference = inference_only(graph, checked.network)
    options = QuantizationOptions(bits, variant.per_channel, variant.activations, are_final=True)
    plan = trained_plan(inference, options)
    if not plan.activations:
        report = checked.new_report()
        message = "no operator of the network can run on integers, so there is nothing to quantize"
        report.add("nothing-to-quantize", ("training", "quantize"), message, help=NOTHING_QUANTIZED_HELP)
        raise CompileError(report)
    return QuantizedNetwork(original, graph, inference, plan, fake_quantizers(plan, inference, graph))


def is_recurrent(call: Call) -> bool:
    """Whether training computes the steps of a layer by other operators."""
    module = type(call.layer).__module__
    return module.startswith(RECURRENT_MODULES) and not module.endswith(".time_distributed")


def trained_plan(graph: Graph, options: QuantizationOptions) -> QuantizationPlan:
    """The quantizers of a graph that training has, too."""
    plan = plan_quantization(graph, options)
    return replace(plan, stored=tuple(filter(is_trained, plan.stored)))


def trained_variant(checked: CheckedSpec) -> str:
    """The metadata of a model whose ranges were trained."""
    training, variant = checked.network.training, checked.network.training_variant
    assert training is not None
    assert variant is not None
    return json.dumps({"variant": training.quantize, "precision": variant.precision, "ranges": "trained"})
