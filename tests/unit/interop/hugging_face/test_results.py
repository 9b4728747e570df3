"""Imported models compute and train as transformers does: fixtures are recorded by tests/environments/hugging_face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from support.hugging_face_folders import FIXTURES, Fixture, fixture, write_fixture

NAMES = sorted(file.stem for file in FIXTURES.glob("*.json"))
TRAINED = [name for name in NAMES if "training" in fixture(name)]
TOLERANCE = 2e-5
"""Absolute difference of values around 1."""


def feeds(recorded: Fixture) -> dict[str, np.ndarray]:
    """The recorded inputs; images get their channels last."""
    arrays = {name: np.array(value) for name, value in recorded["inputs"].items()}
    if "pixel_values" in arrays:
        arrays["pixel_values"] = arrays["pixel_values"].astype(np.float32).transpose(0, 2, 3, 1)
    return arrays


def run(spec: dict[str, Any], weights: Any, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return jsonnx.Session(jsonnx.compile(spec, weights=weights)).run(inputs)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_equal_those_of_transformers(name: str, tmp_path: Path) -> None:
    recorded = fixture(name)
    inputs = feeds(recorded)
    results = run(*jsonnx.from_hugging_face(write_fixture(tmp_path / "model", name)), inputs)
    assert results.keys() == recorded["outputs"].keys()
    for output, values in recorded["outputs"].items():
        actual, expected = results[output], np.array(values)
        if actual.ndim == 3 and "attention_mask" in inputs:
            actual, expected = (array[inputs["attention_mask"] == 1] for array in (actual, expected))
        np.testing.assert_allclose(actual, expected, atol=TOLERANCE)


@pytest.mark.parametrize("name", TRAINED)
def test_losses_of_steps_equal_those_of_pytorch(name: str, tmp_path: Path) -> None:
    recorded = fixture(name)
    no_dropout = {key: 0.0 for key, value in recorded["config"].items() if "drop" in key and value}
    spec, weights = jsonnx.from_hugging_face(write_fixture(tmp_path / "model", name, **no_dropout))
    steps = recorded["training"]
    spec["training"] = {
        "loss": {"type": "sparse_categorical_crossentropy", "from_logits": True},
        "optimizer": {"type": "sgd", "learning_rate": steps["learning_rate"]},
        "epochs": len(steps["losses"]),
    }
    trainer = jsonnx.Trainer(spec, weights=weights)
    history = trainer.fit(feeds(recorded), np.array(steps["labels"]), verbose=0)
    np.testing.assert_allclose(history.history["loss"], steps["losses"], rtol=TOLERANCE)


@pytest.mark.parametrize("name", ["bert", "distilbert", "modernbert", "roberta"])
def test_padding_changes_no_result(name: str, tmp_path: Path) -> None:
    inputs = feeds(fixture(name))
    spec, weights = jsonnx.from_hugging_face(write_fixture(tmp_path / "model", name))
    length = int(inputs["attention_mask"][1].sum())
    alone = run(spec, weights, {key: array[1:, :length] for key, array in inputs.items()})["last_hidden_state"]
    padded = run(spec, weights, inputs)["last_hidden_state"][1:, :length]
    np.testing.assert_allclose(padded, alone, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["bert_classifier", "modernbert_mean"])
def test_padding_changes_no_gradient(name: str, tmp_path: Path) -> None:
    """Other tokens in the padding lead to the same weights after a step."""
    recorded = fixture(name)
    no_dropout = {key: 0.0 for key, value in recorded["config"].items() if "drop" in key and value}
    spec, weights = jsonnx.from_hugging_face(write_fixture(tmp_path / "model", name, **no_dropout))
    spec["training"] = {
        "loss": {"type": "sparse_categorical_crossentropy", "from_logits": True},
        "optimizer": {"type": "sgd", "learning_rate": 0.1},
    }
    inputs = feeds(recorded)
    other = {**inputs, "input_ids": np.where(inputs["attention_mask"] == 1, inputs["input_ids"], 5)}
    trained = []
    for samples in (inputs, other):
        trainer = jsonnx.Trainer(spec, weights=weights)
        trainer.fit(samples, np.array([1, 0]), verbose=0)
        trained.append(trainer.weights())
    for key, array in trained[0].items():
        np.testing.assert_allclose(array, trained[1][key], atol=TOLERANCE, err_msg=key)
