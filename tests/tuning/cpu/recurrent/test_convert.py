"""The products of a recurrence in blocks of columns: another order of the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import assert_same_run, assert_same_steps
from jsonnx import Trainer
from jsonnx.gradient.rules.rnn_common import MAX_TOTAL_UNROLLED_STEPS, MIN_UNROLL_SAMPLES
from jsonnx.ir import Graph
from jsonnx.ir.loops import MAX_UNROLLED_STEPS
from jsonnx.pipeline.check import check_spec
from jsonnx.pipeline.plan_training import plan_training
from jsonnx.tuning.cpu.nchwc.context import NCHWC_DOMAIN
from jsonnx.tuning.cpu.recurrent.convert import MIN_SAMPLES, recurrent_matmuls_to_nchwc
from jsonnx.tuning.cpu.target import Target
from nchwc_graphs import BLOCK, BLOCKS, needs_nchwc_kernels, training_graph


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


@needs_nchwc_kernels
@pytest.mark.parametrize("samples", [BLOCK, 2 * BLOCK + 5])
@pytest.mark.parametrize("name", NETWORKS)
def test_same_steps(name: str, samples: int) -> None:
    document = spec(*NETWORKS[name])
    assert_same_steps(document, *batch(document, samples))


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("name", NETWORKS)
def test_products_of_steps_are_convolutions(name: str, block: int) -> None:
    made = in_blocks(spec(*NETWORKS[name]), 2 * block + 5, block)
    assert sum(node.domain == NCHWC_DOMAIN and node.op == "Conv" for node in made.nodes) >= 8


def test_no_product_of_a_step_is_left() -> None:
    """Only the layer behind has matrix products: forwards, and for its input, kernel and bias."""
    made = in_blocks(spec([recurrent("LSTM", 128)], (6, 28)))
    assert count(made, "MatMul", "Gemm") == 4
    gates, factors = 4 * 6, 6 - 1
    assert count(made, "Conv") == gates + factors + 1
    assert count(made, "ReorderOutput") == 3  # rows for the weights' gradient, this, and the last state


@needs_nchwc_kernels
def test_any_number_of_samples_after_the_first() -> None:
    document = spec(*NETWORKS["stacked"])
    numbers = [2 * BLOCK, 1, BLOCK, 2 * BLOCK + 3, 5, 2 * BLOCK]
    assert_same_run(document, [batch(document, samples) for samples in numbers])


@pytest.mark.parametrize("units", [64, 200])
def test_weights_that_are_small_or_leave_a_part_of_a_block_stay(units: int) -> None:
    step = plan_training(check_spec(spec([recurrent("LSTM", units)], (6, 28)))).train
    assert recurrent_matmuls_to_nchwc(step, Target(block_size=BLOCK, usual_batch=64)) is step


def test_a_small_layer_beside_a_large_one_stays_rows() -> None:
    """Its steps' rows, although their columns fill whole blocks."""
    layers = [recurrent("LSTM", 64, **SEQUENCES), recurrent("LSTM", 128)]
    small = {
        node.op for node in in_blocks(spec(layers, (6, 28))).nodes if node.scope == "lstm/lstm_cell" and node.domain
    }
    assert not small


@needs_nchwc_kernels
@pytest.mark.parametrize("mode", ["full", "activations"])
def test_what_is_computed_again_is_so_in_blocks(mode: str) -> None:
    document = spec(*NETWORKS["stacked"])
    document["training"]["remat"] = mode
    assert_same_steps(document, *batch(document, 2 * BLOCK))


def test_few_samples_stay_rows() -> None:
    step = plan_training(check_spec(spec([recurrent("LSTM", 128)], (6, 28)))).train
    assert recurrent_matmuls_to_nchwc(step, Target(block_size=BLOCK, usual_batch=MIN_SAMPLES - 1)) is step


MANY = 40
"""Steps that are a Scan unless weights are large."""


@pytest.mark.parametrize("layer", [recurrent("LSTM", 256), recurrent("SimpleRNN", 512)], ids=["lstm", "rnn"])
def test_many_steps_are_written_out_where_weights_are_large(layer: dict[str, Any]) -> None:
    few = {**layer, "units": layer["units"] // 2}
    scans = [count(plan_training(check_spec(spec([made], (MANY, 8)))).train, "Scan") for made in (layer, few)]
    assert scans == [0, 2]


def test_no_more_steps_of_all_layers_are_written_out() -> None:
    """The first step would come seconds later."""
    layer = {"type": "Bidirectional", "layer": recurrent("LSTM", 256)}
    scans = [
        count(plan_training(check_spec(spec([layer], (steps, 8)))).train, "Scan")
        for steps in (MAX_TOTAL_UNROLLED_STEPS // 2, MAX_TOTAL_UNROLLED_STEPS // 2 + 1)
    ]
    assert scans == [0, 2]


def test_short_loops_leave_room_for_long_ones() -> None:
    short = [{"type": "Bidirectional", "layer": recurrent("LSTM", 256, **SEQUENCES)}] * 2
    pool = {"type": "UpSampling1D", "size": 3}  # of 32 steps 96
    step = plan_training(check_spec(spec([*short, pool, recurrent("LSTM", 256)], (MAX_UNROLLED_STEPS, 8)))).train
    assert count(step, "Scan") == 0


def test_many_steps_written_out_give_what_a_scan_gives() -> None:
    found = []
    for size in (32, MIN_UNROLL_SAMPLES - 1):  # for which it stays a Scan
        document = spec([recurrent("LSTM", 256)], (MANY, 8))
        document["training"]["batch_size"] = size
        trainer = Trainer(document, seed=3)
        losses = [trainer.step(*batch(document, 32))["loss"] for _ in range(3)]
        found.append((losses, trainer.weights()))
    (losses, weights), (expected, wanted) = found
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    for name, array in wanted.items():
        np.testing.assert_allclose(weights[name], array, atol=2e-6, err_msg=name)
