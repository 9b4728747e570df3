"""Compares the losses of the first 50 steps of every sample with Keras, with the same weights and batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest

from samples import NAMES, TOLERANCE, batches, deterministic, our_losses, our_trainer


@pytest.mark.parametrize("name", NAMES)
def test_losses_of_the_first_steps_equal_those_of_keras(name: str, record_property: Any) -> None:
    losses = our_losses(name)
    expected = keras_losses(name)
    difference = np.abs(np.array(losses) / np.array(expected) - 1)
    record_property("loss", float(difference.max()))
    assert difference.max() < TOLERANCE


def keras_losses(name: str) -> list[float]:
    trainer = our_trainer(name)
    spec = deterministic(name)
    model = oracle.keras_model(spec)
    oracle.set_weights(model, trainer.weights())
    oracle.compile(model, spec)
    return oracle.train(model, batches(trainer))
