"""Models beyond the size of one file: their tensors are in a second file beside the model."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonnx as api
import numpy as np
import onnx
import onnxruntime
import pytest
from jsonnx.backend import external_data, model_files, to_loadable, to_model_writer, write_model
from jsonnx.core.diagnostics import UsageError
from jsonnx.core.files.digests import CONTENT_DIGEST_KEY, TENSOR_DIGESTS_KEY
from jsonnx.core.numpy_types import numpy_dtype
from jsonnx.core.system import memory
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Constant
from support.commands import jsonnx

SPEC: dict[str, Any] = {
    "name": "large",
    "inputs": {"x": {"shape": [30]}},
    "layers": [
        {"type": "Dense", "name": "hidden", "units": 100, "activation": "relu"},
        {"type": "Dense", "name": "y", "units": 20},
    ],
    "training": {"data": {"train": "data.npz"}, "loss": "mse", "optimizer": "sgd", "epochs": 1, "batch_size": 4},
}
X = np.random.default_rng(0).normal(size=(8, 30)).astype(np.float32)
MAX_BYTES = 8_000
"""A limit that the model exceeds and its structure does not."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("spec.json").write_text(json.dumps(SPEC))
    np.savez("data.npz", x=X, y=np.ones((8, 20), np.float32))
    return tmp_path


@pytest.fixture
def low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_data, "MAX_MODEL_BYTES", MAX_BYTES)


def data_file(folder: str = ".") -> Path:
    (file,) = Path(folder).glob("*.data")
    return file


def outputs(model: Any) -> np.ndarray:
    return api.Session(model).run(X)["y"]


def metadata(file: str) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(file, load_external_data=False).metadata_props}


def test_a_model_below_the_limit_is_one_file() -> None:
    jsonnx("compile", "spec.json", "-o", "m.onnx")
    assert Path("m.onnx").read_bytes() == api.compile("spec.json").to_bytes()
    assert [*Path().glob("*.data")] == []


def test_the_tensors_of_a_larger_model_are_in_a_second_file(monkeypatch: pytest.MonkeyPatch) -> None:
    jsonnx("compile", "spec.json", "-o", "one.onnx")
    monkeypatch.setattr(external_data, "MAX_MODEL_BYTES", MAX_BYTES)
    jsonnx("compile", "spec.json", "-o", "two.onnx")
    assert Path("two.onnx").stat().st_size < MAX_BYTES < data_file().stat().st_size
    digest = sha256(data_file().read_bytes()).hexdigest()
    assert data_file().name == f"two-{digest[:16]}.data"
    tensors = onnx.load("two.onnx", load_external_data=False).graph.initializer
    external = {tensor.name for tensor in tensors if tensor.data_location == onnx.TensorProto.EXTERNAL}
    assert external == {"hidden/kernel", "y/kernel"}  # a bias is small
    for key in (CONTENT_DIGEST_KEY, TENSOR_DIGESTS_KEY):
        assert metadata("two.onnx")[key] == metadata("one.onnx")[key]


@pytest.mark.usefixtures("low_limit")
def test_other_programs_read_the_two_files() -> None:
    model = api.compile("spec.json")
    model.save("m.onnx")
    onnx.checker.check_model("m.onnx", full_check=True)
    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], outputs("m.onnx"))
    for tensor in onnx.load("m.onnx").graph.initializer:
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), model.weights[tensor.name])


@pytest.mark.usefixtures("low_limit")
def test_a_session_reads_a_large_model_in_memory() -> None:
    model = api.compile("spec.json")
    model.save("m.onnx")
    np.testing.assert_array_equal(outputs(model), outputs("m.onnx"))
    np.testing.assert_array_equal(model.session().run(X)["y"], outputs("m.onnx"))
    session = model.session()
    del model
    np.testing.assert_array_equal(session.run(X)["y"], outputs("m.onnx"))


@pytest.mark.usefixtures("low_limit")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int32"])
def test_a_session_is_given_weights_of_any_type(dtype: str) -> None:
    g = Builder()
    weight = np.arange(30_000).reshape(30, 1000).astype(numpy_dtype(dtype))
    x = g.input("x", TensorType("float32", (BATCH, 30)))
    kernel = g.cast(Constant(TensorType(dtype, weight.shape), weight, "kernel"), "float32")
    writer = to_model_writer(g.graph({"y": g.MatMul(x, kernel)}))
    write_model(writer, "m.onnx")
    np.testing.assert_array_equal(outputs(to_loadable(writer)), outputs("m.onnx"))
    np.testing.assert_allclose(outputs("m.onnx"), X @ weight.astype(np.float32), rtol=1e-3, atol=10)


