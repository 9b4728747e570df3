"""A variational autoencoder of digits, on the command line: training, draws by a seed, and its decoder as a file."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from support.commands import jsonnx

SAMPLES = Path(__file__).parents[2] / "samples"
SPEC = Path(__file__).parent / "mnist_vae.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the spec, a part of the data, and a trained RUN folder."""
    folder = tmp_path_factory.mktemp("vae")
    shutil.copy(SPEC, folder)
    for part, count in (("train", 4000), ("test", 200)):
        with np.load(SAMPLES / "data" / f"mnist_{part}.npz") as data:
            np.savez(folder / f"{part}.npz", image=data["image"][:count])
    jsonnx("train", str(folder / SPEC.name), "-o", str(folder / "run"))
    return folder


def images(folder: Path) -> np.ndarray:
    with np.load(folder / "test.npz") as data:
        return data["image"].reshape(len(data["image"]), -1).astype(np.float32)


def predicted(folder: Path, *options: str) -> np.ndarray:
    file = folder / "predicted.npz"
    jsonnx("predict", str(folder / "run"), "--data", str(folder / "test.npz"), "-o", str(file), *options)
    with np.load(file) as results:
        return np.array(results["pixels"])


def test_it_reconstructs_digits_that_it_has_not_seen(folder: Path) -> None:
    digits = images(folder)
    errors = ((predicted(folder) - digits) ** 2).mean(), ((digits.mean(0) - digits) ** 2).mean()
    assert errors[0] < 0.9 * errors[1]


def test_predictions_differ_by_the_seed_alone(folder: Path) -> None:
    first = predicted(folder, "--seed", "1")
    np.testing.assert_array_equal(predicted(folder, "--seed", "1"), first)
    assert np.abs(predicted(folder, "--seed", "2") - first).mean() > 1
    np.testing.assert_array_equal(predicted(folder), predicted(folder, "--seed", "0"))


def test_evaluations_are_reproducible(folder: Path) -> None:
    results = [jsonnx("evaluate", str(folder / "run")).stdout for _ in range(2)]
    assert results[0] == results[1]
    assert "kl" in results[0]


def test_its_decoder_is_a_file_that_makes_digits_of_random_numbers(folder: Path) -> None:
    spec, run, decoder = (str(folder / name) for name in (SPEC.name, "run", "decoder.onnx"))
    jsonnx("compile", spec, "--weights", run, "--inputs", "z", "--outputs", "pixels", "-o", decoder)
    session = onnxruntime.InferenceSession(decoder)
    assert [value.name for value in session.get_inputs()] == ["z"]
    z = np.random.default_rng(0).standard_normal((100, 8)).astype(np.float32)
    (made,) = session.run(None, {"z": z})
    digits = images(folder)
    assert made.shape == digits[:100].shape
    assert 0 <= made.min() <= made.max() <= 255
    assert np.abs(made.mean(0) - digits.mean(0)).mean() < 0.3 * digits.mean()  # bright where digits are
    assert made.std(0).mean() > 0.2 * digits.std(0).mean()  # and not all the same


def test_the_encoder_is_a_file_without_random_numbers(folder: Path) -> None:
    spec, run, encoder = (str(folder / name) for name in (SPEC.name, "run", "encoder.onnx"))
    jsonnx("compile", spec, "--weights", run, "--outputs", "z_mean,z_log_var", "-o", encoder)
    session = onnxruntime.InferenceSession(encoder)
    assert [value.name for value in session.get_inputs()] == ["image"]
    mean, _ = session.run(None, {"image": images(folder)})
    assert mean.shape == (200, 8)
