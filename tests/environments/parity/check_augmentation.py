"""Compares augmentation with Keras: the images for given random draws, and the distribution of the changes.

Not collected by the ordinary suite: `sh tests/environments/parity/run.sh layers` runs it where Keras is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from support.harness import make_layer

Drawn = dict[str, Any]


def column(values: Any) -> np.ndarray:
    return np.asarray(values, np.float32)[:, None]


def images_of(values: Any) -> np.ndarray:
    return np.asarray(values, np.float32).reshape(-1, 1, 1, 1)


def transforms_of(drawn: Drawn) -> np.ndarray:
    return drawn["transforms"]


def shear_factors(t: np.ndarray) -> np.ndarray:
    return t[:, [1, 3]]


def box_masks(drawn: Drawn, shape: tuple[int, ...]) -> np.ndarray:
    rows, columns = np.mgrid[: shape[1], : shape[2]]
    x, y = drawn["x"][..., None, None], drawn["y"][..., None, None]
    inside = (columns >= x[0]) & (columns < x[1]) & (rows >= y[0]) & (rows < y[1])
    return np.repeat(inside[..., None], shape[3], -1)


CASES: list[tuple[dict, Callable[[Drawn, tuple[int, ...]], Any]]] = [
    *(
        ({"type": "RandomFlip", "mode": mode}, lambda d, _: {"flips": d["flips"][:, None, None, None]})
        for mode in ("horizontal", "vertical", "horizontal_and_vertical")
    ),
    *(
        (
            {"type": "RandomRotation", "factor": 0.7, "fill_mode": mode, "interpolation": kind, "fill_value": 9},
            lambda d, _: {"rotation_matrix": transforms_of(d)},
        )
        for mode in ("reflect", "wrap", "constant", "nearest")
        for kind in ("nearest", "bilinear")
    ),
    (
        {"type": "RandomZoom", "height_factor": 0.6, "width_factor": [-0.2, 0.8]},
        lambda d, _: {"height_zoom": column(transforms_of(d)[:, 4]), "width_zoom": column(transforms_of(d)[:, 0])},
    ),
    (
        {"type": "RandomTranslation", "height_factor": 0.9, "width_factor": [0.2, -0.4]},
        lambda d, _: {"translations": -transforms_of(d)[:, [2, 5]]},
    ),
    (
        {"type": "RandomShear", "x_factor": 0.9, "y_factor": [0.1, 0.4], "fill_mode": "constant"},
        lambda d, _: {"shear_factor": shear_factors(transforms_of(d))},
    ),
    (
        {"type": "RandomPerspective", "fill_value": 3},
        lambda d, _: {
            "apply_perspective": d["applies"],
            "start_points": d["start"].astype("float32"),
            "end_points": d["end"].astype("float32"),
        },
    ),
    ({"type": "RandomCrop", "height": 4, "width": 3}, lambda d, _: (d["top"], d["left"])),
    ({"type": "RandomCrop", "height": 12, "width": 5}, lambda d, _: (d["top"], d["left"])),
    ({"type": "RandomCrop", "height": 9, "width": 8}, lambda d, _: (d["top"], d["left"])),
    ({"type": "RandomBrightness", "factor": 0.6}, lambda d, _: {"rgb_delta": images_of(d["factor"] * 255)}),
    (
        {"type": "RandomBrightness", "factor": [-0.1, 0.3], "value_range": [-50, 100]},
        lambda d, _: {"rgb_delta": images_of(d["factor"] * 150)},
    ),
    ({"type": "RandomContrast", "factor": 0.8}, lambda d, _: {"contrast_factor": images_of(d["factor"])}),
    (
        {"type": "RandomSaturation", "factor": 0.9},
        lambda d, _: {"factor": np.float32(d["factor"] / (1 - d["factor"] + 1e-7))},
    ),
    ({"type": "RandomHue", "factor": [0.3, 1.0]}, lambda d, _: {"factor": np.float32(d["factor"])}),
    ({"type": "RandomColorDegeneration", "factor": 1.0}, lambda d, _: {"factor": images_of(d["factor"])}),
    ({"type": "RandomGrayscale"}, lambda d, _: d["applies"][:, None, None, None]),
    ({"type": "RandomInvert"}, lambda d, _: {"apply_inversion": d["applies"]}),
    ({"type": "RandomPosterization", "factor": [1, 8]}, lambda d, _: {"shift_factor": np.uint8(8 - d["bits"])}),
    (
        {"type": "Solarization", "addition_factor": 0.3, "threshold_factor": [0.1, 0.9]},
        lambda d, _: {"additions": images_of(d["added"]), "thresholds": images_of(d["threshold"])},
    ),
    ({"type": "RandomSharpness", "factor": 1.0}, lambda d, _: {"factor": np.float32(d["factor"])}),
    (
        {"type": "RandomGaussianBlur", "kernel_size": [3, 5], "sigma": [0.5, 1.0]},
        lambda d, _: {"should_apply_blur": d["applies"], "blur_factor": np.float32(d["sigma"])},
    ),
    ({"type": "MixUp"}, lambda d, _: {"mix_weight": d["weight"], "permutation_order": d["others"]}),
    (
        {"type": "CutMix"},
        lambda d, shape: {
            "batch_masks": box_masks(d, shape),
            "permutation_order": d["others"],
            "mix_weight": d["weight"],
        },
    ),
    (
        {"type": "RandomErasing", "scale": [0.1, 0.6], "fill_value": [1, 20, 300]},
        lambda d, shape: {
            "apply_erasing": d["applies"],
            "batch_masks": box_masks(d, shape),
            "fill_value": np.float32([1, 20, 255]),
        },
    ),
]


def keras_layer(spec: dict, **more: Any) -> Any:
    arguments = {name: tuple(v) if isinstance(v, list) else v for name, v in spec.items() if name != "type"}
    return getattr(keras.layers, spec["type"])(**arguments, **more)


@pytest.mark.parametrize(("spec", "translate"), CASES, ids=[f"{i}-{spec['type']}" for i, (spec, _) in enumerate(CASES)])
@pytest.mark.parametrize("first", [False, True], ids=["last", "first"])
def test_augmented_images_equal_those_of_keras(spec: dict, translate: Callable, first: bool) -> None:
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (16, 9, 8, 3)).astype("float32")
    layout = {"data_format": "channels_first"} if first else {}
    inputs = images.transpose(0, 3, 1, 2) if first else images
    augmented, drawn = make_layer({**spec, **layout}).augment(inputs, rng)
    keras_draws = translate(drawn, images.shape)
    if first and "batch_masks" in keras_draws:
        keras_draws["batch_masks"] = keras_draws["batch_masks"].transpose(0, 3, 1, 2)
    if first and "fill_value" in keras_draws:
        keras_draws["fill_value"] = keras_draws["fill_value"].reshape(1, 3, 1, 1)
    expected = np.asarray(
        keras_layer(spec, **layout).transform_images(keras.ops.convert_to_tensor(inputs), keras_draws)
    )
    assert augmented.shape == expected.shape
    np.testing.assert_allclose(augmented, expected, rtol=1e-5, atol=0.02)
    close = np.abs(augmented - expected) <= 1e-4 * np.maximum(1, np.abs(expected))
    assert close.mean() > 0.99


@pytest.mark.parametrize("kind", ["MixUp", "CutMix"])
def test_mixed_targets_equal_those_of_keras(kind: str) -> None:
    rng = np.random.default_rng(0)
    layer, targets = make_layer({"type": kind}), np.eye(8, dtype="float32")
    _, drawn = layer.augment(rng.uniform(0, 255, (8, 9, 8, 3)), rng)
    keras_draws = {"mix_weight": drawn["weight"].astype("float32"), "permutation_order": drawn["others"]}
    expected = keras_layer({"type": kind}).transform_labels(keras.ops.convert_to_tensor(targets), keras_draws)
    np.testing.assert_allclose(layer.transform_labels(targets, **drawn), np.asarray(expected), atol=1e-6)


RANGES = [
    {"type": "RandomBrightness", "factor": 0.6},
    {"type": "RandomContrast", "factor": 0.6},
    {"type": "RandomContrast", "factor": [0.2, 0.6]},
    {"type": "RandomSaturation", "factor": 0.4},
    {"type": "RandomHue", "factor": 0.4},
    {"type": "RandomColorDegeneration", "factor": 0.4},
    {"type": "RandomSharpness", "factor": 0.4},
    {"type": "Solarization", "addition_factor": 0.4, "threshold_factor": [0.2, 0.3]},
    {"type": "RandomInvert", "factor": 0.7},
    {"type": "RandomErasing", "factor": 0.7},
    {"type": "RandomPosterization", "factor": 5},
    {"type": "RandomZoom", "height_factor": 0.5},
    {"type": "RandomTranslation", "height_factor": 0.5, "width_factor": [-0.5, 0.2]},
    {"type": "RandomShear", "x_factor": 0.5, "y_factor": 0.3},
    {"type": "RandomRotation", "factor": 0.2},
]


@pytest.mark.parametrize("spec", RANGES, ids=[spec["type"] for spec in RANGES])
def test_changes_have_the_mean_and_deviation_of_those_of_keras(spec: dict) -> None:
    """Compares the mean and the standard deviation of the change per pixel over many images."""
    rng = np.random.default_rng(0)
    images = np.repeat(rng.uniform(0, 255, (1, 7, 6, 3)), 4000, 0).astype("float32")
    augmented, _ = make_layer(spec).augment(images, rng)
    expected = np.asarray(keras_layer(spec, seed=1)(images, training=True))
    metrics = [(changed - images).reshape(4000, -1) for changed in (augmented, expected)]
    for metric in (np.mean, np.std):
        ours, theirs = (metric(changes, axis=0) for changes in metrics)
        np.testing.assert_allclose(ours, theirs, atol=0.12 * np.std(metrics[1], axis=0).max())
