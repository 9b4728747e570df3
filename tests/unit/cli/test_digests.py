"""Digests in models and weight files: damage is found and named, and changes by other programs can be accepted."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonnx as api
import numpy as np
import onnx
import pytest
from jsonnx.cli import main
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.core.files.digests import CONTENT_DIGEST_KEY, DIGEST_KEYS, TENSOR_DIGESTS_KEY
from jsonnx.interop.model_digests import model_digest_errors
from jsonnx.interop.model_info import inspect_model
from jsonnx.interop.safetensors_file import SafetensorsFile, weights_parts
from jsonnx.pipeline.run.trained_model import TrainedModel
from jsonnx.runtime.session.weight_files import read_weight_file
from safetensors.numpy import load, load_file, save_file
from support.commands import IN_PROCESS, jsonnx

SPEC: dict[str, Any] = {
    "name": "kinds",
    "inputs": {"flower": {"shape": [2]}, "place": {"shape": [1], "dtype": "string"}},
    "layers": [
        {"type": "StringLookup", "name": "lookup", "from": "place", "vocabulary": ["a", "b"], "output_mode": "one_hot"},
        {"type": "Concatenate", "name": "both", "from": ["flower", "lookup"]},
        {"type": "Dense", "name": "hidden", "units": 16},
        {"type": "Dense", "name": "kind", "units": 3, "activation": "softmax"},
    ],
    "labels": ["x", "y", "z"],
    "training": {
        "data": {"train": "data.csv", "test": "data.csv", "x": {"flower": ["p", "q"], "place": "place"}, "y": "kind"},
        "loss": "sparse_categorical_crossentropy",
        "optimizer": "adam",
        "epochs": 1,
    },
}
FOUND = {"digest-mismatch", "damaged-file", "not-finite", "too-large"}
"""The codes that may report a flipped bit: some bits break the format itself."""
MANY_FLIPS = pytest.mark.parametrize("count", [150, pytest.param(2500, marks=pytest.mark.slow)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    (folder / "spec.json").write_text(json.dumps(SPEC))
    (folder / "data.csv").write_text("p,q,place,kind\n" + "1,2,a,x\n2,3,b,y\n0,1,c,z\n" * 4)
    jsonnx("train", str(folder / "spec.json"), "-o", str(folder / "run"), "--quiet")
    return folder


@pytest.fixture
def work_folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for path in made.rglob("*"):
        if path.is_file():
            (tmp_path / path.relative_to(made)).parent.mkdir(exist_ok=True, parents=True)
            (tmp_path / path.relative_to(made)).write_bytes(path.read_bytes())
    return tmp_path


def flips(data: bytes, count: int, seed: int) -> Iterator[tuple[int, bytes]]:
    """Copies of bytes with one bit flipped each, and the bit's number."""
    for bit in random.Random(seed).sample(range(8 * len(data)), count):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(flipped)


def codes(action: Any) -> set[str]:
    """The codes of the errors that an action raises; empty if it raises none."""
    try:
        action()
    except CompileError as error:
        return {diagnostic.code for diagnostic in error.diagnostics}
    except UsageError as error:
        return {error.diagnostic.code}
    return set()


def metadata_of(path: str | Path) -> Mapping[str, str]:
    with open(path, "rb") as file:
        return SafetensorsFile(file).metadata


# -- damage ----------------------------------------------------------------------------------------------------------


@MANY_FLIPS
def test_every_flipped_bit_of_a_weight_file_is_found(work_folder: Path, count: int) -> None:
    path = work_folder / "run/weights.safetensors"
    for bit, flipped in flips(path.read_bytes(), count, 1):
        path.write_bytes(flipped)
        found = codes(lambda: read_weight_file(path))
        assert found, bit
        assert found <= FOUND, bit


