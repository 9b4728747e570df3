"""Augmentation during training: the images that a step is fed, and resumed runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx import compile
from jsonnx.data.samples.array_samples import from_arrays
from jsonnx.pipeline.train.trainer import Trainer
from support.harness import make_layer, one_layer
from unit.layers.cases import Case, augmentation

RNG = np.random.default_rng(0)
X = RNG.uniform(0, 255, (12, 6, 5, 3)).astype("float32")
Y = RNG.integers(0, 4, 12)


def spec(*before: dict[str, Any], loss: str = "sparse_categorical_crossentropy", **more: Any) -> dict[str, Any]:
    head = [{"type": "Flatten"}, {"type": "Dense", "units": 4, "activation": "softmax"}]
    training = {"loss": loss, "optimizer": {"type": "SGD", "learning_rate": 1e-6}, "batch_size": 5, "epochs": 2}
    inputs = {"x": {"shape": [6, 5, 3], **more}}
    return {"inputs": inputs, "layers": [*before, *head], "training": training}


def fed(trainer: Trainer, step: int, x: np.ndarray = X, y: np.ndarray = Y) -> dict[str, np.ndarray]:
    samples = from_arrays(x, y, trainer.plan.data_spec)
    return trainer.plan_trainer.engine.feeds(samples, slice(None), step)


def test_augmented_images_depend_on_the_step_and_the_seed_alone() -> None:
    trainers = [Trainer(spec({"type": "RandomFlip"})) for _ in range(2)]
    name = "random_flip/augmented"
    images, repeated_images = fed(trainers[0], 0)[name], fed(trainers[1], 0)[name]
    assert (images == repeated_images).all()
    assert (images != fed(trainers[0], 1)[name]).any()
    mirrored = X[:, ::-1, ::-1]
    assert all((a == b).all() or (a == c).all() for a, b, c in zip(images, X, mirrored, strict=True))
    assert (images != X).any()
    assert (images != mirrored).any()


def test_the_layers_before_an_augmentation_are_computed_first() -> None:
    scaled = {"type": "Rescaling", "scale": 1 / 255}
    trainer = Trainer(spec(scaled, {"type": "RandomFlip"}, scaled, {"type": "RandomBrightness", "factor": [0.5, 0.5]}))
    feeds = fed(trainer, 0)
    flipped = feeds["random_flip/augmented"]
    np.testing.assert_allclose(np.sort(flipped, axis=None), np.sort(X / 255, axis=None), rtol=1e-6)
    brighter = feeds["random_brightness/augmented"]
    np.testing.assert_allclose(brighter, np.clip(flipped / 255 + 127.5, 0, 255), rtol=1e-6)


def test_evaluation_and_prediction_use_the_original_images() -> None:
    plain, augmented = Trainer(spec()), Trainer(spec({"type": "RandomBrightness", "factor": [0.9, 1.0]}))
    augmented.set_weights(plain.weights())
    assert augmented.evaluate(X, Y) == plain.evaluate(X, Y)
    assert (augmented.predict(X) == plain.predict(X)).all()
    assert augmented.step(X, Y) != plain.step(X, Y)


def test_integer_images_are_augmented_as_floats() -> None:
    trainer = Trainer(spec({"type": "RandomCrop", "height": 3, "width": 4}, dtype="uint8"))
    images = X.astype("uint8")
    assert fed(trainer, 0, images)["random_crop/augmented"].shape == (12, 3, 4, 3)
    trainer.fit(images, Y)


def test_a_resumed_run_equals_the_one_that_never_stopped(tmp_path) -> None:
    document = spec({"type": "RandomZoom", "height_factor": 0.5}, {"type": "RandomErasing"})
    uninterrupted, stopped, resumed = (Trainer(document) for _ in range(3))
    uninterrupted.fit(X, Y)
    stopped.fit(X, Y, epochs=1)
    stopped.save_checkpoint(tmp_path / "checkpoint")
    resumed.load_checkpoint(tmp_path / "checkpoint")
    resumed.fit(X, Y)
    assert all((resumed.weights()[name] == value).all() for name, value in uninterrupted.weights().items())


def test_a_layers_own_seed_replaces_the_models() -> None:
    flips = [Trainer(spec({"type": "RandomFlip", "seed": 7}), seed=seed) for seed in (1, 2)]
    assert (fed(flips[0], 0)["random_flip/augmented"] == fed(flips[1], 0)["random_flip/augmented"]).all()


def test_a_compiled_model_has_no_augmentation() -> None:
    model = compile(spec({"type": "RandomRotation", "factor": 0.5}))
    assert [value.name for value in model.proto.graph.input] == ["x"]


@pytest.mark.parametrize("name", ["x"])
def test_the_step_graph_takes_augmented_images_as_inputs(name: str) -> None:
    trainer = Trainer(spec({"type": "RandomFlip"}, {"type": "RandomContrast", "factor": 0.1}))
    assert [augmented.source for augmented in trainer.plan.augmented_inputs] == [name, "random_flip/augmented"]
    assert "random_contrast/augmented" in trainer.plan.train.inputs


@pytest.mark.parametrize("kind", ["MixUp", "CutMix"])
def test_targets_are_mixed_like_their_images(kind: str) -> None:
    trainer = Trainer(spec({"type": kind}, loss="categorical_crossentropy"))
    feeds = fed(trainer, 0, y=np.eye(4, dtype="float32")[Y])
    targets = feeds["dense/target"]
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-5)
    assert (targets != np.eye(4)[Y]).any()
    mixed = (feeds[trainer.plan.augmented_inputs[0].name] != X).any((1, 2, 3))
    assert mixed.any()


def test_combined_augmentations_stay_within_the_range_of_values() -> None:
    trainer = Trainer(spec({"type": "RandAugment", "num_ops": 4, "factor": 0.9}, {"type": "AugMix"}))
    for step in range(20):
        feeds = fed(trainer, step)
        augmented = feeds["aug_mix/augmented"]
        assert np.isfinite(augmented).all()
        assert augmented.min() >= 0
        assert augmented.max() <= 255


def test_a_pipeline_applies_its_layers_in_order() -> None:
    steps = [{"type": "RandomBrightness", "factor": [0.1, 0.1]}, {"type": "RandomInvert", "factor": [1, 1]}]
    images = fed(Trainer(spec({"type": "Pipeline", "layers": steps})), 0)["pipeline/augmented"]
    np.testing.assert_allclose(images, 255 - np.clip(X + 25.5, 0, 255), rtol=1e-4)


def test_a_frozen_layer_may_precede_an_augmentation() -> None:
    frozen = {"type": "Conv2D", "filters": 3, "kernel_size": 1, "trainable": False, "name": "frozen"}
    trainer = Trainer(spec(frozen, {"type": "RandomFlip"}))
    kernel, bias = (trainer.weights()[f"frozen/{name}"] for name in ("kernel", "bias"))
    images = fed(trainer, 0)["random_flip/augmented"]
    np.testing.assert_allclose(np.sort(images, axis=None), np.sort(X @ kernel[0, 0] + bias, axis=None), rtol=1e-4)
    trainer.fit(X, Y)
    assert (trainer.weights()["frozen/kernel"] == kernel).all()


COLOURED = [case for case in augmentation.CASES if case.inputs[0] == (5, 6, 3)]


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 1)])
@pytest.mark.parametrize(
    "case", [case for case in augmentation.CASES if case.inputs[0] == (5, 6, 3)], ids=lambda case: case.id
)
def test_images_of_one_row_or_column_are_augmented(case: Case, size: tuple[int, int]) -> None:
    images = np.random.default_rng(0).random((3, *size, 3), np.float32)
    augmented, _ = make_layer(case.layer).augment(images, np.random.default_rng(1))
    assert augmented.shape == one_layer(case.layer, (*size, 3), batch=3).outputs["layer"].shape
    assert np.isfinite(augmented).all()
