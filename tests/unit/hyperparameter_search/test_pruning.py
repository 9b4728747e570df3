"""After which epoch a trial ends early."""

from __future__ import annotations

import pytest
from jsonnx.hyperparameter_search.pruning import pruned_after
from jsonnx.hyperparameter_search.trials import FINISHED, PRUNED, RUNNING, Run, Trial
from jsonnx.sections.sweep_section import PruningSection


def trial(number: int, curve: list[float | None], state: str = FINISHED) -> Trial:
    pruned_at = len(curve) if state == PRUNED else None
    return Trial(number, {}, "", state=state, pruned_at=pruned_at, runs=[Run("", 0, curve=curve)])


OTHERS = [trial(number, [level, level - 0.1, level - 0.2]) for number, level in enumerate([1.0, 2.0, 3.0, 4.0], 1)]


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([2.0, 2.0, 2.0], None),  # the medians are 2.5, 2.4, 2.3
        ([2.6], 1),
        ([2.45, 2.45, 2.2], 2),
        ([2.0, 9.0, 9.0], None),  # the best value so far counts
        ([None, 1.0], 1),  # NaN is worse than any number
        ([2.0, 2.0, 9.0], None),  # not after the last epoch
        ([], None),
    ],
)
def test_the_median_rule(curve: list[float | None], expected: int | None) -> None:
    assert pruned_after(PruningSection(), 5, curve, OTHERS, 3, False) == expected


def test_the_median_rule_waits_for_epochs_and_trials() -> None:
    assert pruned_after(PruningSection(min_epochs=2), 5, [9.0, 9.0], OTHERS, 4, False) == 2
    assert pruned_after(PruningSection(min_trials=5), 5, [9.0, 9.0], OTHERS, 4, False) is None
    running = [*OTHERS[:3], trial(4, [1.0, 1.0, 1.0], RUNNING)]
    assert pruned_after(PruningSection(), 5, [9.0, 9.0], running, 4, False) is None


def test_the_greatest_may_be_best() -> None:
    assert pruned_after(PruningSection(), 5, [3.0], OTHERS, 3, True) is None
    assert pruned_after(PruningSection(), 5, [2.0], OTHERS, 3, True) == 1


HALVING = PruningSection(method="successive_halving", reduction_factor=2)


def test_successive_halving_keeps_the_best_part_at_each_rung() -> None:
    rivals = [trial(number, [float(number)] * 4) for number in range(1, 4)]
    assert pruned_after(HALVING, 9, [1.5] * 7, rivals, 8, False) is None
    assert pruned_after(HALVING, 9, [2.5] * 7, rivals, 8, False) == 1
    later = [trial(1, [3.0, 1.0], RUNNING), trial(2, [3.0, 1.0], RUNNING)]
    assert pruned_after(HALVING, 9, [2.0, 2.0], later, 8, False) == 2
    assert pruned_after(HALVING, 9, [2.0], later, 8, False) is None


def test_the_first_trial_of_successive_halving_goes_on() -> None:
    assert pruned_after(HALVING, 1, [5.0] * 7, [], 8, False) is None


def test_hyperband_compares_trials_of_one_bracket() -> None:
    hyperband = PruningSection(method="hyperband", reduction_factor=2)
    rivals = [trial(number, [0.0] * 8) for number in (1, 2)]  # of 8 epochs: three brackets
    assert pruned_after(hyperband, 3, [5.0] * 7, rivals, 8, False) is None
    assert pruned_after(hyperband, 4, [5.0] * 7, rivals, 8, False) == 2
    assert pruned_after(hyperband, 5, [5.0] * 7, rivals, 8, False) == 4
