"""Triton's model repository and KServe's service, as text; tests/environments/serving parses them as Triton does."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from jsonnx import Session, compile
from jsonnx.backend import external_data
from onnx import TensorProto, helper
from support.commands import jsonnx

SIGMOID = {"type": "Dense", "name": "y", "units": 1, "activation": "sigmoid"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def export(document: dict[str, Any]) -> str:
    """The configuration of a compiled spec."""
    compile(document).save("net.onnx")
    jsonnx("export", "--triton", "net.onnx", "-o", "repository", "--force")
    return Path("repository/net/config.pbtxt").read_text()


def foreign_model(inputs: dict[str, tuple[int, list[Any]]], op: str, output: tuple[int, list[Any]]) -> None:
    """Writes `other.onnx`, a model of one operator, which jsonnx did not make."""
    node = helper.make_node(op, list(inputs), ["z"], **({"to": output[0]} if op == "Cast" else {}))
    infos = [helper.make_tensor_value_info(name, *type) for name, type in inputs.items()]
    graph = helper.make_graph([node], "other", infos, [helper.make_tensor_value_info("z", *output)])
    opsets = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), "other.onnx")


def one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_shapes_are_those_of_a_sample_and_scalars_are_reshaped() -> None:
    text = one_line(
        export(
            {
                "inputs": {"x": {"shape": [3]}, "k": {"shape": [], "dtype": "int32"}},
                "layers": [
                    {"type": "Embedding", "name": "e", "from": "k", "input_dim": 5, "output_dim": 3},
                    {"type": "Add", "name": "sum", "from": ["x", "e"]},
                    SIGMOID,
                ],
                "labels": ["no", "yes"],
                "training": {"loss": "binary_crossentropy", "optimizer": "sgd", "threshold": 0.25},
            }
        )
    )
    assert 'name: "net" backend: "onnxruntime"' in text
    assert "max_batch_size: 64 dynamic_batching { }" in text
    assert '{ name: "x" data_type: TYPE_FP32 dims: [ 3 ] }' in text
    assert '{ name: "k" data_type: TYPE_INT32 dims: [ 1 ] reshape: { shape: [ ] } }' in text
    assert '{ name: "y" data_type: TYPE_FP32 dims: [ 1 ] label_filename: "labels.txt"' in text
    assert 'The class is "yes" if the number exceeds 0.25, else "no".' in text
    assert "instance_group [ { count: 1 } ]" in text
    assert 'key: "intra_op_thread_count"' in text
    assert 'key: "k" value { data_type: TYPE_INT32 dims: [ 1 ] zero_data: true }' in text
    assert "preferred_batch_size" not in text
    assert sorted(os.listdir("repository/net")) == ["1", "config.pbtxt", "labels.txt"]
    assert Path("repository/net/labels.txt").read_text() == "yes\n"  # the label of the number at index 0
    assert Path("repository/net/1/model.onnx").read_bytes() == Path("net.onnx").read_bytes()


def test_samples_that_meet_do_not_share_a_batch() -> None:
    layers = [{"type": "Softmax", "name": "y", "axis": 0}]
    training = {"loss": "mse", "optimizer": "sgd"}
    text = one_line(export({"inputs": {"x": {"shape": [3]}}, "layers": layers, "training": training}))
    assert "max_batch_size: 0" in text
    assert "dynamic_batching" not in text
    assert '{ name: "x" data_type: TYPE_FP32 dims: [ -1, 3 ] }' in text
    assert 'key: "x" value { data_type: TYPE_FP32 dims: [ 1, 3 ] zero_data: true }' in text


def test_sizes_that_vary_have_a_size_in_the_warm_up_that_the_model_can_compute() -> None:
    layers = [{"type": "Conv1D", "filters": 2, "kernel_size": 5}, {"type": "GlobalAveragePooling1D", "name": "y"}]
    training = {"loss": "mse", "optimizer": "sgd"}
    text = one_line(export({"inputs": {"x": {"shape": ["time", 3]}}, "layers": layers, "training": training}))
    assert '{ name: "x" data_type: TYPE_FP32 dims: [ -1, 3 ] }' in text
    assert 'key: "x" value { data_type: TYPE_FP32 dims: [ 8, 3 ] zero_data: true }' in text


def test_each_output_with_labels_has_a_file_of_its_own() -> None:
    softmax = {"type": "Dense", "units": 2, "activation": "softmax", "from": "x"}
    document = {
        "inputs": {"x": {"shape": [3]}},
        "layers": [{**softmax, "name": "a"}, {**softmax, "name": "b"}],
        "outputs": ["a", "b"],
        "labels": {"a": ["eins", "zwei"], "b": ["a\nb", "Ü"]},
        "training": {"loss": "categorical_crossentropy", "optimizer": "sgd"},
    }
    text = export(document)
    assert re.findall('label_filename: "(.*)"', text) == ["labels_0.txt", "labels_1.txt"]
    assert Path("repository/net/labels_1.txt").read_text() == "a b\nÜ\n"


def test_a_model_of_another_program_has_its_signature_and_no_batches() -> None:
    foreign_model({"a": (TensorProto.STRING, ["N"])}, "Identity", (TensorProto.STRING, ["N"]))
    jsonnx("export", "--triton", "other.onnx", "-o", "repository", "--name", "fremd.2")
    text = one_line(Path("repository/fremd.2/config.pbtxt").read_text())
    assert "max_batch_size: 0" in text
    assert '{ name: "a" data_type: TYPE_STRING dims: [ -1 ] }' in text
    assert '{ name: "z" data_type: TYPE_STRING dims: [ -1 ] }' in text
    assert "label" not in text


def test_a_scalar_of_a_model_without_batches_is_not_reshaped() -> None:
    """Triton refuses an empty reshape there."""
    foreign_model({"a": (TensorProto.FLOAT, [])}, "Identity", (TensorProto.FLOAT, []))
    jsonnx("export", "--triton", "other.onnx", "-o", "repository")
    text = one_line(Path("repository/other/config.pbtxt").read_text())
    assert '{ name: "a" data_type: TYPE_FP32 dims: [ 1 ] }' in text
    assert "reshape" not in text


@pytest.mark.parametrize(
    ("inputs", "op", "output", "part"),
    [
        ({"a": (TensorProto.FLOAT, ["N", 0])}, "Identity", (TensorProto.FLOAT, ["N", 0]), "the input 'a'"),
        ({"a": (TensorProto.FLOAT, ["N"])}, "SequenceConstruct", None, "the output 'z'"),
    ],
    ids=["an empty axis", "a sequence"],
)
def test_what_triton_cannot_serve_is_an_error(inputs: Any, op: str, output: Any, part: str) -> None:
    foreign_model(inputs, op, output or (TensorProto.FLOAT, ["N"]))
    if output is None:
        model = onnx.load("other.onnx")
        del model.graph.output[:]
        model.graph.output.append(helper.make_tensor_sequence_value_info("z", TensorProto.FLOAT, None))
        onnx.save(model, "other.onnx")
    result = jsonnx("export", "--triton", "other.onnx", "-o", "repository", status=1)
    assert f"error[not-exportable]: {part}" in result.stderr, result.stderr
    assert os.listdir() == ["other.onnx"]


def test_weights_in_a_file_of_their_own_lie_in_the_folder_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_data, "MAX_MODEL_BYTES", 10_000)
    text = export({"inputs": {"x": {"shape": [50]}}, "layers": [{"type": "Dense", "name": "y", "units": 60}]})
    model = Path("repository/net/1/model.onnx")
    assert sorted(map(str, model.iterdir())) == sorted(
        str(model / name) for name in ("model.onnx", next(Path().glob("net-*.data")).name)
    )
    assert "dims: [ -1, 50 ]" in text or "dims: [ 50 ]" in text
    x = np.ones((2, 50), np.float32)
    np.testing.assert_array_equal(Session(model).run(x)["y"], Session("net.onnx").run(x)["y"])


def test_a_model_replaces_only_an_earlier_export() -> None:
    spec = {"inputs": {"x": {"shape": [2]}}, "layers": [{"type": "Dense", "name": "y", "units": 1}]}
    export(spec)
    before = Path("repository/net/config.pbtxt").read_text()
    Path("repository/net/config.pbtxt").write_text("edited")
    assert "file-exists" in jsonnx("export", "--triton", "net.onnx", "-o", "repository", status=2).stderr
    assert Path("repository/net/config.pbtxt").read_text() == "edited"
    Path("repository/net/1/other").write_text("")
    jsonnx("export", "--triton", "net.onnx", "-o", "repository", "--force")
    assert Path("repository/net/config.pbtxt").read_text() == before
    assert os.listdir("repository") == ["net"]
    assert os.listdir("repository/net/1") == ["model.onnx"]
    Path("home/net").mkdir(parents=True)
    Path("home/net/letter").write_text("dear")
    refused = jsonnx("export", "--triton", "net.onnx", "-o", "home", "--force", status=2)
    assert "this command did not write it" in refused.stderr
    assert Path("home/net/letter").read_text() == "dear"


def test_a_failed_export_leaves_the_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = {"inputs": {"x": {"shape": [2]}}, "layers": [{"type": "Dense", "name": "y", "units": 1}]}
    export(spec)

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", fail)
    for repository in ("repository", "new"):
        result = jsonnx("export", "--triton", "net.onnx", "-o", repository, "--force", status=2)
        assert "error[unwritable-file]" in result.stderr
        assert "no space left on device" in result.stderr
    assert sorted(os.listdir()) == ["net.onnx", "repository"]
    assert os.listdir("repository") == ["net"]
    assert sorted(os.listdir("repository/net")) == ["1", "config.pbtxt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["net.onnx"], "the target is missing"),
        (["net.onnx", "--triton", "--docker"], "--triton and --docker are two targets"),
        (["net.onnx", "--triton", "--seed", "0"], "--seed has no effect with --triton"),
        (["net.onnx", "--triton", "--storage-uri", "s3://a"], "--storage-uri has no effect with --triton"),
        (["net.onnx", "--keras", "--name", "a"], "--name has no effect with --keras"),
        (["net.onnx", "--triton", "--name", "../a"], "'../a' is not the name of a model"),
        (["missing.onnx", "--triton"], "cannot read 'missing.onnx'"),
        (["missing.onnx", "--kserve"], "cannot read 'missing.onnx'"),
    ],
)
def test_wrong_options_are_errors(arguments: list[str], message: str) -> None:
    compile({"inputs": {"x": {"shape": [2]}}, "layers": [{"type": "Dense", "units": 1}]}).save("net.onnx")
    result = jsonnx("export", *arguments, "-o", "out", status=2)
    assert message in result.stderr
    assert os.listdir() == ["net.onnx"]


@pytest.mark.parametrize(
    ("name", "service"), [("Pen_guins.2", "pen-guins-2"), ("7b", "model-7b"), ("a" * 80, "a" * 63), ("x-_", "x")]
)
def test_the_service_of_kserve_has_a_name_for_kubernetes(name: str, service: str) -> None:
    compile({"inputs": {"x": {"shape": [2]}}, "layers": [{"type": "Dense", "units": 1}]}).save("net.onnx")
    uri = "s3://bucket/models"
    jsonnx("export", "--kserve", "net.onnx", "-o", "a.yaml", "--name", name, "--storage-uri", uri)
    text = Path("a.yaml").read_text()
    assert f"  name: {service}\n" in text
    assert f"storageUri: {json.dumps(uri)}\n" in text
    assert f"v2/models/{name}/infer" in text
    assert "file-exists" in jsonnx("export", "--kserve", "net.onnx", "-o", "a.yaml", status=2).stderr
    again = jsonnx("export", "--kserve", "net.onnx", "-o", "a.yaml", "--force")
    assert "set its storageUri" in again.stderr
    assert "REPLACE-WITH-THE-URI" in Path("a.yaml").read_text()
