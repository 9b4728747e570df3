"""Files of other programs are named as what they are, by every command that does not take them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import jsonnx as library
import numpy as np
import onnx
import pytest
from jsonnx.core.files.file_kinds import file_kind
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from support.commands import jsonnx

SPEC = {"inputs": {"x": {"shape": [3]}}, "layers": [{"type": "Dense", "units": 1}], "training": {"loss": "mse"}}


def write_onnx(path: Path) -> None:
    weight = numpy_helper.from_array(np.ones((3, 4), np.float32), "w")
    nodes = [helper.make_node("Constant", [], ["w"], value=weight), helper.make_node("MatMul", ["x", "w"], ["y"])]
    x, y = (helper.make_tensor_value_info(*value) for value in (("x", TensorProto.FLOAT, ["b", 3]), ("y", 1, ["b", 4])))
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.save(model, path)


def write_archive(member: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, b"\x80\x02.")

    return write


WRITERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "model.onnx": (write_onnx, "an ONNX model"),
    "weights.safetensors": (lambda path: save_file({"a/kernel": np.ones((3, 2), np.float32)}, path), "weights"),
    "model.pt": (write_archive("archive/data.pkl"), "a PyTorch file"),
    "old.pth": (lambda path: path.write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."), "a Python pickle"),
    "model.gguf": (lambda path: path.write_bytes(b"GGUF" + bytes(40)), "a GGUF language model"),
    "model.tflite": (lambda path: path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(40)), "a TensorFlow Lite model"),
    "data.npz": (lambda path: np.savez(path, x=np.ones((2, 3), np.float32)), "a NumPy archive"),
    "data.parquet": (lambda path: path.write_bytes(b"PAR1" + bytes(40)), "a table (.parquet)"),
    "data.arrow": (lambda path: path.write_bytes(b"ARROW1" + bytes(40)), "a table (.arrow or .feather)"),
    "photo.png": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40)), "an image"),
    "photo.jpg": (lambda path: path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(40)), "an image"),
    "data.npy": (lambda path: np.save(path, np.ones((2, 3), np.float32)), "a NumPy array"),
}
COMMANDS = {
    "import": ["import", "FILE"],
    "inspect": ["inspect", "FILE"],
    "predict": ["predict", "FILE", "--data", "rows.csv"],
    "evaluate": ["evaluate", "FILE", "--data", "rows.csv"],
    "validate": ["validate", "FILE"],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("x_0,x_1,x_2\n1,2,3\n")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("file", WRITERS)
def test_a_file_of_another_kind_is_named(folder: Path, command: str, file: str) -> None:
    write, name = WRITERS[file]
    write(Path(file))
    if file == "model.onnx" and command in ("import", "inspect", "predict", "evaluate"):
        pytest.skip("these commands take ONNX models")
    result = jsonnx(*(file if part == "FILE" else part for part in COMMANDS[command]), status=1)
    assert "error[other-format]: this is " in result.stderr
    assert name in result.stderr
    assert "= help: " in result.stderr
    assert "damaged" not in result.stderr


def test_a_saved_model_folder_is_named(folder: Path) -> None:
    Path("saved").mkdir()
    Path("saved/saved_model.pb").write_bytes(b"\x08\x01")
    assert "this is a TensorFlow SavedModel" in jsonnx("import", "saved", status=1).stderr


@pytest.mark.parametrize("command", [["predict", "--data", "rows.csv"], ["evaluate"], ["export", "--keras", "-o", "k"]])
def test_a_model_of_another_program_has_no_spec(folder: Path, command: list[str]) -> None:
    write_onnx(Path("model.onnx"))
    result = jsonnx(command[0], "model.onnx", *command[1:], status=1)
    assert "error[no-spec]: the model does not contain a spec" in result.stderr
    assert "`jsonnx.Session` in Python runs any ONNX model" in result.stderr


def test_inspect_counts_the_numbers_of_constants(folder: Path) -> None:
    write_onnx(Path("model.onnx"))
    assert json.loads(jsonnx("inspect", "model.onnx", "--format", "json").stdout)["parameters"] == 12


def test_inspect_does_not_deny_a_training_step_of_ours(folder: Path) -> None:
    Path("spec.json").write_text(json.dumps(SPEC))
    jsonnx("compile", "spec.json", "--training", "-o", "step")
    output = jsonnx("inspect", "step/train_step.onnx").stdout
    assert "spec        none: model.onnx beside a training step has it" in output


def test_a_truncated_model_is_damaged(folder: Path) -> None:
    library.compile(SPEC).save("model.onnx")
    Path("model.onnx").write_bytes(Path("model.onnx").read_bytes()[:-20])
    assert "error[damaged-file]" in jsonnx("inspect", "model.onnx", status=1).stderr


@pytest.mark.parametrize("start", [b"", b"P", b"PK", b"PK\x03\x04", b"\x08", b"\x80", b"plain text", b"\xff" * 512])
def test_other_bytes_have_no_kind(start: bytes) -> None:
    assert file_kind(start) is None
