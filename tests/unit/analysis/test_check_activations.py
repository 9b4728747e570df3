"""Warnings about losses and metrics that do not suit the activation of their output."""

from __future__ import annotations

from typing import Any

import pytest
from jsonnx.analysis.output_layer import OutputLayer, output_layer
from jsonnx.pipeline.check.check import check_spec

RNN = {"type": "SimpleRNN", "units": 3}


def check(*layers: dict[str, Any], shape: tuple[int, ...] = (4,), **training: Any) -> Any:
    return check_spec({"inputs": {"x": {"shape": list(shape)}}, "layers": list(layers), "training": training})


def dense(units: int = 3, activation: str | None = None) -> dict[str, Any]:
    return {"type": "Dense", "units": units, **({"activation": activation} if activation else {})}


@pytest.mark.parametrize(
    ("layers", "loss"),
    [
        ([dense(3, "softmax")], "sparse_categorical_crossentropy"),
        ([dense(3), {"type": "Softmax"}], "categorical_crossentropy"),
        ([dense(3), {"type": "Activation", "activation": "softmax"}], "categorical_focal_crossentropy"),
        ([dense(3), {"type": "ops.softmax"}], "sparse_categorical_crossentropy"),
        ([dense(3, "softplus")], "categorical_crossentropy"),
        ([dense(3)], {"type": "categorical_crossentropy", "from_logits": True}),
        ([dense(3, "sigmoid")], "binary_crossentropy"),
        ([dense(1), {"type": "ops.sigmoid"}], "binary_focal_crossentropy"),
        ([dense(1, "sigmoid"), {"type": "Dropout", "rate": 0.1}, {"type": "Reshape", "target_shape": [1]}], "bce"),
        ([{"type": "TimeDistributed", "layer": dense(3, "softmax")}], "sparse_categorical_crossentropy"),
        ([RNN], "categorical_crossentropy"),
        ([dense(3), {"type": "LayerNormalization"}], "categorical_crossentropy"),
        ([dense(3), {"type": "ops.exp"}], "categorical_crossentropy"),
        ([dense(3)], "mse"),
        ([dense(1, "sigmoid")], "mse"),
    ],
)
def test_suitable_and_unknown_activations_have_no_warning(layers: list[dict[str, Any]], loss: Any) -> None:
    is_sequence = layers[0] == RNN or layers[0]["type"] == "TimeDistributed"
    assert check(*layers, shape=(5, 4) if is_sequence else (4,), loss=loss).diagnostics == []


@pytest.mark.parametrize(
    ("layers", "loss", "part"),
    [
        ([dense(3)], "categorical_crossentropy", "has no activation"),
        ([dense(3, "relu")], "sparse_categorical_crossentropy", "has the activation relu"),
        ([dense(3), {"type": "ReLU"}], "sparse_categorical_crossentropy", "has the activation relu"),
        ([dense(3, "sigmoid")], "categorical_crossentropy", "has a sigmoid for each class"),
        ([dense(3, "softmax")], "binary_crossentropy", "those of a softmax sum to 1"),
        ([dense(3, "sparsemax")], "binary_focal_crossentropy", "those of a sparsemax sum to 1"),
        ([dense(1)], "binary_crossentropy", "has no activation"),
        ([dense(1, "tanh")], "binary_crossentropy", "has the activation tanh"),
        ([dense(1, "softmax")], "binary_crossentropy", "is always 1"),
        ([dense(1, "softmax")], "mse", "is always 1"),
        ([dense(1), {"type": "Softmax"}], "bce", "is always 1"),
        ([dense(3, "softmax")], {"type": "categorical_crossentropy", "from_logits": True}, "has a softmax"),
        ([dense(1, "sigmoid")], {"type": "binary_crossentropy", "from_logits": True}, "has a sigmoid"),
    ],
)
def test_an_unsuitable_activation_is_a_warning(layers: list[dict[str, Any]], loss: Any, part: str) -> None:
    (warning,) = check(*layers, loss=loss).diagnostics
    assert (warning.code, warning.severity, warning.path) == ("loss-activation", "warning", "$.training.loss")
    assert part in warning.message


@pytest.mark.parametrize(
    ("layer", "loss", "warns"),
    [
        (dense(1), "mse", True),
        (dense(3), "mae", True),
        (dense(1, "relu"), "huber", True),
        (dense(1, "sigmoid"), "mse", False),
        (dense(3, "softmax"), "mse", False),
        (dense(3, "softmax"), "categorical_crossentropy", False),
    ],
)
def test_an_accuracy_of_predicted_numbers_is_a_warning(layer: dict[str, Any], loss: str, warns: bool) -> None:
    codes = [(item.code, item.path) for item in check(layer, loss=loss, metrics=["mse", "accuracy"]).diagnostics]
    assert codes == ([("regression-accuracy", "$.training.metrics[1]")] if warns else [])


def test_a_rescaling_after_the_activation_is_known() -> None:
    rescaling = {"type": "Rescaling", "scale": 2, "offset": 1}
    typed = check(dense(1, "tanh"), rescaling, rescaling, loss="mse").require()
    layer = output_layer(typed, typed.network.outputs[0])
    assert layer == OutputLayer("tanh", 4.0, 3.0, typed.network.calls[0])
