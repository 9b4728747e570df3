"""Execution plans: which form a step gets, for a provider, a number of threads and a spec."""

from __future__ import annotations

from typing import Any

import pytest
from jsonnx.core.providers.known_providers import PROVIDERS
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.runtime.execution import data_parallel
from jsonnx.runtime.execution.execution_plan import ExecutionPlan, plan_execution
from jsonnx.runtime.providers.providers import Provider, resolve_provider
from jsonnx.tuning.cpu.embeddings import lazy_updates

CUDA = Provider(PROVIDERS["cuda"])
CONV = {"type": "Conv2D", "filters": 4, "kernel_size": 3}
DENSE = {"type": "Dense", "units": 3}


def spec(*layers: dict[str, Any], shape: tuple[Any, ...] = (6, 6, 2), dtype: str = "float32", **training: Any) -> Any:
    return {
        "inputs": {"x": {"shape": list(shape), "dtype": dtype}},
        "layers": [*layers],
        "training": {"loss": "mse", "optimizer": "adam", "batch_size": 32, **training},
    }


def planned(document: Any, provider: Provider | None = None, threads: int = 1, fast: bool = True) -> ExecutionPlan:
    plan = plan_training(check_spec(document))
    return plan_execution(plan, provider or resolve_provider("cpu"), threads, fast)


CONVOLUTION = spec(CONV, {"type": "GlobalAveragePooling2D"}, DENSE)
DENSE_LAYERS = spec(*[{"type": "Dense", "units": 4}] * 40, shape=(4,))


def test_graphs_run_as_they_are_unless_fast() -> None:
    plan = planned(CONVOLUTION, fast=False)
    assert plan.step_graph is plan.unpacked_step
    assert not plan.packed_vectors
    assert (plan.sharded_graphs, plan.lazy_tables, plan.inplace_slots) == (None, None, frozenset())
    assert not any((plan.optimizes_for_cpu, plan.keeps_order, plan.flushes_denormals, plan.depends_on_batch))


def test_a_convolution_is_specialised_for_its_batch_size_and_has_an_arena_of_its_own() -> None:
    plan = planned(CONVOLUTION)
    assert (plan.optimizes_for_cpu, plan.keeps_order, plan.depends_on_batch, plan.can_own_arena) == (True,) * 4


def test_images_of_any_height_have_no_arena_of_their_own() -> None:
    plan = planned(spec(CONV, {"type": "GlobalAveragePooling2D"}, DENSE, shape=("h", 6, 2)))
    assert (plan.depends_on_batch, plan.can_own_arena) == (True, False)


def test_small_weights_are_packed_where_variables_are_on_the_host() -> None:
    assert planned(DENSE_LAYERS).packed_vectors
    assert not planned(DENSE_LAYERS, CUDA).packed_vectors
    assert planned({**DENSE_LAYERS, "training": {**DENSE_LAYERS["training"], "remat": "full"}}).packed_vectors


def test_another_provider_gets_none_of_the_rewrites_for_the_cpu() -> None:
    plan = planned(CONVOLUTION, CUDA, threads=2)
    assert not any((plan.optimizes_for_cpu, plan.keeps_order, plan.flushes_denormals, plan.depends_on_batch))
    assert plan.sharded_graphs is None


def test_a_batch_is_split_among_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_parallel, "MIN_BATCH_MACS", 0)
    monkeypatch.setattr(data_parallel, "MIN_WEIGHT_REUSE", 0)
    plan = planned(CONVOLUTION, threads=2)
    assert plan.sharded_graphs is not None
    assert plan.unpacked_step is plan.sharded_graphs.combiner
    assert (plan.depends_on_batch, plan.can_own_arena) == (True, False)


def test_lazy_embeddings_exclude_shards_and_slots_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_updates, "MIN_TABLE_ELEMENTS", 1 << 10)
    monkeypatch.setattr(data_parallel, "MIN_BATCH_MACS", 0)
    monkeypatch.setattr(data_parallel, "MIN_WEIGHT_REUSE", 0)
    table = {"type": "Embedding", "input_dim": 4000, "output_dim": 16}
    document = spec(table, {"type": "GlobalAveragePooling1D"}, DENSE, shape=(5,), dtype="int32")
    plan = planned(document, threads=2)
    assert plan.lazy_tables is not None
    assert plan.unpacked_step is plan.lazy_tables.graph
    assert (plan.sharded_graphs, plan.inplace_slots) == (None, frozenset())
    states = plan.zero_states()
    assert states.keys() == plan.lazy_tables.extra_states.keys()
    assert not any(array.any() for array in states.values())
