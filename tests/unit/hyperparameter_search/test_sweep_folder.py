"""Records of trials, and the SWEEP folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.hyperparameter_search.sweep_folder import SweepFolder
from jsonnx.hyperparameter_search.trials import FINISHED, Run, Trial, best_trial


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "a")
    folder.make()
    runs = [Run("trials/0001", 3, 1, FINISHED, 0.5, 2, [None, 0.5], 1.25)]
    trial = Trial(1, {"width": [1, "ä"]}, "d", 0, FINISHED, 0.5, 1, runs=runs)
    folder.write_trial(trial)
    assert folder.read_trials(["width"]) == [trial]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"number": 1}', '{"number": "1", "values": {}, "digest": "", "runs": []}']
)
def test_a_damaged_record_is_an_error(text: str, tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    folder.make()
    folder.trial_file(1).write_text(text)
    with pytest.raises(CompileError) as error:
        folder.read_trials(["width"])
    assert error.value.diagnostics[0].code == "damaged-file"


def test_a_record_with_another_state_is_damaged() -> None:
    record = Trial(1, {}, "").to_json() | {"state": "lost"}
    with pytest.raises(ValueError, match="record"):
        Trial.from_json(json.loads(json.dumps(record)))


@pytest.mark.parametrize(
    "damage",
    [
        {"digest": []},
        {"number": True},
        {"duplicate_of": "1"},
        {"pruned_at": 0.5},
        {"value": float("nan")},
        {"runs": []},
        {"runs": [Run("trials/0001", 3, state=FINISHED)]},
        {"runs": [Run("trials/0001", 3, seconds="long")]},  # type: ignore[arg-type]
    ],
)
def test_a_record_with_values_of_other_types_is_damaged(damage: dict[str, object]) -> None:
    trial = Trial(1, {}, "", runs=[Run("trials/0001", 3)])
    assert Trial.from_json(trial.to_json()) == trial
    with pytest.raises(ValueError, match="record"):
        Trial.from_json(replace(trial, **damage).to_json())


def test_a_folder_without_a_search(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="SWEEP"):
        SweepFolder(tmp_path).read_settings()


def test_the_first_of_equal_trials_is_best() -> None:
    trials = [Trial(number, {}, "", state=FINISHED, value=value) for number, value in enumerate([2.0, 1.0, 1.0], 1)]
    assert best_trial(trials, False) is trials[1]
    assert best_trial(trials, True) is trials[0]
    assert best_trial([Trial(1, {}, "")], True) is None
