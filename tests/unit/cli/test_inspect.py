"""`jsonnx inspect` on models of jsonnx, models of other programs, and hostile files."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.commands import jsonnx, process

SAMPLES = Path(__file__).parents[3] / "samples"

SPEC: dict[str, Any] = {
    "name": "kinds",
    "inputs": {"steps": {"shape": ["time", 2]}, "flower": {"shape": [3], "dtype": "int32"}},
    "layers": [
        {"type": "LSTM", "name": "read", "units": 4, "from": "steps"},
        {"type": "Rescaling", "name": "real", "from": "flower", "scale": 1e-3},
        {"type": "Concatenate", "name": "both", "from": ["read", "real"]},
        {"type": "Dense", "name": "kind", "units": 3, "activation": "softmax"},
    ],
    "outputs": ["kind", "both"],
    "labels": {"kind": ["x", "y", "é"]},
}


@pytest.fixture
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    jsonnx("compile", "spec.json", "-o", "m.onnx")
    return tmp_path


ANY = onnx.ValueInfoProto(name="z")
"""An output without a type."""


def inspected(file: str = "m.onnx") -> dict[str, Any]:
    info: dict[str, Any] = json.loads(jsonnx("inspect", file, "--format", "json").stdout)
    return info


def error_output(model: onnx.ModelProto | bytes, code: str = "damaged-file") -> str:
    data = model if isinstance(model, bytes) else model.SerializeToString()
    Path("bad.onnx").write_bytes(data)
    result = jsonnx("inspect", "bad.onnx", status=1)
    assert f"error[{code}]" in result.stderr
    assert result.stdout == ""
    return result.stderr


def plain(*nodes: onnx.NodeProto, **more: Any) -> onnx.ModelProto:
    """Returns a model with some nodes between an input x and an output y."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", None]) for name in "xy"]
    graph = helper.make_graph(list(nodes) or [helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:], **more)
    return helper.make_model(graph, producer_name="someone")


# -- models of jsonnx -------------------------------------------------------------------------------------------------


def test_a_model_is_described_as_text_and_json(work_folder: Path) -> None:
    text = jsonnx("inspect", "m.onnx").stdout
    assert "inputs      steps  float32 (batch, time, 2)\n            flower  int32 (batch, 3)\n" in text
    assert "outputs     kind  float32 (batch, 3)   x, y, é\n" in text
    assert "spec        kinds, 4 layers, unchanged" in text
    info = inspected()
    model = onnx.load("m.onnx")
    assert list(info["inputs"]) == ["steps", "flower"]
    assert info["inputs"]["steps"] == {"dtype": "float32", "shape": ["batch", "time", 2]}
    assert info["outputs"] == {
        name: {"dtype": "float32", "shape": ["batch", n]} for name, n in (("kind", 3), ("both", 7))
    }
    assert info["labels"] == {"kind": ["x", "y", "é"]}
    assert info["nodes"] == len(model.graph.node)
    assert sum(info["operators"].values()) == info["nodes"]
    assert info["bytes"] == Path("m.onnx").stat().st_size
    assert info["opsets"] == {"ai.onnx": 18}
    assert info["ir_version"] == 8
    assert info["producer"]["name"] == "jsonnx"
    assert info["producer"]["version"] == info["jsonnx"]
    assert info["spec"]["unchanged"] is True
    assert json.loads(info["metadata"]["jsonnx.signature"]) == {key: info[key] for key in ("inputs", "outputs")}


def test_weights_are_counted_by_element_type(work_folder: Path) -> None:
    arrays = {"a": np.zeros((3, 5), np.float32), "b": np.zeros(7, np.int8), "c": np.zeros((2, 2), np.float16)}
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    weights += [helper.make_tensor("d", TensorProto.INT4, [3], [1, 2, 3]), helper.make_tensor("e", 8, [1], [b"text"])]
    onnx.save(plain(initializer=weights), "m.onnx")
    assert inspected()["weight_bytes"] == {"float32": 60, "float16": 8, "int8": 7, "int4": 2}
    assert (
        "weights     float32 60 bytes, float16 8 bytes, int8 7 bytes, int4 2 bytes\n"
        in jsonnx("inspect", "m.onnx").stdout
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"precision": "int8", "samples": 512}', "quantized   precision int8, samples 512\n"),
        ('"int8"', 'quantized   "int8"\n'),
        ("{", None),
        (None, None),
    ],
)
def test_what_is_known_of_the_quantization_is_shown(work_folder: Path, text: str | None, shown: str | None) -> None:
    model = onnx.load("m.onnx")
    if text is not None:
        helper.set_model_props(model, {"jsonnx.quantization": text})
    onnx.save(model, "m.onnx")
    output = jsonnx("inspect", "m.onnx").stdout
    assert shown in output if shown else "quantized" not in output
    assert inspected()["quantization"] == (json.loads(text) if text and shown else None)


