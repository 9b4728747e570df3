"""The gradients of losses and outputs by inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx import Trainer

RANDOM = np.random.default_rng(4)
COUNT = 6
MIXED: dict[str, Any] = {
    "inputs": {
        "x": {"shape": [4]},
        "words": {"shape": [3], "dtype": "string"},
        "index": {"shape": [], "dtype": "int64"},
    },
    "layers": [
        {"type": "StringLookup", "from": "words", "vocabulary": ["a", "b"], "mask_token": ""},
        {"type": "Embedding", "name": "vectors", "input_dim": 4, "output_dim": 2, "mask_zero": True},
        {"type": "GRU", "name": "read", "units": 3},
        {"type": "CategoryEncoding", "name": "encoded", "from": "index", "num_tokens": 3, "output_mode": "one_hot"},
        {"type": "Concatenate", "from": ["x", "read", "encoded"]},
        {"type": "Dropout", "rate": 0.5},
        {"type": "Dense", "units": 5, "activation": "tanh"},
        {"type": "BatchNormalization"},
        {"type": "Dense", "name": "y", "units": 3, "activation": "softmax"},
    ],
    "training": {"loss": "sparse_categorical_crossentropy", "optimizer": "adam"},
}
X: dict[str, Any] = {
    "x": RANDOM.normal(size=(COUNT, 4)).astype("float32"),
    "words": np.array([["a", "b", ""], ["b", "", ""], ["z", "a", "a"]] * 2),
    "index": RANDOM.integers(0, 3, COUNT),
}
Y = RANDOM.integers(0, 3, COUNT)
IMAGES: dict[str, Any] = {
    "inputs": {"image": {"shape": [6, 5, 2]}},
    "layers": [
        {"type": "Conv2D", "filters": 4, "kernel_size": 3, "padding": "same", "activation": "gelu"},
        {"type": "BatchNormalization"},
        {"type": "AveragePooling2D", "pool_size": 2},
        {"type": "Flatten"},
        {"type": "Dense", "name": "y", "units": 2},
    ],
    "training": {"loss": "mse", "optimizer": "adam", "target": {"normalize": True}},
}


def require_slopes(gradient: np.ndarray, array: np.ndarray, result: Callable[[np.ndarray], float], step: float) -> None:
    """Compares some elements of a gradient with central differences."""
    for flat in RANDOM.choice(array.size, 5, replace=False):
        index, slopes = np.unravel_index(flat, array.shape), []
        for sign in (1, -1):
            moved = array.copy()
            moved[index] += sign * step
            slopes.append(sign * result(moved))
        assert gradient[index] == pytest.approx(sum(slopes) / (2 * step), rel=0.03, abs=2e-3), index


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    trainer = Trainer(MIXED, seed=2)
    trainer.fit(X, Y, epochs=2)
    return trainer


def test_of_the_loss(trainer: Trainer) -> None:
    before = trainer.weights()
    gradients = trainer.gradients(X, Y, inputs=True)
    assert {name: array.shape for name, array in gradients.items()} == {
        "x": (COUNT, 4),
        "vectors": (COUNT, 3, 2),
        "encoded": (COUNT, 3),
    }

    def loss(x: np.ndarray) -> float:
        return float(trainer.evaluate({**X, "x": x}, Y, batch_size=COUNT)["loss"])

    require_slopes(gradients["x"], X["x"], loss, 1e-2)
    assert not gradients["vectors"][X["words"] == ""].any()  # masked steps
    assert gradients["vectors"][X["words"] != ""].any(-1).all()
    assert all((array == trainer.weights()[name]).all() for name, array in before.items())


def test_of_the_loss_with_sample_weights(trainer: Trainer) -> None:
    weights = np.array([0, 1, 2, 0, 1, 1])
    gradient = trainer.gradients(X, Y, weights, inputs=True)["x"]
    assert gradient == pytest.approx(trainer.gradients(X, Y, inputs=True)["x"] * weights[:, None], rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("unit", [None, 1, -1, [0, 1, 2, 2, 1, 0]])
def test_of_an_output(trainer: Trainer, unit: Any) -> None:
    gradient = trainer.gradients(X, inputs=True, unit=unit)["x"]

    def result(x: np.ndarray) -> float:
        predicted = trainer.predict({**X, "x": x})
        if unit is None:
            return float(predicted.sum())
        return float(predicted[np.arange(COUNT), unit].sum())

    require_slopes(gradient, X["x"], result, 1e-2)


def test_of_images_and_normalized_targets() -> None:
    trainer = Trainer(IMAGES, seed=1)
    images = RANDOM.normal(size=(COUNT, 6, 5, 2)).astype("float32")
    targets = RANDOM.normal(3, 7, size=(COUNT, 2)).astype("float32")
    trainer.fit(images, targets, epochs=3)

    def loss(x: np.ndarray) -> float:
        return float(trainer.evaluate(x, targets, batch_size=COUNT)["loss"])

    require_slopes(trainer.gradients(images, targets, inputs=True)["image"], images, loss, 3e-2)
    gradient = trainer.gradients(images, inputs=True, output="y", unit=0)["image"]
    require_slopes(gradient, images, lambda x: float(trainer.predict(x)[:, 0].sum()), 3e-2)


def test_of_several_outputs() -> None:
    document = {**MIXED, "outputs": ["y", "read"], "training": {"loss": {"y": "sparse_categorical_crossentropy"}}}
    trainer = Trainer(document)
    assert set(trainer.gradients(X, inputs=True, output="read")) == {"vectors"}
    with pytest.raises(ValueError, match="'y' and 'read'"):
        trainer.gradients(X, inputs=True)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"inputs": True, "output": "z"}, ValueError, "there is no output 'z'"),
        ({"inputs": True, "unit": 3}, ValueError, "from 0 to 2"),
        ({"inputs": True, "unit": [0, 1]}, ValueError, "one for each of 6 samples"),
        ({"inputs": True, "y": Y, "output": "y"}, TypeError, "leave out y"),
        ({"output": "y"}, TypeError, "inputs=True"),
    ],
)
def test_wrong_arguments(trainer: Trainer, arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        trainer.gradients(X, **arguments)


def test_data_that_do_not_fit(trainer: Trainer) -> None:
    with pytest.raises(jsonnx.FeedError):
        trainer.gradients({**X, "x": X["x"][:, :2]}, Y, inputs=True)
