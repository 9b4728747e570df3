"""`jsonnx providers SPEC_OR_MODEL` tells the nodes without a kernel."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonnx
import pytest
from jsonnx.cli import main
from support.commands import CliRunner

SPEC = {
    "inputs": {"x": {"shape": [4]}},
    "layers": [{"type": "Activation", "activation": "sparsemax"}, {"type": "Dense", "units": 2}],
    "training": {"loss": "mse", "optimizer": "adam"},
}
ARCTAN = {"inputs": SPEC["inputs"], "layers": [{"type": "ops.arctan"}, {"type": "Dense", "units": 2}]}


@pytest.fixture
def spec(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    return "spec.json"


def test_a_spec_has_a_model_and_a_training_step(spec):
    result = CliRunner().invoke(main, ["providers", spec, "--provider", "webgpu"])
    assert result.exit_code == 0
    first, line, copies, second, *_ = result.output.splitlines()
    assert copies.endswith(" copied at every run, 16 bytes for 1 sample")
    assert first.startswith("webgpu, onnxruntime 1.24.0, inference model: ")
    types = "float32 (batch, 4), int64 (batch, 4)"
    assert line == f"  /activation/TopK ($.layers[0]): no kernel for TopK; gives {types}"
    assert second.startswith("webgpu, onnxruntime 1.24.0, training step: ")


def test_a_spec_is_compiled_for_the_provider(spec):
    Path(spec).write_text(json.dumps(ARCTAN))
    jsonnx.compile(ARCTAN).save("model.onnx")
    outputs = [CliRunner().invoke(main, ["providers", it, "--provider", "cuda"]).output for it in (spec, "model.onnx")]
    assert ["no kernel for Atan" in output for output in outputs] == [False, True]


def test_a_model_is_read_and_all_tables_are_answered(spec):
    jsonnx.compile(ARCTAN).save("model.onnx")
    result = CliRunner().invoke(main, ["providers", "model.onnx", "--format", "json"])
    found = {item["provider"]: item["models"]["model"]["without_kernel"] for item in json.loads(result.output)}
    assert [node["op"] for node in found["cuda"]] == ["Atan"]
    assert found["webgpu"] == []


def test_nodes_of_all_uses_of_a_block_are_one_line_with_the_path_in_the_spec(spec):
    sparsemax = {"type": "Activation", "activation": "sparsemax"}
    block = {"layers": [sparsemax, {"type": "Dense", "units": 4}]}
    layers = [{"type": "Dense", "units": 4}, {"type": "turn", "repeat": 3}, {**sparsemax, "name": "last"}]
    document = {"inputs": SPEC["inputs"], "blocks": {"turn": block}, "layers": layers}
    Path(spec).write_text(json.dumps(document))
    jsonnx.compile(document, target="webgpu").save("model.onnx")
    for model in (spec, "model.onnx"):
        result = CliRunner().invoke(main, ["providers", model, "--provider", "webgpu"])
        lines = result.output.splitlines()[1:3]
        paths = [line.partition("(")[2].partition(")")[0] for line in lines]
        assert paths == ["$.blocks.turn.layers[0]", "$.layers[2]"]
        assert [line.endswith("; 2 more nodes like it") for line in lines] == [True, False]


@pytest.mark.parametrize("name", ["cpu", "CPUExecutionProvider", "auto"])
def test_the_cpu_runs_every_node(spec, monkeypatch, name):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    result = CliRunner().invoke(main, ["providers", spec, "--provider", name])
    assert result.exit_code == 0, result.output
    first, second = result.output.splitlines()
    counts = [int(count) for count in re.findall(r"(\d+) of (\d+) nodes run on the provider", first)[0]]
    assert first.startswith("cpu, onnxruntime ")
    assert counts[0] == counts[1] > 0
    assert "training step" in second


def test_a_provider_is_found_by_its_full_name(spec):
    names = ("webgpu", "WebGpuExecutionProvider")
    short, full = (CliRunner().invoke(main, ["providers", spec, "--provider", name]).output for name in names)
    assert short == full
    result = CliRunner().invoke(main, ["providers", spec, "--provider", "webgpuu"])
    assert "did you mean 'webgpu'?" in result.output


def test_a_provider_without_a_table_and_a_damaged_model_are_errors(spec, tmp_path):
    result = CliRunner().invoke(main, ["providers", spec, "--provider", "qnn"])
    assert result.exit_code == 2
    assert "no-kernel-table" in result.output
    (tmp_path / "damaged.onnx").write_bytes(b"\xff" * 40)
    result = CliRunner().invoke(main, ["providers", "damaged.onnx", "--provider", "cuda"])
    assert result.exit_code == 1
    assert "bad-model" in result.output


def test_a_vocabulary_need_not_be_learned():
    samples = Path(__file__).parents[3] / "samples"
    for sample in ("penguins", "reviews"):
        result = CliRunner().invoke(main, ["providers", str(samples / f"{sample}.json"), "--provider", "cuda"])
        assert result.exit_code == 0, result.output
        assert "no kernel for ai.onnx.ml.LabelEncoder" in result.output