def test_the_parameter_count_is_that_of_the_summary(work_folder: Path) -> None:
    jsonnx("compile", str(SAMPLES / "mnist_cnn.json"), "-o", "cnn.onnx")
    summary = json.loads(jsonnx("summary", str(SAMPLES / "mnist_cnn.json"), "--format", "json").stdout)
    assert inspected("cnn.onnx")["parameters"] == summary["totals"]["parameters"]


def test_the_extracted_spec_compiles_to_the_same_model(work_folder: Path) -> None:
    result = jsonnx("inspect", "m.onnx", "--spec", "back.json")
    assert result.stderr == "wrote back.json\n"
    assert json.loads(Path("back.json").read_text()) == SPEC
    jsonnx("fmt", "--check", "back.json")
    jsonnx("compile", "back.json", "-o", "again.onnx")
    assert onnx.load("again.onnx").graph == onnx.load("m.onnx").graph
    assert inspected("again.onnx")["spec"] == inspected("m.onnx")["spec"]
    assert jsonnx("inspect", "m.onnx", "--spec", "-").stdout == Path("back.json").read_text()
    result = process("inspect", "m.onnx", "--spec", "-", encoding="utf-8")
    assert (result.returncode, result.stdout) == (0, Path("back.json").read_text())


def test_the_model_is_not_overwritten(work_folder: Path) -> None:
    before = Path("m.onnx").read_bytes()
    Path("same.onnx").symlink_to("m.onnx")
    assert "is-an-input" in jsonnx("inspect", "m.onnx", "--spec", "same.onnx", status=2).stderr
    assert Path("m.onnx").read_bytes() == before


def test_a_changed_spec_is_reported(work_folder: Path) -> None:
    model = onnx.load("m.onnx")
    for entry in model.metadata_props:
        if entry.key == "jsonnx.spec":
            entry.value = entry.value.replace('"units":3', '"units":4')
    onnx.save(model, "changed.onnx")
    result = jsonnx("inspect", "changed.onnx")
    assert "warning[changed-spec]" in result.stderr
    assert "changed after compiling" in result.stdout
    assert inspected_quietly("changed.onnx")["spec"]["unchanged"] is False


def inspected_quietly(file: str) -> dict[str, Any]:
    result = process("inspect", file, "--format", "json")
    assert result.returncode == 0
    info: dict[str, Any] = json.loads(result.stdout)
    return info


# -- models of other programs -----------------------------------------------------------------------------------------


def test_a_model_of_another_program_has_no_spec(work_folder: Path) -> None:
    onnx.save(plain(), "other.onnx")
    text = jsonnx("inspect", "other.onnx").stdout
    assert "inputs      x  float32 (n, ?)" in text
    assert "spec        none: jsonnx did not make this model" in text
    assert inspected("other.onnx")["spec"] is None
    assert "error[no-spec]" in jsonnx("inspect", "other.onnx", "--spec", "o.json", status=1).stderr
    assert not Path("o.json").exists()


def test_operators_in_subgraphs_and_functions_are_counted(work_folder: Path) -> None:
    body = helper.make_graph([helper.make_node("Neg", ["x"], ["z"])], "b", [], [ANY])
    condition = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array(True)))
    node = helper.make_node("If", ["c"], ["m"], then_branch=body, else_branch=body)
    custom = helper.make_node("Twice", ["m"], ["y"], domain="mine")
    model = plain(condition, node, custom)
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("mine", 1)]
    function = helper.make_function(
        "mine", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], imports[:1]
    )
    model = helper.make_model(model.graph, opset_imports=imports, functions=[function])
    onnx.save(model, "other.onnx")
    info = inspected("other.onnx")
    assert info["operators"] == {"Neg": 2, "Constant": 1, "If": 1, "mine:Twice": 1}
    assert info["functions"] == ["Twice"]
    assert info["opsets"] == {"ai.onnx": 21, "mine": 1}


def test_external_data_is_listed_and_not_read(work_folder: Path) -> None:
    model = plain(initializer=[external("weights.bin")])
    onnx.save(model, "outside.onnx")  # there is no weights.bin
    assert inspected("outside.onnx")["external_data"] == ["weights.bin"]


def external(location: str, **more: str) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


# -- hostile files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("location", ["../x", "/etc/passwd", "a/../../x", "..\\x", "\\\\host\\x", "C:/../x"])
def test_external_data_outside_the_folder_is_rejected(work_folder: Path, location: str) -> None:
    error_output(plain(initializer=[external(location)]), "unsafe-path")
    constant = helper.make_node("Constant", [], ["c"])
    constant.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(external(location))
    error_output(plain(constant, helper.make_node("Add", ["x", "c"], ["y"])), "unsafe-path")
    sparse = onnx.SparseTensorProto(dims=[4], values=external(location), indices=external("i"))
    error_output(plain(sparse_initializer=[sparse]), "unsafe-path")


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"garbage" * 99, b"\x1f\x8b\x08" + bytes(99), b"\xff" * 99, b"\x0a" + b"\xff" * 9],
)
def test_a_file_that_is_not_a_model_is_rejected(work_folder: Path, data: bytes) -> None:
    error_output(data)


