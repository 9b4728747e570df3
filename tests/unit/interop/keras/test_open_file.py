"""Detection of file formats, and contents of archives besides the model."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.core.types import TensorType
from jsonnx.interop.keras import KerasFile, WeightOwner, match_weights, open_keras

FILES = Path(__file__).parent / "files"
CONFIG = '{"class_name": "Sequential", "config": {"name": "m", "layers": []}}'


def archive(path: Path, **members: str | bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name.replace("__", "/").replace("_", "."), data)
    return path


def rejection(path: Path | str) -> tuple[str, str]:
    with pytest.raises(CompileError) as caught:
        open_keras(path)
    (diagnostic,) = caught.value.diagnostics
    return diagnostic.code, diagnostic.message


def warnings(file: KerasFile) -> list[str]:
    assert all(notice.severity == "warning" for notice in file.notices)
    return [notice.message for notice in file.notices]


def test_archive_without_config_is_damaged(tmp_path: Path) -> None:
    assert rejection(archive(tmp_path / "a", metadata_json="{}")) == (
        "damaged-file",
        "the archive has no 'config.json'",
    )


def test_missing_and_unknown_archive_members_cause_warnings(tmp_path: Path) -> None:
    file = open_keras(archive(tmp_path / "a", config_json=CONFIG, setup_py="x", assets__words_txt="a\nb"))
    lacks_metadata, lacks_weights, besides = warnings(file)
    assert "metadata.json" in lacks_metadata
    assert "without weights" in lacks_weights
    assert "'setup.py'" in besides
    assert dict(file.assets) == {"words.txt": b"a\nb"}
    assert (file.version, file.weights) == (None, None)


def test_format_is_detected_from_the_contents(tmp_path: Path) -> None:
    for name, form in (("keras3_half.keras", "keras"), ("keras3_half.h5", "h5"), ("keras3_mask.json", "json")):
        path = tmp_path / "model.bin"
        path.write_bytes((FILES / name).read_bytes())
        assert open_keras(path).file_format == form
    assert open_keras(f"  {CONFIG}").file_format == "json"


@pytest.mark.parametrize("data", [b"GIF89a", b"\x00" * 100, b"PK", b"\x89HD"])
def test_other_formats_are_damaged_files(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(data)
    assert rejection(tmp_path / "a")[0] == "damaged-file"


def test_missing_files_and_devices_are_usage_errors(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none.keras", tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(UsageError):
            open_keras(path)
    assert rejection(tmp_path)[0] == "damaged-file"  # a folder that contains no model


def test_nan_and_infinity_in_json_are_read() -> None:
    config = open_keras('{"a": [NaN, Infinity, -Infinity], "b": "NaN"}').config
    assert str(config) == "{'a': [nan, inf, -inf], 'b': 'NaN'}"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"a": 1, "a": 2}', "duplicate-key"),
        ('{"a": Nan}', "invalid-number"),
        ('{"a": NaNs}', "invalid-json"),
        ('{"a":' * 300 + "1" + "}" * 300, "too-deep"),
        ('{"a": "\\ud800"}', "invalid-encoding"),
        ('{"a": 1e999}', "invalid-number"),
    ],
)
def test_invalid_json_is_rejected_as_in_a_spec(text: str, code: str, tmp_path: Path) -> None:
    assert rejection(text)[0] == code
    assert rejection(archive(tmp_path / "a.keras", config_json=text))[0] == code


def test_invalid_json_in_a_legacy_file_is_rejected(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["model_config"] = '{"a": 1,}'
    assert rejection(tmp_path / "a.h5")[0] == "invalid-json"


@pytest.mark.parametrize("name", ["../keras3_half.h5", "/etc/passwd", "a/b", "..\\x", ".", ""])
def test_shard_outside_the_folder_of_the_index_is_unsafe(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.weights.json").write_text(json.dumps({"weight_map": {"/layers/dense/vars": name}}))
    assert rejection(tmp_path / "a.weights.json")[0] == "unsafe-file"


def test_shard_that_is_a_link_is_unsafe(tmp_path: Path) -> None:
    (tmp_path / "a.weights.json").write_text('{"weight_map": {"/layers/dense/vars": ["s.h5"]}}')
    (tmp_path / "s.h5").symlink_to(FILES / "keras3_half.h5")
    assert rejection(tmp_path / "a.weights.json")[0] == "unsafe-file"


def test_rounded_and_non_finite_weights_are_imported_with_warnings(tmp_path: Path) -> None:
    values = np.array([1e-45, np.nan, np.inf], "f4")
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", data=values)
        file.create_dataset("layers/dense/vars/1", data=np.array([0.1, 2.0, 1e-300]))
        file.create_dataset("layers/dropout/seed_generator/vars/0", data=np.zeros(2, "u4"))
    stored = open_keras(tmp_path / "a.weights.h5").weights
    assert stored is not None
    expected = {name: TensorType("float32", (3,)) for name in ("d/kernel", "d/bias")}
    matched = match_weights(stored, [WeightOwner("d", "Dense", ("d",), "layers/dense")], expected, list(expected))
    assert not matched.errors()
    assert matched.arrays["d/kernel"].tobytes() == values.tobytes()
    rounded, not_finite = matched.notices
    assert (rounded.code, "'d/bias'" in rounded.message) == ("weights-differ", True)
    assert (not_finite.code, "'d/kernel'" in not_finite.message) == ("not-finite", True)
    assert matched.ignored_paths == ["layers/dropout/seed_generator/vars/0"]
