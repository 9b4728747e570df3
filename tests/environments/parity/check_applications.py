"""Samples of networks in keras.applications give the same outputs as Keras with the same weights."""

from __future__ import annotations

from pathlib import Path

import jsonnx
import keras
import numpy as np
import pytest

SAMPLES = Path(__file__).parents[3] / "samples"


@pytest.mark.parametrize(
    ("sample", "name"),
    [("resnet50", "ResNet50"), ("efficientnet_b0", "EfficientNetB0"), ("mobilenet_v2", "MobileNetV2")],
)
def test_a_sample_with_the_weights_of_keras_gives_the_same_outputs(sample: str, name: str) -> None:
    keras.utils.set_random_seed(3)
    random = np.random.default_rng(3)
    model = getattr(keras.applications, name)(weights=None)
    ours = jsonnx.compile(SAMPLES / f"{sample}.json")
    drawn = {v.path: np.asarray(v) for v in model.variables if v.path in ours.weights}
    for path in drawn:
        if path.endswith(("moving_mean", "moving_variance", "gamma", "beta")):
            drawn[path] = (drawn[path] + random.uniform(-0.3, 0.3, drawn[path].shape)).astype(np.float32)
    for variable in model.variables:
        variable.assign(drawn.get(variable.path, variable))
    images = random.uniform(0, 255, (2, 224, 224, 3)).astype(np.float32)
    (outputs,) = (
        jsonnx.compile(SAMPLES / f"{sample}.json", ours.weights | drawn).session().run({"image": images}).values()
    )
    expected = np.asarray(model(images, training=False))
    assert set(ours.weights) - set(drawn) <= {"normalization/mean", "normalization/variance"}
    assert np.abs(outputs - expected).max() <= 1e-4 * np.abs(expected).max()
