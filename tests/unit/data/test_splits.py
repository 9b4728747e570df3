"""`split`: rows of one file divided by a hash, by a group, by time or into folds, with stable parts."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.files.spec_source import SpecSource
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.check.data_spec import data_spec_of
from jsonnx.pipeline.train.run_data import SPEC_FILES, DataFiles, read_split
from support.commands import jsonnx as command

ROWS = 400
CLASSES = "abc"


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(rows())
    return tmp_path


def rows(count: int = ROWS) -> list[dict[str, Any]]:
    """Rows whose `x` is their number, so that it tells in which part they are."""
    return [
        {
            "x": number,
            "id": f"row {number}",
            "patient": number // 7,
            "day": f"2026-{number % 12 + 1:02d}-{number % 28 + 1:02d}",
            "y": CLASSES[0 if number % 10 < 6 else 1 if number % 10 < 9 else 2],
        }
        for number in range(count)
    ]


def write(table: list[dict[str, Any]], file: str = "all.csv") -> None:
    with open(file, "w", newline="") as stream:
        writer = csv.DictWriter(stream, table[0])
        writer.writeheader()
        writer.writerows(table)


def spec(split: dict[str, Any], **data: Any) -> str:
    document = {
        "inputs": {"x": {"shape": [1]}},
        "layers": [{"type": "Dense", "name": "y", "units": 3, "activation": "softmax"}],
        "labels": list(CLASSES),
        "training": {
            "loss": "sparse_categorical_crossentropy",
            "data": {"train": "all.csv", "split": split} | data,
            "optimizer": {"type": "sgd", "learning_rate": 1e-6},
        },
    }
    Path("spec.json").write_text(json.dumps(document))
    return "spec.json"


def numbers(split: dict[str, Any], files: DataFiles = SPEC_FILES, **data: Any) -> dict[str, list[int]]:
    """The numbers of the rows of each part, in the order of the part."""
    checked = check_spec(spec(split, **data))
    assert checked.objective is not None
    section = checked.network.training.data  # type: ignore[union-attr]
    source = SpecSource("spec.json", checked.locate)
    parts = read_split(section, files, data_spec_of(checked.require(), checked.objective), source)
    return {part: samples.inputs["x"].reshape(-1).astype(int).tolist() for part, samples in parts.items()}


SHARES = {"validation": 0.2, "test": 0.1}


def part_of(parts: dict[str, list[int]]) -> dict[int, str]:
    return {number: part for part, members in parts.items() for number in members}


@pytest.mark.parametrize("rule", [{}, {"key": "id"}, {"group": "patient"}, {"time": "day"}, {"stratify": "y"}])
def test_each_row_is_in_one_part_and_the_shares_hold_about(rule: dict[str, str]) -> None:
    parts = numbers(SHARES | rule)
    assert sorted(number for part in parts.values() for number in part) == list(range(ROWS))
    assert all(part == sorted(part) for part in parts.values())  # in the order of the file
    for part, share in SHARES.items():
        deviation = 4 * (share * (1 - share) * ROWS * (7 if "group" in rule else 1)) ** 0.5
        assert abs(len(parts[part]) - share * ROWS) <= deviation


@pytest.mark.parametrize("rule", [{}, {"key": "id"}, {"group": "patient"}])
def test_further_rows_and_another_order_move_no_row(rule: dict[str, str]) -> None:
    before = part_of(numbers(SHARES | rule))
    write(rows(ROWS + 100)[::-1])
    after = part_of(numbers(SHARES | rule))
    assert all(after[number] == part for number, part in before.items())


def test_rows_appended_to_a_stratified_split_move_no_row() -> None:
    split = SHARES | {"stratify": "y"}
    before = part_of(numbers(split))
    write(rows(ROWS + 100))
    after = part_of(numbers(split))
    assert all(after[number] == part for number, part in before.items())


def test_a_stratified_split_divides_each_class_by_the_shares() -> None:
    parts = numbers(SHARES | {"stratify": "y"})
    classes = [row["y"] for row in rows()]
    totals = Counter(classes)
    for part, share in SHARES.items():
        for name, count in Counter(classes[number] for number in parts[part]).items():
            assert abs(count - share * totals[name]) < 2


@pytest.mark.parametrize("rule", [{}, {"stratify": "y"}, {"group": "patient"}, {"time": "day"}])
def test_the_share_of_validation_does_not_move_the_test(rule: dict[str, str]) -> None:
    tests = [numbers({"validation": share, "test": 0.1} | rule)["test"] for share in (0.05, 0.2, 0.5)]
    assert tests[0] == tests[1] == tests[2]


def test_groups_stay_together() -> None:
    parts = numbers(SHARES | {"group": "patient"})
    groups = [{number // 7 for number in part} for part in parts.values()]
    assert all(groups)
    assert not (groups[0] & groups[1])
    assert not (groups[0] & groups[2])
    assert not (groups[1] & groups[2])


def test_time_puts_the_last_rows_into_the_test_and_equal_times_together() -> None:
    parts = numbers(SHARES | {"time": "day"})
    days = [row["day"] for row in rows()]
    train, validation, test = ([days[number] for number in parts[part]] for part in ("train", "validation", "test"))
    assert max(train) < min(validation)
    assert max(validation) < min(test)


def test_dates_and_numbers_order_rows_by_their_values() -> None:
    table = [row | {"day": f"{number}.5"} for number, row in enumerate(rows(20))]
    write(table)  # as texts, 10.5 comes before 9.5
    assert numbers({"test": 0.25, "time": "day"})["test"] == list(range(15, 20))
    write([row | {"day": f"2026-01-01T{number:02d}:00:00+0{number % 3}:00"} for number, row in enumerate(rows(20))])
    test = numbers({"test": 0.25, "time": "day"})["test"]
    hours = [number - number % 3 for number in range(20)]
    assert min(hours[number] for number in test) > max(hours[number] for number in range(20) if number not in test)


def test_folds_hold_each_row_out_once_and_share_the_test() -> None:
    folds = [numbers({"folds": 5, "fold": fold, "test": 0.1}) for fold in range(5)]
    held_out = [number for fold in folds for number in fold["validation"]]
    assert sorted(held_out + folds[0]["test"]) == list(range(ROWS))
    assert all(fold["test"] == folds[0]["test"] for fold in folds)
    assert numbers({"validation": 0.3, "test": 0.1})["test"] == folds[0]["test"]
    assert numbers({"folds": 5, "test": 0.1, "seed": 1})["test"] != folds[0]["test"]


def test_the_parts_do_not_depend_on_the_format_of_the_file() -> None:
    table = rows(100)
    write(table)
    Path("all.json").write_text(json.dumps(table))
    arrays = {name: np.array([row[name] for row in table]) for name in table[0]}
    np.savez("all.npz", **(arrays | {"x": arrays["x"].astype(np.uint8)}))
    for rule in ({}, {"key": "id"}, {"group": "patient"}, {"time": "day"}):
        by_format = [numbers(SHARES | rule, train=file) for file in ("all.csv", "all.json", "all.npz")]
        assert by_format[0] == by_format[1] == by_format[2]


def test_the_hashes_are_the_same_in_every_version() -> None:
    assert numbers({"test": 0.02})["test"] == [188, 218, 223, 240, 321, 346, 374, 380]


def test_a_corrected_label_moves_no_row_and_equal_inputs_stay_together() -> None:
    before = numbers(SHARES)
    write([row | {"y": "a"} for row in rows()])
    assert numbers(SHARES) == before
    write([row | {"x": number % 50} for number, row in enumerate(rows())])
    parts = [set(part) for part in numbers(SHARES).values()]
    assert not (parts[0] & parts[1])
    assert not (parts[0] & parts[2])
    assert not (parts[1] & parts[2])


def test_validation_data_of_the_user_replace_the_part_of_the_split() -> None:
    parts = numbers(SHARES, DataFiles(validation="all.csv"))
    assert parts.keys() == {"train", "test"}
    assert len(parts["train"]) + len(parts["test"]) == ROWS
    assert parts["test"] == numbers(SHARES)["test"]


def test_train_evaluate_and_validate_use_the_parts() -> None:
    parts = {part: len(members) for part, members in numbers(SHARES).items()}
    counts = "  ".join(f"{part} {count}" for part, count in parts.items())
    result = command("train", spec(SHARES), "-o", "run", "--quiet")
    assert f"samples  {counts}" in result.stdout
    assert "test  loss" in result.stdout
    recorded = json.loads(Path("run/run.json").read_text())["data"]
    assert {part: entry["samples"] for part, entry in recorded.items()} == parts
    assert command("evaluate", "run").stdout.split()[1][:4] in result.stdout
    table = command("validate", "spec.json", "--data").stdout
    assert [int(word) for word in table.split("samples")[1].split()[:3]] == list(parts.values())


def test_a_run_on_another_file_is_evaluated_on_the_test_rows_of_that_file() -> None:
    write([row | {"x": number + 1000} for number, row in enumerate(rows())], "other.csv")
    result = command("train", spec(SHARES), "--data", "other.csv", "-o", "run", "--quiet")
    assert command("evaluate", "run").stdout.split()[1][:6] == result.stdout.split("test  loss ")[1][:6]
    assert command("evaluate", "run", "--data", "all.csv").stdout != command("evaluate", "run").stdout


def test_another_fold_is_not_resumed() -> None:
    command("train", spec({"folds": 4}), "-o", "run", "--quiet")
    command("train", "spec.json", "-o", "run", "--quiet", "--resume")
    result = command("train", "spec.json", "-o", "run", "--set", "training.data.split.fold=1", "--resume", status=1)
    assert "validation data have changed" in result.stderr


def test_a_trainer_in_python_uses_the_parts() -> None:
    trainer = jsonnx.Trainer(spec(SHARES))
    history = trainer.fit(epochs=1)
    assert "val_loss" in history.history
    assert trainer.evaluate().keys() == {"loss"}


def test_a_class_that_a_part_lacks_is_a_warning() -> None:
    table = rows(60)
    write([row | {"y": "c" if number == 0 else "ab"[number % 2]} for number, row in enumerate(table)])
    (warning,) = jsonnx.validate(spec({"validation": 0.2}), data=True)
    assert (warning.severity, warning.code, warning.path) == ("warning", "split-classes", "$.training.data.split")
    assert "'c'" in warning.message


@pytest.mark.parametrize(
    ("split", "code", "text"),
    [
        ({"test": 0.1, "group": "patients"}, "missing-column", "did you mean 'patient'"),
        ({"test": 0.1, "time": "id"}, "bad-value", "'row 0', which is neither a number nor a date"),
        ({"test": 0.0001}, "empty-data", "leaves `test` no rows"),
    ],
)
def test_a_split_that_the_data_do_not_allow_is_an_error(split: dict[str, Any], code: str, text: str) -> None:
    (error,) = jsonnx.validate(spec(split), data=True)
    assert (error.severity, error.code) == ("error", code)
    assert text in error.message + str(error.help)
    with pytest.raises(jsonnx.CompileError, match=code):
        jsonnx.Trainer("spec.json").fit()


def test_a_time_that_is_no_date_is_located() -> None:
    table = rows(20)
    table[3]["day"] = "yesterday"
    write(table)
    (error,) = jsonnx.validate(spec({"test": 0.1, "time": "day"}), data=True)
    assert (error.file, error.line, error.code) == ("all.csv", 5, "bad-value")
