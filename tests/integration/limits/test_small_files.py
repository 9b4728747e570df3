"""Hostile files need little time and memory: each command runs in a process with limits, measured in CPU seconds."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import pytest
from jsonnx.core.limits import MAX_LAYERS

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

MAX_ADDRESS_SPACE_BYTES = 2 << 30
"""Enough for the libraries, whose mapped files and thread stacks count, too."""

MAX_RESIDENT_BYTES = 500 << 20


class Result(NamedTuple):
    status: int
    output: str
    resident_bytes: int


def run(cpu_seconds: int, *arguments: str | Path) -> Result:
    """Runs the command line. A process that takes longer or more address space ends with another status than 0 or 1."""

    def set_limits() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE_BYTES, MAX_ADDRESS_SPACE_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))

    environment = os.environ | {"PYTHONPATH": str(ROOT / "compiler"), "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "jsonnx", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        preexec_fn=set_limits,
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return Result(process.returncode, output, usage.ru_maxrss * 1024)


def layers(*entries: Any, **input: Any) -> str:
    return json.dumps({"inputs": {"x": {"shape": [4], **input}}, "layers": list(entries)})


def repeated(item: str, count: int) -> str:
    return ",".join([item] * count)


DENSE = {"type": "Dense", "units": 4}
NESTED_60 = '{"type": "TimeDistributed", "layer": ' * 60 + '{"type": "ReLU"}' + "}" * 60
SPECS: dict[str, Callable[[], str]] = {
    "empty-layers": lambda: f'{{"inputs": {{"x": {{"shape": [4]}}}}, "layers": [{repeated("{}", 990_000)}]}}',
    "empty-layers-within-the-containers": lambda: f'{{"layers": [{repeated("{}", 150_000)}]}}',
    "shape-of-many-sizes": lambda: layers({"type": "ReLU"}, shape=[1] * 1_100_000),
    "many-inputs": lambda: json.dumps({"inputs": {f"x{i}": {"shape": []} for i in range(90_000)}, "layers": [{}]}),
    "many-keys": lambda: json.dumps({f"key{i}": 0 for i in range(1_000_000)}),
    "many-wrong-layers": lambda: layers(*[{"type": "Dens", "unit": 4}] * MAX_LAYERS),
    "many-unknown-names": lambda: layers(*({**DENSE, "from": f"q{i}"} for i in range(MAX_LAYERS))),
    "string-of-escapes": lambda: '["' + "\\n" * 15_000_000 + '"]',
    "escapes-that-end-badly": lambda: '["' + "\\n" * 900_000 + '\\ud800"]',
    "one-long-string": lambda: layers({"type": "a" * 30_000_000}),
    "nested-layers": lambda: f'{{"inputs": {{"x": {{"shape": [4]}}}}, "layers": [{NESTED_60}]}}',
    "split-into-10^8": lambda: layers({"type": "ops.split", "indices_or_sections": 10**8}),
    "split-into-2^31": lambda: layers({"type": "ops.split", "indices_or_sections": 2**31 - 1}),
    "unstack-10^8": lambda: layers({"type": "ops.unstack", "num": 10**8, "axis": 1}, shape=[10**8]),
    "slice-of-5000-digits": lambda: layers({"type": "ops.get_item", "key": [":", "9" * 5000 + ":"]}),
    "sparsemax": lambda: layers({"type": "ops.sparsemax"}, shape=[2**31 - 1]),
    "resize": lambda: layers(
        {"type": "ops.image.resize", "size": 5, "antialias": False}, shape=[4, 268435455, 2], dtype="int32"
    ),
    "one-hot": lambda: layers({"type": "ops.one_hot", "num_classes": 268435456}, shape=[], dtype="int32"),
    "repeat": lambda: layers({"type": "ops.repeat", "repeats": [268435455] * 4, "axis": 1}),
    "causal": lambda: layers({"type": "Attention", "use_causal_mask": True}, shape=[10**8, 1]),
    "time-distributed": lambda: layers(
        {"type": "TimeDistributed", "layer": {"type": "ops.expm1"}}, shape=[10**6, 5, 6, 2]
    ),
    "weights-of-4-TB": lambda: layers({"type": "Dense", "units": 10**6}, shape=[10**6]),
}


BULKY = ("many-keys", "shape-of-many-sizes", "many-inputs", "string-of-escapes", "one-long-string", "many-wrong-layers")
"""Specs that take more than a second; only the slow tests check them."""


def test_hostile_specs_are_refused_in_seconds_and_500_megabytes_together(tmp_path: Path) -> None:
    """One process validates all of them, since each start takes longer than most of the specs."""
    paths = [tmp_path / f"{name}.json" for name in SPECS if name not in BULKY]
    for path in paths:
        path.write_text(SPECS[path.stem](), encoding="utf-8")
    result = run(20, "validate", "--format", "json", *paths)
    assert result.status == 1, result.output[-2000:]
    errors = {error["file"] for error in json.loads(result.output) if error["severity"] == "error"}
    assert errors == {str(path) for path in paths}
    assert result.resident_bytes < MAX_RESIDENT_BYTES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "name"), [*(("summary", name) for name in SPECS), *(("validate", name) for name in BULKY)]
)
def test_a_hostile_spec_is_refused_in_seconds_and_500_megabytes(command: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(SPECS[name](), encoding="utf-8")
    result = run(10, command, path)
    assert result.status == 1, result.output[-2000:]
    assert "error[" in result.output
    assert result.resident_bytes < MAX_RESIDENT_BYTES


@pytest.mark.parametrize(
    "name",
    ["one-hot", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sparsemax", "repeat", "resize", "causal"))],
)
def test_what_compile_refuses_is_too_large_for_validate_at_the_layer(name: str, tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(SPECS[name](), encoding="utf-8")
    for command in (["validate", path], ["compile", path, "-o", tmp_path / "model.onnx"]):
        result = run(10, *command)
        assert (result.status, "error[too-large]" in result.output) == (1, True), result.output[-2000:]
        assert str(path) in result.output


CONV = {"type": "Conv2D", "filters": 2, "kernel_size": 3, "padding": "same", "activation": "relu"}
LARGEST_NETWORKS = {"dense": ([4], DENSE), "convolutions-of-40,000-operators": ([8, 8, 2], CONV)}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["validate", "summary"])
@pytest.mark.parametrize("name", LARGEST_NETWORKS)
def test_the_largest_networks_need_500_megabytes(command: str, name: str, tmp_path: Path) -> None:
    shape, layer = LARGEST_NETWORKS[name]
    path = tmp_path / "spec.json"
    path.write_text(layers(*[layer] * MAX_LAYERS, shape=shape), encoding="utf-8")
    result = run(15, command, path)  # three times the time of a machine that does nothing else
    assert result.status == 0, result.output[-2000:]
    assert result.resident_bytes < MAX_RESIDENT_BYTES


def test_vocabulary_files_are_counted_together(tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text("\n".join(map(str, range(600_000))), encoding="utf-8")
    lookup = {"type": "StringLookup", "vocabulary": "tokens.txt", "from": "x"}
    spec = {"inputs": {"x": {"shape": [], "dtype": "string"}}, "layers": [lookup, lookup]}
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec), encoding="utf-8")
    result = run(10, "validate", path)
    assert (result.status, "more than 1,000,000 tokens" in result.output) == (1, True), result.output[-2000:]


# -- Keras and ONNX --------------------------------------------------------------------------------------------------


def wrapped(kind: str, depth: int) -> dict[str, Any]:
    """A Keras model of one layer inside `depth` wrappers."""
    layer: dict[str, Any] = {"class_name": "LSTM", "config": {"name": "lstm", "units": 2, "return_sequences": True}}
    for _ in range(depth):
        layer = {"class_name": kind, "config": {"name": "wrapper", "layer": layer}}
    first = {"class_name": "InputLayer", "config": {"batch_shape": [None, 3, 2], "name": "x"}}
    return {"class_name": "Sequential", "config": {"name": "m", "layers": [first, layer]}, "keras_version": "3.5.0"}


@pytest.mark.parametrize("kind", ["TimeDistributed", pytest.param("Bidirectional", marks=pytest.mark.slow)])
def test_wrappers_that_nest_too_deeply_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(wrapped(kind, 60)), encoding="utf-8")
    result = run(10, "import", path, "-o", tmp_path / "spec.json")
    assert (result.status, "error[too-deep]" in result.output) == (1, True), result.output[-2000:]


def test_models_that_call_each_other_twice_are_counted_before_they_are_written_out(tmp_path: Path) -> None:
    result = run(10, "import", HERE / "keras_nested_twice_20.json", "-o", tmp_path / "spec.json")
    assert result.status == 1
    assert "the model has 3,145,727 layers, the limit is 10,000" in result.output


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        ("keras_model_called_with_an_object.json", 1, "error[keras-call]"),
        ("keras_operation_with_a_name.json", 0, "wrote"),
    ],
)
def test_mutated_keras_models_give_no_internal_error(name: str, status: int, text: str, tmp_path: Path) -> None:
    result = run(10, "import", HERE / name, "-o", tmp_path / "spec.json")
    assert (result.status, text in result.output) == (status, True), result.output[-2000:]


def test_a_version_that_is_no_number_is_read_as_far_as_it_is_one(tmp_path: Path) -> None:
    document = wrapped("TimeDistributed", 0) | {"keras_version": "3-11-27@08:25:35"}
    path = tmp_path / "model.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    result = run(10, "import", path, "-o", tmp_path / "spec.json")
    assert result.status == 0, result.output[-2000:]


def test_a_tensor_of_many_axes_is_refused_before_its_size_is_computed(tmp_path: Path) -> None:
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[2**63 - 1] * 200_000)
    model = onnx.ModelProto(ir_version=9, graph=onnx.GraphProto(name="g", initializer=[tensor]))
    model.opset_import.add(version=20)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    result = run(10, "inspect", path)
    assert (result.status, "more than 64 axes" in result.output) == (1, True), result.output[-2000:]
