"""Which networks' samples stand apart, so that a batch can be shared out."""

from __future__ import annotations

from typing import Any

import pytest
from jsonnx.layers import LAYERS
from jsonnx.pipeline.check import check_spec
from jsonnx.pipeline.plan_training import plan_training

Layers = list[dict[str, Any]]

IMAGE = [8, 8, 3]
CONV = {"type": "Conv2D", "filters": 4, "kernel_size": 3, "padding": "same"}
ENLARGING = {"type": "Conv2DTranspose", "filters": 2, "kernel_size": 2}
POOL = {"type": "MaxPooling2D"}
MEAN, MEAN2 = {"type": "GlobalAveragePooling1D"}, {"type": "GlobalAveragePooling2D"}
FLAT = {"type": "Flatten"}
HEAD = {"type": "Dense", "units": 3}
FOUR = {"type": "Dense", "units": 4}
TURNED = {"type": "ops.transpose"}


def is_separable(layers: Layers, shape: list[int], loss: Any = "mse", **training: Any) -> bool:
    spec = {
        "inputs": {"x": {"shape": shape}},
        "layers": layers,
        "training": {"loss": loss, "optimizer": "sgd", **training},
    }
    return plan_training(check_spec(spec)).make_shards is not None


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ([HEAD], [5]),
        ([CONV, POOL, {**CONV, "dilation_rate": 2}, MEAN2, HEAD], IMAGE),
        ([CONV, {"type": "Dropout", "rate": 0.3}, FLAT, {"type": "LayerNormalization"}, HEAD], IMAGE),
        ([CONV, {"type": "GroupNormalization", "groups": 2}, ENLARGING], IMAGE),
        ([CONV, {"type": "BatchNormalization", "trainable": False}, FLAT, HEAD], IMAGE),
        ([{"type": "LSTM", "units": 4, "return_sequences": True}, {"type": "GRU", "units": 4}, HEAD], [6, 3]),
        ([{"type": "Bidirectional", "layer": {"type": "SimpleRNN", "units": 4}}, HEAD], [6, 3]),
        ([{"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 2}, MEAN, HEAD], [6, 4]),
        ([{"type": "TimeDistributed", "layer": HEAD}, {"type": "Softmax"}], [6, 3]),
        ([{"type": "Dense", "units": 3, "kernel_regularizer": "l2"}], [5]),
    ],
)  # fmt: skip
def test_samples_that_stand_apart(layers: Layers, shape: list[int]) -> None:
    assert is_separable(layers, shape)


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ([CONV, {"type": "BatchNormalization"}, FLAT, HEAD], IMAGE),
        ([HEAD, {"type": "Softmax", "axis": 0}], [5]),
        ([HEAD, {"type": "UnitNormalization", "axis": 0}], [5]),
        ([{"type": "SpectralNormalization", "layer": HEAD}], [5]),
        ([FOUR, TURNED, {"type": "ops.reshape", "newshape": [-1, 4]}, HEAD], [4]),
        ([FOUR, {"type": "ops.reshape", "newshape": [4, -1]}, TURNED], [4]),
        ([FOUR, {"type": "ops.tile", "repeats": [2, 1]}, {"type": "ops.reshape", "newshape": [-1, 8]}], [4]),
        ([FOUR, {"type": "ops.flip", "axis": 0}], [4]),
        (
            [
                {"type": "ops.transpose", "axes": [1, 0, 2]},
                {"type": "ops.reshape", "newshape": [-1, 24]},
                {"type": "ops.reshape", "newshape": [-1, 6, 4]},
                HEAD,
            ],
            [6, 4],
        ),
    ],
)
def test_samples_that_meet_in_a_layer(layers: Layers, shape: list[int]) -> None:
    assert not is_separable(layers, shape)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("categorical_crossentropy", True),
        ({"type": "mse", "reduction": "sum"}, False),
        ("dice", False),
        ("cosine_similarity", True),
        ("huber", True),
    ],
)
def test_losses_are_means_over_samples(loss: Any, expected: bool) -> None:
    assert is_separable([HEAD, {"type": "Softmax"}], [5], loss) == expected


@pytest.mark.parametrize(("metric", "expected"), [("mae", True), ("accuracy", True), ("hinge", False)])
def test_statistics_are_sums_over_samples(metric: str, expected: bool) -> None:
    """A hinge takes targets for labels of 0 and 1 where all of a batch are."""
    layers = [{"type": "Dense", "units": 1, "activation": "sigmoid"}]
    assert is_separable(layers, [5], "mse", metrics=[metric]) == expected


def test_an_accuracy_along_the_batch_is_no_sum() -> None:
    layers = [{"type": "Dense", "units": 1}, {"type": "ops.squeeze", "axis": -1}]
    assert is_separable(layers, [5], "mse")
    assert not is_separable(layers, [5], "mse", metrics=["categorical_accuracy"])


@pytest.mark.parametrize(
    "kind", [name for name, brick in LAYERS.by_name.items() if getattr(brick, "mixes_samples", False)]
)
def test_layers_that_say_so_mix_samples(kind: str) -> None:
    inner = {"layer": HEAD} if kind == "SpectralNormalization" else {}
    assert not is_separable([{"type": kind, **inner}, HEAD], [5])


def test_a_loss_that_counts_some_places_only_is_none() -> None:
    ignoring = {"type": "sparse_categorical_crossentropy", "ignore_class": 0}
    assert not is_separable([HEAD, {"type": "Softmax"}], [5], ignoring)
    masked = [{"type": "Masking"}, HEAD]
    assert not is_separable(masked, [6, 3])
    assert is_separable([*masked, MEAN], [6, 3])
