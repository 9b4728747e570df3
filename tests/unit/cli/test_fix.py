"""`jsonnx validate --fix`: what is written, what is printed, and the exit status."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from jsonnx.cli import main

FAULTY = """{
\t"inputs": {"x": {"shape": [4]}},\r
\t"layers": [{"type": "Dense", "unit": 3 , "activation" :"sigmoidd"}]
}"""
FIXED = FAULTY.replace('"unit"', '"units"').replace("sigmoidd", "sigmoid")
UNSAFE = (
    '{"inputs": {"x": {"shape": [4]}}, '
    '"layers": [{"type": "Dense", "units": 3, "quantization_config": "int8"}] /* c */}'
)


def run(*arguments: str | Path, input: str | None = None) -> Result:
    return CliRunner().invoke(main, ["validate", *map(str, arguments)], input=input)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.json"
    path.write_bytes(FAULTY.encode())
    return path


def test_fixes_leave_the_rest_of_the_file_as_it_is(spec: Path) -> None:
    os.chmod(spec, 0o640)
    result = run("--fix", spec)
    assert result.exit_code == 0
    assert spec.read_bytes() == FIXED.encode()
    assert stat.S_IMODE(spec.stat().st_mode) == 0o640
    assert "fixed 2, 0 remain" in result.output
    assert [path.name for path in spec.parent.iterdir()] == ["spec.json"]
    assert "fixed 0, 0 remain" in run("--fix", spec).output


def test_a_byte_order_mark_remains_and_a_link_is_followed(tmp_path: Path, spec: Path) -> None:
    spec.write_bytes(b"\xef\xbb\xbf" + FAULTY.encode())
    link = tmp_path / "link.json"
    link.symlink_to(spec)
    assert run("--fix", link).exit_code == 0
    assert link.is_symlink()
    assert spec.read_bytes() == b"\xef\xbb\xbf" + FIXED.encode()


def test_a_diff_writes_no_file_and_can_be_applied(spec: Path) -> None:
    result = run("--fix", "--diff", spec)
    assert result.exit_code == 1
    assert spec.read_bytes() == FAULTY.encode()
    assert "would fix 2, 0 remain" in result.stderr
    subprocess.run(["patch", "--binary", "-s", str(spec)], input=result.stdout_bytes, check=True)
    assert spec.read_bytes() == FIXED.encode()
    result = run("--diff", spec)
    assert (result.exit_code, result.stdout) == (0, "")


def test_fixes_that_are_not_safe_are_applied_on_request(spec: Path) -> None:
    spec.write_text(UNSAFE)
    result = run("--fix", spec)
    assert result.exit_code == 1
    assert "fixed 0, 1 remain (1 with a fix for --unsafe-fixes)" in result.output
    assert spec.read_text() == UNSAFE
    result = run("--fix", "--unsafe-fixes", spec)
    assert result.exit_code == 0
    assert "fixed 2, 0 remain" in result.output
    assert spec.read_text() == UNSAFE.replace(" /* c */", "").replace(', "quantization_config": "int8"', "")


def test_the_text_from_standard_input_is_printed() -> None:
    result = run("--fix", "-", input=FAULTY)
    assert result.exit_code == 0
    assert result.stdout.rstrip("\n").replace("\r", "") == FIXED.replace("\r", "")
    assert "fixed 2, 0 remain" in result.stderr
    result = run("--fix", "--format", "json", "-", input=FAULTY)
    assert result.exit_code == 2
    assert "leave out --format" in result.stdout


def test_several_files_and_one_that_is_missing(spec: Path) -> None:
    result = run("--fix", spec, spec.parent / "missing.json")
    assert result.exit_code == 2
    assert spec.read_bytes() == FIXED.encode()
    spec.write_bytes(FAULTY.encode())
    result = run("--diff", spec, spec.parent / "missing.json")
    assert result.exit_code == 2
    assert "+++" in result.stdout
    assert "missing.json" in result.stderr


def test_without_fixes_the_message_says_how_many_there_are(spec: Path) -> None:
    assert "2 can be fixed with --fix" in run(spec).output
    spec.write_text(UNSAFE)
    assert "1 can be fixed with --fix --unsafe-fixes" in run(spec).output
    assert "can be fixed" not in run("--format", "json", spec).output


def test_a_value_that_an_option_gave_has_no_fix(spec: Path) -> None:
    spec.write_bytes(FIXED.encode())
    result = run("--fix", "--set", "layers.0.activation=softmaxx", spec)
    assert result.exit_code == 1
    assert spec.read_bytes() == FIXED.encode()


def test_a_file_that_cannot_be_written_remains(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", fail)
    result = run("--fix", spec)
    assert result.exit_code == 2
    assert "no space left on device" in result.stderr
    assert spec.read_bytes() == FAULTY.encode()
    assert [path.name for path in spec.parent.iterdir()] == ["spec.json"]


FOREIGN = """{
  'inputs': {'image': {'shape': (28, 28, 1), 'dtype': 'float'}},
  'layers': [
    {'type': 'nn.Conv2d', 'in_channels': 1, 'out_channels': 32, 'kernel_size': '3', 'padding': 'Same', 'act': 'relu'},
    {'type': 'flatten'},
    {'type': 'Linear', 'in_features': 10, 'out_features': '128'},
    {'type': 'Dropout', 'p': '0.5'},
    {'class_name': 'Dense', 'units': 10, 'activation': 'softmx'},
  ],
  'training': {'criterion': 'sparse_categorical_crossentropy', 'optimizer': 'torch.optim.Adam', 'lr': 1e-3,
               'betas': [0.9, 0.99], 'num_epochs': 3, 'metric': ['accuracy']}
}
"""
NATIVE = """{
  "inputs": {"image": {"shape": [28, 28, 1], "dtype": "float32"}},
  "layers": [
    {"type": "Conv2D", "filters": 32, "kernel_size": 3, "padding": "same", "activation": "relu"},
    {"type": "Flatten"},
    {"type": "Dense", "units": 128},
    {"type": "Dropout", "rate": 0.5},
    {"type": "Dense", "units": 10, "activation": "softmax"}
  ],
  "training": {"loss": "sparse_categorical_crossentropy", "optimizer": \
{"type": "Adam", "learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.99}, "epochs": 3, "metrics": ["accuracy"]}
}
"""


def test_a_spec_with_the_names_and_the_syntax_of_another_framework_becomes_valid(spec: Path) -> None:
    spec.write_text(FOREIGN)
    result = run("--fix", spec)
    assert result.exit_code == 0, result.output
    assert spec.read_text() == NATIVE
