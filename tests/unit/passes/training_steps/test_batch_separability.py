"""Batch separability: in which networks samples are independent, so that threads can share a batch."""

from __future__ import annotations

from typing import Any

import pytest
from jsonnx.layers import LAYERS
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from support.foreign_models import convolution, graph_text

Layers = list[dict[str, Any]]

IMAGE = [8, 8, 3]
CONV = {"type": "Conv2D", "filters": 4, "kernel_size": 3, "padding": "same"}
TRANSPOSED_CONV = {"type": "Conv2DTranspose", "filters": 2, "kernel_size": 2}
POOL = {"type": "MaxPooling2D"}
MEAN, MEAN_2D = {"type": "GlobalAveragePooling1D"}, {"type": "GlobalAveragePooling2D"}
FLATTEN = {"type": "Flatten"}
HEAD = {"type": "Dense", "units": 3}
DENSE_4 = {"type": "Dense", "units": 4}
TRANSPOSE = {"type": "ops.transpose"}


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
        ([CONV, POOL, {**CONV, "dilation_rate": 2}, MEAN_2D, HEAD], IMAGE),
        ([CONV, {"type": "Dropout", "rate": 0.3}, FLATTEN, {"type": "LayerNormalization"}, HEAD], IMAGE),
        ([CONV, {"type": "GroupNormalization", "groups": 2}, TRANSPOSED_CONV], IMAGE),
        ([CONV, {"type": "BatchNormalization", "trainable": False}, FLATTEN, HEAD], IMAGE),
        ([{"type": "LSTM", "units": 4, "return_sequences": True}, {"type": "GRU", "units": 4}, HEAD], [6, 3]),
        ([{"type": "Bidirectional", "layer": {"type": "SimpleRNN", "units": 4}}, HEAD], [6, 3]),
        ([{"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 2}, MEAN, HEAD], [6, 4]),
        ([{"type": "TimeDistributed", "layer": HEAD}, {"type": "Softmax"}], [6, 3]),
        ([{"type": "Dense", "units": 3, "kernel_regularizer": "l2"}], [5]),
    ],
)  # fmt: skip
def test_layers_with_independent_samples_are_separable(layers: Layers, shape: list[int]) -> None:
    assert is_separable(layers, shape)


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ([CONV, {"type": "BatchNormalization"}, FLATTEN, HEAD], IMAGE),
        ([HEAD, {"type": "Softmax", "axis": 0}], [5]),
        ([HEAD, {"type": "UnitNormalization", "axis": 0}], [5]),
        ([{"type": "SpectralNormalization", "layer": HEAD}], [5]),
        ([DENSE_4, TRANSPOSE, {"type": "ops.reshape", "newshape": [-1, 4]}, HEAD], [4]),
        ([DENSE_4, {"type": "ops.reshape", "newshape": [4, -1]}, TRANSPOSE], [4]),
        ([DENSE_4, {"type": "ops.tile", "repeats": [2, 1]}, {"type": "ops.reshape", "newshape": [-1, 8]}], [4]),
        ([DENSE_4, {"type": "ops.flip", "axis": 0}], [4]),
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
def test_layers_that_combine_samples_are_not_separable(layers: Layers, shape: list[int]) -> None:
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
def test_only_losses_that_are_means_over_samples_are_separable(loss: Any, expected: bool) -> None:
    assert is_separable([HEAD, {"type": "Softmax"}], [5], loss) == expected


@pytest.mark.parametrize(("metric", "expected"), [("mae", True), ("accuracy", True), ("hinge", False)])
def test_only_metrics_that_are_sums_over_samples_are_separable(metric: str, expected: bool) -> None:
    """A hinge reads targets as labels of 0 and 1 if all targets of the batch are."""
    layers = [{"type": "Dense", "units": 1, "activation": "sigmoid"}]
    assert is_separable(layers, [5], "mse", metrics=[metric]) == expected


def test_an_accuracy_along_the_batch_axis_is_not_separable() -> None:
    layers = [{"type": "Dense", "units": 1}, {"type": "ops.squeeze", "axis": -1}]
    assert is_separable(layers, [5], "mse")
    assert not is_separable(layers, [5], "mse", metrics=["categorical_accuracy"])


@pytest.mark.parametrize(
    "kind", [name for name, layer in LAYERS.by_name.items() if getattr(layer, "mixes_samples", False) is True]
)
def test_layers_that_mix_samples_are_not_separable(kind: str) -> None:
    inner = {"layer": HEAD} if kind == "SpectralNormalization" else {}
    assert not is_separable([{"type": kind, **inner}, HEAD], [5])


@pytest.mark.parametrize("training_mode", [False, True])
def test_an_onnx_file_mixes_samples_if_its_batch_normalizations_are_trained(training_mode: bool) -> None:
    graph = graph_text(convolution(batch="N"))
    layer = {"type": "OnnxModel", "file": "model.onnx", "graph": graph, "training_mode": training_mode}
    assert is_separable([layer, HEAD], [2, 6, 6]) != training_mode


def test_a_mean_over_a_number_of_positions_that_depends_on_the_batch_is_not_separable() -> None:
    loss = {"type": "sparse_categorical_crossentropy", "ignore_class": 0}
    assert not is_separable([HEAD, {"type": "Softmax"}], [5], loss)
    masked = [{"type": "Masking"}, HEAD]
    assert not is_separable(masked, [6, 3])
    assert is_separable([*masked, MEAN], [6, 3])
