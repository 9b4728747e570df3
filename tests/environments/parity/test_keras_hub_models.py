"""Compares imports of KerasHub's models with results of `sh tests/environments/parity/run.sh keras_hub`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from keras_hub_files import FIXTURE, LEARNING_RATE, STEPS, drawn_inputs, drawn_labels, write_archive

RECORDED: dict[str, dict[str, Any]] = json.loads(FIXTURE.read_text())
TOLERANCE = 1e-5
"""Of outputs in relation to the largest one, if this exceeds 1."""


def imported(case: dict[str, Any], folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    path = folder / "model.keras"
    write_archive(path, case["config"], case["arrays"], case.get("values", {}), case.get("assets", {}))
    spec, weights = jsonnx.from_keras(path)
    assert weights is not None
    return spec, dict(weights)


@pytest.mark.parametrize("name", RECORDED)
def test_outputs_equal_those_of_keras_hub(name: str, tmp_path: Path) -> None:
    case = RECORDED[name]
    spec, weights = imported(case, tmp_path)
    assert set(spec["inputs"]) == set(case["inputs"])
    inputs = drawn_inputs({name: tuple(shape) for name, shape in case["inputs"].items()})
    outputs = jsonnx.compile(spec, weights=weights).session().run(inputs)
    for actual, expected in zip(outputs.values(), case["outputs"].values(), strict=True):
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(actual.ravel() / scale, np.array(expected) / scale, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", [name for name, case in RECORDED.items() if "losses" in case])
def test_losses_equal_those_of_keras_hub(name: str, tmp_path: Path) -> None:
    case = RECORDED[name]
    spec, weights = imported(case, tmp_path)
    loss = {"type": "sparse_categorical_crossentropy", "from_logits": True}
    optimizer = {"type": "sgd", "learning_rate": LEARNING_RATE}
    trainer = jsonnx.Trainer({**spec, "training": {"loss": loss, "optimizer": optimizer}})
    trainer.set_weights(weights)
    inputs = drawn_inputs({name: tuple(shape) for name, shape in case["inputs"].items()})
    (output,) = jsonnx.compile(spec, weights=weights).session().run(inputs).values()
    labels = drawn_labels(output.shape)
    losses = [trainer.step(inputs, labels)["loss"] for _ in range(STEPS)]
    assert losses == pytest.approx(case["losses"], rel=TOLERANCE)
