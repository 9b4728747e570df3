"""The order of a step that overwrites its variables: the check of the loss, then reads, then writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.core.reserved_names import LOSS
from jsonnx.core.types import TensorType
from jsonnx.ir import Builder, Graph, Value
from jsonnx.training.weights.initializers import Constant
from jsonnx.tuning.cpu.memory.inplace_updates import (
    OverwrittenVariables,
    check_before_writes,
    inplace_variables,
    separate_writers,
    with_ordered_writes,
)
from jsonnx.tuning.cpu.schedule import schedule
from jsonnx.tuning.cpu.target import Target
from support.harness import run
from support.optimizer_names import OPTIMIZER_NAMES
from support.training_steps import training_graph

WIDE = 4096


def spec(optimizer: Any, **layer: Any) -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": [WIDE]}},
        "layers": [{"type": "Dense", "units": 512, "name": "wide", **layer}, {"type": "Dense", "units": 300}],
        "training": {"loss": "mse", "optimizer": optimizer},
    }


def overwritten(graph: Graph, names: Any) -> OverwrittenVariables:
    return OverwrittenVariables(frozenset(names), {})


def test_variables_of_steps_with_few_weights_have_several_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = training_graph(spec("adam"))
    assert inplace_variables(graph, ()) == frozenset()
    monkeypatch.setattr("jsonnx.tuning.cpu.memory.inplace_updates.MIN_INPLACE_STEP_BYTES", 1 << 20)
    kernels = {"wide/kernel", "dense/kernel"}
    slots = {f"optimizer/{name}/{slot}" for name in kernels for slot in ("momentum", "velocity")}
    assert inplace_variables(graph, ()) == kernels | slots
    assert inplace_variables(graph, kernels) == frozenset()


@pytest.mark.parametrize("optimizer", OPTIMIZER_NAMES)
def test_every_variable_is_written_after_the_check_and_all_reads(optimizer: str) -> None:
    graph = training_graph(spec({"type": optimizer, "learning_rate": 1e-3}, kernel_constraint="max_norm"))
    names = [name for name in graph.updates if name != "optimizer/iterations"]
    scheduled = schedule(graph, Target(keeps_order=True, overwritten=overwritten(graph, names)))
    position = {node: index for index, node in enumerate(scheduled.nodes)}
    variables = {**scheduled.parameters, **scheduled.states}
    check = position[scheduled.producers[scheduled.outputs[LOSS]]]
    for name in names:
        writer = scheduled.producers[scheduled.updates[name]]
        assert position[writer] > check
        shared = {variables[name]}
        for node in scheduled.nodes:
            if any(x in shared for x in node.inputs):
                assert position[node] <= position[writer], (name, node.op)
                if node.op in ("Reshape", "Identity", "Squeeze", "Unsqueeze", "Flatten"):
                    shared.update(node.outputs)


def step_of(update: Any) -> Graph:
    """A step whose variable a has the next value `update(g, a, b)`; b, of the same shape, is kept."""
    g = Builder()
    x = g.input("x", TensorType("float32", (4, 4)))
    with g.scope("layer"):
        a, b = (g.state(name, (4, 4), Constant(value=0.0)) for name in ("a", "b"))
    loss = g.ReduceSum(g.Mul(x, a), keepdims=0)
    values = update(g, a, b)
    for state, value in zip((a, b), values, strict=False):
        g.assign(state, value)
    return g.graph({LOSS: loss})


UNSAFE: dict[str, Any] = {
    "transposed": lambda g, a, b: (g.Transpose(a, perm=[1, 0]),),
    "product": lambda g, a, b: (g.MatMul(a, b),),
    "itself": lambda g, a, b: (a,),
    "other variable": lambda g, a, b: (b,),
    "same value twice": lambda g, a, b: ((total := g.Add(a, b)), total),
}
SAFE: dict[str, Any] = {
    "sum": lambda g, a, b: (g.Add(a, b),),
    "swapped sums": lambda g, a, b: (g.Add(a, b), g.Sub(b, a)),
}


@pytest.mark.parametrize("name", [*UNSAFE, *SAFE])
def test_a_copy_separates_a_writer_that_may_not_overwrite_its_operand(name: str) -> None:
    graph = step_of({**UNSAFE, **SAFE}[name])
    names = [state for state in graph.states if state in graph.updates]
    assert (len(separate_writers(graph, names).nodes) > len(graph.nodes)) == (name in UNSAFE)


def test_values_that_are_written_before_each_other_is_read_are_copied() -> None:
    """a' needs the old b and b' the old a, and each of them also the new other one."""

    def crossed(g: Builder, a: Value, b: Value) -> tuple[Value, Value]:
        next_a, next_b = g.Add(a, 1.0), g.Add(b, 1.0)
        g.assign(g.state("c", (4, 4), Constant(value=0.0)), g.Mul(next_a, b))
        g.assign(g.state("d", (4, 4), Constant(value=0.0)), g.Mul(next_b, a))
        return next_a, next_b

    graph = step_of(crossed)
    ordered, dependencies = with_ordered_writes(graph, overwritten(graph, ["layer/a", "layer/b"]))
    done: set[Any] = set()
    for node in ordered.nodes:
        assert all(other in done for other in dependencies.get(node, ()))
        done.add(node)


@pytest.mark.parametrize("value", [1.0, np.inf, -np.inf, np.nan])
def test_the_loss_cannot_be_computed_if_it_is_not_finite(value: float) -> None:
    graph = check_before_writes(step_of(lambda g, a, b: (g.Add(a, 1.0),)))
    ones = np.ones((4, 4), np.float32)
    feeds = {"x": np.full((4, 4), value, np.float32), "layer/a": ones, "layer/b": ones}
    if np.isfinite(value):
        assert run(graph, feeds)[LOSS] == 16.0
    else:
        with pytest.raises(Exception, match="out of data bounds"):
            run(graph, feeds)
