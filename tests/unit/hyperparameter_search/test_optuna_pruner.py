"""After which epoch Optuna's pruners end a trial, and that they judge the same when a search is resumed."""

from __future__ import annotations

import pytest
from jsonnx.hyperparameter_search.optuna_pruner import Pruner
from jsonnx.hyperparameter_search.trials import FINISHED, PRUNED, RUNNING, Curve, Run, Trial
from jsonnx.sections.sweep_section import PruningSection

pytest.importorskip("optuna")

EPOCHS = 9


def ended(number: int, curve: Curve, pruned_at: int | None = None) -> Trial:
    state, value = (FINISHED, curve[-1]) if pruned_at is None else (PRUNED, None)
    return Trial(
        number, {}, "", 0, state, value, number, pruned_at=pruned_at, runs=[Run("", 0, None, state, curve=curve)]
    )


def pruner(section: PruningSection, others: list[Trial], is_maximized: bool = False) -> Pruner:
    made = Pruner(section, EPOCHS, is_maximized)
    made.restore(others)
    return made


OTHERS = [ended(number, [level, level - 0.1, level - 0.2]) for number, level in enumerate([1.0, 2.0, 3.0, 4.0], 1)]


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([2.0, 2.0, 2.0], None),  # the medians are 2.5, 2.4, 2.3
        ([2.6], 1),
        ([2.45, 2.45, 2.2], 2),
        ([2.0, 9.0, 9.0], None),  # the best value so far counts
        ([None, 1.0], 1),  # NaN is worse than any number
        ([2.4, 2.4, 9.0], None),  # not after the last epoch
        ([], None),
    ],
)
def test_the_median_pruner(curve: Curve, expected: int | None) -> None:
    assert pruner(PruningSection(), OTHERS).pruned_after(5, curve, 3) == expected


def test_the_median_pruner_waits_for_epochs_and_trials() -> None:
    assert pruner(PruningSection(min_epochs=2), OTHERS).pruned_after(5, [9.0, 9.0], 4) == 2
    assert pruner(PruningSection(min_trials=5), OTHERS).pruned_after(5, [9.0, 9.0], 4) is None
    assert pruner(PruningSection(), OTHERS[:3]).pruned_after(4, [9.0, 9.0], 4) is None


def test_the_greatest_may_be_best() -> None:
    assert pruner(PruningSection(), OTHERS, True).pruned_after(5, [3.0], 3) is None
    assert pruner(PruningSection(), OTHERS, True).pruned_after(5, [2.0], 3) == 1


HALVING = PruningSection(method="successive_halving", reduction_factor=2)


def test_successive_halving_keeps_the_best_part_at_each_rung() -> None:
    rivals = [ended(number, [float(number)] * 4) for number in range(1, 4)]
    assert pruner(HALVING, rivals).pruned_after(9, [1.5] * 7, 8) is None
    assert pruner(HALVING, rivals).pruned_after(9, [2.5] * 7, 8) == 1
    later = [ended(1, [3.0, 1.0], 2), ended(2, [3.0, 1.0], 2)]
    assert pruner(HALVING, later).pruned_after(9, [2.0, 2.0], 8) == 2
    assert pruner(HALVING, []).pruned_after(1, [5.0] * 7, 8) is None


def test_hyperband_compares_trials_of_one_bracket() -> None:
    hyperband = PruningSection(method="hyperband", reduction_factor=3)
    rivals = [ended(number, [0.0] * EPOCHS) for number in range(1, 31)]
    found = [pruner(hyperband, rivals).pruned_after(number, [5.0] * EPOCHS, EPOCHS) for number in range(31, 51)]
    assert {*found} == {1, 3, None}  # three brackets; the rung of the last one is the last epoch


@pytest.mark.parametrize("method", ["median", "successive_halving", "hyperband"])
def test_a_restored_pruner_judges_the_same(method: str) -> None:
    section = PruningSection(method=method, min_trials=2)

    def searched(restarts: tuple[int, ...]) -> list[int | None]:
        current, trials = pruner(section, []), list[Trial]()
        for number in range(1, 41):
            curve: Curve = [abs(number * 7 % 11 - 5) + number * 3 % 7 / (epoch + 1) for epoch in range(EPOCHS)]
            if number % 20 < EPOCHS - 1:
                curve[number % 20] = None
            if number in restarts:
                current.pruned_after(number, curve[:2], EPOCHS)  # the search is killed while this trial runs
                current = pruner(
                    section, [*trials, Trial(number, {}, "", runs=[Run("", 0, None, RUNNING, curve=curve)])]
                )
            epoch = current.pruned_after(number, curve, EPOCHS)
            trials.append(ended(number, curve, epoch))
            current.tell(trials[-1])
        return [trial.pruned_at for trial in trials]

    whole = searched(())
    assert len({*whole}) > 2
    assert searched((2, 7, 8, 30)) == whole
