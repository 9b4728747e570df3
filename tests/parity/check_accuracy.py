"""What the samples reach on images and voices they never saw, beside Keras: each with its own initial weights and
order."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest
from jsonnx.api import Trainer
from jsonnx.runtime.data import from_spec
from jsonnx.validation import check

from samples import SAMPLES

SEEDS = {"mnist_mlp": 10, "mnist_cnn": 3, "vowels_lstm": 10}
LEEWAY = 0.01
"""Between the means of the accuracies."""


@pytest.mark.parametrize("name", SEEDS)
def test_the_accuracy_is_that_which_keras_reaches(name: str, record_property: Any) -> None:
    seeds = range(1, SEEDS[name] + 1)
    ours = [our_accuracy(name, seed) for seed in seeds]
    theirs = [keras_accuracy(name, seed) for seed in seeds]
    for whose, reached in (("ours", ours), ("Keras", theirs)):
        error = np.std(reached, ddof=1) / len(reached) ** 0.5
        print(f"\n{name}, {whose:5} {np.round(reached, 3)} mean {np.mean(reached):.4f} +- {error:.4f}", end="")
    record_property("mean accuracy", abs(np.mean(ours) - np.mean(theirs)))
    assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=LEEWAY)


def our_accuracy(name: str, seed: int) -> float:
    trainer = Trainer(SAMPLES / f"{name}.json", seed=seed)
    trainer.fit()
    return trainer.evaluate()["accuracy"]


def keras_accuracy(name: str, seed: int) -> float:
    import keras

    checked = check(SAMPLES / f"{name}.json")
    spec: dict[str, Any] = checked.source.value
    plan = Trainer(checked).plan
    parts = {part: arrays(plan, part) for part in ("train", "test")}
    keras.utils.set_random_seed(seed)
    model = oracle.keras_model(spec)
    oracle.compile(model, spec)
    section = spec["training"]
    model.fit(*parts["train"], batch_size=section["batch_size"], epochs=section["epochs"], verbose=0)
    return float(model.evaluate(*parts["test"], verbose=0, return_dict=True)["accuracy"])


def arrays(plan: Any, part: str) -> tuple[np.ndarray, np.ndarray]:
    """The sample's data as the network takes it."""
    samples = from_spec(plan, part)
    assert samples is not None
    feeds = samples.take(slice(None))
    (x,), (y,) = samples.inputs, samples.targets
    return feeds[x], feeds[f"{y}/target"]
