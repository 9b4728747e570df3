"""Products of large weights in loops over time as NCHWc convolutions: training steps stay the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.ir import Graph, Node, Subgraph
from jsonnx.pipeline.train.trainer import Trainer
from jsonnx.tuning.cpu.gradient import CPU_GRADIENTS
from jsonnx.tuning.cpu.nchwc.context import NCHWC_DOMAIN
from jsonnx.tuning.cpu.recurrent import loops
from jsonnx.tuning.cpu.recurrent.convert import MIN_SAMPLES
from jsonnx.tuning.cpu.recurrent.loops import loop_matmuls_to_nchwc
from jsonnx.tuning.cpu.target import Target
from support.nchwc_graphs import BLOCK, BLOCKS, assert_same_results, needs_nchwc_kernels
from support.training_steps import training_graph

STEPS = CPU_GRADIENTS.max_unrolled_steps + 1
"""The fewest steps of a loop that is not unrolled."""


def spec(layers: list[dict[str, Any]], features: int = 12) -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": [STEPS, features]}},
        "layers": [*layers, {"type": "Dense", "units": 3}],
        "training": {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.1}, "batch_size": MIN_SAMPLES},
    }


SEQUENCES = {"return_sequences": True}
NETWORKS: dict[str, list[dict[str, Any]]] = {
    "lstm": [{"type": "LSTM", "units": 32, **SEQUENCES}, {"type": "LSTM", "units": 16}],
    "lstm-without-bias": [{"type": "LSTM", "units": 16, "use_bias": False}],
    "backwards": [{"type": "LSTM", "units": 16, "go_backwards": True}],
    "gru": [{"type": "GRU", "units": 32}],
    "gru-reset-before": [{"type": "GRU", "units": 16, "reset_after": False}],
    "rnn": [{"type": "SimpleRNN", "units": 32, **SEQUENCES}, {"type": "SimpleRNN", "units": 16}],
    "both-ways": [{"type": "Bidirectional", "layer": {"type": "LSTM", "units": 16}}],
}


def bodies(graph: Graph) -> list[Subgraph]:
    return [node.attributes["body"] for node in graph.nodes if node.op == "Scan"]


def products(graph: Graph) -> list[Node]:
    """The matrix products in the bodies of loops."""
    return [node for body in bodies(graph) for node in body.nodes if node.op in ("Gemm", "MatMul")]


def in_blocks(document: dict[str, Any], samples: int = MIN_SAMPLES, block: int = BLOCK) -> Graph:
    return loop_matmuls_to_nchwc(training_graph(document), Target(block_size=block, usual_batch=samples))


@pytest.fixture
def small_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small weights are converted, too."""
    monkeypatch.setattr(loops, "MIN_LOOP_WEIGHTS", 1)


@pytest.mark.costly(9)
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("name", NETWORKS)
def test_results_are_those_of_the_plain_graph(name: str, block: int, small_weights: None) -> None:
    graph = in_blocks(spec(NETWORKS[name]), block=block)
    convolutions = [node for body in bodies(graph) for node in body.nodes if node.domain == NCHWC_DOMAIN]
    assert convolutions
    assert_same_results(graph, training_graph(spec(NETWORKS[name])), block, samples=3)


def test_captured_values_that_no_node_reads_are_removed(small_weights: None) -> None:
    for body in bodies(in_blocks(spec(NETWORKS["lstm"]))):
        read = {x for node in body.nodes for x in node.inputs} | set(body.outputs.values())
        assert set(list(body.inputs.values())[body.num_loop_inputs :]) <= read


def test_only_products_of_large_weights_and_batches_are_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    document = spec([{"type": "LSTM", "units": 32, **SEQUENCES}, {"type": "LSTM", "units": 16}])
    monkeypatch.setattr(loops, "MIN_LOOP_WEIGHTS", 4 * 32 * 32)
    kept = {node.inputs[1].shape for node in products(in_blocks(document)) if node.inputs[1] is not None}
    assert kept == {(45, 128), (64, 16)}  # rows of 32 states, 12 inputs and a one fill no blocks
    assert len(products(in_blocks(document, samples=MIN_SAMPLES - 1))) == len(products(training_graph(document)))
    assert len(products(in_blocks(document, block=1))) == len(products(training_graph(document)))


def test_weights_that_fill_no_blocks_are_not_converted(small_weights: None) -> None:
    document = spec([{"type": "LSTM", "units": 24}])
    assert len(products(in_blocks(document))) == len(products(training_graph(document)))


@needs_nchwc_kernels
def test_large_layers_compute_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    document = spec([{"type": "LSTM", "units": 512}])
    rng = np.random.default_rng(1)
    x = rng.standard_normal((MIN_SAMPLES, STEPS, 12), np.float32)
    y = rng.standard_normal((MIN_SAMPLES, 3), np.float32)
    losses = []
    for min_weights in (loops.MIN_LOOP_WEIGHTS, 1 << 40):
        monkeypatch.setattr(loops, "MIN_LOOP_WEIGHTS", min_weights)
        trainer = Trainer(document, seed=1)
        losses.append([trainer.step(x, y)["loss"] for _ in range(3)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
