"""Samplers: proposals depend on seed and number only, and a resumed search proposes what it would have."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.hyperparameter_search.make_sampler import make_sampler, restore
from jsonnx.hyperparameter_search.optuna_samplers import QmcSampler
from jsonnx.hyperparameter_search.samplers import GridSampler, RandomSampler, Sampler
from jsonnx.hyperparameter_search.space import Space
from jsonnx.hyperparameter_search.trials import DUPLICATE, FAILED, FINISHED, PRUNED, Run, Trial
from jsonnx.sections.sweep_section import SweepSection

PARAMETERS: dict[str, Any] = {
    "rate": {"log_range": [1e-4, 1e-1]},
    "width": {"range": [1, 100]},
    "kind": {"choice": ["a", [1, 2]]},
    "extra": {"range": [0.0, 1.0], "when": {"kind": "a"}},
}


def sampler(kind: str, seed: int = 0) -> Sampler:
    section = SweepSection(parameters=PARAMETERS, sampler=kind, trials=50, seed=seed)
    return make_sampler(section, Space.of(section), 50, False)


@pytest.mark.parametrize("kind", ["random", "qmc"])
def test_a_proposal_depends_on_seed_and_number(kind: str) -> None:
    if kind == "qmc":
        pytest.importorskip("optuna")
        pytest.importorskip("scipy")
    one, other, shifted = sampler(kind), sampler(kind), sampler(kind, seed=1)
    assert [one.propose(number) for number in (1, 2, 3)] == [other.propose(number) for number in (1, 2, 3)]
    assert one.propose(7) == other.propose(7) != shifted.propose(7)
    assert len({repr(one.propose(number)) for number in range(1, 51)}) == 50


def test_a_further_parameter_leaves_random_values_of_others_as_they_are() -> None:
    section = SweepSection(parameters={"rate": PARAMETERS["rate"]}, trials=1)
    alone = RandomSampler(Space.of(section), 0).propose(5)
    assert alone == {"rate": (sampler("random").propose(5) or {})["rate"]}


def test_a_grid_ends() -> None:
    section = SweepSection(parameters={"a": {"choice": [1, 2]}, "b": {"range": [1, 3]}}, sampler="grid")
    grid = GridSampler(Space.of(section), 100)
    assert [grid.propose(number) for number in (1, 4, 6, 7)] == [
        {"a": 1, "b": 1},
        {"a": 2, "b": 1},
        {"a": 2, "b": 3},
        None,
    ]


def test_a_sobol_sequence_covers_the_space_more_evenly_than_random_values() -> None:
    pytest.importorskip("optuna")
    pytest.importorskip("scipy")
    section = SweepSection(parameters={"a": {"range": [0, 15]}, "b": {"range": [0, 15]}}, trials=64)
    space = Space.of(section)

    def cells(sampler: Sampler) -> int:
        proposals = [sampler.propose(number) or {} for number in range(1, 65)]
        return len({(values["a"] // 2, values["b"] // 2) for values in proposals})

    assert cells(QmcSampler(space, 3)) == 64 > cells(RandomSampler(space, 3)) + 5


# -- Optuna ------------------------------------------------------------------------------------------------------------


def result(number: int, values: dict[str, Any], proposed_after: int, told: int) -> Trial:
    """A trial whose values are better with a small width and a rate near 0.01."""
    value = values["width"] / 100 + abs(values["rate"] - 0.01) * 10
    trial = Trial(number, values, str(number), proposed_after, FINISHED, value, told)
    trial.runs = [Run("", 0, curve=[value + 1, value])]
    if number % 7 == 0:
        trial.state, trial.value, trial.reasons = FAILED, None, ["it failed"]
    elif number % 5 == 0:
        trial.state, trial.value, trial.pruned_at = PRUNED, None, 1
    elif number % 6 == 0:
        trial.state, trial.duplicate_of, trial.runs = DUPLICATE, 1, []
    return trial


def searched(kind: str, jobs: int, restarts: tuple[int, ...] = ()) -> list[Trial]:
    """The trials of a search with several jobs, in which the process is replaced after some of the trials."""
    pytest.importorskip("cmaes" if kind == "cma_es" else "optuna")
    pytest.importorskip("optuna")
    current, ended, running = sampler(kind), [], []
    for number in range(1, 41):
        if number in restarts:
            current = sampler(kind)
            restore(current, [*ended, *running])
        values = current.propose(number)
        assert values is not None
        running.append(Trial(number, values, str(number), len(ended)))
        if len(running) == jobs:
            oldest = running.pop(0)
            trial = result(oldest.number, oldest.values, oldest.proposed_after, len(ended) + 1)
            ended.append(trial)
            current.tell(trial)
    return ended


@pytest.mark.parametrize("kind", ["tpe", "cma_es"])
@pytest.mark.parametrize("jobs", [1, 3])
def test_a_restored_sampler_of_optuna_proposes_the_same(kind: str, jobs: int) -> None:
    whole = searched(kind, jobs)
    resumed = searched(kind, jobs, restarts=(2, 15, 16, 33))
    assert [trial.values for trial in whole] == [trial.values for trial in resumed]


@pytest.mark.parametrize("kind", ["tpe", "cma_es"])
def test_a_sampler_of_optuna_learns(kind: str) -> None:
    trials = [trial.value for trial in searched(kind, 1) if trial.state == FINISHED]
    first, last = trials[:8], trials[-8:]
    assert sum(last) / len(last) < sum(first) / len(first)


def test_results_of_another_version_of_optuna_are_used() -> None:
    pytest.importorskip("optuna")
    values = {"rate": 0.01, "width": 1, "kind": [1, 2]}
    trials = [Trial(number, values, "", number - 1, FINISHED, 0.0, number) for number in range(1, 30)]
    current = sampler("tpe")
    restore(current, trials)
    proposals = [current.propose(number) or {} for number in range(30, 40)]
    assert sum(proposal["width"] < 30 for proposal in proposals) >= 7


def test_a_record_with_values_outside_of_the_space_is_left_out() -> None:
    pytest.importorskip("optuna")
    values = {"rate": 0.01, "width": 1, "kind": [1, 2]}
    outside = [
        values | {"kind": "b"},
        values | {"width": 1000},
        values | {"width": 2.5},
        values | {"rate": "low"},
        values | {"rate": None},
    ]
    trials = [Trial(number, own, "", 0, FINISHED, 0.0, number) for number, own in enumerate(outside, 1)]
    current = sampler("tpe")
    restore(current, trials)
    assert current.propose(len(trials) + 1) is not None


def test_a_failed_trial_that_was_run_again_is_restored_after_the_trials_before_it() -> None:
    events: list[str] = []

    class Recorder(Sampler):
        def tell(self, trial: Trial) -> None:
            events.append(f"told {trial.number}")

        def propose_again(self, trial: Trial) -> None:
            events.append(f"proposed {trial.number}")

    retried, other = Trial(1, {}, "", 2, FINISHED, 0.0, 3), Trial(2, {}, "", 1, FINISHED, 0.0, 2)
    restore(Recorder(), [retried, other])
    assert events == ["proposed 2", "told 2", "proposed 1", "told 1"]


@pytest.mark.parametrize(
    ("kind", "package"), [("qmc", "optuna"), ("qmc", "scipy"), ("tpe", "optuna"), ("cma_es", "cmaes")]
)
def test_a_sampler_of_optuna_needs_its_packages(kind: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=f"the sampler '{kind}' needs the package {package}, which is not") as error:
        sampler(kind)
    assert error.value.diagnostic.code == "missing-package"
    assert "search" in (error.value.diagnostic.help or "")
