"""Trains every sample with `jsonnx train` and checks what it reaches on its test data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import onnx
import onnxruntime
import pytest
from support.sample_baselines import BASELINES, iou, nuclei_images, nuclei_masks

SAMPLES = Path(__file__).parents[2] / "samples"

BOUNDS = {
    "mnist_mlp": ("accuracy", 0.93),
    "mnist_cnn": ("accuracy", 0.95),
    "vowels_lstm": ("accuracy", 0.93),
    "diabetes": ("mae", 46.0),
    "digits_residual": ("accuracy", 0.96),
    "digits_int8": ("accuracy", 0.96),
    "digits_transfer": ("accuracy", 0.83),
    "digits_contrastive": ("contrast", 3.9),
    "penguins": ("accuracy", 0.96),
    "reviews": ("accuracy", 0.82),
    "reviews_tokens": ("accuracy", 0.8),
    "questions": ("accuracy", 0.82),
    "flights": ("auc", 0.70),
    "crashes": ("auc", 0.88),
    "textures": ("accuracy", 0.93),
    "bicycles": ("mae", 43.0),
    "nuclei": ("iou", 0.85),
}
"""The metric on the test data and its bound: an upper bound of an error, a lower bound of all others."""
ERRORS = {"mae", "contrast"}


RAW = {
    "penguins": (
        {
            "island": np.array(["Biscoe", "Dream", "a new one"], object),
            "sex": np.array(["male", "", "female"], object),
            "measurements": np.array([[50, 15, 220, 5400], [50, 19.5, 196, 3900], [38, 18.5, 186, 3600]], np.float32),
        },
        [2, 1, 0],
    ),
    "reviews": (
        {
            "review": np.array(
                ["A gem: moving, funny and beautifully acted!", "A dull, tedious and pointless mess."], object
            )
        },
        [1, 0],
    ),
}
"""Raw inputs without any preprocessing, and their classes."""


def assert_predicts_raw_input(model: Path, feeds: dict[str, np.ndarray], classes: list[int]) -> None:
    """Asserts that onnxruntime alone, without jsonnx, predicts the classes from raw inputs."""
    (predictions,) = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, feeds)
    assert (predictions.argmax(-1) if predictions.shape[1] > 1 else predictions[:, 0] > 0.5).tolist() == classes


QUANTIZED = {"mnist_cnn", "digits_int8"}
"""Samples with an int8 variant."""
SLOW = {"digits_int8", "digits_residual", "mnist_cnn", "reviews", "reviews_tokens", "vowels_lstm", *BASELINES}
"""Samples that train for several seconds."""


IMAGES = {"textures", "nuclei"}
"""Samples whose data are image files, which the extra `images` reads."""


def test_every_sample_with_data_has_a_bound_and_a_licence() -> None:
    every = {path.stem: json.loads(path.read_text()) for path in SAMPLES.glob("*.json")}
    specs = {name: spec for name, spec in every.items() if "data" in spec.get("training", {})}
    assert specs.keys() == BOUNDS.keys()
    for spec in specs.values():
        data = SAMPLES / spec["training"]["data"]["train"]
        assert data.exists()
        about = data.with_name(data.stem.split("_")[0] + ".md").read_text().lower()
        assert "licence" in about or "license" in about


@pytest.mark.costly(6)
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in BOUNDS])
def test_a_sample_reaches_its_bound(name: str, tmp_path: Path) -> None:
    if name in IMAGES:
        pytest.importorskip("PIL.Image")
    command = [sys.executable, "-m", "jsonnx"]
    subprocess.run(
        [*command, "train", str(SAMPLES / f"{name}.json"), "-o", str(tmp_path / "run"), "--quiet"], check=True
    )
    done = subprocess.run(
        [*command, "evaluate", str(tmp_path / "run"), "--format", "json"], check=True, capture_output=True, text=True
    )
    if name in RAW:
        assert_predicts_raw_input(tmp_path / "run" / "model.onnx", *RAW[name])
    metric, bound = BOUNDS[name]
    metrics = json.loads(done.stdout)
    assert is_at_least_as_good(metrics[metric], bound, metric)
    if name in QUANTIZED:
        assert_quantized_model_keeps_its_accuracy(name, tmp_path / "run", tmp_path / "int8.onnx", metrics["accuracy"])
    if name in BASELINES:
        assert not is_at_least_as_good(BASELINES[name](), bound, metric)
    if name == "nuclei":
        assert_metrics_are_those_of_the_deployed_model(tmp_path / "run" / "model.onnx", metrics)


def assert_quantized_model_keeps_its_accuracy(name: str, run: Path, model: Path, float_accuracy: float) -> None:
    """Computes the accuracy of the int8 model, trained or calibrated, by onnxruntime alone."""
    spec = json.loads((SAMPLES / f"{name}.json").read_text())
    (variant, section) = next(iter(spec["quantization"].items()))
    if spec["training"].get("quantize"):
        model = run / "model.onnx"
    else:
        command = [sys.executable, "-m", "jsonnx", "quantize", str(run), "--variant", variant, "-o", str(model)]
        subprocess.run(command, check=True)
        assert model.stat().st_size < 0.35 * (run / "model.onnx").stat().st_size
    samples = np.load(SAMPLES / spec["training"]["data"]["test"])
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    images = samples["image"].astype(np.float32).reshape(-1, *session.get_inputs()[0].shape[1:])
    (predictions,) = session.run(None, {"image": images})
    accuracy = (predictions.argmax(-1) == samples["label"]).mean()
    assert accuracy >= float_accuracy - section["tolerance"]["accuracy"]
    assert any(weight.data_type == onnx.TensorProto.INT8 for weight in onnx.load(model).graph.initializer)


def is_at_least_as_good(reached: float, bound: float, metric: str) -> bool:
    return reached <= bound if metric in ERRORS else reached >= bound


def assert_metrics_are_those_of_the_deployed_model(model: Path, metrics: dict[str, float]) -> None:
    """Computes the metrics of a segmentation with NumPy, from what onnxruntime alone predicts."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (mask,) = session.run(None, {"image": nuclei_images("test")[..., None].astype(np.float32)})
    actual, predicted = nuclei_masks(), mask[..., 0] > 0.5
    assert metrics["iou"] == pytest.approx(iou(predicted, actual), abs=1e-6)
    assert metrics["accuracy"] == pytest.approx((predicted == actual).mean(), abs=1e-6)


