"""Imports hostile files under an audit hook: names in a file cause no import, no connection and no file access."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import pytest

SOURCE = Path(__file__).parents[4] / "compiler"

WATCH = """
import sys
import jsonnx, jsonnx.pipeline.compile.keras_import, jsonnx.interop.keras, jsonnx.frontend.schema.schema
import jsonnx.frontend.foreign.foreign_names
jsonnx.frontend.schema.schema.spec_schema()  # evaluates the type hints of our own components
jsonnx.validate({})  # imports jsonschema
try: jsonnx.from_keras(sys.argv[2])  # imports modules that are loaded on first use
except Exception: pass
"x".encode("cp437")  # imports the codec that zipfile uses
path, seen = sys.argv[1], []
def hook(event, arguments):
    text = repr(arguments)
    if event == "import" and arguments[0].split(".")[0] not in ("jsonnx", "numpy", "onnx"):
        seen.append(("import", arguments[0]))
    elif event == "open" and arguments[0] != path and not str(arguments[0]).endswith((".py", ".pyc")):
        if arguments[0] not in (path, 0, "/dev/null") and not isinstance(arguments[0], int):
            seen.append((event, text))
    elif event == "subprocess.Popen" and "hdf5_worker" not in text:
        seen.append((event, text))
    elif event.split(".")[0] in ("socket", "os", "exec", "compile", "marshal", "pickle", "ctypes", "urllib"):
        file_events = ("os.listdir", "os.scandir", "os.walk")
        worker_events = ("os.posix_spawn", "os.putenv", "os.fork", "os.exec", "os.kill")  # of the HDF5 worker
        if event not in file_events + worker_events:
            seen.append((event, text[:100]))
sys.addaudithook(hook)
try:
    jsonnx.from_keras(path)
    print("ACCEPTED")
except jsonnx.CompileError as error:
    print("REFUSED", *sorted({diagnostic.code for diagnostic in error.diagnostics}))
print(seen)
"""

BASE = {"name": "bad", "trainable": True, "dtype": "float32"}


def layer(kind: str, module: str = "keras.layers", registered: str | None = None, **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": {**BASE, **config}, "registered_name": registered}


CODE = {"class_name": "__lambda__", "config": {"code": "4wAAAAAAAAAA", "defaults": None, "closure": None}}
HOSTILE = {
    "lambda": layer("Lambda", function=CODE),
    "lambda-of-keras-2": layer("Lambda", function=["4wAAAAAAAAAA", None, None], function_type="lambda", module_="os"),
    "subprocess": layer("run", module="subprocess", args=["touch", "/tmp/owned"]),
    "system": layer("system", module="os"),
    "eval": layer("eval", module="builtins"),
    "unsafe": layer("enable_unsafe_deserialization", module="keras.config"),
    "get-file": layer("get_file", module="keras.utils", origin="http://127.0.0.1:9/x"),
    "load-model": layer("load_model", module="keras.saving", filepath="/etc/passwd"),
    "torch": layer("TorchModuleWrapper", module_bytes="gASV"),
    "saved-model": layer("TFSMLayer", filepath="/etc"),
    "custom": layer("Mine", module="this", registered="Custom>Mine"),
    "vocabulary-file": layer("StringLookup", vocabulary="/etc/passwd"),
    "vocabulary-url": layer("TextVectorization", vocabulary="http://127.0.0.1:9/x"),
    "integer-vocabulary": layer("IntegerLookup", vocabulary="../../etc/passwd"),
    "initializer": layer(
        "Dense",
        units=1,
        kernel_initializer={"module": "antigravity", "class_name": "fly", "config": {}, "registered_name": None},
    ),
    "activation": layer(
        "Dense",
        units=1,
        activation={
            "module": "builtins",
            "class_name": "function",
            "config": "breakpoint",
            "registered_name": "function",
        },
    ),
}


def model(bad: dict[str, Any]) -> dict[str, Any]:
    first = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"batch_shape": [None, 4], "dtype": "float32", "name": "x"},
        "registered_name": None,
    }
    config = {"name": "m", "trainable": True, "layers": [first, bad], "build_input_shape": [None, 4]}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}


def watched(path: Path) -> tuple[str, str]:
    harmless = path.with_name("harmless.json")
    harmless.write_text(json.dumps(model(layer("Dense", units=1))))
    command = [sys.executable, "-c", WATCH, str(path), str(harmless)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SOURCE, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    answer, seen = done.stdout.splitlines()
    return answer, seen


@pytest.mark.costly(8)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_layers_cause_no_import_and_no_file_access(name: str, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps(model(HOSTILE[name])))
    answer, seen = watched(path)
    assert answer.startswith("REFUSED"), answer
    assert seen == "[]"


@pytest.mark.parametrize("form", ["keras", "h5"])
def test_hostile_archives_and_attributes_cause_no_import_and_no_file_access(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"m.{form}"
    text = json.dumps(model(HOSTILE["subprocess"]))
    if form == "keras":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", text)
            archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
    else:
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = text
            file.create_group("model_weights")
    answer, seen = watched(path)
    assert answer.startswith("REFUSED"), answer
    assert seen == "[]"
