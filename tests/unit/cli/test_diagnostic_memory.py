"""Commands that report an error about a large file read little of it: each runs with limited memory."""

from __future__ import annotations

import json
import resource
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import jsonnx, process

FILE_BYTES, MEMORY_BYTES = 6 << 30, 3 << 30
"""Files are sparse: they take no space on the disk. The memory suffices for onnxruntime, but not for a file."""

SPEC: dict[str, Any] = {
    "name": "large",
    "inputs": {"x": {"shape": [4]}},
    "layers": [{"type": "Dense", "name": "y", "units": 1}],
    "training": {"data": {"train": "train.npy"}, "loss": "mse", "optimizer": "sgd", "epochs": 1},
}


def limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def sparse(file: Path, size: int = FILE_BYTES, start: bytes = b"") -> None:
    file.write_bytes(start)
    with open(file, "r+b") as stream:
        stream.truncate(size)


def npy_header(rows: int) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, 4), }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # each thread reserves address space
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    return tmp_path


def refusal(*arguments: str, status: int = 1) -> str:
    result = process(*arguments, preexec_fn=limit_memory)
    assert result.returncode == status, result.stderr
    assert "Traceback" not in result.stderr
    assert "out-of-memory" not in result.stderr
    return result.stderr


@pytest.mark.costly(2)
@pytest.mark.parametrize("command", ["validate", "summary", "train", "fmt"])
def test_a_huge_spec_is_refused(folder: Path, command: str) -> None:
    sparse(folder / "huge.json")
    assert refusal(command, "huge.json").startswith("error[too-large]")


def test_a_huge_array_without_a_column_is_refused_before_it_is_read(folder: Path) -> None:
    header = npy_header(rows=FILE_BYTES // 16)
    sparse(folder / "train.npy", FILE_BYTES + len(header), header)
    jsonnx("compile", "spec.json", "-o", "model.onnx")
    for command in (["train", "spec.json"], ["evaluate", "model.onnx", "--data", "train.npy"]):
        assert "error[missing-column]: there is no column 'y'" in refusal(*command)


@pytest.mark.slow
def test_a_huge_array_of_the_wrong_length_is_refused_before_it_is_read(folder: Path) -> None:
    sparse(folder / "train.npy", FILE_BYTES, npy_header(rows=FILE_BYTES // 16))
    jsonnx("compile", "spec.json", "-o", "model.onnx")
    for command in (["train", "spec.json"], ["predict", "model.onnx", "--data", "train.npy"]):
        assert "error[bad-data-file]: not a readable .npy file" in refusal(*command)


@pytest.mark.slow
def test_an_archive_with_errors_is_not_shown_as_text(folder: Path) -> None:
    spec = SPEC | {"training": SPEC["training"] | {"data": {"train": "train.npz"}}}
    (folder / "spec.json").write_text(json.dumps(spec))
    x = np.zeros((1 << 24, 4), np.float16)
    x[7, 2] = np.nan
    with zipfile.ZipFile("train.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in (("x", x), ("y", x[:, :1])):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array)
    assert "error[not-finite]: sample 7, element [2]: input 'x' is nan" in refusal("train", "spec.json")


def test_a_line_as_long_as_its_file_is_shown_in_a_window(folder: Path) -> None:
    text = '{"inputs": {}, ' + " " * (15 << 20) + '"layer": []}'
    (folder / "line.json").write_text(text)
    lines = refusal("validate", "line.json").splitlines()
    assert max(map(len, lines)) < 200
    assert any('"layer": []}' in line for line in lines)
