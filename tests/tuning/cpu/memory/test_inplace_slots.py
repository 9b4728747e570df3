"""An optimizer's large slots, written where they are read: which, that it is the same, and what a divergence leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import assert_same_run
from jsonnx.core.types import TensorType
from jsonnx.ir import Builder, Graph, State
from jsonnx.pipeline.trainer import Trainer
from jsonnx.runtime.trainer import Diverged
from jsonnx.training.initializers import Constant
from jsonnx.training.optimizers import OPTIMIZERS
from jsonnx.tuning.cpu.matmul.partition_rows import MAX_SAMPLES
from jsonnx.tuning.cpu.memory.inplace_slots import MIN_SLOT_ELEMENTS, inplace_slots

INPUTS, UNITS = 40, 2 * MIN_SLOT_ELEMENTS // 40 // 2 + 8
KERNEL = "wide/kernel"
NOT = {"Ftrl": {"accumulator"}, "Lion": {"momentum"}}
"""Slots by optimizer that something else is made of, too."""


def spec(optimizer: Any, **layer: Any) -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": [INPUTS]}},
        "layers": [{"type": "Dense", "units": UNITS, "name": "wide", **layer}, {"type": "Dense", "units": 2}],
        "training": {"loss": "mse", "optimizer": optimizer},
    }


def batches(count: int, scale: float = 1.0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Batches that are too large for `tuning.cpu.matmul.partition_rows`, which rounds sums differently.

    Some optimizers make a full step for a gradient that is only rounding error.
    """
    rng = np.random.default_rng(7)
    samples = MAX_SAMPLES + 4
    return [
        (
            scale * rng.normal(size=(samples, INPUTS)).astype(np.float32),
            rng.normal(size=(samples, 2)).astype(np.float32),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS.members))
def test_every_optimizer_computes_the_same(optimizer: str) -> None:
    document = spec({"type": optimizer, "learning_rate": 1e-3})
    assert_same_run(document, batches(4))
    engine = Trainer(document)._engine
    slots = {name for name in engine.plan.train.states if name.startswith(f"optimizer/{KERNEL}/")}
    left = {f"optimizer/{KERNEL}/{name}" for name in NOT.get(optimizer, ())}
    assert engine.execution.inplace_slots == slots - left
    assert inplace_slots(engine.loader.optimize(engine.execution.step_graph, 5)) >= engine.execution.inplace_slots
    sets = engine._variables.sets
    for name in sets[0]:
        if name.startswith(f"optimizer/{KERNEL}/") or name == KERNEL:
            places = {variables[name].data_ptr() for variables in sets}
            assert len(places) == (1 if name in engine.execution.inplace_slots else 3), name


def test_momentum_that_looks_ahead_averages_and_bounds() -> None:
    for optimizer in (
        {"type": "sgd", "momentum": 0.9, "nesterov": True},
        {"type": "adam", "amsgrad": True, "clipnorm": 0.5},
        {"type": "rmsprop", "centered": True, "momentum": 0.5},
        {"type": "adamw", "weight_decay": 0.01},
    ):
        document = spec({**optimizer, "learning_rate": 1e-3}, kernel_constraint="max_norm")
        assert_same_run(document, batches(4))
        assert Trainer(document)._engine.execution.inplace_slots


def slot(g: Builder, elements: int = MIN_SLOT_ELEMENTS) -> State:
    return g.state("slot", (elements,), Constant(value=0))


def step(update: Any, elements: int = MIN_SLOT_ELEMENTS) -> Graph:
    g = Builder()
    x = g.input("x", TensorType("float32", (elements,)))
    with g.scope("optimizer"):
        before = slot(g, elements)
        result = update(g, before, x)
        g.assign(before, result)
    return g.graph({"y": g.Neg(x)})


