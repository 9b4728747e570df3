"""Where a provider runs a training step: a warning, or with `strict` an error, if large nodes run on the CPU."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from jsonnx.cli import main
from jsonnx.core.files.loadable_model import LoadableModel
from jsonnx.core.providers.known_providers import PROVIDERS
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.run import place_nodes, training_placement, training_run
from jsonnx.pipeline.run.training_placement import fallback_diagnostic
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.runtime.providers.assignment import Assignment, recorded_assignment
from jsonnx.runtime.providers.providers import Provider
from support.commands import CliRunner

SPEC = {
    "inputs": {"x": {"shape": [4]}},
    "layers": [{"type": "Dense", "units": 8}, {"type": "ops.arctan"}, {"type": "Dense", "units": 2}],
    "training": {"loss": "mse", "optimizer": "sgd", "epochs": 1, "data": {"train": "data.npz"}},
}
WEBGPU = Provider(PROVIDERS["webgpu"])


@pytest.fixture
def spec(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("data.npz", **{"x": rng.normal(size=(40, 4)), "dense_1": rng.normal(size=(40, 2))})
    Path("spec.json").write_text(json.dumps(SPEC))
    return "spec.json"


@pytest.fixture
def assigned(monkeypatch):
    """Fakes a session of WebGPU that runs the nodes of some operators on the CPU."""

    def fake(*operators: str) -> None:
        def assignment(model: LoadableModel, provider: Provider) -> Assignment:
            import onnx

            nodes = onnx.load_model_from_string(model.data).graph.node
            on_cpu = frozenset(node.name for node in nodes if node.op_type in operators)
            return Assignment(frozenset(node.name for node in nodes) - on_cpu, on_cpu)

        monkeypatch.setattr(place_nodes, "assignment", assignment)
        monkeypatch.setattr(place_nodes, "usable_provider", lambda name: WEBGPU if name == "webgpu" else None)
        monkeypatch.setattr(  # as if the trainer ran on WebGPU
            training_run,
            "training_placement",
            lambda checked, step, provider: training_placement.training_placement(checked, step, WEBGPU),
        )

    return fake


def test_a_session_tells_before_the_table(spec, assigned):
    assigned("Atan", "MatMul")
    result = CliRunner().invoke(main, ["providers", spec, "--provider", "webgpu", "--format", "json"])
    table, here = json.loads(result.output)
    assert table["source"].endswith("webgpu_execution_provider.cc")
    assert here["source"] == "session"
    nodes = here["models"]["inference model"]["without_kernel"]
    assert {node["op"]: node["reason"] for node in nodes} == {
        op: f"onnxruntime runs {op} on the CPU" for op in ("Atan", "MatMul")
    }
    assert here["models"]["training step"]["copied_tensors"] > 0


def test_small_nodes_give_no_warning(spec, assigned):
    assigned("Atan")
    checked = check_spec(spec)
    placement = training_placement.training_placement(checked, plan_training(checked).train, WEBGPU)
    assert [missing.op for missing in placement.models[0].placement.missing] == ["Atan"]
    assert fallback_diagnostic(placement, is_error=True) is None


def test_loops_over_texts_are_not_large():
    """They are on the CPU for every provider, so a network that reads texts can be trained with `strict`."""
    tokens = {"type": "TextVectorization", "vocabulary": ["a", "b"], "ngrams": 2, "output_sequence_length": 4}
    layers = [tokens, {"type": "Embedding", "input_dim": 4, "output_dim": 2}, {"type": "Flatten"}]
    spec = {
        "inputs": {"text": {"shape": [], "dtype": "string"}},
        "layers": [*layers, {"type": "Dense", "units": 1}],
        "training": {"loss": "mse", "optimizer": "sgd"},
    }
    (placement,) = place_nodes.placements(spec, "cuda")
    step = placement.models[1]
    assert any("Scan" in missing.reason for missing in step.placement.missing)
    assert fallback_diagnostic(replace(placement, models=(step,)), is_error=True) is None


def test_large_nodes_are_a_warning_or_with_strict_an_error(spec, assigned):
    assigned("Gemm", "MatMul")
    result = CliRunner().invoke(main, ["train", spec, "-o", "run", "--quiet"])
    assert result.exit_code == 0
    assert result.output.count("warning[cpu-fallback]") == 1
    result = CliRunner().invoke(main, ["train", spec, "-o", "strict", "--quiet", "--strict"])
    assert result.exit_code == 1
    assert "error[cpu-fallback]" in result.output
    assert "large nodes of the training step run on the CPU, not on webgpu: dense/" in result.output
    assert not Path("strict").exists()


def test_a_run_on_the_cpu_explains_that_and_asks_no_session(spec):
    result = CliRunner().invoke(main, ["train", spec, "-o", "run", "--quiet", "--explain-placement", "--strict"])
    assert result.exit_code == 0
    assert "on this machine, training step: " in result.output


def test_an_assignment_is_read_from_subgraphs():
    def subgraph(provider: str, *names: str) -> SimpleNamespace:
        nodes = [SimpleNamespace(name=name) for name in names]
        return SimpleNamespace(ep_name=provider, get_nodes=lambda: nodes)

    subgraphs = [subgraph("WebGpuExecutionProvider", "a", "b"), subgraph("CPUExecutionProvider", "c")]
    session = SimpleNamespace(get_provider_graph_assignment_info=lambda: subgraphs)
    assert recorded_assignment(session) == Assignment(frozenset("ab"), frozenset("c"))
    assert recorded_assignment(SimpleNamespace()) is None
