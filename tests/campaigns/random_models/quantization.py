"""What holds for the quantized form of any network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from jsonnx.backend import serialize, to_model_proto
from jsonnx.ir import Graph
from jsonnx.passes.canonicalize import canonicalize
from jsonnx.passes.constant_folding import bind_weights
from jsonnx.passes.inference import (
    QUANTIZATION_PASSES,
    optimize_for_inference,
    propagate_transposes_for_inference,
)
from jsonnx.passes.quantization import (
    QuantizationOptions,
    plan_quantization,
    with_quantized_nodes,
    with_quantized_weights,
)
from jsonnx.pipeline.check.check import CheckedSpec
from jsonnx.pipeline.compile.graphs import inference_graph
from jsonnx.pipeline.compile.model import Model
from support.quantized_reference import observed_ranges, quantized_reference

from .compare import OracleError, run, session
from .values import SIZES, Arrays

ROUNDING = 1e-5
"""Allowed error of results without optimization, relative to the greatest element of a tensor."""
MAX_FLIPPED_FRACTION = 0.02
"""The part of the elements that may be further off: a number that lies between two steps is rounded to either."""


WITHIN_LAYER = re.compile(r"/[A-Z]\w*_\d+$")
"""The end of the key of a value that does not leave its layer, which another form of the layer may not have."""


class QuantizedCase(Protocol):
    @property
    def checked(self) -> CheckedSpec: ...
    @property
    def weights(self) -> Arrays: ...
    @property
    def compiled(self) -> Model: ...
    def feeds(self, sizes: Mapping[str, int] = SIZES[0], draw: int = 0) -> Arrays: ...


def quantization(case: QuantizedCase) -> None:
    """The quantized model keeps the types of inputs and outputs, and computes what NumPy rounds; its quantizers have
    the same keys with and without weights."""
    check_keys(case)
    graph = case.compiled.quantizable_graph
    for options in (QuantizationOptions(stored=False), QuantizationOptions(activation_dtype="int8", per_channel=False)):
        plan = plan_quantization(graph, options)
        ranges = observed_ranges(graph, plan, case.feeds())
        if not np.isfinite([*ranges.values()]).all():
            return
        result = with_quantized_nodes(graph, plan, ranges)
        check_model(graph, result, case.feeds(SIZES[1]))
        if not options.stored:
            actual = run(to_model_proto(result), case.feeds(), optimize=False)
            check_rounding(actual, quantized_reference(graph, plan, ranges, case.feeds()))
    for bits in (8, 4):
        check_model(graph, with_quantized_weights(graph, bits), case.feeds(SIZES[1]))


def check_keys(case: QuantizedCase) -> None:
    """Checks graphs in which a Dense layer is a product, as in training, not a convolution."""
    unbound = inference_graph(case.checked)
    passes = [apply for apply in QUANTIZATION_PASSES if apply is not propagate_transposes_for_inference]
    bound = optimize_for_inference(canonicalize(bind_weights(unbound, case.weights)), passes)
    keys, expected = keys_of(unbound), keys_of(bound)
    if keys != expected:
        raise OracleError("quantization", f"quantizers depend on bound weights: {sorted({*keys} ^ {*expected})}")


def keys_of(graph: Graph) -> list[tuple[str, str, bool]]:
    """The quantizers of the results of layers, whether or not a normalization of an input changes anything."""
    return sorted(
        (each.key.removesuffix("/scaled"), each.group.removesuffix("/scaled"), each.keeps_float)
        for each in plan_quantization(graph).activations
        if not WITHIN_LAYER.search(each.key)
    )


def check_model(graph: Graph, result: Graph, feeds: Arrays) -> None:
    before, after = to_model_proto(graph), to_model_proto(result)
    if list(before.graph.input) != list(after.graph.input) or list(before.graph.output) != list(after.graph.output):
        raise OracleError("quantization", "inputs or outputs have other types")
    expected, actual = run(before, feeds), run(session(serialize(after)), feeds)
    for name, array in expected.items():
        if array.shape != actual[name].shape or array.dtype != actual[name].dtype:
            raise OracleError("quantization", f"{name} has another type")


def check_rounding(actual: Arrays, expected: Arrays) -> None:
    for name, array in expected.items():
        if array.dtype.kind != "f":
            continue
        largest = np.abs(array[np.isfinite(array)]).max(initial=0)
        is_close = np.isclose(actual[name], array, rtol=ROUNDING, atol=ROUNDING * largest, equal_nan=True)
        if is_close.mean() < 1 - MAX_FLIPPED_FRACTION:
            raise OracleError("quantization", f"{name} differs from NumPy in {np.count_nonzero(~is_close)} elements")
