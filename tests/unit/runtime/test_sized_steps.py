"""Steps for batches of known sizes: when attention is computed by blocks, and that training stays the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx import Trainer
from jsonnx.ir import Graph
from jsonnx.layers.attention import query_blocks
from jsonnx.runtime.execution import sized_steps
from support.harness import SaveAt, assert_same_fit

VOCABULARY = 20


@pytest.fixture(autouse=True)
def tiny_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_blocks, "MIN_SCORES_BYTES", 1 << 12)
    monkeypatch.setattr(query_blocks, "MAX_BLOCK_BYTES", 1 << 10)
    monkeypatch.setattr(query_blocks, "MAX_BLOCKS", 4)
    monkeypatch.setattr(query_blocks, "MIN_BLOCK_QUERIES", 2)
    monkeypatch.setattr(sized_steps, "MIN_BLOCKED_BYTES", 1 << 12)


def spec(time: int | str = "time", **training: Any) -> dict[str, Any]:
    heads = {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 4, "use_causal_mask": True, "dropout": 0.2}
    return {
        "inputs": {"tokens": {"shape": [time], "dtype": "int32"}},
        "layers": [
            {"type": "Embedding", "name": "embedded", "input_dim": VOCABULARY, "output_dim": 8, "mask_zero": True},
            {**heads, "name": "first"},
            {**heads, "name": "second", "from": ["first", "embedded"], "sliding_window": 3},
            {**heads, "name": "third", "dropout": 0},
            {"type": "Dense", "name": "scores", "units": VOCABULARY},
        ],
        "training": {
            "loss": {"type": "sparse_categorical_crossentropy", "from_logits": True},
            "optimizer": "adam",
            "seed": 1,
            **training,
        },
    }


def tokens(samples: int, time: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(time)
    return rng.integers(0, VOCABULARY, (samples, time), np.int32), rng.integers(0, VOCABULARY, (samples, time))


def step_graph(trainer: Trainer) -> Graph:
    engine = trainer.plan_trainer.engine
    state = engine.step_runners.state
    assert state is not None
    return engine.execution.step_graph if state.sizes is None else engine.loader.sized_steps.build(state.sizes)


def has_blocks(trainer: Trainer) -> bool:
    return any(node.region is not None for node in step_graph(trainer).nodes)


def trained_weights(times: Sequence[int], document: dict[str, Any]) -> tuple[dict[str, np.ndarray], Trainer]:
    trainer = Trainer(document)
    for time in times:
        trainer.step(*tokens(4, time))
    return trainer.weights(), trainer


def test_steps_by_blocks_train_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, trainer = trained_weights([30, 3, 1, 24], spec())
    assert has_blocks(trainer)
    monkeypatch.setattr(sized_steps, "MIN_BLOCKED_BYTES", 1 << 40)
    expected, trainer = trained_weights([30, 3, 1, 24], spec())
    assert not has_blocks(trainer)
    for name, array in expected.items():
        np.testing.assert_allclose(weights[name], array, atol=1e-5, err_msg=name)


def test_small_batches_are_computed_at_once_until_a_large_one_comes() -> None:
    _, trainer = trained_weights([6], spec())
    assert not has_blocks(trainer)
    trainer.step(*tokens(4, 30))
    assert has_blocks(trainer)
    trainer.step(*tokens(4, 6))
    assert has_blocks(trainer)


def test_a_network_without_a_softmax_has_no_sizes() -> None:
    trainer = Trainer(
        {
            "inputs": {"x": {"shape": ["time", 4]}},
            "layers": [{"type": "Dense", "units": 4}],
            "training": {"loss": "mse", "optimizer": "sgd"},
        }
    )
    trainer.step(np.ones((8, 600, 4), np.float32), np.ones((8, 600, 4), np.float32))
    state = trainer.plan_trainer.engine.step_runners.state
    assert state is not None
    assert state.sizes is None


@pytest.mark.parametrize("time", ["time", 30])
def test_a_fit_gives_the_same_bits_after_a_step_of_other_sizes(time: int | str) -> None:
    assert_same_fit(spec(time, optimizer="sgd"), *tokens(10, 30), batch_size=4, before=1)


def test_a_resumed_fit_gives_the_same_bits(tmp_path: Path) -> None:
    x, y = tokens(10, 30)
    trainer, interrupted, resumed = (Trainer(spec(batch_size=4, epochs=2)) for _ in range(3))
    trainer.fit(x, y)
    interrupted.fit(x, y, callbacks=[SaveAt(interrupted, tmp_path / "checkpoint", 2)])  # before a smaller batch
    resumed.load_checkpoint(tmp_path / "checkpoint")
    resumed.fit(x, y)
    assert has_blocks(resumed)
    expected = trainer.weights()
    for name, array in resumed.weights().items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_a_fit_of_small_batches_after_a_large_one_has_no_blocks() -> None:
    trainer = Trainer(spec(batch_size=4, epochs=1))
    trainer.fit(*tokens(8, 30))
    assert has_blocks(trainer)
    trainer.fit(*tokens(8, 4))
    assert not has_blocks(trainer)


def test_a_block_is_released_before_the_next() -> None:
    _, trainer = trained_weights([30], spec())
    loader = trainer.plan_trainer.engine.loader
    graph = loader.optimize(step_graph(trainer), 4)
    regions = [node.region for node in graph.nodes if node.op == "Softmax" and node.region is not None]
    assert len(regions) == len(set(regions)) == 2 * (4 + 4 + 4)
    for region in regions:
        indices = [index for index, node in enumerate(graph.nodes) if node.region is region]
        between = [graph.nodes[index] for index in range(indices[0], indices[-1] + 1)]
        others = {node.region for node in between} - {None, region}
        assert not others
