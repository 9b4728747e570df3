"""Compares the test accuracy of the samples with Keras; each uses its own initial weights and order of samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.run_data import part_of_spec
from jsonnx.pipeline.train.trainer import Trainer

from samples import SAMPLES

RUNS = {"mnist_mlp": (8, 10), "mnist_cnn": (4, 3), "vowels_lstm": (8, 100)}
"""Number of seeds and epochs: the epochs of the sample, except for the slowest one."""

TOLERANCE = 0.01
"""Allowed difference of the mean accuracies, in addition to twice the standard error of the difference.

Without a real difference, the test fails by chance less than once in 100,000 runs; a loss of accuracy of 0.01 plus four
standard errors is detected in 39 of 40 runs.
"""


@pytest.mark.parametrize("name", RUNS)
def test_accuracy_equals_that_of_keras(name: str, record_property: Any) -> None:
    seeds, epochs = RUNS[name]
    ours = np.array([our_accuracy(name, seed, epochs) for seed in range(1, seeds + 1)])
    theirs = np.array([keras_accuracy(name, seed, epochs) for seed in range(1, seeds + 1)])
    errors = [reached.std(ddof=1) / len(reached) ** 0.5 for reached in (ours, theirs)]
    for whose, reached, error in zip(("ours", "Keras"), (ours, theirs), errors, strict=True):
        text = f"mean {reached.mean():.4f} +- {error:.4f} of {' '.join(f'{one:.3f}' for one in reached)}"
        record_property(f"{name}, {whose}", text)
    difference = abs(ours.mean() - theirs.mean())
    record_property("mean accuracy", float(difference))
    assert difference < TOLERANCE + 2 * np.hypot(*errors)


def our_accuracy(name: str, seed: int, epochs: int) -> float:
    trainer = Trainer(SAMPLES / f"{name}.json", seed=seed)
    trainer.fit(epochs=epochs)
    return trainer.evaluate()["accuracy"]


def keras_accuracy(name: str, seed: int, epochs: int) -> float:
    import keras

    checked = check_spec(SAMPLES / f"{name}.json")
    spec: dict[str, Any] = checked.source.value
    plan = Trainer(checked).plan
    parts = {part: arrays(plan, part) for part in ("train", "test")}
    keras.utils.set_random_seed(seed)
    model = oracle.keras_model(spec)
    oracle.compile(model, spec)
    section = spec["training"]
    model.fit(*parts["train"], batch_size=section["batch_size"], epochs=epochs, verbose=0)
    return float(model.evaluate(*parts["test"], verbose=0, return_dict=True)["accuracy"])


def arrays(plan: Any, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns inputs and targets of one part of the sample's data."""
    samples = part_of_spec(plan, part)
    assert samples is not None
    feeds = samples.take(slice(None))
    (x,), (y,) = samples.inputs, samples.targets
    return feeds[x], feeds[f"{y}/target"]