@pytest.mark.usefixtures("low_limit")
def test_a_large_model_has_no_bytes_of_its_own() -> None:
    model = api.compile("spec.json")
    for read in (model.to_bytes, lambda: model.proto):
        with pytest.raises(UsageError, match=r"too-large.*save it to a file"):
            read()
    model.save("m.onnx")
    assert model.size_bytes == pytest.approx(Path("m.onnx").stat().st_size + data_file().stat().st_size, rel=0.3)
    model.verify()


@pytest.mark.usefixtures("low_limit")
def test_a_large_model_is_not_written_to_a_pipe() -> None:
    assert "too-large" in jsonnx("compile", "spec.json", "-o", os.devnull, status=2).stderr


@pytest.mark.usefixtures("low_limit")
def test_a_model_whose_weights_exceed_the_memory_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    jsonnx("compile", "spec.json", "-o", "m.onnx")
    monkeypatch.setattr(memory, "MIN_CHECKED_BYTES", 10_000)
    monkeypatch.setattr(memory, "available_memory", lambda: 15_000)
    result = jsonnx("predict", "m.onnx", "--data", "data.npz", "-o", "p.npz", status=1)
    assert "error[too-large]: the model needs 20.5 kB of memory (weights 20.5 kB)" in result.stderr, result.stderr
    assert "m.onnx" in result.stderr


# -- replacing a model -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("low_limit")
def test_the_tensors_of_a_replaced_model_are_removed() -> None:
    for name in ("m.onnx", "other.onnx", "m-0123.data", "m-0123456789abcdef.data.txt"):
        Path(name).write_bytes(b"")
    others = {*os.listdir()}
    names = set()
    for seed in ("0", "1"):
        jsonnx("compile", "spec.json", "-o", "m.onnx", "--seed", seed)
        new = {*os.listdir()} - others
        assert len(new) == 1
        names |= new
        assert outputs("m.onnx").shape == (8, 20)
    assert len(names) == 2


@pytest.mark.usefixtures("low_limit")
def test_a_small_model_in_place_of_a_large_one_leaves_no_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    jsonnx("compile", "spec.json", "-o", "m.onnx")
    monkeypatch.setattr(external_data, "MAX_MODEL_BYTES", 1 << 20)
    jsonnx("compile", "spec.json", "-o", "m.onnx")
    assert [*Path().glob("*.data")] == []
    assert outputs("m.onnx").shape == (8, 20)


@pytest.mark.usefixtures("low_limit")
def test_a_process_killed_before_the_model_is_written_leaves_the_earlier_model() -> None:
    jsonnx("compile", "spec.json", "-o", "m.onnx", "--seed", "0")
    expected = outputs("m.onnx")
    model = api.compile("spec.json", seed=1)
    pid = os.fork()
    if pid == 0:
        write = model_files.write_atomically

        def write_and_die(path: Any, *arguments: Any, **options: Any) -> None:
            if str(path).endswith(".onnx"):
                os._exit(9)
            write(path, *arguments, **options)

        model_files.write_atomically = write_and_die  # type: ignore[attr-defined]
        model.save("m.onnx")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert len([*Path().glob("*.data")]) == 2
    np.testing.assert_array_equal(outputs("m.onnx"), expected)
    model.save("m.onnx")
    assert len([*Path().glob("*.data")]) == 1
    assert not np.array_equal(outputs("m.onnx"), expected)


@pytest.mark.usefixtures("low_limit")
def test_the_second_file_is_beside_the_target_of_a_link() -> None:
    Path("models").mkdir()
    Path("models/first.onnx").write_bytes(b"")
    Path("latest.onnx").symlink_to("models/first.onnx")
    Path("models/first.onnx").chmod(0o640)
    jsonnx("compile", "spec.json", "-o", "latest.onnx")
    assert data_file("models").stat().st_mode & 0o777 == 0o640
    assert Path("latest.onnx").is_symlink()
    assert data_file("models").name.startswith("first-")
    np.testing.assert_array_equal(outputs("latest.onnx"), outputs("models/first.onnx"))
    text = jsonnx("inspect", "latest.onnx").stdout
    assert "matches the contents" in text
    assert f"{data_file('models').name} ({data_file('models').stat().st_size:,} bytes)" in text


