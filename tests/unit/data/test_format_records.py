"""The records of the formats of data files: what the readers, the commands and the messages make of them."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import pytest
from jsonnx.core.files.data_formats import DATA_FORMATS, DataFormat, data_format, data_suffix_error
from jsonnx.core.files.file_kinds import file_kind
from jsonnx.core.system.installation import PACKAGE_BY_EXTRA

ROOT = Path(__file__).parents[3]
SPEC = {
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"type": "Dense", "units": 1, "name": "y"}],
    "training": {"loss": "mse", "epochs": 1, "data": {"train": "data.dat", "x": ["a", "b"], "y": "y"}},
}

each_format = pytest.mark.parametrize("format", DATA_FORMATS, ids=lambda format: format.name)


@each_format
def test_a_record_names_a_reader_and_an_extra_that_exist(format: DataFormat) -> None:
    module, _, function = format.reader.partition(":")
    assert callable(getattr(import_module(f"jsonnx.data.tables.{module}"), function))
    assert not format.extra or format.extra in PACKAGE_BY_EXTRA


@each_format
def test_a_format_is_known_by_the_name_of_a_file(format: DataFormat) -> None:
    assert data_format(f"folder/DATA.{format.name.upper()}") == format
    assert data_suffix_error(f"data.{format.name}") is None
    assert (data_suffix_error(f"data.{format.name}.gz") is None) == format.is_text


@each_format
def test_a_signature_shows_the_kind_of_a_file(format: DataFormat) -> None:
    if format.signature:
        assert file_kind(format.signature + bytes(100)) == format.kind


def test_the_guide_lists_every_format() -> None:
    text = (ROOT / "docs/guides/data/index.md").read_text("utf-8")
    assert not [format.name for format in DATA_FORMATS if f".{format.name}`" not in text]


def test_the_example_for_contributors_is_a_format(tmp_path: Path) -> None:
    """In a copy of the package that has the record and the reader of CONTRIBUTING.md."""
    section = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("\n## Add a data format\n")[2]
    record, reader = (
        dedent(block) for block in re.findall(r"^ *```(?:python)?\n(.*?)^ *```$", section, re.S | re.M)[:2]
    )
    package = tmp_path / "jsonnx"
    shutil.copytree(ROOT / "compiler/jsonnx", package, ignore=shutil.ignore_patterns("__pycache__"))
    records = package / "core/files/data_formats.py"
    records.write_text(
        records.read_text("utf-8").replace("DATA_FORMATS = (\n", f"DATA_FORMATS = (\n{record}", 1), "utf-8"
    )
    (package / "data/tables/space_separated.py").write_text(reader)
    Path(tmp_path, "spec.json").write_text(json.dumps(SPEC))
    Path(tmp_path, "data.dat").write_text("a b y\n1 2 3\n4 5 6\n")
    Path(tmp_path, "data.dat.gz").write_bytes(gzip.compress(b"a b y\n1 2 3\n4 5 6\n7 8 9\n"))
    Path(tmp_path, "bad.dat").write_text("a b y\n1 2 3\n4 5\n")

    assert "samples      2" in run(tmp_path, "validate", "spec.json", "--data")
    assert "samples      3" in run(tmp_path, "validate", "spec.json", "--data", "data.dat.gz")
    error = run(tmp_path, "validate", "spec.json", "--data", "bad.dat", status=1)
    assert "error[bad-data-file]: the row has 2 values, the header 3\n --> bad.dat:3" in error
    Path(tmp_path, "data.xyz").write_text("a b y\n")
    assert "data files end in .dat, .npz," in run(tmp_path, "validate", "spec.json", "--data=data.xyz", status=1)


def run(folder: Path, *arguments: str, status: int = 0) -> str:
    """The output of a command of the package in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "jsonnx", *arguments]
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert process.returncode == status, process.stdout + process.stderr
    return process.stdout + process.stderr
