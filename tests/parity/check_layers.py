"""Small networks beside Keras, in one process: the same outputs, and the same figures and weights after some steps.

Not collected by the ordinary suite: `sh tests/parity/run.sh` runs it where Keras is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import oracle
import pytest
from cases import Network, all_networks
from training.cases import draw

from jsonnx.api import Trainer

STEPS = 3

OUTPUT_TOLERANCE = 1e-5
"""Of outputs in inference and of reported figures, relative to the greater of 1 and the value."""

WEIGHT_TOLERANCE = 1e-4
"""Of weights after all steps, relative to how far the weight moved (or to a hundredth, if it moved less)."""

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def worst(request: pytest.FixtureRequest) -> Iterator[dict[str, dict[str, float]]]:
    """The errors of every case by kind, summed up in a line at the end."""
    errors: dict[str, dict[str, float]] = {"output": {}, "figure": {}, "weight": {}}
    yield errors
    lines = []
    for kind, found in errors.items():
        case = max(found, key=found.__getitem__, default="")
        lines.append(f"worst {kind} error {found.get(case, 0.0):.1e} ({case})")
    counts = f"{len(errors['output'])} networks, {len(errors['weight'])} trained"
    request.config.get_terminal_writer().line(f"\n{counts}; " + ", ".join(lines))


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in all_networks()])
def test_a_network_computes_and_learns_what_keras_does(case: Network, worst: dict[str, dict[str, float]]) -> None:
    trainer, model = Trainer(case.spec), oracle.keras_model(case.spec)
    assert shapes(trainer.weights()) == shapes(oracle.weights(model)), "other weights"
    start = draw_weights(trainer.weights(), np.random.default_rng(1))
    trainer.set_weights(start)
    oracle.set_weights(model, start)
    batches = [draw_batch(case, trainer, step) for step in range(STEPS)]

    worst["output"][case.id] = output_error(trainer, model, batches[0][0])
    assert worst["output"][case.id] < OUTPUT_TOLERANCE
    if trainer.plan.train.randoms or not any(weight.trainable for weight in trainer.plan.train.parameters.values()):
        return

    oracle.compile(model, case.spec, jit=False)
    worst["figure"][case.id] = max(figure_error(trainer, model, *batch) for batch in batches)
    assert worst["figure"][case.id] < OUTPUT_TOLERANCE
    worst["weight"][case.id] = weight_error(start, trainer.weights(), oracle.weights(model))
    assert worst["weight"][case.id] < WEIGHT_TOLERANCE


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