def test_embeddings_trained_without_targets_are_near_to_those_of_their_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """The class of the nearest training image is that of a test image; the model takes the image alone."""
    monkeypatch.chdir(SAMPLES)
    trainer = jsonnx.Trainer("digits_contrastive.json")
    trainer.fit(epochs=4)
    session = trainer.model().session()
    known, unknown = (np.load(f"data/digits_{part}.npz") for part in ("train", "test"))
    images, tests = (session.run(part["image"][..., None])["embedding"] for part in (known, unknown))
    nearest = (tests @ images.T).argmax(axis=1)
    assert (known["label"][nearest] == unknown["label"]).mean() > 0.94


@pytest.mark.slow
def test_transferred_weights_beat_training_from_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains the same network on the same few images, with and without weights trained on other images."""

    monkeypatch.chdir(SAMPLES.parent)

    def reached(seed: int, **changed: Any) -> float:
        spec = json.loads((SAMPLES / "digits_transfer.json").read_text())
        spec["training"] = {**spec["training"], "epochs": 10, **changed}
        for part in ("train", "test"):
            spec["training"]["data"][part] = f"samples/{spec['training']['data'][part]}"
        trainer = jsonnx.Trainer({**spec, "training": {k: v for k, v in spec["training"].items() if v}}, seed=seed)
        trainer.fit()
        return trainer.evaluate()["accuracy"]

    body = {"file": "samples/data/mnist_cnn.safetensors", "layers": ["conv2d*"]}
    with_body = [reached(seed, weights=body) for seed in range(3)]
    from_scratch = [reached(seed, weights=None, freeze=None, learning_rates=None) for seed in range(3)]
    assert min(with_body) > max(from_scratch)
    assert np.mean(with_body) - np.mean(from_scratch) > 0.08