def test_what_nothing_orders_is_not_written_in_place() -> None:
    found = {
        "itself": step(lambda g, slot, x: g.Add(slot, x)),
        "what-it-is-made-of": step(lambda g, slot, x: g.Mul(g.Add(g.Mul(slot, 0.5), x), g.Abs(slot))),
        "small": step(lambda g, slot, x: g.Add(slot, x), MIN_SLOT_ELEMENTS - 1),
        "moved": step(
            lambda g, slot, x: g.Concat(
                g.Slice(slot, [1], [MIN_SLOT_ELEMENTS], [0]), g.Slice(slot, [0], [1], [0]), axis=0
            )
        ),
        "read-under-another-name": step(
            lambda g, slot, x: g.Slice(g.Reshape(slot, [-1]), [-1], [-MIN_SLOT_ELEMENTS - 1], [0], [-1])
        ),
        "reversed": step(lambda g, slot, x: g.Slice(slot, [-1], [-MIN_SLOT_ELEMENTS - 1], [0], [-1])),
        "another": step(lambda g, slot, x: g.Add(x, 1.0)),
    }
    assert {name for name, graph in found.items() if inplace_slots(graph)} == {
        "itself",
        "what-it-is-made-of",
        "moved",
        "another",
    }
    beside = found["itself"]
    state = beside.states["optimizer/slot"]
    g = Builder.extending(beside)
    assert not inplace_slots(g.graph({**beside.outputs, "z": g.Sqrt(state)}))


def test_who_looks_between_steps_changes_nothing_and_only_what_may_be_is_in_place() -> None:
    watched, left = Trainer(spec("adam"), seed=1), Trainer(spec("adam"), seed=1)
    for x, y in batches(4):
        assert watched.step(x, y) == left.step(x, y)
        watched.evaluate(x, y)
        watched.predict(x)
        watched.weights()
    found = watched._engine.variables()
    assert all(np.array_equal(found[name], array) for name, array in left._engine.variables().items())
    assert not Trainer(spec("adam"), fast=False)._engine.execution.inplace_slots
    remat = spec("adam")
    remat["training"]["remat"] = "full"
    assert not Trainer(remat)._engine.execution.inplace_slots


def test_a_step_that_does_not_end_leaves_no_slot_half_new(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(spec("adam"), seed=1)
    given = batches(3)
    for x, y in given:
        trainer.step(x, y)
    weights, runner = trainer.weights(), trainer._engine.step_runners.runner
    assert runner is not None
    run = runner._run_bound

    def interrupted(binding: Any) -> None:
        run(binding)
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "_run_bound", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.step(*given[0])
    assert all(np.array_equal(array, weights[name]) for name, array in trainer.weights().items())
    slots = {name: array for name, array in trainer._engine.variables().items() if name.startswith("optimizer/")}
    assert len(slots) > 4
    assert not any(array.any() for array in slots.values())
    monkeypatch.undo()
    assert np.isfinite(trainer.step(*given[0])["loss"])


def test_a_first_step_that_diverges_changes_nothing() -> None:
    trainer = Trainer(spec({"type": "sgd", "momentum": 0.9}))
    (x, y), *_ = batches(1)
    before = trainer._engine.variables()
    with pytest.raises(Diverged, match="step 1"):
        trainer.step(x, np.full_like(y, 1e30))
    assert all(np.array_equal(array, before[name]) for name, array in trainer._engine.variables().items())
    assert trainer.steps == 0


def test_a_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole, first, second = (Trainer(spec("adam"), seed=1) for _ in range(3))
    given = batches(6)
    for x, y in given[:3]:
        whole.step(x, y)
        first.step(x, y)
    first.save_checkpoint(tmp_path / "c")
    second.load_checkpoint(tmp_path / "c")
    for x, y in given[3:]:
        assert whole.step(x, y) == second.step(x, y)
    after, expected = second._engine.variables(), whole._engine.variables()
    assert all(np.array_equal(after[name], array) for name, array in expected.items())


def test_after_a_divergence_the_weights_are_the_last_good_ones_and_the_optimizer_begins_anew() -> None:
    trainer, seen = Trainer(spec({"type": "sgd", "learning_rate": 0.5, "momentum": 0.9})), []
    (x, y), *_ = batches(1)

    def steps() -> None:
        for _ in range(60):
            seen.append(trainer.weights())
            trainer.step(x, y)

    with pytest.raises(Diverged):
        steps()
    assert len(seen) > 3
    assert trainer.steps == len(seen) - 2
    assert all(np.array_equal(array, seen[-2][name]) for name, array in trainer.weights().items())
    slots = {name: array for name, array in trainer._engine.variables().items() if name.startswith("optimizer/")}
    assert KERNEL in {name.removeprefix("optimizer/").rpartition("/")[0] for name in slots}
    assert not any(array.any() for array in slots.values())
    fresh = Trainer(spec({"type": "sgd", "learning_rate": 1e-6, "momentum": 0.9}))
    fresh.set_weights(trainer.weights())
    assert np.isfinite(fresh.step(x, y)["loss"])
