"""Budgets: limits on the cost of a network and of its model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from jsonnx.analysis.activation_memory import activation_peak
from jsonnx.core.quantities import parse_bytes, parse_count
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.validate.validate import validate
from support.commands import jsonnx, process

SPEC: dict[str, Any] = {
    "inputs": {"image": {"shape": [8, 8, 1]}},
    "layers": [
        {"type": "Conv2D", "name": "stem", "filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu"},
        {"type": "Conv2D", "name": "branch", "filters": 4, "kernel_size": 3, "padding": "same"},
        {"type": "Add", "name": "sum", "from": ["stem", "branch"]},
        {"type": "Flatten"},
        {"type": "Dense", "name": "kind", "units": 3},
    ],
}
PARAMETERS = 40 + 148 + 771
MACS = 64 * 9 * 4 + 64 * 36 * 4 + 256 * 3
PEAK = 3 * 8 * 8 * 4 * 4
"""While `sum` runs: its two inputs and its result, of float32."""


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(budget: dict[str, Any] | None = None, **changes: Any) -> str:
    spec = SPEC | changes | ({"budget": budget} if budget is not None else {})
    Path("spec.json").write_text(json.dumps(spec))
    return "spec.json"


def found(spec: str, *arguments: str, status: int = 1) -> dict[str, str]:
    """The messages of the diagnostics of `validate` by path."""
    result = jsonnx("validate", spec, "--format", "json", *arguments, status=status)
    return {item["path"]: item["message"] for item in json.loads(result.stdout)}


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), (250, 250), ("250k", 250_000), ("1.5M", 1_500_000), ("2 G", 2 * 10**9), ("2B", 2 * 10**9)],
)
def test_a_count_is_read(text: str | int, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("7 B", 7), ("5 MB", 5_000_000), ("5MiB", 5 << 20), ("0.5 kB", 500), ("0.5 KB", 500), ("1KiB", 1024)],
)
def test_a_number_of_bytes_is_read(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1", "1e6", "1,000", "1.M", "5 Mb", "5 m", "5 MB ", "5 MB\n", "1" * 40])
def test_other_texts_are_no_amounts(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_bytes(text)
    with pytest.raises(ValueError, match="expected"):
        parse_count(text if text != "5 MB\n" else "5 M\n")


@pytest.mark.parametrize(
    ("key", "cost"), [("parameters", PARAMETERS), ("multiply_adds", MACS), ("activation_memory", PEAK)]
)
def test_a_limit_is_exceeded_by_one_more(key: str, cost: int) -> None:
    assert not found(write({key: cost}), status=0)
    messages = found(write({key: cost - 1}))
    assert list(messages) == [f"$.budget.{key}"]
    assert f"{cost:,}" in messages[f"$.budget.{key}"]
    assert f"the budget is {cost - 1:,}" in messages[f"$.budget.{key}"]


def test_memory_is_that_of_the_batch_size_and_of_the_dtypes() -> None:
    spec = {"inputs": {"x": {"shape": [10], "dtype": "uint8"}}, "layers": [{"type": "Rescaling", "scale": 0.5}]}
    typed = check_spec(spec).require()
    one, many = activation_peak(typed), activation_peak(typed, 32)
    assert one is not None
    assert many is not None
    assert (one.total, many.total) == (10 + 40, 32 * 50)


def test_a_value_is_freed_after_its_last_use() -> None:
    chain = [{"type": "Dense", "name": f"d{i}", "units": size} for i, size in enumerate([100, 1, 60, 1])]
    peak = activation_peak(check_spec({"inputs": {"x": {"shape": [1]}}, "layers": chain}).require())
    assert peak is not None
    assert (peak.layer, peak.total) == ("d0", 404)
    kept = check_spec({"inputs": {"x": {"shape": [1]}}, "layers": chain, "outputs": ["d0", "d3"]}).require()
    peak = activation_peak(kept)
    assert peak is not None
    assert (peak.layer, peak.total) == ("d2", 4 * (100 + 1 + 60))


def test_symbolic_sizes_are_given() -> None:
    text = {
        "inputs": {"x": {"shape": ["length", 8]}},
        "layers": [{"type": "Conv1D", "filters": 4, "kernel_size": 3, "strides": 2}, {"type": "Dense", "units": 1}],
    }
    macs = 49 * 24 * 4 + 49 * 4
    for limit, count in ((macs, 0), (macs - 1, 1)):
        diagnostics = validate(text | {"budget": {"multiply_adds": limit, "sizes": {"length": 100}}})
        assert [item.code for item in diagnostics] == ["over-budget"] * count
    assert [item.code for item in validate(text | {"budget": {"multiply_adds": 10**9}})] == ["unknown-cost"]
    assert not validate(text | {"budget": {"parameters": 10**9}})


def test_options_replace_limits_of_the_spec() -> None:
    spec = write({"parameters": 10})
    assert not found(spec, "--max-parameters", "1k", status=0)
    assert found(spec, "--max-parameters", "20") == {
        "$": f"the network has {PARAMETERS} parameters, --max-parameters allows 20"
    }
    jsonnx("summary", spec, "--max-parameters", "1k")
    assert "kind" in jsonnx("summary", spec, status=1).stdout
    assert "expected 250000, 250k or 1.5M" in jsonnx("validate", spec, "--max-parameters", "1x", status=2).stderr


def test_the_model_is_compared_when_it_is_compiled() -> None:
    spec = write({"model_bytes": 100, "opset": 17, "targets": ["webgpu", "cuda"]})
    assert not found(spec, status=0)
    messages = found(spec, "--compile")
    assert messages.keys() == {"$.budget.model_bytes", "$.budget.opset"}
    assert messages["$.budget.opset"] == "the model needs opset 18, the budget is 17"
    jsonnx("compile", spec, "-o", "model.onnx", status=1)
    assert not Path("model.onnx").exists()
    jsonnx("compile", spec, "-o", "model.onnx", "--max-model-bytes", "100 kB", "--max-opset", "18")
    size = Path("model.onnx").stat().st_size
    jsonnx("compile", spec, "-o", "model.onnx", "--max-model-bytes", str(size), "--max-opset", "18")
    error = jsonnx("compile", spec, "-o", "x.onnx", "--max-model-bytes", str(size - 1), "--max-opset", "18", status=1)
    assert f"the model has {size:,} bytes, --max-model-bytes allows {size - 1:,}" in error.stderr


def test_an_opset_names_the_layers_that_need_it() -> None:
    split = {"type": "TextVectorization", "output_sequence_length": 4, "vocabulary": ["a", "b"]}
    embedding = {"type": "Embedding", "input_dim": 4, "output_dim": 2}
    spec = write(inputs={"text": {"shape": [], "dtype": "string"}}, layers=[split, embedding])
    jsonnx("compile", spec, "-o", "model.onnx", "--max-opset", "20")
    assert onnx.load("model.onnx").opset_import[0].version == 20
    error = jsonnx("compile", spec, "-o", "model.onnx", "--max-opset", "19", status=1).stderr
    assert "the model needs opset 20, --max-opset allows 19" in error
    assert "needs it for StringConcat, StringSplit (spec.json:1:" in error


def test_an_operator_without_a_kernel_is_named_with_its_layer() -> None:
    recurrent = [{"type": "LSTM", "name": "memory", "units": 4}, {"type": "Dense", "units": 1}]
    spec = write({"targets": ["cuda", "webgpu"]}, inputs={"x": {"shape": [5, 3]}}, layers=recurrent)
    messages = found(spec, "--compile")
    assert list(messages) == ["$.budget.targets[1]"]
    assert "webgpu lacks kernels for 1 of" in messages["$.budget.targets[1]"]
    assert "LSTM" in messages["$.budget.targets[1]"]
    assert "lacks kernels" in found(spec, "--target", "webgpu")["$"]


def test_an_invalid_spec_is_not_compared() -> None:
    diagnostics = validate(SPEC | {"layers": [{"type": "Dense", "units": 0}], "budget": {"parameters": 0}})
    assert [item.code for item in diagnostics] == ["out-of-range"]


def test_common_networks_are_compared_without_onnx() -> None:
    write({"activation_memory": 10, "parameters": 10, "multiply_adds": 10})
    code = "import sys, jsonnx; print([d.code for d in jsonnx.validate('spec.json')], 'onnx' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split("\n")[0] == "['over-budget', 'over-budget', 'over-budget'] False"
    assert process("validate", "spec.json").returncode == 1
