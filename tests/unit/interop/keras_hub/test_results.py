"""Imported models compute and train as KerasHub does: `tests/environments/parity/run.sh keras_hub` records results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from support.keras_hub_files import LEARNING_RATE, STEPS, drawn_inputs, drawn_labels, recorded_models, write_model

RECORDED = recorded_models()
TOLERANCE = 1e-5
"""Of outputs in relation to the largest one, if this exceeds 1."""


def imported(name: str, folder: Path) -> tuple[dict[str, Any], Any]:
    return jsonnx.from_keras(write_model(folder / "model.keras", RECORDED[name]))


def inputs_of(name: str) -> dict[str, np.ndarray]:
    return drawn_inputs({name: tuple(shape) for name, shape in RECORDED[name]["inputs"].items()})


def outputs_of(spec: dict[str, Any], weights: Any, name: str) -> list[np.ndarray]:
    return [*jsonnx.compile(spec, weights=weights).session().run(inputs_of(name)).values()]


@pytest.mark.parametrize("name", RECORDED)
def test_outputs_equal_those_of_keras_hub(name: str, tmp_path: Path) -> None:
    spec, weights = imported(name, tmp_path)
    assert set(spec["inputs"]) == set(RECORDED[name]["inputs"])
    for actual, values in zip(outputs_of(spec, weights, name), RECORDED[name]["outputs"].values(), strict=True):
        expected = np.array(values)
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(actual.ravel() / scale, expected / scale, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", [name for name, model in RECORDED.items() if "losses" in model])
def test_losses_equal_those_of_keras_hub(name: str, tmp_path: Path) -> None:
    spec, weights = imported(name, tmp_path)
    loss = {"type": "sparse_categorical_crossentropy", "from_logits": True}
    optimizer = {"type": "sgd", "learning_rate": LEARNING_RATE}
    trainer = jsonnx.Trainer({**spec, "training": {"loss": loss, "optimizer": optimizer}}, weights=weights)
    (output,) = outputs_of(spec, weights, name)
    labels = drawn_labels(output.shape)
    losses = [trainer.step(inputs_of(name), labels)["loss"] for _ in range(STEPS)]
    assert losses == pytest.approx(RECORDED[name]["losses"], rel=TOLERANCE)


def test_values_of_padding_do_not_matter(tmp_path: Path) -> None:
    spec, weights = imported("bert", tmp_path)
    inputs = inputs_of("bert")
    mask = inputs["padding_mask"] == 1
    session = jsonnx.compile(spec, weights=weights).session()
    results = [
        session.run({**inputs, "token_ids": np.where(mask, inputs["token_ids"], token).astype(np.int32)})
        for token in (0, 3)
    ]
    one, other = (result["last_hidden_state"][mask] for result in results)
    np.testing.assert_allclose(one, other, atol=1e-6)
