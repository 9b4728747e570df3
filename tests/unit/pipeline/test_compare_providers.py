"""`jsonnx parity`, and the check of a model before a provider is trusted with it.

The stock onnxruntime has a provider besides the CPU's, Azure's, which leaves all nodes to the CPU: its results are
right, unless its models are damaged.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import onnx
import onnxruntime
import pytest
from jsonnx.cli import main
from jsonnx.core.files.loadable_model import LoadableModel
from jsonnx.core.providers.execution_provider import ExecutionProvider
from jsonnx.core.providers.known_providers import PROVIDERS
from jsonnx.runtime.parity import parity_check
from jsonnx.runtime.parity.output_differences import output_differences
from jsonnx.runtime.parity.provider_runs import cpu_outputs, float64_outputs
from jsonnx.runtime.parity.worst_node import NodeSearch
from support.commands import CliRunner

AZURE = "AzureExecutionProvider"
pytestmark = pytest.mark.skipif(
    AZURE not in onnxruntime.get_available_providers(), reason="this build of onnxruntime has one provider alone"
)
SPEC = {
    "inputs": {"x": {"shape": [4]}},
    "layers": [
        {"type": "Dense", "units": 8, "name": "first"},
        {"type": "Activation", "activation": "tanh"},
        {"type": "Dense", "units": 2, "name": "last"},
    ],
    "training": {"loss": "mse", "optimizer": "sgd"},
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    parity_check._passed.cache_clear()
    Path("spec.json").write_text(json.dumps(SPEC))


def rewrite_model(model: bytes) -> bytes:
    """The model with Sin in place of Tanh."""
    proto = onnx.load_model_from_string(model)
    for node in proto.graph.node:
        if node.op_type == "Tanh":
            node.op_type = "Sin"
    return proto.SerializeToString()


@pytest.fixture
def damaged(monkeypatch):
    """A provider that computes Tanh wrongly."""
    monkeypatch.setitem(PROVIDERS, AZURE, ExecutionProvider(AZURE, AZURE, "Azure", workarounds=__name__))


def parity(*arguments: str) -> tuple[int, Any]:
    result = CliRunner().invoke(main, ["parity", *arguments, "--format", "json"])
    return result.exit_code, json.loads(result.output)


def test_providers_that_agree_exit_with_0():
    code, report = parity("spec.json", "--providers", f"cpu,{AZURE},cuda", "--steps", "3")
    cpu, azure, cuda = report["providers"]
    assert (code, report["failed"]) == (0, False)
    assert [cpu["compared"], azure["compared"], cuda["compared"]] == [True, True, False]
    assert "pip install" in cuda["message"]
    assert len(report["losses"]) == len(azure["losses"]) == 3
    assert max(cpu["outputs"][0]["relative"], azure["loss_error"]) < 1e-5
    assert report["float64_error"] < 1e-5
    assert azure["latency_ms"] > 0


def test_a_difference_is_traced_to_its_node_and_exits_with_1(damaged):
    code, report = parity("spec.json", "--providers", AZURE)
    (azure,) = report["providers"]
    assert code == 1
    assert azure["outputs"][0]["relative"] > 0.01
    assert (azure["worst_node"]["op"], azure["worst_node"]["path"]) == ("Tanh", "$.layers[1]")
    text = CliRunner().invoke(main, ["parity", "spec.json", "--providers", AZURE]).output
    assert f"{AZURE}: first differs at /activation/Tanh ($.layers[1]), Tanh, by " in text
    assert parity("spec.json", "--providers", AZURE, "--tolerance", "10")[0] == 0


def test_a_model_of_another_program_is_compared(damaged):
    jsonnx.compile(SPEC, seed=0).save("model.onnx")
    code, report = parity("model.onnx", "--providers", f"cpu,{AZURE}")
    assert code == 1
    assert [provider["failed"] for provider in report["providers"]] == [False, True]
    assert report["training_message"] == "the model has no training section"


def test_a_provider_that_is_nowhere_is_an_error():
    for name, code in (("cuda", "provider-unavailable"), ("gpu", "unknown-provider")):
        result = CliRunner().invoke(main, ["parity", "spec.json", "--providers", name])
        assert result.exit_code == 2
        assert code in result.output


def test_inputs_are_valid_indices_tokens_and_targets():
    spec = {
        "inputs": {"word": {"shape": [3], "dtype": "string"}, "index": {"shape": ["time"], "dtype": "int64"}},
        "layers": [
            {"type": "StringLookup", "vocabulary": ["u", "v"], "num_oov_indices": 0, "from": "word", "name": "tokens"},
            {"type": "Embedding", "input_dim": 2, "output_dim": 3, "from": "tokens"},
            {"type": "GlobalAveragePooling1D", "name": "words"},
            {"type": "Embedding", "input_dim": 5, "output_dim": 3, "from": "index"},
            {"type": "GlobalAveragePooling1D", "name": "indices"},
            {"type": "Add", "from": ["words", "indices"]},
            {"type": "Dense", "units": 4, "activation": "softmax"},
        ],
        "training": {"loss": "sparse_categorical_crossentropy", "optimizer": "adam"},
    }
    Path("spec.json").write_text(json.dumps(spec))
    code, report = parity("spec.json", "--providers", "cpu", "--steps", "2")
    assert code == 0
    assert len(report["losses"]) == 2


def test_training_in_mixed_precision_has_no_reference():
    Path("spec.json").write_text(json.dumps(SPEC))
    code, report = parity("spec.json", "--providers", "cpu", "--set", "training.precision=mixed_float16")
    assert (code, report["losses"]) == (0, [])
    assert "--set training.precision=float32" in report["training_message"]


@pytest.mark.parametrize(
    "section",
    [
        {"restore_best_weights": True},
        {"reduce_on_plateau": {}},
        {"early_stopping": {"patience": 1}},
        {"checkpoint": {"monitor": "val_loss"}},
    ],
    ids=lambda section: next(iter(section)),
)
def test_a_metric_of_validation_data_may_be_monitored(section):
    Path("spec.json").write_text(json.dumps({**SPEC, "training": {**SPEC["training"], **section}}))
    code, report = parity("spec.json", "--providers", "cpu", "--steps", "1")
    assert (code, len(report["losses"])) == (0, 1)


# -- the parts ---------------------------------------------------------------------------------------------------------


def test_differences_are_relative_to_the_largest_element():
    reference = {"y": np.array([1.0, -4.0]), "class": np.array([1, 2, 3, 4])}
    y, label = output_differences(reference, {"y": np.array([1.0, -3.0]), "class": np.array([1, 2, 3, 5])})
    assert (y.absolute, y.relative, label.relative) == (1.0, 0.25, 0.25)
    for wrong in (np.array([np.nan, -4.0]), np.array([1.0])):
        (difference,) = output_differences({"y": reference["y"]}, {"y": wrong})
        assert difference.relative == float("inf")
    nan = {"y": np.array([np.nan, 1.0])}
    assert output_differences(nan, nan)[0].relative == 0.0


def test_float64_is_left_out_where_the_cpu_lacks_kernels():
    spec = {"inputs": {"x": {"shape": [6, 6, 1]}}, "layers": [{"type": "Conv2D", "filters": 2, "kernel_size": 3}]}
    model = jsonnx.compile(spec, seed=0).to_loadable()
    assert float64_outputs(model, {"x": np.zeros((1, 6, 6, 1), np.float32)}) is None
    dense = jsonnx.compile(SPEC, seed=0).to_loadable()
    x = np.ones((1, 4), np.float32)
    exact = float64_outputs(dense, {"x": x})
    assert exact is not None
    assert exact["last"].dtype == np.float64
    np.testing.assert_allclose(exact["last"], cpu_outputs(dense, {"x": x})["last"], rtol=1e-5)


def test_a_error_that_other_outputs_hide_is_found_by_bisection():
    model = jsonnx.compile(SPEC, seed=0).to_loadable()
    feeds = {"x": np.ones((2, 4), np.float32)}

    def run(model: LoadableModel) -> dict[str, np.ndarray]:
        is_fused = len(onnx.load_model_from_string(model.data).graph.output) == 1
        return cpu_outputs(LoadableModel(rewrite_model(model.data)) if is_fused else model, feeds)

    found = NodeSearch(model, lambda model: cpu_outputs(model, feeds), run, 1e-3).behind("last")
    assert found is not None
    assert (found.op, found.path) == ("Tanh", "$.layers[1]")


# -- before a provider is trusted --------------------------------------------------------------------------------------


def test_a_wrong_provider_is_refused_for_models_and_training_steps(damaged):
    model = jsonnx.compile(SPEC, seed=0)
    with pytest.raises(jsonnx.CompileError, match=r"provider-mismatch.*'last' differs"):
        model.session(provider=AZURE)
    with pytest.raises(jsonnx.CompileError, match=r"provider-mismatch.*the training step"):
        jsonnx.Trainer(SPEC, AZURE)
    assert jsonnx.Trainer(SPEC, AZURE, verify=False).provider == AZURE
    model.session(provider=AZURE, verify=False)


def test_a_model_is_checked_once(monkeypatch):
    model = jsonnx.compile(SPEC, seed=0)
    model.session(provider=AZURE)
    jsonnx.Trainer(SPEC, AZURE)
    assert len(json.loads(parity_check.cache_file().read_text())) == 2
    parity_check._passed.cache_clear()
    monkeypatch.setattr(parity_check, "cpu_outputs", lambda *arguments: pytest.fail("checked again"))
    monkeypatch.setattr(parity_check, "_step_feeds", lambda *arguments: pytest.fail("checked again"))
    model.session(provider=AZURE)
    jsonnx.Trainer(SPEC, AZURE)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff"])
def test_a_damaged_cache_is_empty(content):
    parity_check.cache_file().parent.mkdir(parents=True)
    parity_check.cache_file().write_bytes(content)
    jsonnx.compile(SPEC, seed=0).session(provider=AZURE)
    assert len(json.loads(parity_check.cache_file().read_text())) == 1


def test_a_model_whose_inputs_cannot_be_drawn_is_not_checked():
    spec = {
        "inputs": {"word": {"shape": [3], "dtype": "string"}},
        "layers": [
            {"type": "StringLookup", "vocabulary": ["u", "v"], "num_oov_indices": 0, "output_mode": "multi_hot"}
        ],
    }
    jsonnx.compile(spec, seed=0).session(provider=AZURE)
    assert not parity_check.cache_file().exists()
