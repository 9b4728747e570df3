"""Weights of samples and of classes: trainings of Keras, and the same through each way to give weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest

from .weight_cases import BATCH_SIZE, CASES, EPOCHS, Case, data_of, initial_weights

RECORDED = {
    result["name"]: result
    for result in json.loads((Path(__file__).parent / "fixtures" / "sample_weights.json").read_text("utf-8"))
}


def fitted(case: Case, **arguments: Any) -> tuple[jsonnx.Trainer, jsonnx.History]:
    """A trainer after 20 steps, and its history."""
    trainer = jsonnx.Trainer(case.spec, seed=0)
    trainer.set_weights(initial_weights({name: array.shape for name, array in trainer.weights().items()}))
    x, y, weights = data_of(case)
    arguments = {**case.fit, **arguments}
    if "sample_weight" in arguments:
        arguments["sample_weight"] = weights
    return trainer, trainer.fit(x, y, batch_size=BATCH_SIZE, epochs=EPOCHS, shuffle=False, **arguments)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_weighted_training_equals_that_of_keras(case: Case) -> None:
    recorded = RECORDED[case.name]
    trainer, history = fitted(case)
    assert sorted(history.history) == sorted(recorded["history"])
    for name, figures in history.history.items():
        np.testing.assert_allclose(figures, recorded["history"][name], rtol=1e-5, atol=1e-5, err_msg=name)
    for name, array in trainer.weights().items():
        np.testing.assert_allclose(array, recorded["weights"][name], rtol=1e-4, atol=1e-5, err_msg=name)
