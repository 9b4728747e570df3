"""Warnings about losses and metrics that do not suit the activation of their output."""

from __future__ import annotations

import json
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


def network(*layers: dict[str, Any]) -> Any:
    """A network of an input x [3] or an input ids [5] of class indices, and an output."""
    read = {layer.get("from") for layer in layers if isinstance(layer.get("from"), str)}
    inputs = {"x": {"shape": [3]}, "ids": {"shape": [5], "dtype": "int32"}}
    inputs = {name: value for name, value in inputs.items() if name in read}
    training = {"loss": "sparse_categorical_crossentropy"}
    return check_spec({"inputs": inputs, "layers": [*layers, {"type": "Identity", "name": "y"}], "training": training})


X = {"type": "Identity", "name": "a", "from": "x"}
PROBABILITIES = dense(3, "softmax") | {"name": "p", "from": "x"}
BIAS = {"type": "Variable", "name": "b", "shape": [3]}
MATRIX = {"type": "Variable", "name": "m", "shape": [3, 3]}
WORDS = {"type": "ReversibleEmbedding", "name": "words", "input_dim": 9, "output_dim": 4, "from": "ids"}
LOGITS = [WORDS, {"type": "LSTM", "units": 4, "return_sequences": True}, {"use": "words", "name": "logits"}]
HEADS = {"type": "MultiHeadAttention", "num_heads": 1, "key_dim": 4}


@pytest.mark.parametrize(
    ("layers", "is_unbounded"),
    [
        (LOGITS, True),
        ([*LOGITS, {"type": "ops.divide", "x2": 0.7}], True),
        ([*LOGITS, {"type": "ops.get_item", "key": [":", -1]}], True),
        ([*LOGITS, {"type": "Softmax"}], False),
        ([WORDS, HEADS | {"from": "words"}], True),
        ([{"type": "Embedding", "input_dim": 9, "output_dim": 9, "from": "ids"}], True),
        ([X, BIAS, {"type": "ops.add", "from": ["a", "b"]}], True),
        ([X, BIAS | {"constraint": "non_neg"}, {"type": "ops.add", "from": ["a", "b"]}], False),
        ([X, MATRIX, {"type": "ops.matmul", "from": ["a", "m"]}], True),
        ([X, MATRIX, {"type": "ops.einsum", "subscripts": "bi,ij->bj", "from": ["a", "m"]}], True),
        ([PROBABILITIES, dense() | {"name": "d", "from": "x"}, {"type": "Add", "from": ["p", "d"]}], True),
        ([PROBABILITIES, dense() | {"name": "d", "from": "x"}, {"type": "Average", "from": ["p", "d"]}], True),
        ([{"type": "EinsumDense", "equation": "ab,bc->ac", "output_shape": 3, "from": "x"}], True),
        ([PROBABILITIES, PROBABILITIES | {"name": "q"}, {"type": "Average", "from": ["p", "q"]}], False),
        ([dense() | {"name": "d", "from": "x"}, {"type": "ops.multiply", "from": ["d", "d"]}], False),
        ([X, {"type": "ops.add", "x2": 1}], False),
    ],
)
def test_sums_and_products_with_weights_are_logits(layers: list[dict[str, Any]], is_unbounded: bool) -> None:
    checked = network(*layers)
    checked.require()
    codes = [item.code for item in checked.diagnostics]
    assert codes.count("loss-activation") == is_unbounded
    (warning,) = [item for item in checked.diagnostics if item.code == "loss-activation"] or [None]
    assert warning is None or "has no activation" in warning.message


def test_the_cosine_of_weighted_vectors_is_bounded() -> None:
    vectors = [dense() | {"name": name, "from": "x"} for name in "ab"]
    inputs = {"x": {"shape": [4]}}
    for normalize in (False, True):
        dot = {"type": "Dot", "axes": 1, "normalize": normalize, "from": ["a", "b"]}
        spec = {"inputs": inputs, "layers": [*vectors, dot], "training": {"loss": "binary_crossentropy"}}
        assert bool(check_spec(spec).diagnostics) != normalize


@pytest.mark.parametrize(
    "layer",
    [
        {"type": "ReLU", "negative_slope": 0.1},
        {"type": "Activation", "activation": {"type": "relu", "negative_slope": 0.1}},
        dense(1) | {"activation": {"type": "relu", "negative_slope": 0.1}},
    ],
)
def test_a_relu_with_a_slope_has_negative_values(layer: dict[str, Any]) -> None:
    assert check(dense(1), layer, loss="hinge").diagnostics == []
    assert check(dense(1), layer, loss="poisson").diagnostics != []
    flat = json.loads(json.dumps(layer).replace("0.1", "0.0"))
    assert check(dense(1), flat, loss="hinge").diagnostics != []
