"""Compares small networks with Keras in one process: outputs, metrics and weights after some steps.

Not collected by the ordinary suite: `sh tests/environments/parity/run.sh` runs it where Keras is installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np
import oracle
import pytest
from cases import Network, all_networks, trainer_of
from drawing import STEPS, Arrays, draw_batch, draw_weights, is_trained, single_or_named
from jsonnx.pipeline.train.trainer import Trainer

OUTPUT_TOLERANCE = 1e-5
"""Allowed error of outputs in inference and of metrics, relative to the greater of 1 and the value."""

WEIGHT_TOLERANCE = 1e-4
"""Allowed error of weights after all steps, relative to the greater of 0.01 and the change of the weight."""


@pytest.fixture(scope="module", autouse=True)
def quick_compiler() -> Iterator[None]:
    """Disables optimizations of JAX, since compilation dominates the time."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in all_networks()])
def test_outputs_metrics_and_weights_equal_those_of_keras(case: Network, record_property: Any) -> None:
    def measured(kind: str, error: float, tolerance: float) -> None:
        record_property(kind, float(error))
        assert error < tolerance, f"{kind} error"

    trainer, model = trainer_of(case.spec), oracle.keras_model(case.spec, initial=False)
    assert shapes(trainer.weights()) == shapes(oracle.weights(model)), "other weights"
    start = draw_weights(trainer.weights())
    trainer.set_weights(start)
    oracle.set_weights(model, start)
    batches = [draw_batch(case, trainer.plan, step) for step in range(STEPS)]

    measured("output", output_error(trainer, model, batches[0][0]), OUTPUT_TOLERANCE)
    if not is_trained(case, trainer.plan):
        return
    oracle.compile(model, case.spec)
    if case.evaluated:
        measured("evaluation", evaluation_error(trainer, model, *batches[0]), OUTPUT_TOLERANCE)
    metrics = ["loss"] if case.evaluated else None
    measured("figure", worst(metric_error(trainer, model, *batch, metrics) for batch in batches), OUTPUT_TOLERANCE)
    measured("weight", weight_error(start, trainer.weights(), oracle.weights(model)), WEIGHT_TOLERANCE)


def shapes(arrays: Arrays) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, array.shape) for name, array in arrays.items()]


# -- comparing ---------------------------------------------------------------------------------------------------------


def difference(actual: Any, expected: Any) -> float:
    """Returns the greatest difference, relative to the greater of 1 and the value."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    return float((np.abs(actual - expected) / np.maximum(1.0, np.abs(expected))).max(initial=0.0))


def output_error(trainer: Trainer, model: Any, x: Arrays) -> float:
    """Returns the error of the compiled model's outputs."""
    actual = trainer.model().session().run(x)
    expected = oracle.outputs(model, single_or_named(x))
    if len(actual) == 1:
        return difference(*actual.values(), *expected.values())
    return worst(difference(actual[name], expected[name]) for name in expected)


def evaluation_error(trainer: Trainer, model: Any, x: Arrays, y: Arrays) -> float:
    """Returns the error of the loss and the metrics of a batch in evaluation."""
    actual = trainer.evaluate(x, y)
    expected = model.evaluate(single_or_named(x), single_or_named(y), verbose=0, return_dict=True)
    assert set(actual) == set(expected)
    return worst(difference(actual[name], expected[name]) for name in expected)


def metric_error(trainer: Trainer, model: Any, x: Arrays, y: Arrays, metrics: list[str] | None = None) -> float:
    """Returns the error of the loss and the metrics of one step."""
    actual = trainer.step(x, y)
    model.reset_metrics()
    expected = model.train_on_batch(single_or_named(x), single_or_named(y), return_dict=True)
    assert set(actual) == set(expected)
    return worst(difference(actual[name], expected[name]) for name in metrics or expected)


def weight_error(start: Arrays, actual: Arrays, expected: Arrays) -> float:
    """Returns the error of all weights, including those that training must not change."""

    errors = []
    for name, value in expected.items():
        moved = np.abs(value - start[name]).max(initial=0.0)
        errors.append(np.abs(actual[name] - value).max(initial=0.0) / max(moved, 0.01))
    return worst(errors)


def worst(errors: Iterable[float]) -> float:
    """Returns the greatest error, or NaN if any is NaN."""
    return float(np.max(list(errors)))
