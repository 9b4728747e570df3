"""Rematerialization: the same training steps, fewer bytes held, and which nodes are recomputed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.types import TensorType
from jsonnx.ir import Graph, Node, Value, topologically_sorted
from jsonnx.passes.training_steps import remat
from jsonnx.passes.training_steps.live_memory import ValueSizes, live_peak
from jsonnx.passes.training_steps.remat import MODES, ForwardPass, is_heavy, rematerialize
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.estimate_memory import estimate_training
from jsonnx.pipeline.train.plan_training import plan_training

Spec = dict[str, Any]
BATCH = 8
SIZES = ValueSizes.of_batch(1024)
"""Batches whose results are larger than the gradients of the weights."""


def dense(units: int, **attributes: Any) -> Spec:
    return {"type": "Dense", "units": units, **attributes}


def stack(depth: int, width: int = 16) -> list[Spec]:
    return [dense(width, activation="gelu", name=f"dense_{index}") for index in range(depth)] + [dense(3, name="last")]


def spec(layers: list[Spec], shape: list[int | None], **training: Any) -> Spec:
    section = {"loss": "mse", "optimizer": "adam", "batch_size": BATCH, **training}
    return {"inputs": {"x": {"shape": shape}}, "layers": layers, "training": section}


CONVOLUTIONS = [
    layer
    for number in range(4)
    for layer in (
        {"type": "Conv2D", "filters": 16, "kernel_size": 3, "padding": "same"},
        {"type": "BatchNormalization", "name": f"norm_{number}"},
        {"type": "Activation", "activation": "relu"},
    )
]
BLOCK = [
    {"type": "LayerNormalization", "name": "norm", "from": "x"},
    {"type": "MultiHeadAttention", "name": "attention", "num_heads": 2, "key_dim": 4, "from": ["norm", "norm"]},
    {"type": "Add", "name": "sum", "from": ["x", "attention"]},
    {"type": "Dense", "name": "wide", "units": 32, "activation": "gelu"},
    {"type": "Dropout", "rate": 0.3},
    {"type": "Dense", "name": "narrow", "units": 8},
    {"type": "Add", "name": "sum_2", "from": ["sum", "narrow"]},
    {"type": "GlobalAveragePooling1D"},
    {"type": "Dense", "name": "last", "units": 3},
]
NETWORKS = {
    "stack": spec(stack(12), [16]),
    "penalties": spec([dense(16, activity_regularizer="l2", activation="tanh") for _ in range(6)] + [dense(3)], [16]),
    "images": spec([*CONVOLUTIONS, {"type": "MaxPooling2D"}, {"type": "Flatten"}, dense(3)], [12, 12, 3]),
    "transformer": spec(BLOCK, [10, 8]),
    "lstm": spec([{"type": "LSTM", "units": 8, "recurrent_dropout": 0.2}, dense(3)], [12, 5]),
    "convolving": spec(
        [{"type": "ConvLSTM2D", "filters": 8, "kernel_size": 3}, {"type": "GlobalMaxPooling2D"}, dense(3)], [5, 6, 6, 2]
    ),
    "long": spec([{"type": "GRU", "units": 8}, dense(3)], [100, 5]),
    "symbolic length": spec([{"type": "LSTM", "units": 8}, dense(3)], [None, 5]),
    "masked": spec(
        [{"type": "Masking"}, {"type": "Bidirectional", "layer": {"type": "GRU", "units": 6}}, dense(3)], [9, 5]
    ),
}


SEQUENCE_SIZES = {"symbolic length": {"x_1": 50}}


def train(document: Spec, **options: Any) -> tuple[list[float], dict[str, np.ndarray]]:
    rng = np.random.default_rng(3)
    shape = [size or 11 for size in document["inputs"]["x"]["shape"]]
    trainer = jsonnx.Trainer(document, seed=5, **options)
    batches = [(rng.standard_normal((BATCH, *shape), np.float32), rng.random((BATCH, 3), np.float32)) for _ in range(3)]
    return [trainer.step(x, y)["loss"] for x, y in batches], trainer.weights()


@pytest.fixture
def recomputes_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recomputes also where that saves no memory, as in small networks."""
    monkeypatch.setattr(remat, "MIN_SAVING_RATIO", -1e9)


@pytest.mark.costly(9)
@pytest.mark.usefixtures("recomputes_always")
@pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NETWORKS)
def test_rematerialized_steps_give_the_same_losses_and_weights(name: str, mode: str, fast: bool) -> None:
    document = NETWORKS[name]
    losses, weights = train({**document, "training": {**document["training"], "remat": mode}}, fast=fast)
    expected_losses, expected_weights = train(document, fast=fast)
    assert losses == expected_losses
    for weight, array in expected_weights.items():
        np.testing.assert_array_equal(weights[weight], array, err_msg=weight)


def step_graph(document: Spec) -> Graph:
    return plan_training(check_spec(document)).train


@pytest.mark.usefixtures("recomputes_always")
@pytest.mark.parametrize("mode", MODES)
def test_deep_networks_recompute_nodes(mode: str) -> None:
    for name in ("stack", "images", "transformer", "lstm"):
        graph = step_graph(NETWORKS[name])
        assert len(rematerialize(graph, mode, SIZES).nodes) > len(graph.nodes), name


