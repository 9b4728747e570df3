"""Trainings with weights of samples and classes, whose results with Keras are in fixtures/sample_weights.json.

Both programs start from the weights of `initial_weights`, and take 20 steps over the samples in their order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

SAMPLES, BATCH_SIZE, EPOCHS = 40, 8, 4
Arrays = np.ndarray | dict[str, np.ndarray]


class Case(NamedTuple):
    """A spec, the kind of its data, and the arguments of the fit."""

    name: str
    layers: list[dict[str, Any]]
    training: dict[str, Any]
    data: str
    fit: dict[str, Any] = {}
    outputs: list[str] = []

    @property
    def spec(self) -> dict[str, Any]:
        inputs: dict[str, Any] = {"x": {"shape": [4]}}
        if self.data == "sequence":
            inputs = {"x": {"shape": [6], "dtype": "int64"}}
        training = {"optimizer": {"type": "sgd", "learning_rate": 0.2, "momentum": 0.9}, **self.training}
        outputs = {"outputs": self.outputs} if self.outputs else {}
        return {"inputs": inputs, "layers": self.layers, **outputs, "training": training}


CLASSES = [
    {"type": "Dense", "name": "hidden", "units": 5, "activation": "tanh"},
    {"type": "Dense", "name": "y", "units": 3, "activation": "softmax"},
]
BINARY = [{"type": "Dense", "name": "y", "units": 1, "activation": "sigmoid"}]
NUMBERS = [{"type": "Dense", "name": "y", "units": 2}]
SEQUENCE = [
    {"type": "Embedding", "name": "embed", "input_dim": 9, "output_dim": 4, "mask_zero": True},
    {"type": "Dense", "name": "y", "units": 3, "activation": "softmax"},
]
TWO = [
    {"type": "Dense", "name": "hidden", "units": 5, "activation": "tanh"},
    {"type": "Dense", "name": "y", "units": 3, "activation": "softmax"},
    {"type": "Dense", "name": "z", "from": "hidden", "units": 2},
]
SPARSE = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], "weighted_metrics": ["accuracy"]}
MSE = {"loss": "mse", "metrics": ["mae"], "weighted_metrics": ["mae", "root_mean_squared_error"]}

CASES = [
    Case("class weights", CLASSES, SPARSE, "classes", {"class_weight": {0: 0.5, 1: 3.0}}),
    Case("one-hot", CLASSES, {"loss": "categorical_crossentropy"}, "one-hot", {"class_weight": {2: 4.0}}),
    Case("binary", BINARY, {"loss": "binary_crossentropy"}, "binary", {"class_weight": {0: 1.0, 1: 5.0}}),
    Case("sample weights", CLASSES, SPARSE, "classes", {"sample_weight": "samples"}),
    Case("numbers", NUMBERS, MSE, "numbers", {"sample_weight": "samples"}),
    Case(
        "mean with sample weight",
        NUMBERS,
        {"loss": {"type": "MeanSquaredError", "reduction": "mean_with_sample_weight"}},
        "numbers",
        {"sample_weight": "samples"},
    ),
    Case(
        "sum",
        NUMBERS,
        {"loss": {"type": "MeanSquaredError", "reduction": "sum"}, "optimizer": {"type": "sgd", "learning_rate": 0.02}},
        "numbers",
        {"sample_weight": "samples"},
    ),
    Case("validation", CLASSES, SPARSE, "classes", {"sample_weight": "samples", "validation_split": 0.2}),
    Case(  # without metrics: in training on JAX, those of Keras ignore the mask
        "masked positions",
        SEQUENCE,
        {"loss": "sparse_categorical_crossentropy"},
        "sequence",
        {"sample_weight": "positions"},
    ),
    Case(
        "masked mean with sample weight",
        SEQUENCE,
        {"loss": {"type": "SparseCategoricalCrossentropy", "reduction": "mean_with_sample_weight"}},
        "sequence",
        {"sample_weight": "positions"},
    ),
    Case(
        "two outputs",
        TWO,
        {
            "loss": {"y": "sparse_categorical_crossentropy", "z": "mse"},
            "loss_weights": {"y": 1.0, "z": 0.5},
            "metrics": {"y": ["accuracy"], "z": ["mae"]},
            "weighted_metrics": {"y": ["accuracy"], "z": ["mae"]},
        },
        "two",
        {"sample_weight": "outputs"},
        ["y", "z"],
    ),
]


def data_of(case: Case) -> tuple[Arrays, Arrays, Arrays]:
    """Inputs, targets, and the weights that `sample_weight` names."""
    rng = np.random.default_rng(5)
    x: np.ndarray = rng.normal(size=(SAMPLES, 4)).astype(np.float32)
    classes = rng.integers(0, 3, SAMPLES)
    numbers = rng.normal(size=(SAMPLES, 2)).astype(np.float32)
    weights = rng.uniform(0, 2, SAMPLES).astype(np.float32)
    if case.data == "sequence":
        x = rng.integers(1, 9, (SAMPLES, 6))
        x[np.arange(6) >= rng.integers(2, 7, SAMPLES)[:, None]] = 0
        return x, rng.integers(0, 3, (SAMPLES, 6)), rng.uniform(0, 2, (SAMPLES, 6)).astype(np.float32)
    if case.data == "two":
        return x, {"y": classes, "z": numbers}, {"y": weights, "z": weights[::-1].copy()}
    targets = {
        "classes": classes,
        "one-hot": np.eye(3, dtype=np.float32)[classes],
        "binary": (classes == 1).astype(np.float32)[:, None],
        "numbers": numbers,
    }
    return x, targets[case.data], weights


def initial_weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {name: (0.5 * rng.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()}
