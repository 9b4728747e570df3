"""Compares a layer and its gradients on a provider with the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
from jsonnx.backend import serialize, to_model_proto
from jsonnx.ir import Graph
from jsonnx.passes.canonicalize import canonicalize
from jsonnx.passes.layout import propagate_transposes
from jsonnx.pipeline.compile.target_forms import write_for_target
from jsonnx.runtime.execution.runner import OPTIMIZATION_LEVEL
from jsonnx.runtime.providers.providers import create_session, resolve_provider
from support.harness import draw_weights, lower, with_gradients
from unit.layers.test_layers import draws_of, feeds_of, network

TOLERANCE = 1e-4
"""Maximum error relative to the largest element."""
ABSOLUTE_TOLERANCE = 5e-6
"""Maximum error of sums whose terms cancel out, such as the gradient of an attention key's bias."""
"""Of the greatest element of a tensor."""


def disagreement(case: Any, provider: str, options: Mapping[str, Any] | None = None) -> str:
    """How an output or gradient of a test case differs from the CPU's; empty if none does."""
    rng = np.random.default_rng(0)
    typed = network(case)
    graph = propagate_transposes(lower(typed, training=True))
    feeds = feeds_of(case, 3, rng, "float32") | draw_weights(graph, rng)
    feeds |= draws_of(graph, 3, rng, "float32")
    masks = {f"x{index}" for index in case.masks}
    inputs = [name for name, type in typed.inputs.items() if type.dtype == "float32" and name not in masks]
    real = any(value.dtype == "float32" for value in graph.outputs.values())
    step = with_gradients(graph, [*inputs, *graph.parameters]) if real else graph
    plain = canonicalize(replace(step, outputs={**graph.outputs, **step.outputs}))
    expected = computed(plain, "cpu", feeds)
    actual = computed(write_for_target(plain, provider), provider, feeds, options)
    errors = (difference(actual[name], array) for name, array in expected.items())
    return "; ".join(f"{name}: {error}" for name, error in zip(expected, errors, strict=True) if error)


def computed(
    graph: Graph, provider: str, feeds: Mapping[str, np.ndarray], options: Mapping[str, Any] | None = None
) -> dict[str, np.ndarray]:
    model = serialize(to_model_proto(graph))
    session = create_session(model, resolve_provider(provider, options), optimization=OPTIMIZATION_LEVEL)
    inputs = {value.name: _in_type_of(value, feeds[value.name]) for value in session.get_inputs()}
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def _in_type_of(value: onnxruntime.NodeArg, array: np.ndarray) -> np.ndarray:
    """The array as an input takes it: integers of int64 are int32 on WebGPU."""
    return array.astype(np.int32) if value.type == "tensor(int32)" else array


def difference(actual: np.ndarray, expected: np.ndarray) -> str:
    """How an array differs from the expected one; empty if it does not."""
    if expected.dtype.kind != "f":
        return "" if np.array_equal(actual, expected) else "it differs"
    if not np.array_equal(np.isfinite(actual), np.isfinite(expected)):
        return "other elements are finite"
    finite = np.isfinite(expected)
    error = np.abs(actual[finite] - expected[finite]).max(initial=0.0)
    tolerance = TOLERANCE * np.abs(expected[finite]).max(initial=0.0) + ABSOLUTE_TOLERANCE
    return "" if error <= tolerance else f"an error of {error:.3g}"
