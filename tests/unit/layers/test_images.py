"""Image layers where the generic tests do not reach: behaviour in training only, and symbolic sizes."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.types import Dim, Size
from support.harness import lower, one_layer, run


def test_equalization_equalizes_each_channel_in_training_only() -> None:
    typed = one_layer({"type": "Equalization"}, (1, 4, 2))
    x = np.array([[[[10, 7], [10, 7], [20, 7], [30, 7]]]], np.float32)
    trained = run(lower(typed, training=True), {"x0": x})["layer"]
    assert trained[0, 0, :, 0].tolist() == [0, 0, 128, 255]  # (cdf - 2) * 255 / (4 - 2)
    assert trained[0, 0, :, 1].tolist() == [7, 7, 7, 7]
    assert (run(lower(typed), {"x0": x})["layer"] == x).all()


def test_equalization_treats_nan_like_the_minimum() -> None:
    x = np.array([[[[np.nan], [0], [100], [200]]]], np.float32)
    y = run(lower(one_layer({"type": "Equalization"}, (1, 4, 1)), training=True), {"x0": x})["layer"]
    assert y.ravel().tolist() == [0, 0, 128, 255]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_resizing_with_symbolic_sizes_equals_fixed_sizes(interpolation: str) -> None:
    layer = {"type": "Resizing", "height": 7, "width": 5, "interpolation": interpolation}
    rng = np.random.default_rng(0)
    symbolic = lower(one_layer(layer, (Size.named("h"), Size.named("w"), 3)))
    for height, width in ((7, 5), (13, 4), (3, 20), (14, 10)):
        x = rng.uniform(0, 255, (2, height, width, 3)).astype("float32")
        fixed = run(lower(one_layer(layer, (height, width, 3))), {"x0": x})["layer"]
        np.testing.assert_allclose(run(symbolic, {"x0": x})["layer"], fixed, rtol=1e-6)


@pytest.mark.parametrize("operation", ["ops.space_to_depth", "ops.depth_to_space"])
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_blocks_of_pixels_of_symbolic_sizes_equal_fixed_sizes(operation: str, data_format: str) -> None:
    layer = {"type": operation, "block_size": 2, "data_format": data_format}

    def image_shape(*sides: Dim) -> tuple[Dim, ...]:
        return (4, *sides) if data_format == "channels_first" else (*sides, 4)

    symbolic = lower(one_layer(layer, image_shape(Size.named("h"), Size.named("w"))))
    x = np.random.default_rng(0).normal(size=(2, *image_shape(6, 4))).astype(np.float32)
    fixed = run(lower(one_layer(layer, image_shape(6, 4))), {"x0": x})["layer"]
    np.testing.assert_array_equal(run(symbolic, {"x0": x})["layer"], fixed)


@pytest.mark.parametrize("grid", [(8, 8), (3, 2)])
def test_clahe_with_symbolic_sizes_equals_fixed_sizes(grid: tuple[int, int]) -> None:
    layer = {"type": "ContrastLimitedAdaptiveHistogramEqualization", "tile_grid_size": grid}
    rng = np.random.default_rng(0)
    symbolic = lower(one_layer(layer, (Size.named("h"), Size.named("w"), 3)))
    for height, width in ((16, 8), (13, 4), (3, 20), (1, 1)):
        x = rng.uniform(-9, 264, (2, height, width, 3)).astype("float32")
        fixed = run(lower(one_layer(layer, (height, width, 3))), {"x0": x})["layer"]
        np.testing.assert_allclose(run(symbolic, {"x0": x})["layer"], fixed, rtol=1e-6)


def test_clahe_treats_nan_like_the_minimum_of_its_tile() -> None:
    layer = {"type": "ContrastLimitedAdaptiveHistogramEqualization", "tile_grid_size": (1, 1), "clip_limit": 0}
    x = np.array([[[[np.nan], [0], [100], [200]]]], np.float32)
    y = run(lower(one_layer(layer, (1, 4, 1))), {"x0": x})["layer"]
    assert y.ravel().tolist() == [0, 0, 127.5, 255]  # (cdf - 2) * 255 / (4 - 2)


@pytest.mark.costly(3)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("layer", [{"type": "Resizing", "height": 7, "width": 6}, {"type": "UpSampling2D"}])
@pytest.mark.parametrize("shape", [(4, 5, 3), (3, 1, 1)])
def test_interpolation_works_between_any_permutations(
    layer: dict[str, Any], shape: tuple[int, ...], interpolation: str
) -> None:
    """onnxruntime moves transpositions through Resize, and rejects some of the results."""
    resized = {**layer, "interpolation": interpolation}
    before = [[{"type": "Permute", "dims": list(dims)}] for dims in permutations((1, 2, 3))]
    before.append([{"type": "Conv2D", "filters": 2, "kernel_size": 1}])
    for first, dims in product(before, permutations((1, 2, 3))):
        for data_format in ("channels_first", "channels_last"):
            layers = [*first, {**resized, "data_format": data_format}, {"type": "Permute", "dims": list(dims)}]
            model = jsonnx.compile({"inputs": {"x": {"shape": list(shape)}}, "layers": layers})
            model.session().run(np.ones((2, *shape), np.float32))
