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

SEEDS = (1, 2, 3)
LEEWAY = 0.01
"""By how much the mean accuracy may fall short of Keras'."""


@pytest.mark.parametrize("name", ["mnist_mlp", "mnist_cnn", "vowels_lstm"])
def test_the_accuracy_is_that_which_keras_reaches(name: str) -> None:
    ours = [our_accuracy(name, seed) for seed in SEEDS]
    theirs = [keras_accuracy(name, seed) for seed in SEEDS]
    for who, reached in (("ours", ours), ("Keras", theirs)):
        print(f"\n{name}: {who} {np.round(reached, 4)}, mean {np.mean(reached):.4f}")
    assert np.mean(ours) > np.mean(theirs) - LEEWAY


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
