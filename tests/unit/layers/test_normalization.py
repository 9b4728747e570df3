"""Moving averages, frozen layers, and shape errors of normalization and dropout layers."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.core.types import Size
from jsonnx.ir import Graph
from jsonnx.passes.layout import count_transposes
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.compile.graphs import forward_graph
from support.harness import lower, one_layer, run

WEIGHTS = {
    "layer/gamma": np.float32([2, 3]),
    "layer/beta": np.float32([1, -1]),
    "layer/moving_mean": np.float32([10, 20]),
    "layer/moving_variance": np.float32([4, 9]),
}
X = np.float32([[1, 4], [3, 8]])  # mean 2 and 6, variance 1 and 4


def batch_norm(training: bool, **arguments: object) -> Graph:
    spec = {"type": "BatchNormalization", "epsilon": 0, "momentum": 0.75, **arguments}
    return lower(one_layer(spec, (2,)), training=training)


def test_training_uses_batch_statistics_and_updates_the_averages() -> None:
    results = run(batch_norm(True), {"x0": X, **WEIGHTS})
    np.testing.assert_allclose(results.pop("layer"), [[-1, -4], [3, 2]], rtol=1e-6)
    mean, variance = results.values()
    np.testing.assert_allclose(mean, [8, 16.5])
    np.testing.assert_allclose(variance, [3.25, 7.75])


@pytest.mark.parametrize(("training", "trainable"), [(False, True), (True, False)])
def test_inference_and_frozen_layers_use_the_averages_unchanged(training: bool, trainable: bool) -> None:
    graph = batch_norm(training, trainable=trainable)
    assert not graph.updates
    (result,) = run(graph, {"x0": X, **WEIGHTS}).values()
    np.testing.assert_allclose(result, [[-8, -17], [-6, -13]], rtol=1e-6)


def test_adapted_statistics_are_states_with_the_names_and_types_of_keras() -> None:
    graph = lower(one_layer({"type": "Normalization", "axis": [3, 1]}, (2, 5, 3)))
    assert {name: (state.dtype, state.shape) for name, state in graph.states.items()} == {
        "layer/mean": ("float32", (2, 3)),
        "layer/variance": ("float32", (2, 3)),
        "layer/count": ("int32", ()),
    }


def test_given_statistics_are_not_states() -> None:
    assert not lower(one_layer({"type": "Normalization", "mean": 1, "variance": 2}, (3,))).states


@pytest.mark.parametrize("layer", [{"axis": -3}, {"axis": -3, "groups": -1}, {"axis": 2, "groups": 1}])
def test_group_normalization_of_symbolic_sizes_equals_fixed_sizes(layer: dict) -> None:
    spec = {"type": "GroupNormalization", "groups": 2, **layer}
    time, width = Size.named("time"), Size.named("width")
    fixed, symbolic = (lower(one_layer(spec, shape)) for shape in ((3, 2, 4, 5, 5), (time, 2, 4, width, width)))
    weights = {"layer/gamma": np.float32([2, 3, 4, 5]), "layer/beta": np.float32([1, -1, 0, 2])}
    channels = 2 if spec["axis"] == 2 else 4
    feeds = {"x0": np.random.default_rng(0).normal(size=(2, 3, 2, 4, 5, 5)).astype(np.float32)}
    feeds |= {name: weight[:channels] for name, weight in weights.items()}
    np.testing.assert_allclose(run(symbolic, feeds)["layer"], run(fixed, feeds)["layer"], atol=1e-5)


@pytest.mark.parametrize(("axis", "shape"), [(-1, (2, 3, 9)), (1, (9, 2, 3)), (-1, (4, 9)), (2, (2, 9, 2, 2))])
def test_local_response_normalization_divides_by_the_squares_of_near_channels(axis: int, shape: tuple) -> None:
    arguments = {"depth_radius": 2, "bias": 1.5, "alpha": 0.3, "beta": 0.75, "axis": axis}
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    expected = x.copy()
    channels = np.moveaxis(x, axis, 0)
    for index, result in enumerate(np.moveaxis(expected, axis, 0)):
        squares = sum(channels[near] ** 2 for near in range(max(0, index - 2), min(9, index + 3)))
        result /= (1.5 + 0.3 * squares) ** 0.75
    y = run(lower(one_layer({"type": "LocalResponseNormalization", **arguments}, shape)), {"x0": x})["layer"]
    np.testing.assert_allclose(y, expected, rtol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_local_response_normalization_adds_no_transposes_between_convolutions(training: bool) -> None:
    conv, norm = {"type": "Conv2D", "filters": 6, "kernel_size": 3}, {"type": "LocalResponseNormalization"}
    image = {"shape": [9, 9, 3]}
    counts = [
        count_transposes(forward_graph(check_spec({"inputs": {"x": image}, "layers": layers}), training=training))
        for layers in ([conv, conv], [conv, norm, conv, norm])
    ]
    assert counts[0] == counts[1]


def test_dropout_needs_a_mask_in_training_only() -> None:
    typed = one_layer({"type": "Dropout", "rate": 0.25, "noise_shape": [None, 1], "seed": 3}, (4,))
    assert not lower(typed).randoms
    (mask,) = lower(typed, training=True).randoms.values()
    assert (mask.kind, mask.keep, mask.scale, mask.seed) == ("mask", 0.75, 4 / 3, 3)
    assert [str(size) for size in mask.shape] == ["batch", "1"]


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        ({"type": "BatchNormalization", "axis": 0}, (5,), "has axis 0 of .* which is the batch"),
        ({"type": "BatchNormalization", "axis": 2}, (5,), "has axis 2, which"),
        ({"type": "LayerNormalization", "axis": []}, (5,), "needs an axis to normalize along"),
        ({"type": "LayerNormalization", "axis": 0}, (5,), "needs a fixed size on axis 0"),
        ({"type": "LocalResponseNormalization"}, (5,), "needs a sequence, an image or a volume with channels"),
        ({"type": "LocalResponseNormalization", "axis": 0}, (2, 5), "has axis 0 of .* which is the batch"),
        ({"type": "LocalResponseNormalization"}, (2, 4097), "normalizes at most 4,096 channels, got 4,097"),
        ({"type": "Normalization", "mean": 1}, (5,), "needs both mean and variance"),
        ({"type": "Normalization", "mean": [1, 2], "variance": [1, 2]}, (5,), r"shape \[2\], the axes .* have \[5\]"),
        ({"type": "Normalization", "mean": [1, 2], "variance": 1}, (2,), r"shape \[2\] and a variance of shape \[\]"),
        ({"type": "Rescaling", "scale": [1, 2]}, (3,), r"scale of shape \[2\], which does not broadcast"),
        ({"type": "Rescaling", "scale": [[1], [2, 3]]}, (3,), "has lists of different lengths in scale"),
        ({"type": "Dropout", "rate": 0.5, "noise_shape": [1]}, (3,), "noise_shape of 1 axes, the input .* has 2"),
        ({"type": "Dropout", "rate": 0.5, "noise_shape": [None, 2]}, (3,), "2 on axis 1, which is neither 1 nor 3"),
        ({"type": "SpatialDropout2D", "rate": 0.5}, (3,), "needs an input of rank 4"),
    ],
)
def test_invalid_shapes_and_arguments_are_errors(layer: dict, shape: tuple, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        one_layer(layer, shape)
