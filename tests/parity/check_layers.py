"""Small networks beside Keras, in one process: the same outputs, and the same figures and weights after some steps.

Not collected by the ordinary suite: `sh tests/parity/run.sh` runs it where Keras is installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np
import oracle
import pytest
from cases import Network, all_networks
from drawing import STEPS, Arrays, alone, draw_batch, draw_weights, learns
from jsonnx.pipeline.trainer import Trainer

OUTPUT_TOLERANCE = 1e-5
"""Of outputs in inference and of reported figures, relative to the greater of 1 and the value."""

WEIGHT_TOLERANCE = 1e-4
"""Of weights after all steps, relative to how far the weight moved (or to a hundredth, if it moved less)."""


@pytest.fixture(scope="module", autouse=True)
def quick_compiler() -> Iterator[None]:
    """Nearly all time goes into compiling for JAX."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in all_networks()])
def test_a_network_computes_and_learns_what_keras_does(case: Network, record_property: Any) -> None:
    def measured(kind: str, error: float, tolerance: float) -> None:
        record_property(kind, float(error))
        assert error < tolerance, f"{kind} error"

    trainer, model = Trainer(case.spec), oracle.keras_model(case.spec, initial=False)
    assert shapes(trainer.weights()) == shapes(oracle.weights(model)), "other weights"
    start = draw_weights(trainer.weights())
    trainer.set_weights(start)
    oracle.set_weights(model, start)
    batches = [draw_batch(case, trainer.plan, step) for step in range(STEPS)]

    measured("output", output_error(trainer, model, batches[0][0]), OUTPUT_TOLERANCE)
    if not learns(case, trainer.plan):
        return
    oracle.compile(model, case.spec)
    if case.evaluated:
        measured("evaluation", evaluation_error(trainer, model, *batches[0]), OUTPUT_TOLERANCE)
    figures = ["loss"] if case.evaluated else None
    measured("figure", worst(figure_error(trainer, model, *batch, figures) for batch in batches), OUTPUT_TOLERANCE)
    measured("weight", weight_error(start, trainer.weights(), oracle.weights(model)), WEIGHT_TOLERANCE)


def shapes(arrays: Arrays) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, array.shape) for name, array in arrays.items()]


# -- comparing ---------------------------------------------------------------------------------------------------------


def difference(found: Any, wanted: Any) -> float:
    """The greatest difference, relative to the greater of 1 and the value."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    return float((np.abs(found - wanted) / np.maximum(1.0, np.abs(wanted))).max(initial=0.0))


def output_error(trainer: Trainer, model: Any, x: Arrays) -> float:
    """Of the deployed model's outputs."""
    found = trainer.model().session().run(x)
    wanted = oracle.outputs(model, alone(x))
    if len(found) == 1:
        return difference(*found.values(), *wanted.values())
    return worst(difference(found[name], wanted[name]) for name in wanted)


def evaluation_error(trainer: Trainer, model: Any, x: Arrays, y: Arrays) -> float:
    """Of the loss and the metrics of a batch without a step."""
    found = trainer.evaluate(x, y)
    wanted = model.evaluate(alone(x), alone(y), verbose=0, return_dict=True)
    assert set(found) == set(wanted)
    return worst(difference(found[name], wanted[name]) for name in wanted)


def figure_error(trainer: Trainer, model: Any, x: Arrays, y: Arrays, figures: list[str] | None = None) -> float:
    """Of the loss and the metrics of one step."""
    found = trainer.step(x, y)
    model.reset_metrics()
    wanted = model.train_on_batch(alone(x), alone(y), return_dict=True)
    assert set(found) == set(wanted)
    return worst(difference(found[name], wanted[name]) for name in figures or wanted)


def weight_error(start: Arrays, found: Arrays, wanted: Arrays) -> float:
    """Of the weights that training changed, and of those that it should have left alone."""

    errors = []
    for name, value in wanted.items():
        moved = np.abs(value - start[name]).max(initial=0.0)
        errors.append(np.abs(found[name] - value).max(initial=0.0) / max(moved, 0.01))
    return worst(errors)


def worst(errors: Iterable[float]) -> float:
    """The greatest, or NaN if there is one."""
    return float(np.max(list(errors)))