@MANY_FLIPS
def test_every_flipped_bit_of_a_model_is_found(work_folder: Path, count: int) -> None:
    path = work_folder / "run/model.onnx"
    for bit, flipped in flips(path.read_bytes(), count, 2):
        path.write_bytes(flipped)
        assert codes(lambda: TrainedModel.open(path)) & FOUND, bit

        def inspect() -> None:
            errors = inspect_model(path).digest_errors
            if errors:
                raise CompileError(errors)

        assert codes(inspect) & FOUND, bit


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (["evaluate", "run", "--data", "data.csv"], "model.onnx"),
        (["evaluate", "run", "--data", "data.csv"], "weights.safetensors"),
        (["predict", "run", "--data", "data.csv"], "model.onnx"),
        (["evaluate", "run/model.onnx", "--data", "data.csv"], "model.onnx"),
        (["compile", "spec.json", "--weights", "run/weights.safetensors", "-o", "m.onnx"], "weights.safetensors"),
        (["train", "spec.json", "--weights", "run/weights.safetensors", "-o", "new"], "weights.safetensors"),
        (["export", "--keras", "run", "-o", "keras"], "weights.safetensors"),
        (["inspect", "run/model.onnx"], "model.onnx"),
    ],
)
def test_commands_report_flipped_bits_with_the_file_and_without_a_traceback(
    work_folder: Path, arguments: list[str], file: str
) -> None:
    path = work_folder / "run" / file
    for bit, flipped in flips(path.read_bytes(), 5, len(arguments)):
        path.write_bytes(flipped)
        result = IN_PROCESS.invoke(main, arguments)
        assert result.exit_code == 1 or (arguments[0] == "inspect" and result.exit_code == 0), (bit, result.exception)
        assert any(f"[{code}]" in result.stderr for code in FOUND), bit
        assert file in result.stderr, bit


def test_the_changed_tensor_is_named(work_folder: Path) -> None:
    weights = Path("run/weights.safetensors")
    data = weights.read_bytes()
    kernel = load(data)["kind/kernel"].tobytes()
    at = data.index(kernel) + 1
    weights.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    message = "its contents are not those of its recorded digest: 'kind/kernel' changed after it was written"
    stderr = jsonnx("compile", "spec.json", "--weights", str(weights), "-o", "m.onnx", status=1).stderr
    assert f"error[digest-mismatch]: {message}\n--> run/weights.safetensors\n" in stderr
    assert "--unverified" in stderr
    jsonnx("compile", "spec.json", "--weights", str(weights), "-o", "m.onnx", "--unverified")

    model = onnx.load("run/model.onnx")
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "kind/bias")
    bias.raw_data = bytes([bias.raw_data[0] ^ 1]) + bias.raw_data[1:]
    onnx.save(model, "run/model.onnx")
    assert "'kind/bias' changed" in jsonnx("predict", "run", "--data", "data.csv", status=1).stderr
    assert "'kind/bias' changed" in (stderr := jsonnx("inspect", "run/model.onnx").stderr)
    assert "warning[digest-mismatch]" in stderr
    model.graph.node[0].name = "other"
    bias.raw_data = bytes([bias.raw_data[0] ^ 1]) + bias.raw_data[1:]
    onnx.save(model, "run/model.onnx")
    stderr = jsonnx("predict", "run", "--data", "data.csv", status=1).stderr
    assert "its graph or its metadata changed" in stderr


def test_a_damaged_record_of_digests_is_an_error(work_folder: Path) -> None:
    model = onnx.load("run/model.onnx")
    entries = {entry.key: entry for entry in model.metadata_props}
    entries[TENSOR_DIGESTS_KEY].value = entries[TENSOR_DIGESTS_KEY].value.replace("kind/bias", "kind/bibs")
    assert "record of digests" in model_digest_errors(io.BytesIO(model.SerializeToString()), "m")[0].message
    for key in DIGEST_KEYS:
        model = onnx.load("run/model.onnx")
        kept = [entry for entry in model.metadata_props if entry.key != key]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)
        assert model_digest_errors(io.BytesIO(model.SerializeToString()), "m")


