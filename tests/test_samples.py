"""The samples, trained whole by the command that their readers use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import onnxruntime
import pytest

SAMPLES = Path(__file__).parent.parent / "samples"

BOUNDS = {
    "mnist_mlp": ("accuracy", 0.93),
    "mnist_cnn": ("accuracy", 0.95),
    "vowels_lstm": ("accuracy", 0.93),
    "diabetes": ("mae", 46.0),
    "digits_residual": ("accuracy", 0.96),
    "digits_transfer": ("accuracy", 0.83),
    "penguins": ("accuracy", 0.96),
    "reviews": ("accuracy", 0.82),
}
"""What the test data must give: an accuracy from below, an error from above. Some two points of leeway."""


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
"""Raw input without preprocessing, and its classes."""


def answer_raw_input(model: Path, feeds: dict[str, np.ndarray], classes: list[int]) -> None:
    """Plain onnxruntime, no jsonnx: strings in, predictions out."""
    (found,) = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, feeds)
    assert (found.argmax(-1) if found.shape[1] > 1 else found[:, 0] > 0.5).tolist() == classes


def test_every_sample_has_bounds_and_its_data_beside_it() -> None:
    every = {path.stem: json.loads(path.read_text()) for path in SAMPLES.glob("*.json")}
    specs = {name: spec for name, spec in every.items() if "data" in spec.get("training", {})}
    assert specs.keys() == BOUNDS.keys()
    for spec in specs.values():
        data = SAMPLES / spec["training"]["data"]["train"]
        assert data.exists()
        about = data.with_name(data.name.split("_")[0] + ".md").read_text().lower()
        assert "licence" in about or "license" in about


@pytest.mark.parametrize("name", BOUNDS)
def test_a_sample_trains(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "jsonnx"]
    subprocess.run(
        [*command, "train", str(SAMPLES / f"{name}.json"), "-o", str(tmp_path / "run"), "--quiet"], check=True
    )
    done = subprocess.run(
        [*command, "evaluate", str(tmp_path / "run"), "--format", "json"], check=True, capture_output=True, text=True
    )
    if name in RAW:
        answer_raw_input(tmp_path / "run" / "model.onnx", *RAW[name])
    figure, bound = BOUNDS[name]
    reached = json.loads(done.stdout)[figure]
    assert reached >= bound if figure == "accuracy" else reached <= bound


def test_a_body_that_was_trained_before_is_worth_more_than_luck(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same network on the same few images, with and without what other images taught it."""

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
    assert np.mean(with_body) - np.mean(from_scratch) > 0.08  # 0.85 and 0.72