def test_the_peak_of_a_deep_stack_grows_with_the_square_root_of_its_depth() -> None:
    peaks = {}
    for depth in (16, 64, 256):
        graph = rematerialize(step_graph(spec(stack(depth), [16])), "full", SIZES)
        peaks[depth] = live_peak(graph, SIZES).total_bytes / (1024 * 16 * 4)
    assert peaks[64] < 2.6 * peaks[16]
    assert peaks[256] < 2.6 * peaks[64]
    assert peaks[256] < 256 / 3


@pytest.mark.usefixtures("recomputes_always")
def test_the_mode_activations_recomputes_no_heavy_node() -> None:
    for name in ("stack", "images", "transformer", "lstm", "long"):
        graph = step_graph(NETWORKS[name])
        rematerialized = rematerialize(graph, "activations", SIZES)
        assert sum(map(is_heavy, rematerialized.nodes)) == sum(map(is_heavy, graph.nodes)), name


@pytest.mark.parametrize("mode", MODES)
def test_values_that_are_kept_are_not_recomputed(mode: str) -> None:
    """A copy of such a value could wait for cotangents that depend on the copy."""
    for name, document in NETWORKS.items():
        for segments in MODES[mode](ForwardPass(step_graph(document), SIZES)):
            copies = filter(None, (segments.recompute(number) for number in range(len(segments.starts) - 1)))
            assert all(copy.replacements.keys() <= segments.forward.recomputable.keys() for copy in copies), name


def test_a_cycle_of_nodes_is_an_error() -> None:
    type = TensorType("float32", ())
    x, y = Value(type), Value(type)
    with pytest.raises(ValueError, match="form a cycle"):
        topologically_sorted([Node("Neg", (x,), (y,)), Node("Neg", (y,), (x,))])


def test_a_network_of_one_segment_is_returned_itself() -> None:
    graph = step_graph(spec([dense(3)], [4]))
    assert rematerialize(graph, "activations", SIZES) is graph


def test_values_that_depend_on_weights_alone_are_not_recomputed() -> None:
    layers = [{"type": "SpectralNormalization", "layer": dense(16)} for _ in range(6)] + [dense(3)]
    graph = step_graph(spec(layers, [16]))
    rematerialized = rematerialize(graph, "full", SIZES)
    assert products_of_weights(graph)
    assert products_of_weights(rematerialized) == products_of_weights(graph)


def products_of_weights(graph: Graph) -> int:
    return sum(node.op == "MatMul" and node.outputs[0].type.is_static() for node in graph.nodes)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("batch", [1, 64, 4096])
def test_no_modelled_peak_is_higher_than_without(mode: str, batch: int) -> None:
    for name, document in NETWORKS.items():
        without = estimate_training(check_spec(document), batch, SEQUENCE_SIZES.get(name, {}), threads=1).memory
        document = {**document, "training": {**document["training"], "remat": mode}}
        memory = estimate_training(check_spec(document), batch, SEQUENCE_SIZES.get(name, {}), threads=1).memory
        results = memory.gradients + memory.activations
        assert results <= without.gradients + without.activations, name


PEAK = """
import sys
import numpy as np
import jsonnx
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
width, batch = 256, 2048
layers = [{"type": "Dense", "units": width, "activation": "gelu"} for _ in range(40)] + [{"type": "Dense", "units": 3}]
training = {"loss": "mse", "optimizer": "sgd", "batch_size": batch} | ({"remat": sys.argv[1]} if sys.argv[1:] else {})
trainer = jsonnx.Trainer({"inputs": {"x": {"shape": [width]}}, "layers": layers, "training": training}, threads=1)
x, y = np.ones((batch, width), np.float32), np.ones((batch, 3), np.float32)
trainer.step(x[:1], y[:1])
before = peak()
trainer.step(x, y)
print((peak() - before) / 1024)
"""


def peak(tmp_path: Path, *arguments: str) -> float:
    """The megabytes by which a step of 40 layers raises the peak of a process; the results of a layer take 2."""
    process = subprocess.run([sys.executable, "-c", PEAK, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    return float(process.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak memory of a process in /proc")
def test_a_process_that_rematerializes_needs_less_memory(tmp_path: Path) -> None:
    unchanged, full, activations = peak(tmp_path), peak(tmp_path, "full"), peak(tmp_path, "activations")
    assert full < 0.5 * unchanged
    assert full < activations < 0.85 * unchanged


def test_a_run_may_be_resumed_with_rematerialization(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((32, 16), np.float32), rng.random((32, 3), np.float32)
    saved = jsonnx.Trainer(NETWORKS["stack"])
    saved.fit(x, y)
    saved.save_checkpoint(tmp_path / "run")
    document = {**NETWORKS["stack"], "training": {**NETWORKS["stack"]["training"], "remat": "full"}}
    resumed = jsonnx.Trainer(document)
    resumed.load_checkpoint(tmp_path / "run")
    assert resumed.step(x, y)["loss"] == pytest.approx(saved.step(x, y)["loss"], rel=1e-5)


def test_a_misspelled_mode_is_reported_with_a_suggestion() -> None:
    document = {**NETWORKS["stack"], "training": {**NETWORKS["stack"]["training"], "remat": "ful"}}
    (error,) = check_spec(document).diagnostics
    assert error.path == "$.training.remat"
    assert error.help == "did you mean 'full'?"