# -- what is no damage -------------------------------------------------------------------------------------------------


def test_files_of_train_compile_and_import_have_digests(work_folder: Path) -> None:
    jsonnx("compile", "spec.json", "-o", "m.onnx")
    jsonnx("compile", "spec.json", "--training", "-o", "step")
    for file in ("run/model.onnx", "m.onnx", "step/model.onnx", "step/train_step.onnx"):
        assert {entry.key for entry in onnx.load(file).metadata_props} >= set(DIGEST_KEYS)
        with open(file, "rb") as stream:
            assert model_digest_errors(stream, file) == []
    for file in ("run/weights.safetensors", "step/weights.safetensors"):
        assert metadata_of(file).keys() == set(DIGEST_KEYS)
    digest = json.loads(jsonnx("inspect", "m.onnx", "--format", "json").stdout)["digest"]
    assert digest["matches"]
    assert digest["recorded"].startswith("sha256:")
    assert "digest      matches the contents\n" in jsonnx("inspect", "m.onnx").stdout


def test_files_without_digests_are_read(work_folder: Path) -> None:
    save_file(load_file("run/weights.safetensors"), "plain.safetensors", metadata={"format": "np"})
    jsonnx("compile", "spec.json", "--weights", "plain.safetensors", "-o", "m.onnx")
    model = onnx.load("m.onnx")
    kept = [entry for entry in model.metadata_props if entry.key not in DIGEST_KEYS]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, "m.onnx")
    jsonnx("predict", "m.onnx", "--data", "data.csv")
    assert "digest      none" in jsonnx("inspect", "m.onnx").stdout
    assert json.loads(jsonnx("inspect", "m.onnx", "--format", "json").stdout)["digest"] is None


