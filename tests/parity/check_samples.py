"""The first 50 steps of every sample's network beside Keras, in one process: same weights, same batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest

from samples import NAMES, TOLERANCE, batches, deterministic, our_losses, our_trainer


@pytest.mark.parametrize("name", NAMES)
def test_the_losses_of_the_first_steps_are_keras_own(name: str, record_property: Any) -> None:
    found = our_losses(name)
    wanted = keras_losses(name)
    difference = np.abs(np.array(found) / np.array(wanted) - 1)
    record_property("loss", float(difference.max()))
    assert difference.max() < TOLERANCE


def keras_losses(name: str) -> list[float]:
    trainer = our_trainer(name)
    spec = deterministic(name)
    model = oracle.keras_model(spec)
    oracle.set_weights(model, trainer.weights())
    oracle.compile(model, spec)
    return oracle.train(model, batches(trainer))
