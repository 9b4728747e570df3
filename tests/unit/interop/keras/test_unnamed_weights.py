"""Weights files without layer names, written by tf.keras 2.12 to 2.15; see parity/record_old_keras_files."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError, UsageError
from support.commands import jsonnx as run

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
    """Writes a file of Dense layers with one kernel each."""
    with h5py.File(path, "w") as file:
        for number, array in enumerate(arrays):
            file[f"layers/dense{f'_{number}' if number else ''}/vars/0"] = array.astype("float32")
    return path


def rejection(network: dict, path: Path, code: str = "weights-unnamed") -> str:
    with pytest.raises(CompileError) as caught:
        jsonnx.compile(network, path)
    assert {diagnostic.code for diagnostic in caught.value.diagnostics} == {code}
    return "\n".join(diagnostic.message for diagnostic in caught.value.diagnostics)


@pytest.mark.parametrize("form", FORMS)
def test_groups_are_assigned_by_order_and_shapes(form: str) -> None:
    path = FILES / form / "told"
    network, no_weights = jsonnx.from_keras(path.with_suffix(".json"))
    assert no_weights is None
    assert difference(jsonnx.compile(network, f"{path}.weights.h5"), path) < 1e-5


@pytest.mark.parametrize("form", FORMS)
def test_layers_of_equal_shapes_are_assigned_with_the_models_json(form: str, tmp_path: Path) -> None:
    path = FILES / form / "alike"
    network, _ = jsonnx.from_keras(path.with_suffix(".json"))
    assert "is a nested model" in rejection(network, Path(f"{path}.weights.h5"))
    network, arrays = jsonnx.from_keras(path.with_suffix(".json"), f"{path}.weights.h5")
    assert difference(jsonnx.compile(network, arrays), path) < 1e-5
    files = [str(path.with_suffix(".json")), f"{path}.weights.h5"]
    out = [str(tmp_path / "spec.json"), "--weights", str(tmp_path / "w.safetensors")]
    assert "6 arrays" not in run("import", *files, "-o", *out).stderr
    model = jsonnx.compile(tmp_path / "spec.json", tmp_path / "w.safetensors")
    assert difference(model, path) < 1e-5


def test_ambiguous_parallel_layers_are_reported_by_name(tmp_path: Path) -> None:
    path = weights(tmp_path / "a.weights.h5", *(np.full((2, 2), number) for number in range(3)))
    sides = [dense("left"), dense("right", **{"from": "x"}), {"type": "Add", "from": ["left", "right"]}]
    message = rejection(spec(*sides, dense("end")), path)
    assert message == (
        "the file does not name its layers, and the weights in 'dense' may belong to 'left' or to 'right', which have "
        "the same shapes"
    )
    with pytest.raises(CompileError, match=r"none of the weights fits.*'left/kernel' cannot be identified"):
        jsonnx.compile(spec(*sides, dense("end")), path, partial=True)


def test_layer_before_ambiguous_layers_is_assigned_in_a_partial_load(tmp_path: Path) -> None:
    path = weights(tmp_path / "a.weights.h5", *(np.full((2, 2), number) for number in range(3)))
    sides = [dense("left", **{"from": "first"}), dense("right", **{"from": "first"})]
    network = spec(dense("first"), *sides, {"type": "Add", "from": ["left", "right"]})
    model = jsonnx.compile(network, path, partial=True)
    assert model.weights_report is not None
    assert model.weights_report.taken == ("first/kernel",)
    assert not model.weights["first/kernel"].any()


def test_shared_layer_precedes_descendants_of_all_its_calls(tmp_path: Path) -> None:
    """If `other` follows only one call of `shared`, the order of the two layers depends on the network."""
    path = weights(tmp_path / "a.weights.h5", *(np.full((2, 2), number) for number in range(2)))
    again = {"use": "shared", "name": "again", "from": "other"}
    network = spec(dense("shared"), dense("other"), again)
    assert jsonnx.compile(network, path).weights["other/kernel"][0, 0] == 1
    twice = {"use": "other", "name": "twice", "from": "x"}
    added = spec(*network["layers"][:2], twice, {"type": "Add", "from": ["other", "twice"]})
    assert "may belong to 'shared' or to 'other'" in rejection(added, path)


def test_choice_by_shape_requires_that_all_groups_fit(tmp_path: Path) -> None:
    """In a network with changed first layers, a group may fit a wrong layer by chance."""
    path = weights(tmp_path / "a.weights.h5", np.ones((2, 3)), np.ones((2, 2)), np.ones((5, 2)))
    joined = {"type": "Concatenate", "from": ["left", "right"]}
    sides = [dense("left", 3), dense("right", **{"from": "x"}), joined]
    assert jsonnx.compile(spec(*sides, dense("end")), path).weights["left/kernel"].shape == (2, 3)
    changed = spec(dense("left", 4), *sides[1:], dense("end"))
    assert "the shapes of the weights in 'dense' fit no layer" in rejection(changed, path)
    with pytest.raises(CompileError, match="none of the weights fits"):
        jsonnx.compile(changed, path, partial=True)


def test_different_number_of_layers_of_a_class_assigns_nothing(tmp_path: Path) -> None:
    path = weights(tmp_path / "a.weights.h5", np.ones((2, 2)), np.ones((2, 2)))
    message = rejection(spec(dense("a")), path)
    assert message.endswith("the file has 2 Dense layers with weights, the network 1")
    network = spec(dense("a"), {"type": "LayerNormalization", "name": "n"})
    with pytest.raises(CompileError, match="none of the weights fits"):
        jsonnx.compile(spec(dense("a")), path, partial=True)
    with h5py.File(path, "r+") as file:
        file["layers/layer_normalization/vars/0"] = file["layers/layer_normalization/vars/1"] = np.ones(2, "float32")
    report = jsonnx.compile(network, path, partial=True).weights_report
    assert report is not None
    assert report.taken == ("n/gamma", "n/beta")
    assert report.unfit == {"a/kernel": "cannot be identified: the file has 2 Dense layers with weights, the network 1"}


def test_separate_weights_file_requires_json(tmp_path: Path) -> None:
    path = FILES / FORMS[0]
    with pytest.raises(UsageError, match="not a model in JSON"):
        jsonnx.from_keras(FILES / "keras3_half.keras", path / "told.weights.h5")
    with pytest.raises(CompileError, match="no weights in this file"):
        jsonnx.from_keras(path / "told.json", path / "told.json")
    with pytest.raises(CompileError) as caught:
        jsonnx.from_keras(path / "told.json", path / "alike.weights.h5")
    assert {diagnostic.file for diagnostic in caught.value.diagnostics} == {str(path / "alike.weights.h5")}
    model = json.loads((path / "told.json").read_text())
    assert jsonnx.from_keras(json.dumps(model), path / "told.weights.h5")[1] is not None
