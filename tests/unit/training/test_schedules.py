"""Every schedule, compared with recorded values of Keras, and one-cycle with the formula of PyTorch."""

from __future__ import annotations

from math import cos, pi
from typing import Any

import numpy as np
import pytest
from jsonnx.core.types import ShapeError
from jsonnx.gradient.update_weights import rate_graph
from jsonnx.training.optimizers.optimizers import SGD
from jsonnx.training.optimizers.schedules import SCHEDULES, Schedule
from support.harness import run

from . import cases
from .cases import name
from .recorded import read, recorded


def rates(spec: Any, steps: Any) -> list[float]:
    """The learning rates after these numbers of steps."""
    graph = rate_graph(SGD(learning_rate=spec))
    assert graph is not None
    return [float(run(graph, {"optimizer/iterations": np.int64(step)})["learning_rate"]) for step in steps]


@pytest.mark.parametrize(
    ("spec", "said"),
    recorded(cases.SCHEDULES, "schedules"),
    ids=[name(spec) for spec in cases.SCHEDULES],
)
def test_the_learning_rates_equal_those_of_keras(spec: Any, said: list[float]) -> None:
    np.testing.assert_allclose(rates(spec, cases.SCHEDULE_STEPS), said, rtol=1e-5, atol=1e-8)


def test_every_schedule_of_keras_has_a_case() -> None:
    assert {SCHEDULES.by_name[spec["type"]] for spec in cases.SCHEDULES} == set(SCHEDULES) - {
        SCHEDULES.members["OneCycle"]
    }


@pytest.mark.parametrize("first_steps", [6, 10, 37])
@pytest.mark.parametrize("growth", [1, 2, 3])
def test_a_restart_is_at_its_step(first_steps: int, growth: int) -> None:
    """The quotient of two rounded logarithms may be just below a whole number."""
    spec = {
        "type": "CosineDecayRestarts",
        "initial_learning_rate": 1,
        "first_decay_steps": first_steps,
        "t_mul": growth,
    }
    starts = np.cumsum([0, *(first_steps * growth**index for index in range(8))])
    np.testing.assert_allclose(rates(spec, starts), 1.0, rtol=1e-6)
    assert max(rates(spec, starts[1:] - 1)) < 0.1


def one_cycle(step: int, spec: dict[str, Any]) -> float:
    """The learning rate of PyTorch's OneCycleLR."""
    highest, total, rise = spec["max_learning_rate"], spec["total_steps"], spec.get("pct_start", 0.3)
    first = highest / spec.get("div_factor", 25.0)
    last = first / spec.get("final_div_factor", 1e4)
    phases = [(rise * total - 1, first, highest), (total - 1, highest, last)]
    if spec.get("three_phase"):
        phases = [phases[0], (2 * rise * total - 2, highest, first), (total - 1, first, last)]
    begin = 0.0
    for end, low, high in phases:
        if step <= end:
            part = (step - begin) / (end - begin)
            if spec.get("anneal_strategy") == "linear":
                return low + (high - low) * part
            return high + (low - high) / 2 * (1 + cos(pi * part))
        begin = end
    return last


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pct_start": 0.2, "div_factor": 10, "final_div_factor": 100},
        {"anneal_strategy": "linear"},
        {"three_phase": True, "pct_start": 0.4},
    ],
    ids=str,
)
def test_one_cycle_has_the_rates_of_pytorch_and_then_keeps_the_last_one(options: dict[str, Any]) -> None:
    spec = {"type": "OneCycle", "max_learning_rate": 0.1, "total_steps": 40, **options}
    steps = [0, 1, 5, 6, 7, 8, 11, 12, 15, 16, 20, 29, 30, 31, 38, 39, 40, 1000]
    np.testing.assert_allclose(rates(spec, steps), [one_cycle(step, spec) for step in steps], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"type": "PiecewiseConstantDecay", "boundaries": [5], "values": [0.1]}, "needs 2 values for 1 boundaries"),
        ({"type": "PiecewiseConstantDecay", "boundaries": [5, 5], "values": [1, 2, 3]}, "needs ascending boundaries"),
        ({"type": "PiecewiseConstantDecay", "boundaries": [], "values": [1]}, "needs at least one boundary"),
        (
            {"type": "CosineDecay", "initial_learning_rate": 1, "decay_steps": 9, "warmup_steps": 3},
            "no `warmup_target`",
        ),
        ({"type": "OneCycle", "max_learning_rate": 1, "total_steps": 3}, "no step for one of its phases"),
    ],
)
def test_arguments_that_contradict_each_other_are_an_error(spec: Any, message: str) -> None:
    schedule: Schedule = read(SCHEDULES, spec)
    with pytest.raises(ShapeError, match=message):
        schedule.check()
