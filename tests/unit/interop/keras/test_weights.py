"""Weights files written by Keras 3. The values are derived from the names; see parity/record_keras_files."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path

import h5py
import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.core.types import TensorType
from jsonnx.interop.keras import WeightOwner, match_weights, open_keras
from jsonnx.pipeline.compile.keras_import import import_keras
from support.commands import jsonnx as run

FILES = Path(__file__).parent / "files"
HALF = {
    "bfloat16/kernel": TensorType("float32", (3, 2)),
    "bfloat16/bias": TensorType("float32", (2,)),
    "float16/kernel": TensorType("float32", (2, 2)),
    "float16/bias": TensorType("float32", (2,)),
}
HALF_OWNERS = [
    WeightOwner("bfloat16", "Dense", ("bfloat16",), "layers/dense"),
    WeightOwner("float16", "Dense", ("float16",), "layers/dense_1"),
]


def numbers(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(name.encode())).uniform(0.1, 1, shape).astype("float32")


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_weights_of_all_kinds_of_layers_are_imported(ending: str) -> None:
    spec, weights = jsonnx.from_keras(FILES / f"keras3_every_kind.{ending}")
    assert weights is not None
    assert len(weights) == 43
    for name, array in weights.items():
        expected = numbers(name, array.shape).astype(array.dtype)
        np.testing.assert_array_equal(array, expected, err_msg=name)
    jsonnx.compile(spec, weights)


def test_optimizer_state_is_left_out_with_a_warning() -> None:
    (notice,) = import_keras(FILES / "keras3_every_kind.keras").notices
    assert (notice.code, notice.severity) == ("not-imported", "warning")
    assert "optimizer" in notice.message
    assert import_keras(FILES / "keras3_every_kind.h5").notices == ()


@pytest.mark.parametrize("name", ["keras3_half.keras", "keras3_half.h5", "keras3_shards.weights.json"])
def test_half_precision_weights_are_converted_exactly(name: str) -> None:
    stored = open_keras(FILES / name).weights
    assert stored is not None
    matched = match_weights(stored, HALF_OWNERS, HALF, list(HALF))
    assert not matched.errors()
    for name, array in matched.arrays.items():
        exact = numbers(name, array.shape)
        assert array.dtype == np.float32
        assert 0 < np.abs(array - exact).max() < (0.004 if "bfloat16" in name else 0.0005)
        bits = 16 if "bfloat16" in name else 13  # the bits that the half-precision format lacks are zero
        assert not (array.view(np.uint32) & ((1 << bits) - 1)).any()


def test_groups_are_found_by_name_before_number() -> None:
    """Without names, groups are found by class and number."""
    stored = open_keras(FILES / "keras3_half.keras").weights
    assert stored is not None
    crossed = [HALF_OWNERS[0]._replace(group="layers/dense_1"), HALF_OWNERS[1]._replace(group="layers/dense")]
    assert not match_weights(stored, crossed, HALF, list(HALF)).errors()
    for group in stored.attributes.values():
        group.pop("name", None)
    assert len(match_weights(stored, crossed, HALF, list(HALF)).errors()) == 2  # the two kernels, whose shapes differ
    assert not match_weights(stored, HALF_OWNERS, HALF, list(HALF)).errors()


def test_mismatches_are_reported_for_each_weight() -> None:
    stored = open_keras(FILES / "keras3_half.keras").weights
    assert stored is not None
    expected = {**HALF, "bfloat16/kernel": TensorType("float32", (2, 3)), "more/kernel": TensorType("float32", (1,))}
    owners = [HALF_OWNERS[0], WeightOwner("more", "Dense", ("more",), "layers/dense_2")]
    del expected["float16/kernel"], expected["float16/bias"]
    messages = [
        diagnostic.message for diagnostic in match_weights(stored, owners, expected, list(expected)).errors("m.keras")
    ]
    assert messages == [
        "the weight 'bfloat16/kernel' ('layers/dense/vars/0' in the file) has shape [3, 2], the network wants [2, 3]",
        "the weight 'more/kernel' is missing in the file",
        "the file's array 'layers/dense_1/vars/0' belongs to no weight of the network",
        "the file's array 'layers/dense_1/vars/1' belongs to no weight of the network",
    ]


def test_weights_file_cannot_be_imported_as_a_model() -> None:
    with pytest.raises(jsonnx.CompileError, match="weights but no model"):
        jsonnx.from_keras(FILES / "keras3_shards.weights.json")


def test_weights_of_a_nested_model_do_not_depend_on_frozen_layers() -> None:
    """The list of a nested model has trainable weights first, and is split by names."""
    stored = open_keras(FILES / "keras3_every_kind.h5").weights
    assert stored is not None
    names = stored.attributes["model_weights/encoder"]["weight_names"]
    before = jsonnx.from_keras(FILES / "keras3_every_kind.h5")[1]
    owners = [
        WeightOwner("first", "Conv1D", ("encoder", "first"), ""),
        WeightOwner("normal", "BatchNormalization", ("encoder", "normal"), ""),
        WeightOwner("second", "Conv1D", ("encoder", "second"), ""),
    ]
    assert before is not None
    inner = [name for name in before if name.split("/")[0] in ("first", "normal", "second")]
    expected = {name: TensorType("float32", before[name].shape) for name in inner}
    frozen = [name for name in names if "/normal/" in name] + [name for name in names if "/normal/" not in name]
    stored.attributes["model_weights/encoder"]["weight_names"] = frozen
    matched = match_weights(stored, owners, expected, list(expected)[:2])
    for name, array in matched.arrays.items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_spec_can_be_compiled_with_a_keras_file(tmp_path: Path) -> None:
    """`--weights` accepts all formats of Keras, also for layers of nested models."""
    spec, weights = jsonnx.from_keras(FILES / "keras3_every_kind.keras")
    assert weights is not None
    stored = tmp_path / "only.weights.h5"
    with zipfile.ZipFile(FILES / "keras3_every_kind.keras") as archive:
        stored.write_bytes(archive.read("model.weights.h5"))
    for path in (FILES / "keras3_every_kind.keras", stored):
        compiled = jsonnx.compile(spec, path)
        for name, array in weights.items():
            np.testing.assert_array_equal(compiled.weights[name], array, err_msg=name)


def test_compressed_archive_and_folder_are_read(tmp_path: Path) -> None:
    """Users may repack a .keras file or unpack it to a folder."""
    with zipfile.ZipFile(FILES / "keras3_half.keras") as archive:
        archive.extractall(tmp_path / "folder")
        with zipfile.ZipFile(tmp_path / "packed.keras", "w", zipfile.ZIP_DEFLATED) as packed:
            for name in archive.namelist():
                packed.writestr(name, archive.read(name))
    expected = open_keras(FILES / "keras3_half.keras")
    for path in (tmp_path / "folder", tmp_path / "packed.keras"):
        opened = open_keras(path)
        assert (opened.file_format, opened.config, opened.version) == ("keras", expected.config, expected.version)
        assert opened.weights is not None
        assert expected.weights is not None
        assert opened.weights.arrays.keys() == expected.weights.arrays.keys()
        for name, array in expected.weights.arrays.items():
            np.testing.assert_array_equal(opened.weights.arrays[name], array)


def test_spec_can_be_compiled_with_shards() -> None:
    layers = [{"type": "Dense", "name": name, "units": 2} for name in ("bfloat16", "float16")]
    spec = {"inputs": {"x": {"shape": [3]}}, "layers": layers}
    stored = open_keras(FILES / "keras3_half.keras").weights
    assert stored is not None
    expected = match_weights(stored, HALF_OWNERS, HALF, list(HALF)).arrays
    for name, array in jsonnx.compile(spec, FILES / "keras3_shards.weights.json").weights.items():
        np.testing.assert_array_equal(array, expected[name])


def test_non_finite_weights_are_rejected_for_a_spec(tmp_path: Path) -> None:
    spec = {"inputs": {"x": {"shape": [2]}}, "layers": [{"type": "Dense", "name": "d", "units": 1}]}
    weights = {"d/kernel": np.array([[np.nan], [1]], "f4"), "d/bias": np.zeros(1, "f4")}
    for name in ("w.keras", "w.npz"):
        if name == "w.npz":
            np.savez(tmp_path / name, **weights)
        else:
            jsonnx.to_keras(spec, weights).save(tmp_path / name)
        with pytest.raises(CompileError) as caught:
            jsonnx.compile(spec, weights=tmp_path / name)
        assert [diagnostic.code for diagnostic in caught.value.diagnostics] == ["not-finite"]


def test_layers_of_nested_models_are_found_by_qualified_names(tmp_path: Path) -> None:
    """Layers of equal names in nested models get the names of the enclosing models as prefix."""
    folders = {"head": "functional_1", "mid": "functional", "inner": "functional/layers/functional"}
    with h5py.File(tmp_path / "nested.weights.h5", "w") as file:
        for number, (name, folder) in enumerate(folders.items()):
            file.create_group(f"layers/{folder}/vars").attrs["name"] = name
            variables = file.create_group(f"layers/{folder}/layers/dense/vars")
            variables.attrs["name"] = "fc"
            variables["0"] = np.full((2, 2), number, "float32")
            variables["1"] = np.zeros(2, "float32")
    names = ("fc", "mid_fc", "mid_inner_fc")
    layers = [{"type": "Dense", "name": name, "units": 2} for name in names]
    spec = {"inputs": {"x": {"shape": [2]}}, "layers": layers}
    weights = jsonnx.compile(spec, tmp_path / "nested.weights.h5").weights
    assert [weights[f"{name}/kernel"][0, 0] for name in names] == [0, 1, 2]


def test_weights_are_read_from_an_unpacked_archive(tmp_path: Path) -> None:
    spec = {"inputs": {"x": {"shape": [2]}}, "layers": [{"type": "Dense", "name": "d", "units": 1}]}
    weights = {"d/kernel": np.array([[3], [1]], "f4"), "d/bias": np.ones(1, "f4")}
    jsonnx.to_keras(spec, weights).save(tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        archive.extractall(tmp_path / "b.keras")
    assert jsonnx.compile(spec, weights=tmp_path / "b.keras").to_bytes() == jsonnx.compile(spec, weights).to_bytes()


def test_weights_are_read_for_a_network_that_cannot_be_exported(tmp_path: Path) -> None:
    """For example with the hard_sigmoid of Keras 2, which has another slope."""
    with h5py.File(tmp_path / "plain.weights.h5", "w") as file:
        variables = file.create_group("layers/dense/vars")
        variables["0"], variables["1"] = np.ones((2, 2), "float32"), np.zeros(2, "float32")
    dense = {"type": "Dense", "units": 2, "activation": {"type": "hard_sigmoid", "slope": 0.2}}
    weights = jsonnx.compile(
        {"inputs": {"x": {"shape": [2]}}, "layers": [dense]}, tmp_path / "plain.weights.h5"
    ).weights
    assert weights["dense/kernel"].tolist() == [[1, 1], [1, 1]]


def altered(archive: Path, old: str, new: str, *others: tuple[str, str]) -> None:
    """Replaces text in the configuration of an archive."""
    with zipfile.ZipFile(archive) as file:
        members = {name: file.read(name) for name in file.namelist()}
    config = members["config.json"].decode()
    for before, after in ((old, new), *others):
        assert before in config
        config = config.replace(before, after, 1)
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in {**members, "config.json": config.encode()}.items():
            file.writestr(name, content)


def dense(name: str, units: int = 2) -> dict:
    return {"type": "Dense", "name": name, "units": units}


def test_weights_of_an_unsupported_model_are_matched_by_layer_name(tmp_path: Path) -> None:
    """The layer in the file determines its weights: without gamma, the first one is beta."""
    normal = {"type": "BatchNormalization", "name": "n"}
    body = {"inputs": {"x": {"shape": [3]}}, "layers": [dense("a"), {**normal, "scale": False}, dense("b"), dense("c")]}
    rng = np.random.default_rng(0)
    weights = {name: rng.uniform(1, 2, array.shape) for name, array in jsonnx.compile(body).weights.items()}
    jsonnx.to_keras(body, weights).save(tmp_path / "body.keras")
    dense_class = '"module": "keras.layers", "class_name": "Dense"'
    altered(
        tmp_path / "body.keras",
        dense_class,
        dense_class.replace("Dense", "DENSE"),
        (dense_class, '"module": "mine", "class_name": "B"'),
    )
    altered(tmp_path / "body.keras", "DENSE", "Dense")
    network = {**body, "layers": [dense("a"), normal, dense("b"), dense("c", 4), dense("d")]}
    with pytest.raises(CompileError, match="not Keras' own"):
        jsonnx.compile(network, tmp_path / "body.keras")
    model = jsonnx.compile(network, tmp_path / "body.keras", partial=True)
    report = model.weights_report
    assert report is not None
    assert set(report.taken) == {"a/kernel", "a/bias", "n/beta", "n/moving_mean", "n/moving_variance"}
    for name in report.taken:
        np.testing.assert_array_equal(model.weights[name], weights[name].astype("float32"))
    assert report.missing == ("n/gamma", "d/kernel", "d/bias")
    assert dict(report.unfit) == {
        "b/kernel": "belongs to a B in the file",
        "b/bias": "belongs to a B in the file",
        "c/kernel": "has shape [2, 2], the network wants [2, 4]",
        "c/bias": "has shape [2], the network wants [4]",
    }
    assert report.extra == ("layers/dense_1/vars/0", "layers/dense_1/vars/1")
    (notice,) = report.notices
    assert (notice.code, "'b'" in notice.message, "matched by name" in notice.message) == (
        "weights-differ",
        True,
        True,
    )


def test_weights_of_nested_models_in_an_unsupported_model_are_matched_by_layer_name(tmp_path: Path) -> None:
    """An .h5 file has one list per outermost layer, one of which cannot be read here."""
    spec, weights = jsonnx.from_keras(FILES / "keras3_every_kind.h5")
    assert weights is not None
    path = tmp_path / "other.h5"
    path.write_bytes((FILES / "keras3_every_kind.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        config = file.attrs["model_config"]
        assert '"class_name": "MultiHeadAttention"' in config
        file.attrs["model_config"] = config.replace('"class_name": "MultiHeadAttention"', '"class_name": "Own"')
    model = jsonnx.compile(spec, path, partial=True)
    report = model.weights_report
    assert report is not None
    assert {name.partition("/")[0] for name in report.unfit} == {"heads"}
    assert not report.missing
    assert len(report.taken) == len(weights) - len(report.unfit) > 30
    for name in report.taken:
        np.testing.assert_array_equal(model.weights[name], weights[name], err_msg=name)


def test_warnings_about_a_weights_file_are_reported_by_all_commands(tmp_path: Path) -> None:
    spec, _ = jsonnx.from_keras(FILES / "keras1_conv.h5")
    model = jsonnx.compile(spec, FILES / "keras1_conv.h5")
    assert model.weights_report is not None
    (notice,) = model.weights_report.notices
    assert "mirrored" in notice.message
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    for command, out in (("compile", "a.onnx"), ("export", "a.keras")):
        extra = ["--keras"] if command == "export" else []
        arguments = [str(tmp_path / "spec.json"), "--weights", str(FILES / "keras1_conv.h5"), "-o", str(tmp_path / out)]
        assert "warning[weights-differ]" in run(command, *extra, *arguments).stderr