def test_saving_again_adding_metadata_and_external_data_keep_the_digest(work_folder: Path) -> None:
    model = onnx.load("run/model.onnx")
    model.metadata_props.add(key="author", value="someone")
    onnx.save(model, "again.onnx")
    jsonnx("predict", "again.onnx", "--data", "data.csv")
    onnx.save(model, "outside.onnx", save_as_external_data=True, location="outside.bin", size_threshold=0)
    assert "matches the contents" in jsonnx("inspect", "outside.onnx").stdout
    data = bytearray(Path("outside.bin").read_bytes())
    data[len(data) // 2] ^= 4
    Path("outside.bin").write_bytes(data)
    assert "does not match the contents" in jsonnx("inspect", "outside.onnx").stdout
    Path("outside.bin").write_bytes(data[:5])
    assert "damaged-file" in jsonnx("inspect", "outside.onnx", status=1).stderr
    Path("outside.bin").unlink()
    result = jsonnx("inspect", "outside.onnx")
    assert "warning[unreadable-file]" in result.stderr
    assert "digest      unknown" in result.stdout
    assert json.loads(jsonnx("inspect", "outside.onnx", "--format", "json").stdout)["digest"]["matches"] is None
    assert "unreadable-file" in jsonnx("predict", "outside.onnx", "--data", "data.csv", status=2).stderr


def has_weights_folder() -> bool:
    """Whether onnxruntime can be told the folder of a model's weights."""
    return tuple(map(int, pytest.importorskip("onnxruntime").__version__.split(".")[:2])) >= (1, 21)


@pytest.mark.skipif(not has_weights_folder(), reason="onnxruntime looks for weights in no folder")
def test_a_session_verifies_a_file_and_finds_its_weights(work_folder: Path) -> None:
    feeds = {"flower": np.ones((1, 2), np.float32), "place": np.array([["a"]], object)}
    expected = api.Session("run/model.onnx").run(feeds)
    Path("apart").mkdir()
    model = onnx.load("run/model.onnx")
    onnx.save(model, "apart/model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    for tensor in model.graph.initializer:  # a last tensor without a length extends to the end of its file
        lengths = [entry for entry in tensor.external_data if entry.key == "length"]
        if tensor is model.graph.initializer[-1]:
            tensor.external_data.remove(lengths[0])
    Path("apart/short.onnx").write_bytes(model.SerializeToString())
    for name in ("model", "short"):
        assert np.array_equal(api.Session(f"apart/{name}.onnx").run(feeds)["kind"], expected["kind"])
    jsonnx("predict", "apart/model.onnx", "--data", "data.csv")
    data = bytearray(Path("apart/weights.bin").read_bytes())
    data[0] ^= 1
    Path("apart/weights.bin").write_bytes(data)
    with pytest.raises(CompileError, match="digest-mismatch"):
        api.Session("apart/model.onnx")
    assert api.Session("apart/model.onnx", verify=False).run(feeds).keys() == {"kind"}


def test_a_session_opens_a_model_in_the_format_of_onnxruntime(work_folder: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.optimized_model_filepath = "model.ort"
    runtime.InferenceSession("run/model.onnx", options)
    assert api.Session("model.ort").outputs.keys() == {"kind"}


def test_tensors_in_another_order_keep_the_digest(work_folder: Path) -> None:
    path = Path("run/weights.safetensors")
    metadata = metadata_of(path)
    save_file(dict(reversed(load_file(path).items())), "again.safetensors", metadata=metadata)
    assert read_weight_file("again.safetensors").keys() == read_weight_file(path).keys()
    save_file(load_file(path) | {"more": np.zeros(2)}, "more.safetensors", metadata=metadata)
    with pytest.raises(CompileError, match="'more' changed"):
        read_weight_file("more.safetensors")


def test_a_quantized_model_needs_the_option(work_folder: Path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    quantization.quantize_dynamic("run/model.onnx", "small.onnx")
    stderr = jsonnx("evaluate", "small.onnx", "--data", "data.csv", status=1).stderr
    assert "digest-mismatch" in stderr
    assert "--unverified" in stderr
    assert jsonnx("evaluate", "small.onnx", "--data", "data.csv", "--unverified").stdout.startswith("loss ")
    jsonnx("predict", "small.onnx", "--data", "data.csv", "--unverified")


def test_python_verifies_weight_files_unless_told_not_to(work_folder: Path) -> None:
    path = Path("run/weights.safetensors")
    metadata = metadata_of(path)
    changed = {name: array + 1 if array.dtype == np.float32 else array for name, array in load_file(path).items()}
    save_file(changed, "changed.safetensors", metadata=metadata)
    for make in (api.compile, api.Trainer):
        with pytest.raises(CompileError, match="digest-mismatch"):
            make("spec.json", weights="changed.safetensors")
        made = make("spec.json", weights="changed.safetensors", verify=False)
        weights = made.weights if isinstance(made, api.Model) else made.weights()
        assert (weights["kind/kernel"] == changed["kind/kernel"]).all()


def test_the_same_weights_give_the_same_bytes_which_the_safetensors_package_reads() -> None:
    rng = np.random.default_rng(0)
    weights = {
        "kernel": rng.normal(size=(3, 4)).astype(np.float32),
        "scalar": np.float64(3).reshape(()),
        "ü/flags": np.array([True, False, True]),
        "half": np.arange(3, dtype=np.float16),
        "empty": np.zeros((0, 3), np.float32),
        "big": np.arange(3, dtype=">i4"),
        "transposed": np.arange(6).reshape(2, 3).T,
        "tokens": np.array(["a", 'é"\n'], object),
    }
    data = b"".join(weights_parts(weights))
    assert data == b"".join(weights_parts(dict(reversed(weights.items()))))
    arrays = load(data)
    assert json.loads(arrays.pop("tokens").tobytes()) == ["a", 'é"\n']
    assert all(np.array_equal(arrays[name], weights[name]) for name in arrays)
    assert len(arrays) == len(weights) - 1
    assert len(SafetensorsFile(io.BytesIO(data)).metadata[CONTENT_DIGEST_KEY]) == len("sha256:") + 64
