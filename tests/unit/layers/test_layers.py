"""Generic tests of every layer, over its cases: JSON round trip, inferred types, symbolic batch size, gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.core.types import evaluate_size
from jsonnx.ir import Graph
from support.harness import check_gradients, draw_weights, lower, make_layer, one_layer, run

from .cases import Case, all_cases

CASES = all_cases()
each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])


def feeds_of(case: Case, batch: int, rng: np.random.Generator, dtype: str) -> dict[str, np.ndarray]:
    if case.strings is not None:
        return {
            f"x{i}": rng.choice(np.array(case.strings, object), (batch, *shape)) for i, shape in enumerate(case.inputs)
        }
    if case.integers is not None:
        return {f"x{i}": rng.integers(0, case.integers, (batch, *shape)) for i, shape in enumerate(case.inputs)}
    shapes = {f"x{i}": (batch, *shape) for i, shape in enumerate(case.inputs)}
    drawn = {
        name: rng.normal(size=shape) if case.within is None else rng.uniform(*case.within, shape)
        for name, shape in shapes.items()
    }
    drawn |= {f"x{i}": rng.integers(0, 2, shapes[f"x{i}"]) for i in case.masks}
    return {name: values.astype(dtype) for name, values in drawn.items()}


def draws_of(graph: Graph, batch: int, rng: np.random.Generator, dtype: str) -> dict[str, np.ndarray]:
    """Draws dropout masks for a batch."""
    sizes = {"batch": batch}
    return {
        name: np.where(
            rng.random([evaluate_size(size, sizes) for size in random.shape]) < random.keep, random.scale, 0.0
        ).astype(dtype)
        for name, random in graph.randoms.items()
    }


def network(case: Case):
    return one_layer(case.layer, *case.inputs, dtype=case.dtype)


@pytest.mark.costly(2)
@each_case
def test_layers_round_trip_through_json(case: Case) -> None:
    layer = make_layer(case.layer)
    assert make_layer(layer.to_json()) == layer


def as_real_numbers(value: Any) -> Any:
    """The value with 3.0 in place of 3, which JSON does not tell apart."""
    if isinstance(value, dict):
        return {key: as_real_numbers(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_real_numbers(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@pytest.mark.costly(2)
@each_case
def test_integers_may_be_written_as_real_numbers(case: Case) -> None:
    assert make_layer(as_real_numbers(case.layer)).to_json() == make_layer(case.layer).to_json()


@pytest.mark.costly(12)
@each_case
def test_results_have_the_inferred_shapes_for_any_batch_size(case: Case) -> None:
    typed = network(case)
    rng = np.random.default_rng(0)
    for training in (False, True):
        graph = lower(typed, training=training)
        if graph.randoms:
            continue
        for batch in (1, 3):
            feeds = feeds_of(case, batch, rng, "float32") | draw_weights(graph, rng)
            for name, result in run(graph, feeds).items():
                if name in typed.outputs:
                    sizes = {"text.tokens": -1, "batch": batch}  # data-dependent, so not checked
                    expected = [evaluate_size(size, sizes) for size in typed.outputs[name].shape]
                    assert [a if e == -1 else e for a, e in zip(result.shape, expected, strict=True)] == [*result.shape]


@pytest.mark.costly(16)
@each_case
def test_gradients_equal_finite_differences(case: Case) -> None:
    if not case.smooth:
        pytest.skip("the case is marked as not smooth")
    typed = network(case)
    rng = np.random.default_rng(1)
    graph = lower(typed, training=True, float_dtype="float64")
    feeds = feeds_of(case, 3, rng, "float64") | draw_weights(graph, rng)
    feeds |= draws_of(graph, 3, rng, "float64")
    masks = {f"x{i}" for i in case.masks}
    differentiated = [
        *(name for name in typed.inputs if case.dtype == "float32" and name not in masks),
        *graph.parameters,
    ]
    if differentiated:
        assert check_gradients(graph, feeds, differentiated) < 1e-6