def test_a_missing_file_is_a_usage_error(work_folder: Path) -> None:
    assert "unreadable-file" in jsonnx("inspect", "nothing.onnx", status=2).stderr
    assert "unreadable-file" in jsonnx("inspect", ".", status=2).stderr


def test_a_truncated_model_is_rejected(work_folder: Path) -> None:
    model_bytes = Path("m.onnx").read_bytes()
    from jsonnx.core.diagnostics import CompileError
    from jsonnx.interop.model_info import inspect_model as read

    readable_count, codes = 0, set()
    for end in range(0, len(model_bytes), 7):
        Path("cut.onnx").write_bytes(model_bytes[:end])
        try:
            read("cut.onnx")
            readable_count += 1
        except CompileError as error:
            codes.add(error.diagnostics[0].code)
    assert codes == {"damaged-file"}
    assert readable_count <= 2  # cuts between two entries at the end of the file


def test_randomly_damaged_models_are_read_or_rejected(work_folder: Path) -> None:
    from jsonnx.core.diagnostics import CompileError
    from jsonnx.interop.model_info import inspect_model as read
    from jsonnx.render.networks.model_info_text import inspection_json, inspection_text

    model_bytes, rng = Path("m.onnx").read_bytes(), random.Random(0)
    counts = {"rejected": 0, "read": 0}
    for _ in range(1000):
        data = bytearray(model_bytes)
        for _ in range(rng.choice([1, 1, 3, 20])):
            at = rng.randrange(len(data))
            data[at : at + rng.choice([0, 1, 1, 9])] = rng.randbytes(rng.choice([0, 1, 1, 9]))
        Path("mutant.onnx").write_bytes(data)
        try:
            info = read("mutant.onnx")
            inspection_text(info)
            json.dumps(inspection_json(info))
            counts["read"] += 1
        except CompileError:
            counts["rejected"] += 1
    assert min(counts.values()) > 60


def test_inconsistent_models_are_rejected(work_folder: Path) -> None:
    relu = helper.make_node
    assert "defined twice" in error_output(plain(relu("Relu", ["x"], ["y"]), relu("Relu", ["x"], ["y"])))
    assert "uses 'b' before it is defined" in error_output(
        plain(relu("Relu", ["b"], ["a"]), relu("Relu", ["a"], ["b"]))
    )
    assert "is not defined" in error_output(plain(relu("Relu", ["x"], ["z"])))
    tensor = numpy_helper.from_array(np.zeros((2, 3), np.float32), "w")
    assert "defined twice" in error_output(plain(initializer=[tensor, tensor]))
    for wrong in ([2, 4], [2, 2], [-2, -3], [1 << 40, 1 << 40]):
        bad = TensorProto.FromString(tensor.SerializeToString())
        bad.dims[:] = wrong
        error_output(plain(initializer=[bad]))
    bomb = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 40])
    assert "has no data" in error_output(plain(initializer=[bomb]))
    bomb.data_type = 99
    assert "unknown type" in error_output(plain(initializer=[bomb]))
    error_output(plain(initializer=[external("w", offset="-1")]))
    error_output(plain(initializer=[external("w", length="9e9")]))
    error_output(plain(initializer=[external("")]))


def test_the_depth_of_subgraphs_is_limited(work_folder: Path) -> None:
    def nested_model(depth: int) -> onnx.ModelProto:
        graph = helper.make_graph([helper.make_node("Relu", ["x"], ["z"])], "g", [], [ANY])
        for _ in range(depth):
            node = helper.make_node("If", ["x"], ["z"], then_branch=graph)
            graph = helper.make_graph([node], "g", [], [ANY])
        return plain(helper.make_node("If", ["x"], ["y"], then_branch=graph))

    assert "deeper than 16" in error_output(nested_model(20))
    onnx.save(nested_model(10), "deep.onnx")
    assert inspected("deep.onnx")["operators"] == {"If": 11, "Relu": 1}


def test_control_characters_in_names_are_escaped(work_folder: Path) -> None:
    model = plain()
    model.graph.name = "\x1b[2J\u202e"
    model.producer_name = "\x1b]0;x\x07"
    onnx.save(model, "escape.onnx")
    output = jsonnx("inspect", "escape.onnx").stdout
    assert "\x1b" not in output
    assert "\u202e" not in output


def test_invalid_metadata_is_rejected(work_folder: Path) -> None:
    for text in ("", "{", "[1]", '{"a": NaN}', "[" * 1000):
        model = plain()
        model.metadata_props.add(key="jsonnx.spec", value=text)
        error_output(model)
    model = plain()
    model.metadata_props.add(key="jsonnx.spec", value="{}")
    model.metadata_props.add(key="jsonnx.labels", value="[" * 5000)
    onnx.save(model, "odd.onnx")
    assert inspected_quietly("odd.onnx")["labels"] == {}
