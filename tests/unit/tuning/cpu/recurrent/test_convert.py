"""Matrix products of unrolled recurrent layers as NCHWc convolutions: training steps stay the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.ir import Graph
from jsonnx.tuning.cpu.nchwc.context import NCHWC_DOMAIN
from jsonnx.tuning.cpu.recurrent.convert import MIN_SAMPLES, recurrent_matmuls_to_nchwc
from jsonnx.tuning.cpu.target import Target
from support.harness import assert_same_run, assert_same_steps
from support.nchwc_graphs import BLOCK, BLOCKS, assert_same_results, needs_nchwc_kernels
from support.training_steps import training_graph


def recurrent(kind: str, units: int, **more: Any) -> dict[str, Any]:
    return {"type": kind, "units": units, **more}


def spec(layers: list[dict[str, Any]], shape: tuple[int, int]) -> dict[str, Any]:
    training = {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.1}}
    return {
        "inputs": {"x": {"shape": list(shape)}},
        "layers": [*layers, {"type": "Dense", "units": 3}],
        "training": training,
    }


def batch(document: dict[str, Any], samples: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(samples)
    x = rng.standard_normal((samples, *document["inputs"]["x"]["shape"]), np.float32)
    return x, rng.standard_normal((samples, 3), np.float32)


def in_blocks(document: dict[str, Any], samples: int = 64, block: int = BLOCK) -> Graph:
    return recurrent_matmuls_to_nchwc(training_graph(document), Target(block_size=block, usual_batch=samples))


def count(graph: Graph, *ops: str) -> int:
    return sum(node.op in ops for node in graph.nodes)


SEQUENCES = {"return_sequences": True}
NETWORKS: dict[str, tuple[list[dict[str, Any]], tuple[int, int]]] = {
    "lstm": ([recurrent("LSTM", 128)], (6, 28)),
    "lstm-without-bias": ([recurrent("LSTM", 128, use_bias=False)], (5, 20)),
    "lstm-of-many-features": ([recurrent("LSTM", 128)], (5, 300)),
    "lstm-backwards": ([recurrent("LSTM", 128, go_backwards=True)], (5, 17)),
    "lstm-of-other-functions": (
        [recurrent("LSTM", 128, activation="relu", recurrent_activation="hard_sigmoid")],
        (5, 12),
    ),
    "lstm-with-dropout": ([recurrent("LSTM", 128, dropout=0.3, seed=1)], (5, 28)),
    "stacked": ([recurrent("LSTM", 128, **SEQUENCES), recurrent("LSTM", 144)], (5, 8)),
    "stacked-of-kinds": (
        [recurrent("GRU", 256, **SEQUENCES), recurrent("LSTM", 128, **SEQUENCES), recurrent("SimpleRNN", 256)],
        (5, 30),
    ),
    "both-ways": ([{"type": "Bidirectional", "layer": recurrent("LSTM", 128)}], (5, 32)),
    "gru": ([recurrent("GRU", 256)], (6, 28)),
    "gru-without-bias": ([recurrent("GRU", 256, use_bias=False)], (5, 28)),
    "gru-reset-before": ([recurrent("GRU", 256, reset_after=False)], (6, 28)),
    "rnn": ([recurrent("SimpleRNN", 256)], (6, 28)),
    "rnn-relu": ([recurrent("SimpleRNN", 256, activation="relu")], (6, 400)),
    "all-steps-are-read": ([recurrent("LSTM", 128, **SEQUENCES), {"type": "GlobalAveragePooling1D"}], (5, 28)),
    "behind-one-that-fills-no-blocks": ([recurrent("LSTM", 200, **SEQUENCES), recurrent("LSTM", 128)], (5, 28)),
}


WITH_RANDOM_INPUTS = {"lstm-with-dropout"}
"""Networks whose training step has inputs for dropout."""


@pytest.mark.costly(9)
@needs_nchwc_kernels
@pytest.mark.parametrize("samples", [pytest.param(BLOCK, marks=pytest.mark.slow), 2 * BLOCK + 5])
@pytest.mark.parametrize("name", NETWORKS)
def test_training_steps_are_those_of_the_plain_graph(name: str, samples: int) -> None:
    document = spec(*NETWORKS[name])
    assert_same_steps(document, *batch(document, samples))


@pytest.mark.costly(9)
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("name", NETWORKS)
def test_products_of_time_steps_are_convolutions(name: str, block: int) -> None:
    samples, document = 2 * block + 5, spec(*NETWORKS[name])
    converted = in_blocks(document, samples, block)
    assert sum(node.domain == NCHWC_DOMAIN and node.op == "Conv" for node in converted.nodes) >= 8
    if name not in WITH_RANDOM_INPUTS:
        assert_same_results(converted, training_graph(document), block, samples)


def test_no_product_of_a_time_step_remains() -> None:
    """Only the dense layer has matrix products: forward, and for the gradients of its input, kernel and bias."""
    converted = in_blocks(spec([recurrent("LSTM", 128)], (6, 28)))
    assert count(converted, "MatMul", "Gemm") == 4
    gates, factors = 4 * 6, 6 - 1
    assert count(converted, "Conv") == gates + factors + 1
    assert count(converted, "ReorderOutput") == 3  # rows of the weight gradient, the gradient itself, the last state


@needs_nchwc_kernels
def test_batches_of_any_size_give_the_same_steps() -> None:
    document = spec(*NETWORKS["stacked"])
    numbers = [2 * BLOCK, 1, BLOCK, 2 * BLOCK + 3, 5, 2 * BLOCK]
    assert_same_run(document, [batch(document, samples) for samples in numbers])


@pytest.mark.parametrize("units", [64, 200])
def test_small_weights_and_weights_of_partial_blocks_are_not_converted(units: int) -> None:
    step = training_graph(spec([recurrent("LSTM", units)], (6, 28)))
    assert recurrent_matmuls_to_nchwc(step, Target(block_size=BLOCK, usual_batch=64)) is step


def test_a_small_layer_beside_a_large_one_is_not_converted() -> None:
    """Although its columns fill whole blocks."""
    layers = [recurrent("LSTM", 64, **SEQUENCES), recurrent("LSTM", 128)]
    small = {
        node.op for node in in_blocks(spec(layers, (6, 28))).nodes if node.scope == "lstm/lstm_cell" and node.domain
    }
    assert not small


@needs_nchwc_kernels
@pytest.mark.parametrize("mode", ["full", "activations"])
def test_rematerialized_layers_give_the_same_steps(mode: str) -> None:
    document = spec(*NETWORKS["stacked"])
    document["training"]["remat"] = mode
    assert_same_steps(document, *batch(document, 2 * BLOCK))


def test_small_batches_are_not_converted() -> None:
    step = training_graph(spec([recurrent("LSTM", 128)], (6, 28)))
    assert recurrent_matmuls_to_nchwc(step, Target(block_size=BLOCK, usual_batch=MIN_SAMPLES - 1)) is step
