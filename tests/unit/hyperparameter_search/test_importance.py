"""The importance of parameters for the best trials."""

from __future__ import annotations

import sys

import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.hyperparameter_search.importance import MIN_TRIALS, importances
from jsonnx.hyperparameter_search.samplers import random_position
from jsonnx.hyperparameter_search.space import Space
from jsonnx.hyperparameter_search.trials import FINISHED, PRUNED, Trial
from jsonnx.sections.sweep_section import SweepSection

SPACE = Space.of(
    SweepSection(
        parameters={
            "peak": {"range": [0.0, 1.0]},
            "kind": {"choice": ["a", "b"]},
            "only_b": {"range": [0.0, 1.0], "when": {"kind": "b"}},
            "noise": {"range": [0.0, 1.0]},
            "fixed": {"choice": [1]},
        },
        trials=100,
    )
)


def trials(count: int = 100) -> list[Trial]:
    """The result depends most on the distance of `peak` from its middle, and not on `noise`."""
    made = []
    for number in range(1, count + 1):
        values = SPACE.assign(lambda item, number=number: item.domain.at(random_position(0, number, item.name)))
        value = (float(str(values["peak"])) - 0.5) ** 2 + 0.005 * (values["kind"] == "a")
        made.append(Trial(number, values, "", state=FINISHED, value=value))
    return made


def test_the_importance_of_parameters() -> None:
    pytest.importorskip("optuna")
    shares = importances(trials(), SPACE, is_maximized=False)
    assert next(iter(shares)) == "peak"
    assert shares["peak"] > 0.5 > shares["noise"]
    assert shares["fixed"] == 0
    assert sum(shares.values()) == pytest.approx(1)


def test_too_few_trials_tell_nothing() -> None:
    made = trials(MIN_TRIALS)
    made[0].state = PRUNED
    assert importances(made, SPACE, is_maximized=False) == {}


def test_importances_need_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match="missing-package"):
        importances(trials(), SPACE, is_maximized=False)
