"""Compares OpenVINO with the CPU: training, every layer, and models that OpenVINO computes wrongly or refuses.

Run by `run.sh` in an environment that has onnxruntime-openvino; the ordinary suite does not collect it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from environments.webgpu.check_webgpu import NAMES, SAMPLES, close, train_sample
from environments.webgpu.check_webgpu import jsonnx as command_line
from jsonnx import CompileError, Trainer
from jsonnx.core.providers.known_providers import PROVIDERS
from jsonnx.runtime.parity import parity_check
from unit.layers.cases import all_cases
from unit.layers.provider_agreement import disagreement


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    """No parity check is left out because it has passed before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    parity_check._passed.cache_clear()


# -- training ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_training_agrees(name):
    cpu, other = train_sample(name, "cpu"), train_sample(name, "openvino")
    assert other.trainer.provider == "openvino"
    np.testing.assert_allclose(other.losses, cpu.losses, rtol=1e-4)
    assert list(cpu.weights) == list(other.weights)
    for results in ("weights", "predicted"):
        for array, expected in getattr(cpu, results).items():
            assert close(getattr(other, results)[array], expected, 1e-3), (results, array)
    np.testing.assert_allclose(list(other.measured.values()), list(cpu.measured.values()), rtol=1e-4)


def test_a_convolutional_network_trains_and_resumes_from_the_command_line(tmp_path):
    options = ["--provider", "openvino", "-o", tmp_path / "run", "--quiet"]
    train = ["train", SAMPLES / "digits_transfer.json", *options]
    assert command_line(*train, "--set", "training.epochs=1").exit_code == 0
    resumed = command_line(*train, "--set", "training.epochs=2", "--resume")
    assert resumed.exit_code == 0, resumed.output
    cpu, other = (
        command_line("evaluate", tmp_path / "run", "--provider", provider, "--format", "json")
        for provider in ("cpu", "openvino")
    )
    expected, measured = json.loads(cpu.stdout), json.loads(other.stdout)
    assert measured.pop("data") == expected.pop("data")
    assert measured == pytest.approx(expected, rel=1e-4)


# -- every layer -------------------------------------------------------------------------------------------------------

SCATTER = "OpenVINO reads a Slice of ScatterElements beyond its end"
CONSTANT = "OpenVINO refuses an output that depends on no input"
KNOWN = {
    **dict.fromkeys(("ops-full", "ops-zeros-like", "ops-full-like", "sine-positions", "sine-positions-odd"), CONSTANT),
    "text-ngrams": SCATTER,
    "text-widths": SCATTER,
    "discretization-learned-one-hot": "boundaries that are not learned are in no order",
}

CASES = [
    pytest.param(case, id=case.id, marks=[pytest.mark.xfail(reason=KNOWN[case.id])] if case.id in KNOWN else [])
    for case in all_cases()
]


@pytest.mark.parametrize("case", CASES)
def test_a_layer_and_its_gradients_agree(case):
    assert not disagreement(case, "openvino")


# -- wrong recurrent layers --------------------------------------------------------------------------------------------


def bidirectional(type: str) -> dict[str, Any]:
    layer = {"type": "Bidirectional", "layer": {"type": type, "units": 8, "return_sequences": True}}
    layers = [layer, layer, {"type": "GlobalAveragePooling1D"}, {"type": "Dense", "units": 2}]
    return {
        "inputs": {"x": {"shape": [6, 4]}},
        "layers": layers,
        "training": {"loss": "mse", "optimizer": "sgd"},
    }


@pytest.mark.parametrize("type", ["GRU", "LSTM", "SimpleRNN"])
def test_bidirectional_layers_agree(type):
    model = jsonnx.compile(bidirectional(type), seed=0)
    x = np.random.default_rng(0).normal(size=(3, 6, 4)).astype(np.float32)
    cpu, other = (model.session(provider=name).run(x)["dense"] for name in ("cpu", "openvino"))
    assert close(other, cpu, 1e-4)


@pytest.fixture
def without_rewrites(monkeypatch):
    """OpenVINO as it is."""
    monkeypatch.setitem(PROVIDERS, "openvino", replace(PROVIDERS["openvino"], workarounds=None))


def test_a_wrong_result_does_not_pass_silently(without_rewrites):
    model = jsonnx.compile(bidirectional("GRU"), seed=0)
    with pytest.raises(CompileError, match="provider-mismatch"):
        model.session(provider="openvino")
    model.session(provider="openvino", verify=False)


def test_parity_names_the_wrong_node(without_rewrites, tmp_path):
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(bidirectional("GRU")))
    result = command_line("parity", spec, "--providers", "openvino", "--format", "json")
    assert result.exit_code == 1
    (parity,) = json.loads(result.stdout)["providers"]
    assert parity["worst_node"]["op"] == "GRU"
    assert parity["worst_node"]["path"].startswith("$.layers[")


def test_a_model_that_openvino_refuses_is_an_error_with_the_reason(monkeypatch):
    from jsonnx.runtime.execution import runner

    monkeypatch.setattr(runner, "set_sizes", lambda model, sizes: None)
    trainer = Trainer(SAMPLES / "mnist_cnn.json", "openvino", verify=False)
    x, y = np.zeros((2, 28, 28, 1), np.float32), np.zeros(2, np.int64)
    with pytest.raises(jsonnx.UsageError) as error:
        trainer.step(x, y)
    message = error.value.diagnostic.message
    assert error.value.diagnostic.code == "provider-failed"
    assert "refuses the model: " in message
    assert "dynamic weights shape" in message
    assert "/onnxruntime/" not in message


# -- the command line --------------------------------------------------------------------------------------------------


def test_parity_agrees_on_samples():
    for name in ("mnist_cnn", "vowels_lstm", "penguins"):
        result = command_line("parity", SAMPLES / f"{name}.json", "--steps", "3")
        assert result.exit_code == 0, result.output
        assert "openvino  agrees" in result.output


def test_what_has_passed_is_not_checked_again(monkeypatch):
    model = jsonnx.compile(bidirectional("LSTM"), seed=0)
    model.session(provider="openvino")

    keys = json.loads(Path(parity_check.cache_file()).read_text())
    assert len(keys) == 1
    parity_check._passed.cache_clear()
    monkeypatch.setattr(parity_check, "cpu_outputs", lambda model, feeds: pytest.fail("checked again"))
    model.session(provider="openvino")


def test_the_session_tells_where_nodes_run():
    result = command_line("providers", SAMPLES / "penguins.json", "--provider", "openvino", "--format", "json")
    (found,) = json.loads(result.stdout)
    assert found["source"] == "session"
    on_cpu = found["models"]["inference model"]["without_kernel"]
    assert {node["op"] for node in on_cpu} == {"LabelEncoder"}
    assert {node["path"] for node in on_cpu} == {"$.layers[0]", "$.layers[1]"}
