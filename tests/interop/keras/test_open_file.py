"""What stands around a model in Keras' files, and what is missing there."""

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


def refused(path: Path | str) -> tuple[str, str]:
    with pytest.raises(CompileError) as caught:
        open_keras(path)
    (fault,) = caught.value.diagnostics
    return fault.code, fault.message


def told(file: KerasFile) -> list[str]:
    assert all(notice.severity == "warning" for notice in file.notices)
    return [notice.message for notice in file.notices]


def test_an_archive_without_a_model(tmp_path: Path) -> None:
    assert refused(archive(tmp_path / "a", metadata_json="{}")) == ("damaged-file", "the archive has no 'config.json'")


def test_what_an_archive_lacks_and_what_it_has_besides_is_told(tmp_path: Path) -> None:
    file = open_keras(archive(tmp_path / "a", config_json=CONFIG, setup_py="x", assets__words_txt="a\nb"))
    lacks_metadata, lacks_weights, besides = told(file)
    assert "metadata.json" in lacks_metadata
    assert "without weights" in lacks_weights
    assert "'setup.py'" in besides
    assert dict(file.assets) == {"words.txt": b"a\nb"}
    assert (file.version, file.weights) == (None, None)


def test_a_model_is_known_by_its_content_not_its_name(tmp_path: Path) -> None:
    for name, form in (("keras3_half.keras", "keras"), ("keras3_half.h5", "h5"), ("keras3_mask.json", "json")):
        path = tmp_path / "model.bin"
        path.write_bytes((FILES / name).read_bytes())
        assert open_keras(path).file_format == form
    assert open_keras(f"  {CONFIG}").file_format == "json"


@pytest.mark.parametrize("data", [b"GIF89a", b"\x00" * 100, b"PK", b"\x89HD"])
def test_what_is_none_of_keras_files(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(data)
    assert refused(tmp_path / "a")[0] == "damaged-file"


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none.keras", tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(UsageError):
            open_keras(path)
    assert refused(tmp_path)[0] == "damaged-file"  # a folder without a model


def test_numbers_that_are_not_finite_are_read_as_python_writes_them() -> None:
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
def test_a_models_json_is_read_by_the_rules_of_a_spec(text: str, code: str, tmp_path: Path) -> None:
    assert refused(text)[0] == code
    assert refused(archive(tmp_path / "a.keras", config_json=text))[0] == code


def test_a_legacy_file_with_json_that_is_none(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["model_config"] = '{"a": 1,}'
    assert refused(tmp_path / "a.h5")[0] == "invalid-json"


@pytest.mark.parametrize("name", ["../keras3_half.h5", "/etc/passwd", "a/b", "..\\x", ".", ""])
def test_shards_lie_beside_their_index(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.weights.json").write_text(json.dumps({"weight_map": {"/layers/dense/vars": name}}))
    assert refused(tmp_path / "a.weights.json")[0] == "unsafe-file"


def test_a_shard_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "a.weights.json").write_text('{"weight_map": {"/layers/dense/vars": ["s.h5"]}}')
    (tmp_path / "s.h5").symlink_to(FILES / "keras3_half.h5")
    assert refused(tmp_path / "a.weights.json")[0] == "unsafe-file"


def test_numbers_that_are_not_finite_are_told_and_taken(tmp_path: Path) -> None:
    values = np.array([1e-45, np.nan, np.inf], "f4")
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", data=values)
        file.create_dataset("layers/dense/vars/1", data=np.array([0.1, 2.0, 1e-300]))
        file.create_dataset("layers/dropout/seed_generator/vars/0", data=np.zeros(2, "u4"))
    stored = open_keras(tmp_path / "a.weights.h5").weights
    assert stored is not None
    wanted = {name: TensorType("float32", (3,)) for name in ("d/kernel", "d/bias")}
    found = match_weights(stored, [WeightOwner("d", "Dense", ("d",), "layers/dense")], wanted, list(wanted))
    assert not found.errors()
    assert found.arrays["d/kernel"].tobytes() == values.tobytes()
    rounded, odd = found.notices
    assert (rounded.code, "'d/bias'" in rounded.message) == ("weights-differ", True)
    assert (odd.code, "'d/kernel'" in odd.message) == ("not-finite", True)
    assert found.ignored_paths == ["layers/dropout/seed_generator/vars/0"]
