"""Small networks beside Keras, in one process: the same outputs, and the same figures and weights after some steps.

Not collected by the ordinary suite: `sh tests/parity/run.sh` runs it where Keras is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import oracle
import pytest
from cases import Network, all_networks
from jsonnx.api import Trainer
from training.cases import draw

STEPS = 3

OUTPUT_TOLERANCE = 1e-5
"""Of outputs in inference and of reported figures, relative to the greater of 1 and the value."""

WEIGHT_TOLERANCE = 1e-4
"""Of weights after all steps, relative to how far the weight moved (or to a hundredth, if it moved less)."""

NOT_TRAINED = {"layer-normalization"}
"""A variance of 0 scales by 1e7: the second step overflows, in Keras as here."""

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module", autouse=True)
def quick_compiler() -> Iterator[None]:
    """Nearly all time goes into compiling for JAX."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in all_networks()])
def test_a_network_computes_and_learns_what_keras_does(case: Network, record_property: Any) -> None:
    def measured(kind: str, error: float, tolerance: float) -> None:
        record_property(kind, error)
        assert error < tolerance, f"{kind} error"

    trainer, model = Trainer(case.spec), oracle.keras_model(case.spec, initial=False)
    assert shapes(trainer.weights()) == shapes(oracle.weights(model)), "other weights"
    start = draw_weights(trainer.weights(), np.random.default_rng(1))
    trainer.set_weights(start)
    oracle.set_weights(model, start)
    batches = [draw_batch(case, trainer, step) for step in range(STEPS)]

    measured("output", output_error(trainer, model, batches[0][0]), OUTPUT_TOLERANCE)
    if case.id in NOT_TRAINED or not learns(trainer):
        return
    oracle.compile(model, case.spec)
    measured("figure", max(figure_error(trainer, model, *batch) for batch in batches), OUTPUT_TOLERANCE)
    measured("weight", weight_error(start, trainer.weights(), oracle.weights(model)), WEIGHT_TOLERANCE)


def learns(trainer: Trainer) -> bool:
    """Whether a step changes a weight, and takes no random numbers."""
    step = trainer.plan.train
    return not step.randoms and any(weight.trainable for weight in step.parameters.values())


def shapes(arrays: Arrays) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, array.shape) for name, array in arrays.items()]


# -- drawing -----------------------------------------------------------------------------------------------------------


def draw_weights(initial: Arrays, rng: np.random.Generator) -> Arrays:
    """Arbitrary weights in place of the initial ones, which are often zeros or ones."""

    def drawn(name: str, array: np.ndarray) -> np.ndarray:
        if array.dtype.kind != "f":
            return array
        values = rng.uniform(0.5, 1.5, array.shape) if "variance" in name else rng.normal(size=array.shape) * 0.5
        return values.astype(array.dtype)

    return {name: drawn(name, array) for name, array in initial.items()}


def draw_batch(case: Network, trainer: Trainer, step: int) -> tuple[Arrays, Arrays]:
    """Inputs and targets by name, symbolic sizes filled in."""
    rng = np.random.default_rng([2, step])
    plan = trainer.plan

    def fixed(shape: tuple[Any, ...]) -> tuple[int, ...]:
        return (case.batch, *(size if isinstance(size, int) else case.sizes[step] for size in shape[1:]))

    x = {
        name: rng.normal(size=fixed(type.shape)).astype("float32")
        if type.dtype == "float32"
        else rng.integers(0, case.integers or 2, fixed(type.shape)).astype(type.dtype)
        for name, type in plan.inputs.items()
    }
    y = {name: draw(case.target, fixed(type.shape), rng) for name, type in plan.outputs.items()}
    return x, y


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
    return max(difference(found[name], wanted[name]) for name in wanted)


def figure_error(trainer: Trainer, model: Any, x: Arrays, y: Arrays) -> float:
    """Of the loss and the metrics of one step."""
    found = trainer.step(x, y)
    model.reset_metrics()
    wanted = model.train_on_batch(alone(x), alone(y), return_dict=True)
    assert set(found) == set(wanted)
    return max(difference(found[name], wanted[name]) for name in wanted)


def weight_error(start: Arrays, found: Arrays, wanted: Arrays) -> float:
    """Of the weights that training changed, and of those that it should have left alone."""

    def error(name: str) -> float:
        moved = np.abs(wanted[name] - start[name]).max(initial=0.01)
        return float(np.abs(found[name] - wanted[name]).max(initial=0.0) / moved)

    return max(error(name) for name in wanted)


def alone(arrays: Arrays) -> Any:
    """The only array, or all by name."""
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays
