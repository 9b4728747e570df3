"""Errors of `jsonnx quantize`: options, data, runs and files."""

from __future__ import annotations

import shutil
from pathlib import Path

import jsonnx as jsonnx_package
import numpy as np
import onnx
import pytest
from jsonnx.pipeline.quantize import quantize as quantize_module
from support.commands import jsonnx

DATA = Path(__file__).parents[3] / "samples" / "data"


@pytest.mark.parametrize(
    ("options", "status", "text"),
    [
        (("--tolerance", "accuracy"), 2, "error[bad-option]: --tolerance accuracy: this is no tolerance"),
        (("--tolerance", "accuracy=-1"), 2, "error[bad-option]"),
        (("--tolerance", "accuracy=nan"), 2, "error[bad-option]"),
        (("--tolerance", "acuracy=1"), 2, "did you mean 'accuracy'?"),
        (("--tolerance", "f1=1"), 2, "known are 'loss', 'accuracy', 'max_difference' and 'mean_difference'"),
        (("--precision", "int8", "--variant", "phone"), 2, "--precision and --variant exclude each other"),
        (("--precision", "int9"), 2, "'int9' is not one of"),
        (("--max-model-bytes", "10 KB"), 1, "error[over-budget]: the model has"),
        (("--data", "absent.npz"), 2, "error[unreadable-file]"),
    ],
)
def test_options(digits: Path, tmp_path: Path, options: tuple[str, ...], status: int, text: str) -> None:
    error = jsonnx("quantize", str(digits), "-o", str(tmp_path / "q.onnx"), *options, status=status)
    assert text in error.stderr
    assert not [*tmp_path.iterdir()]


def test_an_input_is_not_overwritten(digits: Path, tmp_path: Path) -> None:
    before = (digits / "model.onnx").read_bytes()
    for run in (digits, digits / "model.onnx"):
        error = jsonnx("quantize", str(run), "-o", str(digits / "model.onnx"), "--precision", "float16", status=2)
        assert "error[is-an-input]" in error.stderr
    assert (digits / "model.onnx").read_bytes() == before


def test_a_missing_folder_is_reported_before_the_model_is_read(tmp_path: Path) -> None:
    error = jsonnx("quantize", str(tmp_path / "absent"), "-o", str(tmp_path / "new" / "q.onnx"), status=2)
    assert "error[unwritable-file]" in error.stderr
    assert "create the folder" in error.stderr
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("precision", ["int8", "float16"])
def test_a_quantized_model_is_not_quantized_again(digits: Path, tmp_path: Path, precision: str) -> None:
    options = ("--precision", precision, "--tolerance", "accuracy=0.1")
    jsonnx("quantize", str(digits), "-o", str(tmp_path / "q.onnx"), *options)
    error = jsonnx("quantize", str(tmp_path / "q.onnx"), "-o", str(tmp_path / "r.onnx"), status=1)
    assert "error[not-quantizable]: the model cannot be quantized: it is quantized already" in error.stderr


def test_a_model_without_large_weights(penguins: Path, tmp_path: Path) -> None:
    options = ("--precision", "int4-weights")
    error = jsonnx("quantize", str(penguins), "-o", str(tmp_path / "q.onnx"), *options, status=1)
    assert "error[not-quantizable]: int4-weights changes nothing" in error.stderr


@pytest.mark.parametrize("file", ["model.onnx", "weights.safetensors"])
def test_a_damaged_run(digits: Path, tmp_path: Path, file: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(digits, run)
    content = bytearray((run / file).read_bytes())
    content[len(content) // 2] ^= 255
    (run / file).write_bytes(content)
    error = jsonnx("quantize", str(run), "-o", str(tmp_path / "q.onnx"), "--data-root", str(digits.parent), status=1)
    assert "error[" in error.stderr
    (run / file).write_bytes(content[:1000])
    jsonnx("quantize", str(run), "-o", str(tmp_path / "q.onnx"), "--data-root", str(digits.parent), status=1)
    assert not (tmp_path / "q.onnx").exists()


def test_a_run_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "error[" in jsonnx("quantize", str(tmp_path / "empty"), "-o", str(tmp_path / "q.onnx"), status=2).stderr
    assert "error[" in jsonnx("quantize", str(tmp_path / "none"), "-o", str(tmp_path / "q.onnx"), status=2).stderr
    (tmp_path / "text.onnx").write_text("no model")
    assert "error[" in jsonnx("quantize", str(tmp_path / "text.onnx"), "-o", str(tmp_path / "q.onnx"), status=1).stderr


def test_data_without_the_columns(penguins: Path, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("island,sex\nBiscoe,male\n")
    options = ("-o", str(tmp_path / "q.onnx"), "--data", str(tmp_path / "data.csv"))
    error = jsonnx("quantize", str(penguins), *options, status=1)
    assert "error[missing-column]" in error.stderr
    assert "bill_length_mm" in error.stderr


def test_data_without_targets_are_compared_without_metrics(penguins: Path, tmp_path: Path) -> None:
    rows = [row.partition(",")[2] for row in (DATA / "penguins_test.csv").read_text().splitlines()]
    (tmp_path / "data.csv").write_text("\n".join(rows))
    options = ("-o", str(tmp_path / "q.onnx"), "--validation-data", str(tmp_path / "data.csv"))
    result = jsonnx("quantize", str(penguins), *options)
    assert "the data have no targets" in result.stdout
    assert "accuracy" not in result.stdout


def test_values_that_are_not_finite(digits: Path, tmp_path: Path) -> None:
    images = np.zeros((40, 8, 8, 1), np.float32)
    images[3, 2, 2] = np.nan
    np.savez(tmp_path / "data.npz", image=images)
    options = ("-o", str(tmp_path / "q.onnx"), "--data", str(tmp_path / "data.npz"))
    error = jsonnx("quantize", str(digits), *options, status=1)
    assert "error[not-finite]" in error.stderr
    assert not (tmp_path / "q.onnx").exists()


def test_an_interrupt_leaves_nothing(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(quantize_module, "interleaved_latencies", interrupted)
    jsonnx("quantize", str(digits), "-o", str(tmp_path / "q.onnx"), "--tolerance", "accuracy=0.1", status=130)
    assert not [*tmp_path.iterdir()]


def test_a_file_has_no_target_form(digits: Path, tmp_path: Path) -> None:
    model = str(digits / "model.onnx")
    options = ("-o", str(tmp_path / "q.onnx"), "--precision", "float16")
    error = jsonnx("quantize", model, *options, "--for", "cuda", status=2)
    assert "error[bad-option]: --for compiles the model again" in error.stderr
    error = jsonnx("quantize", model, *options, "--target", "cuda", status=2)
    assert "need the RUN folder" in error.stderr
    assert not [*tmp_path.iterdir()]


def test_precisions_that_change_no_weight_of_a_file(tmp_path: Path) -> None:
    """The LSTM of another program, which weight-only precisions leave as it is."""
    layers = [{"type": "LSTM", "units": 64, "return_sequences": True}, {"type": "GlobalMaxPooling1D"}]
    model = onnx.load_from_string(
        jsonnx_package.compile({"inputs": {"x": {"shape": [9, 32]}}, "layers": layers}).to_bytes()
    )
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "lstm.onnx")
    options = ("-o", str(tmp_path / "q.onnx"), "--precision", "int4-weights")
    error = jsonnx("quantize", str(tmp_path / "lstm.onnx"), *options, status=1)
    assert "error[not-quantizable]: int4-weights changes nothing" in error.stderr
    assert not (tmp_path / "q.onnx").exists()


def test_convolutions_are_not_quantized_dynamically(tmp_path: Path) -> None:
    convolution = {"type": "Conv2D", "filters": 16, "kernel_size": 3}
    model = jsonnx_package.compile({"inputs": {"x": {"shape": [8, 8, 8]}}, "layers": [convolution, convolution]})
    model.save(tmp_path / "c.onnx")
    options = ("-o", str(tmp_path / "q.onnx"), "--precision", "int8-dynamic")
    error = jsonnx("quantize", str(tmp_path / "c.onnx"), *options, status=1)
    assert "error[not-quantizable]: int8-dynamic changes nothing" in error.stderr
