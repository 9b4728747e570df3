"""`jsonnx export --ort`: what it writes, compared with the model and with onnxruntime's own tool."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from jsonnx import Session, compile
from jsonnx.core.files.digests import DIGEST_KEYS
from jsonnx.interop.ort_format import in_fixed_order
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16
from support.commands import jsonnx, process

OPERATORS = "m.required_operators_and_types.config"

CONVOLUTIONS: dict[str, Any] = {
    "name": "convolutions",
    "inputs": {"x": {"shape": [16, 16, 1]}},
    "layers": [
        {"type": "Conv2D", "filters": 16, "kernel_size": 3, "activation": "relu"},
        {"type": "MaxPooling2D"},
        {"type": "Conv2D", "filters": 16, "kernel_size": 3, "activation": "relu"},
        {"type": "Flatten"},
        {"type": "Dense", "name": "kind", "units": 3, "activation": "softmax"},
    ],
    "labels": ["a", "b", "c"],
    "training": {"loss": "sparse_categorical_crossentropy", "optimizer": "adam"},
}
STRINGS: dict[str, Any] = {
    "inputs": {"place": {"shape": [], "dtype": "string"}, "size": {"shape": [2]}},
    "layers": [
        {"type": "StringLookup", "name": "one", "from": "place", "vocabulary": ["é", "b"], "output_mode": "one_hot"},
        {"type": "Concatenate", "from": ["one", "size"]},
        {"type": "Dense", "name": "y", "units": 1, "activation": "sigmoid"},
    ],
    "labels": ["no", "yes"],
    "training": {"loss": "binary_crossentropy", "optimizer": "sgd", "threshold": 0.25},
}
SEQUENCES: dict[str, Any] = {
    "inputs": {"x": {"shape": ["time", 3]}},
    "layers": [{"type": "LSTM", "units": 4}, {"type": "Dense", "name": "y", "units": 2}],
}

Feeds = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


class Samples(CalibrationDataReader):  # type: ignore[misc]
    """A batch for the calibration."""

    def __init__(self) -> None:
        self.batches = iter([{"x": numbers(32, 16, 16, 1)}])

    def get_next(self) -> Feeds | None:
        return next(self.batches, None)


def write_convolutions() -> Feeds:
    compile(CONVOLUTIONS).save("m.onnx")
    return {"x": numbers(5, 16, 16, 1)}


def write_static_int8() -> Feeds:
    feeds = write_convolutions()
    quantize_static("m.onnx", "q.onnx", Samples(), per_channel=True, activation_type=QuantType.QUInt8)
    os.replace("q.onnx", "m.onnx")
    return feeds


def write_dynamic_int8() -> Feeds:
    feeds = write_convolutions()
    quantize_dynamic("m.onnx", "q.onnx")
    os.replace("q.onnx", "m.onnx")
    return feeds


def write_strings() -> Feeds:
    compile(STRINGS).save("m.onnx")
    return {"place": np.array(["b", "é", "?"], object), "size": numbers(3, 2)}


def write_sequences() -> Feeds:
    compile(SEQUENCES).save("m.onnx")
    return {"x": numbers(2, 7, 3)}


def write_foreign() -> Feeds:
    """A model that jsonnx did not make, with a subgraph."""
    value = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    branches = [
        helper.make_graph([helper.make_node(op, ["x", "w"], ["z"])], op, [], [value], [weight])
        for op, weight in (
            ("Mul", numpy_helper.from_array(numbers(3), "w")),
            ("Add", numpy_helper.from_array(numbers(1), "w")),
        )
    ]
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["is_positive"]),
        helper.make_node("If", ["is_positive"], ["y"], then_branch=branches[0], else_branch=branches[1]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in "xy"]
    zero = numpy_helper.from_array(np.zeros((), np.float32), "zero")
    graph = helper.make_graph(nodes, "other", ends[:1], ends[1:], [zero])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), "m.onnx")
    return {"x": numbers(4, 3)}


MODELS: dict[str, Callable[[], Feeds]] = {
    "convolutions": write_convolutions,
    "static int8": write_static_int8,
    "dynamic int8": write_dynamic_int8,
    "strings": write_strings,
    "sequences": write_sequences,
    "foreign": write_foreign,
}


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def feeds(request: pytest.FixtureRequest) -> Feeds:
    """Writes `m.onnx`, and exports it to `m.ort`."""
    feeds: Feeds = request.param()
    jsonnx("export", "--ort", "m.onnx", "-o", "m.ort", "--unverified")
    return feeds


def test_the_wheel_computes_the_outputs_of_the_model(feeds: Feeds) -> None:
    results = [onnxruntime.InferenceSession(name).run(None, feeds) for name in ("m.onnx", "m.ort")]
    for expected, actual in zip(*results, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_onnxruntimes_tool_writes_the_same_model_and_the_same_operators(feeds: Feeds) -> None:
    tool = "onnxruntime.tools.convert_onnx_models_to_ort"
    options = ("--optimization_style", "Fixed", "--enable_type_reduction", "--output_dir", "tool")
    subprocess.run([sys.executable, "-m", tool, *options, "m.onnx"], check=True, capture_output=True)
    assert in_fixed_order(Path("tool/m.ort").read_bytes(), DIGEST_KEYS) == Path("m.ort").read_bytes()
    lines = [Path(folder, OPERATORS).read_text().splitlines() for folder in ("tool", ".")]
    assert lines[1][0] == "# Generated from m.ort"
    assert [line for line in lines[0] if line[0] != "#"] == lines[1][1:]


def test_the_build_of_onnxruntime_reads_the_operators(feeds: Feeds) -> None:
    from onnxruntime.tools.reduced_build_config_parser import parse_config

    operators, types = parse_config(OPERATORS, enable_type_reduction=True)
    names = {f"{domain}:{op}" for domain, by_opset in operators.items() for ops in by_opset.values() for op in ops}
    used = json.loads(jsonnx("inspect", "m.ort", "--format", "json").stdout)["operators"]
    assert names == {op if ":" in op else f"ai.onnx:{op}" for op in used}
    assert types is not None


def test_another_process_writes_the_same_bytes(feeds: Feeds) -> None:
    process("export", "--ort", "m.onnx", "-o", "again/m.ort", "--unverified", check=True)
    for name in ("m.ort", OPERATORS):
        assert Path(name).read_bytes() == Path("again", name).read_bytes()


def test_convolutions_have_no_layout_of_this_machine(feeds: Feeds) -> None:
    assert "nchwc" not in Path(OPERATORS).read_text()


def test_an_int8_model_has_the_operators_of_int8() -> None:
    write_static_int8()
    jsonnx("export", "--ort", "m.onnx", "-o", "m.ort", "--unverified")
    text = Path(OPERATORS).read_text()
    assert "com.microsoft;1;" in text
    assert 'QLinearConv{"inputs": {"0": ["uint8_t"]}}' in text


def test_labels_and_metadata_are_those_of_the_model() -> None:
    compile(CONVOLUTIONS).save("m.onnx")
    output = jsonnx("export", "--ort", "m.onnx", "-o", "device/m.ort").stderr
    size = Path("device/m.ort").stat().st_size
    assert output.splitlines()[0] == f"wrote device/m.ort ({size / 1000:.1f} kB)"
    assert sorted(os.listdir("device")) == sorted(["m.labels.json", "m.ort", OPERATORS])
    assert Path("device/m.labels.json").read_bytes() == Path("m.labels.json").read_bytes()
    expected = {key: text for key, text in Session("m.onnx").metadata.items() if key not in DIGEST_KEYS}
    assert Session("device/m.ort").metadata == expected


def test_a_run_folder_is_exported(folder: Path) -> None:
    data = {"train": "t.csv", "x": {"place": "place", "size": ["size1", "size2"]}}
    (folder / "spec.json").write_text(
        json.dumps({**STRINGS, "training": {**STRINGS["training"], "epochs": 1, "data": data}})
    )
    (folder / "t.csv").write_text("place,size1,size2,y\nb,1,2,no\né,2,1,yes\n")
    (folder / "x.csv").write_text("place,size1,size2\nb,1,2\n")
    jsonnx("train", "spec.json", "-o", "run", "--quiet")
    jsonnx("export", "--ort", "run", "-o", "m.ort")
    assert Path("m.labels.json").read_bytes() == Path("run/model.labels.json").read_bytes()
    predictions = [jsonnx("predict", model, "x.csv").stdout for model in ("run", "m.ort")]
    assert predictions[0] == predictions[1]
    evaluations = [jsonnx("evaluate", model, "--data", "t.csv").stdout for model in ("run", "m.ort")]
    assert evaluations[0] == evaluations[1]


def test_a_note_says_that_float16_weights_become_float32() -> None:
    write_convolutions()
    half = convert_float_to_float16(onnx.load("m.onnx"), keep_io_types=True)
    onnx.save(half, "h.onnx")
    messages = jsonnx("export", "--ort", "h.onnx", "-o", "h.ort", "--unverified").stderr
    is_float32 = "float16" not in json.loads(jsonnx("inspect", "h.ort", "--format", "json").stdout)["weight_bytes"]
    assert ("note: float16 weights are stored as float32" in messages) == is_float32
    assert "note" not in jsonnx("export", "--ort", "m.onnx", "-o", "m.ort").stderr


def test_what_another_export_has_written_is_replaced_only_with_force() -> None:
    compile(CONVOLUTIONS).save("m.onnx")
    compile(SEQUENCES).save("n.onnx")
    jsonnx("export", "--ort", "m.onnx", "-o", "e.ort")
    before = {name: Path(name).read_bytes() for name in os.listdir()}
    jsonnx("export", "--ort", "m.onnx", "-o", "e.ort")  # the same contents
    assert "error[file-exists]: 'e.ort' exists" in jsonnx("export", "--ort", "n.onnx", "-o", "e.ort", status=2).stderr
    assert {name: Path(name).read_bytes() for name in os.listdir()} == before
    jsonnx("export", "--ort", "n.onnx", "-o", "e.ort", "--force")
    assert "LSTM" in Path("e.required_operators_and_types.config").read_text()
    assert not Path("e.labels.json").exists()


def test_errors() -> None:
    compile(SEQUENCES).save("m.onnx")
    assert "does not end in .ort" in jsonnx("export", "--ort", "m.onnx", "-o", "e.onnx", status=2).stderr
    jsonnx("export", "--ort", "m.onnx", "-o", "m.ort")
    again = jsonnx("export", "--ort", "m.ort", "-o", "again.ort", status=1).stderr
    assert "error[other-format]: this is a model in ORT format already" in again
    other = jsonnx("export", "--triton", "m.ort", "-o", "repository", status=1).stderr
    assert "error[other-format]: this is a model in ORT format, not an ONNX model" in other
    assert (
        "onnxruntime does not tell the layers of a model in ORT format" in jsonnx("profile", "m.ort", status=2).stderr
    )
    Path("m.onnx").write_bytes(Path("m.onnx").read_bytes().replace(b"kernel", b"kernal"))
    assert "error[digest-mismatch]" in jsonnx("export", "--ort", "m.onnx", "-o", "e.ort", status=1).stderr
    assert not Path("e.ort").exists()


def test_onnxruntimes_tools_leave_logging_as_it_is() -> None:
    compile(SEQUENCES).save("m.onnx")
    root = logging.getLogger()
    handlers = [*root.handlers]
    root.handlers.clear()
    try:
        jsonnx("export", "--ort", "m.onnx", "-o", "m.ort")
        assert root.handlers == []
        assert root.manager.disable == logging.NOTSET
    finally:
        root.handlers[:] = handlers


def test_inspect_shows_the_format_and_what_the_model_has() -> None:
    compile(CONVOLUTIONS).save("m.onnx")
    jsonnx("export", "--ort", "m.onnx", "-o", "m.ort")
    onnx_info, info = (json.loads(jsonnx("inspect", name, "--format", "json").stdout) for name in ("m.onnx", "m.ort"))
    same = ("inputs", "outputs", "labels", "parameters", "producer", "spec", "ir_version", "metadata")
    assert {key: info[key] for key in same} == {key: onnx_info[key] for key in same}
    assert info["ort_format"].isdigit()
    assert onnx_info["ort_format"] is None
    assert info["operators"]["com.microsoft:FusedConv"] == 2
    assert info["weight_bytes"]["float32"] == onnx_info["weight_bytes"]["float32"]
    text = jsonnx("inspect", "m.ort").stdout
    assert f"versions    ORT format {info['ort_format']}, IR {info['ir_version']}" in text
    assert jsonnx("inspect", "m.ort", "--spec", "-").stdout == jsonnx("inspect", "m.onnx", "--spec", "-").stdout
