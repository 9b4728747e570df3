"""Recordings of any length, from their files to a model that reads labels from them."""

from __future__ import annotations

import json
import wave
from itertools import groupby
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from support.commands import jsonnx as command

RATE = 2000
FREQUENCIES = (0, 150, 400, 750)
SPEC = {
    "inputs": {"sound": {"shape": ["samples"]}},
    "layers": [
        {"type": "SequenceMask"},
        {
            **{"type": "MelSpectrogram", "fft_length": 64, "sequence_stride": 32, "num_mel_bins": 16},
            **{"sampling_rate": RATE, "power_to_db": False},
        },
        {"type": "Permute", "dims": [2, 1]},
        {"type": "ops.log1p"},
        {"type": "Conv1D", "filters": 24, "kernel_size": 3, "strides": 2, "activation": "relu"},
        {"type": "Dense", "units": 4},
        {"type": "SequenceMask", "name": "labels"},
    ],
    "training": {
        "data": {"train": "train.jsonl", "test": "test.jsonl", "sequences": {"bucket_by_length": True}},
        **{
            "loss": "ctc",
            "optimizer": {"type": "adam", "learning_rate": 0.02},
            "epochs": 25,
            "batch_size": 8,
            "seed": 1,
        },
    },
}


def write_sounds(name: str, count: int, seed: int) -> list[list[int]]:
    """Writes recordings of tones with pauses, and a table of their names and labels. Returns the labels."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        labels = [int(label) for label in rng.integers(1, 4, rng.integers(1, 5))]
        parts = [np.zeros(rng.integers(100, 300))]
        for label in labels:
            parts += [
                np.sin(2 * np.pi * FREQUENCIES[label] * np.arange(rng.integers(300, 600)) / RATE),
                np.zeros(rng.integers(100, 300)),
            ]
        sound = np.concatenate(parts) + rng.normal(size=sum(map(len, parts))) * 0.02
        path = Path(f"{name}{index}.wav")
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((sound * 16000).astype("<i2").tobytes())
        rows.append({"sound": str(path), "labels": labels})
    Path(f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return [row["labels"] for row in rows]


def read_labels(logits: np.ndarray) -> list[int]:
    """The labels by the most probable class of each step."""
    return [int(label) for label, _ in groupby(logits.argmax(-1)) if label]


def test_a_model_of_recordings_of_any_length_is_trained_and_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_sounds("train", 96, 0)
    expected = write_sounds("test", 24, 1)
    Path("spec.json").write_text(json.dumps(SPEC))
    command("validate", "spec.json", "--data")
    command("train", "spec.json", "-o", "run")
    command("predict", "run", "--data", "test.jsonl", "-o", "results.npz")
    logits = np.load("results.npz")["labels"]
    found = [read_labels(sample) for sample in logits]
    assert sum(labels == right for labels, right in zip(found, expected, strict=True)) >= 20
    session = onnxruntime.InferenceSession("run/model.onnx")
    for index in range(3):
        with wave.open(f"test{index}.wav", "rb") as file:
            sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
        for padding in (0, 500):
            (alone,) = session.run(None, {"sound": np.pad(sound, (0, padding))[None]})
            assert read_labels(alone[0]) == found[index]
            np.testing.assert_allclose(alone[0, :10], logits[index, :10], atol=1e-4)
