"""The graph loader: the form in which steps are loaded, and the order in which their sessions run nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.core.system import memory
from jsonnx.pipeline.train.trainer import Trainer
from jsonnx.runtime.execution import data_parallel
from jsonnx.runtime.providers.kernel_probes import has_gated_add, nchwc_block_size
from jsonnx.tuning.cpu.pipeline import optimize_for_cpu
from jsonnx.tuning.cpu.target import Target
from support.harness import record_session_configs

NETWORKS: dict[str, tuple[tuple[int, ...], list[dict[str, Any]]]] = {
    "dense": ((40,), [{"type": "Dense", "units": 50, "activation": "relu"}] * 4),
    "recurrent": ((12, 5), [{"type": "LSTM", "units": 8, "return_sequences": True}, {"type": "GRU", "units": 6}]),
}


def spec(name: str, **training: Any) -> dict[str, Any]:
    shape, layers = NETWORKS[name]
    return {
        "inputs": {"x": {"shape": list(shape)}},
        "layers": [*layers, {"type": "Dense", "units": 3}],
        "training": {"loss": "mse", "optimizer": "adam", "batch_size": 16, **training},
    }


@pytest.mark.parametrize(
    ("training", "fast", "keeps_order"), [({}, True, True), ({}, False, False), ({"remat": "full"}, True, True)]
)
@pytest.mark.parametrize("name", NETWORKS)
def test_sessions_of_rewritten_steps_keep_the_order(
    monkeypatch: pytest.MonkeyPatch, name: str, training: dict[str, Any], fast: bool, keeps_order: bool
) -> None:
    configs = record_session_configs(monkeypatch)
    for setting in ("MIN_BATCH_MACS", "MIN_WEIGHT_REUSE"):
        monkeypatch.setattr(data_parallel, setting, 0)
    trainer = Trainer(spec(name, **training), fast=fast, threads=2)
    trainer.step(np.zeros((16, *NETWORKS[name][0]), np.float32), np.zeros((16, 3), np.float32))
    is_sharded = fast and not training  # a session for each of two shards, and one that combines them
    assert [config.keep_order for config in configs] == [keeps_order] * (3 if is_sharded else 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_is_rewritten_for_this_machine_and_its_batch_size(name: str) -> None:
    engine = Trainer(spec(name), threads=1).plan_trainer.engine
    graph = engine.loader.optimize(engine.execution.step_graph, 4)
    target = Target(
        block_size=nchwc_block_size(),
        has_gated_add=has_gated_add(),
        usual_batch=4,
        expected_batch=4,
        keeps_order=True,
    )
    expected = optimize_for_cpu(engine.execution.step_graph, target)
    assert [(node.op, node.scope) for node in graph.nodes] == [(node.op, node.scope) for node in expected.nodes]
    position = {value: index for index, node in enumerate(graph.nodes) for value in node.outputs}
    assert all(position[x] < index for index, node in enumerate(graph.nodes) for x in node.inputs if x in position)


def test_a_step_whose_results_exceed_the_memory_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 2 * 10**9)
    layers = [{"type": "Dense", "units": 1000, "activation": "relu"}] * 4
    network = {**spec("dense"), "layers": [*layers, {"type": "Dense", "units": 3}]}
    network["training"] = {**network["training"], "batch_size": 1 << 18}
    x, y = np.zeros((1, 40), np.float32), np.zeros((1, 3), np.float32)
    trainer = Trainer(network)
    trainer.step(x, y)
    rows = 1 << 20
    with pytest.raises(
        CompileError, match=r"a training step needs .* \(gradients and activations .*smaller `batch_size`"
    ):
        trainer.plan_trainer.engine.loader.build_step(rows, own_arena=False)
