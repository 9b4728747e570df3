"""The optimizer slots that a step may update in place: those whose readers all come before the update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from jsonnx.core.types import TensorType
from jsonnx.ir import Builder, Graph, Value
from jsonnx.training.weights.initializers import Constant
from jsonnx.tuning.cpu.memory.inplace_slots import MIN_SLOT_ELEMENTS, inplace_slots
from jsonnx.tuning.cpu.memory.pack_weights import pack_weights
from jsonnx.tuning.cpu.pipeline import optimize_for_cpu
from jsonnx.tuning.cpu.target import Target
from support.optimizer_names import OPTIMIZER_NAMES
from support.training_steps import training_graph

KERNEL = "wide/kernel"
SLOTS_WITH_OTHER_READERS = {
    "Adafactor": {"row_means", "column_means"},
    "Ftrl": {"accumulator"},
    "Lion": {"momentum"},
}
"""By optimizer: slots that other values are computed from, too."""


def spec(optimizer: Any, elements: int = MIN_SLOT_ELEMENTS, **layer: Any) -> dict[str, Any]:
    """A network whose only large weight is the kernel of a layer, with so many elements."""
    return {
        "inputs": {"x": {"shape": [64]}},
        "layers": [{"type": "Dense", "units": elements // 64, "name": "wide", **layer}, {"type": "Dense", "units": 2}],
        "training": {"loss": "mse", "optimizer": optimizer},
    }


def kernel_slots(graph: Graph) -> set[str]:
    return {name for name in graph.states if name.startswith(f"optimizer/{KERNEL}/")}


@pytest.mark.parametrize("optimizer", OPTIMIZER_NAMES)
def test_large_slots_are_updated_in_place_unless_other_values_are_computed_from_them(optimizer: str) -> None:
    graph = training_graph(spec({"type": optimizer, "learning_rate": 1e-3}))
    read_elsewhere = {f"optimizer/{KERNEL}/{slot}" for slot in SLOTS_WITH_OTHER_READERS.get(optimizer, ())}
    assert inplace_slots(graph) == kernel_slots(graph) - read_elsewhere


@pytest.mark.parametrize("optimizer", OPTIMIZER_NAMES)
def test_slots_of_a_plain_step_may_be_updated_in_place_in_the_optimized_step(optimizer: str) -> None:
    """They are chosen before the step is rewritten for a batch size."""
    graph, _ = pack_weights(training_graph(spec({"type": optimizer, "learning_rate": 1e-3})))
    target = Target(block_size=8, has_gated_add=True, threads=2, usual_batch=5, expected_batch=5, keeps_order=True)
    assert inplace_slots(optimize_for_cpu(graph, target)) >= inplace_slots(graph)


@pytest.mark.parametrize(
    "optimizer",
    [
        {"type": "sgd", "momentum": 0.9, "nesterov": True},
        {"type": "adam", "amsgrad": True, "clipnorm": 0.5},
        {"type": "rmsprop", "centered": True, "momentum": 0.5},
        {"type": "adamw", "weight_decay": 0.01},
    ],
    ids=["nesterov", "amsgrad", "centered", "weight-decay"],
)
def test_options_of_optimizers_and_constraints_leave_slots_in_place(optimizer: Any) -> None:
    graph = training_graph(spec({**optimizer, "learning_rate": 1e-3}, kernel_constraint="max_norm"))
    assert inplace_slots(graph) == kernel_slots(graph) != set()


def test_small_slots_are_not_updated_in_place() -> None:
    assert not inplace_slots(training_graph(spec("adam", MIN_SLOT_ELEMENTS - 64)))


Update = Callable[[Builder, Value, Value], Value]
"""The new value of a slot, from the slot and an input of the same shape."""


def slot_update(update: Update, elements: int = MIN_SLOT_ELEMENTS) -> Graph:
    g = Builder()
    x = g.input("x", TensorType("float32", (elements,)))
    with g.scope("optimizer"):
        slot = g.state("slot", (elements,), Constant(value=0))
        g.assign(slot, update(g, slot, x))
    return g.graph({"y": g.Neg(x)})


SAFE_UPDATES: dict[str, Update] = {
    "sum": lambda g, slot, x: g.Add(slot, x),
    "read-by-an-operand": lambda g, slot, x: g.Mul(g.Add(g.Mul(slot, 0.5), x), g.Abs(slot)),
    "copied-in-another-order": lambda g, slot, x: g.Concat(
        g.Slice(slot, [1], [MIN_SLOT_ELEMENTS], [0]), g.Slice(slot, [0], [1], [0]), axis=0
    ),
    "not-read": lambda g, slot, x: g.Add(x, 1.0),
}
UNSAFE_UPDATES: dict[str, Update] = {
    "reversed-through-an-alias": lambda g, slot, x: g.Slice(
        g.Reshape(slot, [-1]), [-1], [-MIN_SLOT_ELEMENTS - 1], [0], [-1]
    ),
    "reversed": lambda g, slot, x: g.Slice(slot, [-1], [-MIN_SLOT_ELEMENTS - 1], [0], [-1]),
}


@pytest.mark.parametrize("name", SAFE_UPDATES)
def test_a_slot_that_is_written_after_all_reads_is_updated_in_place(name: str) -> None:
    assert inplace_slots(slot_update(SAFE_UPDATES[name])) == {"optimizer/slot"}


@pytest.mark.parametrize("name", UNSAFE_UPDATES)
def test_a_slot_that_is_read_while_it_is_written_is_not_updated_in_place(name: str) -> None:
    assert not inplace_slots(slot_update(UNSAFE_UPDATES[name]))


def test_a_slot_is_updated_in_place_from_a_number_of_elements_on() -> None:
    assert inplace_slots(slot_update(SAFE_UPDATES["sum"], MIN_SLOT_ELEMENTS))
    assert not inplace_slots(slot_update(SAFE_UPDATES["sum"], MIN_SLOT_ELEMENTS - 1))


def test_a_slot_with_a_reader_outside_its_update_is_not_updated_in_place() -> None:
    graph = slot_update(SAFE_UPDATES["sum"])
    g = Builder.extending(graph)
    assert not inplace_slots(g.graph({**graph.outputs, "z": g.Sqrt(graph.states["optimizer/slot"])}))
