"""Draws weights, inputs and targets for the networks of `cases` deterministically."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import Network
from unit.training.cases import draw

Arrays = dict[str, np.ndarray]

STEPS = 3
"""Number of training steps that are compared."""

NOT_TRAINED = {"layer-normalization"}
"""Networks that overflow in the second step, here and in Keras: a variance of 0 scales by 1e7."""


def draw_weights(initial: Arrays) -> Arrays:
    """Draws weights in place of the initial ones, which are often zeros or ones."""
    rng = np.random.default_rng(1)

    def drawn(name: str, array: np.ndarray) -> np.ndarray:
        if array.dtype.kind != "f":
            return array
        values = (
            rng.uniform(0.5, 1.5, array.shape)
            if "variance" in name or "stddev" in name
            else rng.normal(size=array.shape) * 0.5
        )
        return values.astype(array.dtype)

    return {name: drawn(name, array) for name, array in initial.items()}


def draw_batch(case: Network, plan: Any, step: int) -> tuple[Arrays, Arrays]:
    """Draws inputs and targets of one step by name, with values for symbolic sizes."""
    rng = np.random.default_rng([2, step])

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


def is_trained(case: Network, plan: Any) -> bool:
    """Whether a step changes weights and uses no random numbers, so that training can be compared."""
    trainable = any(weight.trainable for weight in plan.train.parameters.values())
    return trainable and not (plan.train.randoms or plan.augmented_inputs) and case.id not in NOT_TRAINED


def digest(outputs: Arrays) -> float:
    """Returns a number that depends on every element of the outputs."""
    rng = np.random.default_rng(3)
    values = np.concatenate([np.ravel(outputs[name]) for name in sorted(outputs)]).astype("float64")
    return float(values @ rng.normal(size=values.size) / max(1, values.size) ** 0.5)


def single_or_named(arrays: Arrays) -> Any:
    """Returns a single array, or several by name, as Keras accepts them."""
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays
