"""Updates of large weights by slices of their rows: which weights, which slices, and the same numbers."""

from __future__ import annotations

from typing import Any

import pytest
from jsonnx.tuning.cpu.memory import split_updates as module
from jsonnx.tuning.cpu.memory.split_updates import RowSlice, split_updates
from support.optimizer_names import OPTIMIZER_NAMES
from support.training_steps import training_graph

ROWS, COLUMNS = 48, 16
KERNEL = "wide/kernel"
NOT_ELEMENTWISE = {"Adafactor", "LAMB", "Lamb", "Muon", "Ftrl", "Lion"}
"""Optimizers whose updates may have operators that are not element-wise."""


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE_ELEMENTS", 20 * COLUMNS)


def spec(optimizer: Any) -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": [ROWS]}},
        "layers": [{"type": "Dense", "units": COLUMNS, "name": "wide"}, {"type": "Dense", "units": 2}],
        "training": {"loss": "mse", "optimizer": optimizer},
    }


def test_a_weight_and_its_slots_are_split_into_whole_rows() -> None:
    graph = training_graph(spec("adam"))
    split, slices = split_updates(graph, [KERNEL, "wide/bias"])
    ranges = [(0, 20), (20, 40), (40, 48)]
    variables = (KERNEL, f"optimizer/{KERNEL}/momentum", f"optimizer/{KERNEL}/velocity")
    assert set(slices.values()) == {RowSlice(v, KERNEL, start, end) for v in variables for start, end in ranges}
    assert set(split.updates) == {*slices, *graph.updates} - {*variables}
    assert all(split.updates[name].shape == (rows.end - rows.start, COLUMNS) for name, rows in slices.items())
    assert KERNEL in split.parameters
    assert f"optimizer/{KERNEL}/momentum" not in split.states


def test_only_the_named_weights_are_split() -> None:
    graph = training_graph(spec("adam"))
    assert split_updates(graph, []) == (graph, {})


@pytest.mark.parametrize("optimizer", [name for name in OPTIMIZER_NAMES if name not in NOT_ELEMENTWISE])
def test_elementwise_optimizers_are_split(optimizer: str) -> None:
    _, slices = split_updates(training_graph(spec({"type": optimizer, "learning_rate": 1e-3})), [KERNEL])
    assert len({(rows.start, rows.end) for rows in slices.values()}) == 3


def test_an_update_that_reads_the_norm_of_the_whole_gradient_is_not_split() -> None:
    graph = training_graph({**spec("adam"), "layers": [
        {"type": "Dense", "units": COLUMNS, "name": "wide", "kernel_constraint": "max_norm"},
        {"type": "Dense", "units": 2},
    ]})  # fmt: skip
    assert split_updates(graph, [KERNEL])[1] == {}