# -- damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("low_limit")
def test_damage_of_the_second_file_is_an_error() -> None:
    jsonnx("compile", "spec.json", "-o", "m.onnx", "--seed", "0")
    jsonnx("compile", "spec.json", "-o", "other.onnx", "--seed", "1")
    (file,) = Path().glob("m-*.data")
    (other,) = Path().glob("other-*.data")
    content = file.read_bytes()

    def errors(*options: str) -> str:
        status = 2 if not file.exists() and not options else 1
        return jsonnx("predict", "m.onnx", "--data", "data.npz", "-o", "p.npz", *options, status=status).stderr

    file.write_bytes(other.read_bytes())
    assert "digest-mismatch" in errors()
    assert "digest-mismatch" in jsonnx("inspect", "m.onnx").stderr
    file.write_bytes(content[:5_000])
    assert "damaged-file" in errors()
    assert "bad-model" in errors("--unverified")
    assert "damaged-file" in jsonnx("inspect", "m.onnx", status=1).stderr
    file.unlink()
    assert "unreadable-file" in errors()
    assert "bad-model" in errors("--unverified")
    assert "unreadable-file" in jsonnx("inspect", "m.onnx").stderr
    file.write_bytes(content)
    jsonnx("predict", "m.onnx", "--data", "data.npz", "-o", "p.npz")


@pytest.mark.usefixtures("low_limit")
def test_a_link_in_place_of_the_second_file_is_refused() -> None:
    jsonnx("compile", "spec.json", "-o", "m.onnx")
    file = data_file()
    file.rename("moved")
    file.symlink_to("moved")
    for command in (("predict", "--data", "data.npz", "-o", "p.npz"), ("inspect",), ("profile", "--steps", "1")):
        result = jsonnx(command[0], "m.onnx", *command[1:], status=1)
        assert "unsafe-path" in result.stderr
    assert "unwritable-file" in jsonnx("compile", "spec.json", "-o", "m.onnx", status=2).stderr
    assert Path("moved").stat().st_size > MAX_BYTES


def test_a_file_larger_than_a_model_can_be_is_not_read() -> None:
    with open("m.onnx", "wb") as file:
        file.truncate(3 << 30)
    result = jsonnx("predict", "m.onnx", "--data", "data.npz", "-o", "p.npz", status=1)
    assert "too-large" in result.stderr
    assert "external data" in result.stderr


# -- commands ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("low_limit")
def test_a_run_with_a_large_model_is_used_like_others() -> None:
    jsonnx("train", "spec.json", "-o", "run", "--quiet")
    first = data_file("run").name
    assert first.startswith("model-")
    recorded = json.loads(Path("run/run.json").read_text())["sha256"]["model.onnx"]
    assert recorded == sha256(Path("run/model.onnx").read_bytes()).hexdigest()
    jsonnx("evaluate", "run", "--data", "data.npz")
    jsonnx("evaluate", "run/model.onnx", "--data", "data.npz")
    jsonnx("predict", "run", "--data", "data.npz", "-o", "p.npz")
    jsonnx("diff", "spec.json", "run/model.onnx")
    jsonnx("train", "spec.json", "-o", "run", "--quiet", "--force", "--seed", "5")
    assert data_file("run").name != first


@pytest.mark.usefixtures("low_limit")
def test_commands_of_models_read_the_second_file() -> None:
    jsonnx("compile", "spec.json", "-o", "models/m.onnx", status=2)
    Path("models").mkdir()
    jsonnx("compile", "spec.json", "-o", "models/m.onnx")
    assert json.loads(jsonnx("inspect", "models/m.onnx", "--format", "json").stdout)["external_data"] == [
        data_file("models").name
    ]
    for subject in ("models/m.onnx", "spec.json"):
        jsonnx("profile", subject, "--steps", "2")
        assert "cpu" in jsonnx("parity", subject, "--providers", "cpu").stdout
        jsonnx("providers", subject)


@pytest.mark.usefixtures("low_limit")
def test_the_training_step_of_a_large_network_is_written_with_its_model() -> None:
    jsonnx("compile", "spec.json", "-o", "step", "--training")
    onnx.checker.check_model("step/model.onnx")
    assert data_file("step").name.startswith("model-")
    jsonnx("compile", "spec.json", "-o", "step", "--training", "--seed", "3")
    assert outputs("step/model.onnx").shape == (8, 20)
    assert len([*Path("step").glob("*.data")]) == 1
