"""Files of weights that do not name their layers, as tf.keras 2.12 to 2.15 wrote them, see
parity/record_old_keras_files."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import jsonnx
import numpy as np
import pytest
from commands import jsonnx as run
from jsonnx.core.diagnostics import CompileError, UsageError

FILES = Path(__file__).parent / "files"
FORMS = ("keras2_12_weights", "keras2_15_weights")


def difference(model: jsonnx.Model, path: Path) -> float:
    recorded = np.load(path.with_suffix(".npz"))
    (y,) = model.session().run(recorded["x"]).values()
    return float(np.abs(y - recorded["y"]).max() / np.abs(recorded["y"]).max())


def dense(name: str, units: int = 2, **more: object) -> dict:
    return {"type": "Dense", "name": name, "units": units, "use_bias": False, **more}


def spec(*layers: dict, **more: object) -> dict:
    return {"inputs": {"x": {"shape": [2]}}, "layers": list(layers), **more}


def weights(path: Path, *arrays: np.ndarray) -> Path:
    """A file of Dense layers, each with its kernel."""
    with h5py.File(path, "w") as file:
        for number, array in enumerate(arrays):
            file[f"layers/dense{f'_{number}' if number else ''}/vars/0"] = array.astype("float32")
    return path


def refused(given: dict, path: Path, code: str = "weights-unnamed") -> str:
    with pytest.raises(CompileError) as caught:
        jsonnx.compile(given, path)
    assert {fault.code for fault in caught.value.diagnostics} == {code}
    return "\n".join(fault.message for fault in caught.value.diagnostics)


@pytest.mark.parametrize("form", FORMS)
def test_layers_are_told_by_their_order_and_by_their_shapes(form: str) -> None:
    path = FILES / form / "told"
    given, none = jsonnx.from_keras(path.with_suffix(".json"))
    assert none is None
    assert difference(jsonnx.compile(given, f"{path}.weights.h5"), path) < 1e-5


@pytest.mark.parametrize("form", FORMS)
def test_two_that_are_alike_are_told_by_the_models_json_alone(form: str, tmp_path: Path) -> None:
    path = FILES / form / "alike"
    given, _ = jsonnx.from_keras(path.with_suffix(".json"))
    assert "is a model within the model" in refused(given, Path(f"{path}.weights.h5"))
    given, arrays = jsonnx.from_keras(path.with_suffix(".json"), f"{path}.weights.h5")
    assert difference(jsonnx.compile(given, arrays), path) < 1e-5
    files = [str(path.with_suffix(".json")), f"{path}.weights.h5"]
    out = [str(tmp_path / "spec.json"), "--weights", str(tmp_path / "w.safetensors")]
    assert "6 arrays" not in run("import", *files, "-o", *out).stderr
    model = jsonnx.compile(tmp_path / "spec.json", tmp_path / "w.safetensors")
    assert difference(model, path) < 1e-5


def test_two_side_by_side_are_named(tmp_path: Path) -> None:
    path = weights(tmp_path / "a.weights.h5", *(np.full((2, 2), number) for number in range(3)))
    sides = [dense("left"), dense("right", **{"from": "x"}), {"type": "Add", "from": ["left", "right"]}]
    told = refused(spec(*sides, dense("end")), path)
    assert told == (
        "the file does not name its layers, and the weights in 'dense' may be those of 'left' or of 'right', which are "
        "alike"
    )
    with pytest.raises(CompileError, match=r"none of the weights fits.*'left/kernel' cannot be told"):
        jsonnx.compile(spec(*sides, dense("end")), path, partial=True)


def test_a_layer_before_two_is_told_also_in_part(tmp_path: Path) -> None:
    path = weights(tmp_path / "a.weights.h5", *(np.full((2, 2), number) for number in range(3)))
    sides = [dense("left", **{"from": "first"}), dense("right", **{"from": "first"})]
    given = spec(dense("first"), *sides, {"type": "Add", "from": ["left", "right"]})
    model = jsonnx.compile(given, path, partial=True)
    assert model.weights_report is not None
    assert model.weights_report.taken == ("first/kernel",)
    assert not model.weights["first/kernel"].any()


def test_a_layer_called_twice_is_before_what_comes_of_both_calls(tmp_path: Path) -> None:
    """`other` comes of one call of `shared` alone: then it depends on the network which Keras has first."""
    path = weights(tmp_path / "a.weights.h5", *(np.full((2, 2), number) for number in range(2)))
    again = {"use": "shared", "name": "again", "from": "other"}
    given = spec(dense("shared"), dense("other"), again)
    assert jsonnx.compile(given, path).weights["other/kernel"][0, 0] == 1
    twice = {"use": "other", "name": "twice", "from": "x"}
    added = spec(*given["layers"][:2], twice, {"type": "Add", "from": ["other", "twice"]})
    assert "may be those of 'shared' or of 'other'" in refused(added, path)


def test_a_shape_tells_only_where_all_fit(tmp_path: Path) -> None:
    """A network whose first layers were changed: what fits there by chance was something else's."""
    path = weights(tmp_path / "a.weights.h5", np.ones((2, 3)), np.ones((2, 2)), np.ones((5, 2)))
    joined = {"type": "Concatenate", "from": ["left", "right"]}
    sides = [dense("left", 3), dense("right", **{"from": "x"}), joined]
    assert jsonnx.compile(spec(*sides, dense("end")), path).weights["left/kernel"].shape == (2, 3)
    changed = spec(dense("left", 4), *sides[1:], dense("end"))
    assert "'dense' have not the shapes" in refused(changed, path)
    with pytest.raises(CompileError, match="none of the weights fits"):
        jsonnx.compile(changed, path, partial=True)


def test_other_numbers_of_layers_tell_nothing(tmp_path: Path) -> None:
    path = weights(tmp_path / "a.weights.h5", np.ones((2, 2)), np.ones((2, 2)))
    told = refused(spec(dense("a")), path)
    assert told.endswith("the file has 2 Dense layers with weights, the network 1")
    given = spec(dense("a"), {"type": "LayerNormalization", "name": "n"})
    with pytest.raises(CompileError, match="none of the weights fits"):
        jsonnx.compile(spec(dense("a")), path, partial=True)
    with h5py.File(path, "r+") as file:
        file["layers/layer_normalization/vars/0"] = file["layers/layer_normalization/vars/1"] = np.ones(2, "float32")
    report = jsonnx.compile(given, path, partial=True).weights_report
    assert report is not None
    assert report.taken == ("n/gamma", "n/beta")
    assert report.unfit == {"a/kernel": "cannot be told: the file has 2 Dense layers with weights, the network 1"}


def test_weights_go_beside_json_alone(tmp_path: Path) -> None:
    path = FILES / FORMS[0]
    with pytest.raises(UsageError, match="not a model in JSON"):
        jsonnx.from_keras(FILES / "keras3_half.keras", path / "told.weights.h5")
    with pytest.raises(CompileError, match="no weights in this file"):
        jsonnx.from_keras(path / "told.json", path / "told.json")
    with pytest.raises(CompileError) as caught:
        jsonnx.from_keras(path / "told.json", path / "alike.weights.h5")
    assert {fault.file for fault in caught.value.diagnostics} == {str(path / "alike.weights.h5")}
    model = json.loads((path / "told.json").read_text())
    assert jsonnx.from_keras(json.dumps(model), path / "told.weights.h5")[1] is not None
