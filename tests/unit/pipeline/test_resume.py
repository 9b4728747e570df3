"""`jsonnx train --resume`: what a run must have in common with the one that it continues, and failed saves."""

from __future__ import annotations

import copy
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx import CompileError, Trainer
from jsonnx.core.diagnostics import UsageError
from jsonnx.pipeline.run import checkpoint_schedule, training_run
from jsonnx.pipeline.run.spec_changes import value_changes
from jsonnx.pipeline.run_folder.run_folder import RunFolder
from safetensors.numpy import save_file
from support.commands import jsonnx

EPOCHS = 3
SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [4]}, "word": {"shape": [1], "dtype": "string"}},
    "layers": [
        {"type": "StringLookup", "name": "index", "from": "word", "vocabulary": "words.txt"},
        {"type": "Embedding", "name": "embedding", "input_dim": 4, "output_dim": 3},
        {"type": "Flatten", "name": "flat"},
        {"type": "Concatenate", "name": "both", "from": ["x", "flat"]},
        {"type": "Dropout", "name": "dropout", "rate": 0.25},
        {"type": "Dense", "name": "y", "units": 1},
    ],
    "outputs": ["y"],
    "training": {
        "data": {"train": "train.csv", "validation": "validation.csv", "x": {"x": ["a", "b", "c", "d"]}},
        "loss": "mse",
        "optimizer": "adam",
        "metrics": ["mae"],
        "epochs": EPOCHS,
        "batch_size": 8,
        "early_stopping": {"patience": 50},
        "weights": {"file": "initial.safetensors", "layers": ["embedding"]},
    },
}


def write_table(path: str, seed: int, rows: int = 32) -> None:
    rng = np.random.default_rng(seed)
    lines = [
        f"{','.join(f'{number:.3f}' for number in rng.normal(size=5))},{rng.choice(['red', 'blue'])}"
        for _ in range(rows)
    ]
    Path(path).write_text("a,b,c,d,y,word\n" + "\n".join(lines) + "\n")


def write_weights(value: float) -> None:
    save_file({"embedding/embeddings": np.full((4, 3), value, np.float32)}, "initial.safetensors")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a spec, its data, a vocabulary and initial weights; checkpoints are written after every epoch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint_schedule, "EPOCH_CHECKPOINT_SECONDS", 0.0)
    Path("spec.json").write_text(json.dumps(SPEC))
    Path("words.txt").write_text("red\nblue\n")
    write_table("train.csv", 0)
    write_table("validation.csv", 1)
    write_weights(0.5)
    return tmp_path


def train(run: str, *options: str, status: int = 0) -> str:
    return jsonnx("train", "spec.json", "-o", run, "--resume", *options, status=status).stderr


def change_spec(**changes: Any) -> None:
    """Changes values of the training section; None removes one."""
    spec = copy.deepcopy(SPEC)
    spec["training"] |= changes
    spec["training"] = {key: value for key, value in spec["training"].items() if value is not None}
    Path("spec.json").write_text(json.dumps(spec))


def files(run: str) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in Path(run).rglob("*") if path.is_file()}


def results(run: str) -> dict[str, bytes]:
    return {
        name: content
        for name, content in files(run).items()
        if not name.startswith("checkpoints/") and name != "execution.json"
    }


# -- differences -------------------------------------------------------------------------------------------------------

DIFFERENCES = {
    "training data": (lambda: write_table("train.csv", 5), "the training data have changed"),
    "validation data": (lambda: write_table("validation.csv", 5), "the validation data have changed"),
    "vocabulary": (lambda: Path("words.txt").write_text("blue\nred\n"), "the vocabulary file 'words.txt' has changed"),
    "initial weights": (lambda: write_weights(0.25), "the initial weights have changed: it started from other weights"),
    "early stopping": (
        lambda: change_spec(early_stopping={"patience": 1}),
        "`training.early_stopping` of the spec has changed",
    ),
    "no early stopping": (
        lambda: change_spec(early_stopping=None),
        "`training.early_stopping` of the spec has changed",
    ),
    "optimizer": (lambda: change_spec(optimizer="sgd"), "`training.optimizer` of the spec has changed"),
    "fewer epochs": (lambda: change_spec(epochs=1), "it has trained 2 epochs, but `epochs` is 1"),
}


@pytest.mark.costly(2)
@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_difference_is_named_and_nothing_is_written(name: str) -> None:
    train("run", "--set", "training.epochs=2")
    before = files("run")
    change, message = DIFFERENCES[name]
    change()
    errors = train("run", status=1)
    assert "error[checkpoint-mismatch]" in errors
    assert message in errors.replace("\n", " ")
    assert files("run") == before


def test_the_values_of_another_spec_are_named() -> None:
    train("run", "--set", "training.epochs=2")
    options = [
        "--set",
        "layers.4.rate=0.5",
        "--set",
        "layers.5.use_bias=false",
        "--set",
        'training.optimizer={"type": "sgd"}',
    ]
    errors = train("run", *options, status=1)
    assert re.findall(r"note: (.*) \(spec.json:\d+:\d+\)", errors) == [
        "`layers[4].rate` changes from 0.25 to 0.5",
        "`layers[5].use_bias` is new: false",
        '`training.optimizer` changes from "adam" to {"type": "sgd"}',
    ]
    assert errors.count("error[") == 2


def test_ten_changes_are_named_and_the_others_counted() -> None:
    train("run", "--set", "training.epochs=2")
    spec = copy.deepcopy(SPEC)
    spec["layers"][4:5] = [{"type": "Dropout", "name": f"dropout_{index}", "rate": 0.25} for index in range(12)]
    Path("spec.json").write_text(json.dumps(spec))
    errors = train("run", status=1)
    assert errors.count("= note:") == 11
    assert "and 2 more changes" in errors


@pytest.mark.parametrize(
    ("old", "new", "texts"),
    [
        ([1, 2, 3], [1, 3], ["`a[1]` is removed: 2"]),
        ([1, 3], [1, 2, 3], ["`a[1]` is new: 2"]),
        ({"b": 1}, {"b": True}, ["`a.b` changes from 1 to true"]),
        ({"b": {"c": 1}}, {"b": {}}, ["`a.b.c` is removed: 1"]),
        ([1], "x", ['`a` changes from [1] to "x"']),
    ],
)
def test_changes_are_the_innermost_values_that_differ(old: Any, new: Any, texts: list[str]) -> None:
    assert [change.text() for change in value_changes(old, new, ("a",))] == texts


def test_a_run_without_validation_data_gets_none_later() -> None:
    data = {key: value for key, value in SPEC["training"]["data"].items() if key != "validation"}
    change_spec(early_stopping=None, data=data)
    train("run", "--set", "training.epochs=2")
    change_spec(early_stopping=None)
    assert "it had no validation data" in train("run", status=1)
    change_spec(early_stopping=None, data=data)
    train("run")
    change_spec(early_stopping=None, data=data | {"validation_split": 0.25})
    assert "the training data have changed" in train("run", "--set", "training.epochs=4", status=1)


def test_validation_data_that_are_gone_are_an_error() -> None:
    change_spec(early_stopping=None)
    train("run", "--set", "training.epochs=2")
    change_spec(early_stopping=None, data={k: v for k, v in SPEC["training"]["data"].items() if k != "validation"})
    assert "the validation data are missing" in train("run", status=1)


def test_the_same_contents_under_other_names_and_more_epochs_are_no_difference() -> None:
    train("whole")
    train("run", "--set", "training.epochs=2")
    for name in ("train.csv", "validation.csv", "initial.safetensors"):
        os.rename(name, f"new-{name}")
    data = SPEC["training"]["data"] | {"train": "new-train.csv", "validation": "new-validation.csv"}
    change_spec(data=data, weights={"file": "new-initial.safetensors", "layers": ["embedding"]})
    assert "warning" not in train("run")
    for name in ("metrics.jsonl", "weights.safetensors"):
        assert files("run")[name] == files("whole")[name]


def test_initial_weights_are_compared_if_they_are_named_and_can_be_read() -> None:
    train("run", "--set", "training.epochs=1")
    Path("initial.safetensors").rename("moved.safetensors")
    warning = train("run", "--set", "training.epochs=2").replace("\n", " ")
    assert "warning[unreadable-file]" in warning
    assert "the initial weights are not compared with those of the run" in warning
    change_spec(weights=None)
    assert "warning" not in train("run")
    assert "checkpoint-mismatch" not in train("run", "--weights", "moved.safetensors", "--partial")
    train("random", "--set", "training.epochs=1")
    errors = train("random", "--weights", "moved.safetensors", "--partial", status=1)
    assert "it started from random weights" in errors.replace("\n", " ")


def test_python_compares_the_same(tmp_path: Path) -> None:
    trainer = Trainer("spec.json")
    trainer.fit(epochs=2)
    trainer.save_checkpoint("c")
    write_table("validation.csv", 5)
    resumed = Trainer("spec.json")
    resumed.load_checkpoint("c")
    with pytest.raises(CompileError, match="the validation data have changed"):
        resumed.fit()
    write_table("validation.csv", 1)
    with pytest.raises(CompileError, match="`epochs` is 1"):
        resumed.fit(epochs=1)
    assert resumed.fit().epoch == [0, 1, 2]
    write_weights(0.25)
    with pytest.raises(CompileError, match="initial weights have changed"):
        Trainer("spec.json").load_checkpoint("c")


# -- another environment -----------------------------------------------------------------------------------------------


def test_another_environment_is_a_warning_or_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    train("run", "--set", "training.epochs=2", "--exact")
    before = files("run")
    monkeypatch.setattr("jsonnx.runtime.fit.environment.cpu_model", lambda: "another CPU")
    errors = train("run", "--exact", status=1).replace("\n", " ")
    assert "error[not-exact]" in errors
    assert " to another CPU" in errors
    assert files("run") == before
    assert "warning[not-exact]" in train("run")
    assert "not-exact" not in train("run", "--exact")


def test_python_can_require_exactness() -> None:
    trainer = Trainer("spec.json")
    trainer.save_checkpoint("c")
    slow = Trainer("spec.json", fast=False)
    before = slow.weights()
    trainer.step({"x": np.ones((1, 4)), "word": np.array([["red"]])}, np.ones((1, 1)))
    trainer.save_checkpoint("c")
    with pytest.raises(CompileError, match="fast changes from True to False"):
        slow.load_checkpoint("c", exact=True)
    assert slow.steps == 0
    assert all((array == before[name]).all() for name, array in slow.weights().items())
    (warning,) = slow.load_checkpoint("c")
    assert (warning.code, warning.severity, slow.steps) == ("not-exact", "warning", 1)


# -- start -------------------------------------------------------------------------------------------------------------


def test_resume_starts_a_run_where_there_is_none() -> None:
    jsonnx("train", "spec.json", "-o", "plain")
    os.mkdir("empty")
    for run in ("new", "empty"):
        assert f"warning[no-checkpoint]: there is no run in {run!r} to resume yet" in train(run)
        assert results(run) == results("plain")
        assert "warning" not in train(run)
        assert results(run) == results("plain")


def test_resume_starts_a_run_that_was_killed_before_its_start() -> None:
    train("whole")
    train("run", "--set", "training.epochs=1")
    for name in files("run"):
        if name not in (".lock", "checkpoints/step-000000000000.safetensors"):
            Path("run", name).unlink()
    Path("run/.jsonnx-01234567.tmp").write_text("")
    train("run")
    assert results("run") == results("whole")


def test_other_files_in_the_folder_are_kept() -> None:
    """A job's log, for example, is there before the run."""
    Path("run").mkdir()
    Path("run/log.txt").write_text("mine")
    assert "warning[no-checkpoint]" in train("run")
    assert "warning" not in train("run")
    assert Path("run/log.txt").read_text() == "mine"


def test_checkpoints_without_a_run_are_not_removed() -> None:
    train("run")
    for name in (*results("run"), "execution.json"):
        Path("run", name).unlink()
    before = files("run")
    stderr = jsonnx("train", "spec.json", "-o", "run", status=2).stderr
    assert "error[run-exists]: 'run/checkpoints/step-" in stderr
    assert files("run").keys() == before.keys()
    jsonnx("train", "spec.json", "-o", "run", "--force")


@pytest.mark.parametrize("name", ["model.onnx", "checkpoints/step-000000000008.safetensors"])
def test_a_folder_that_is_not_a_run_is_an_error(name: str) -> None:
    path = Path("mine", name)
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    errors = train("mine", status=2).replace("\n", " ")
    assert "error[no-checkpoint]" in errors
    assert f"has {Path(name).name!r}, but no run to resume" in errors
    assert files("mine") == {name: b"mine"}


def test_a_run_that_appears_in_the_meantime_is_not_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    load = training_run.load_data

    def load_slowly(*arguments: Any) -> Any:
        monkeypatch.setattr(training_run, "load_data", load)
        train("run")
        return load(*arguments)

    monkeypatch.setattr(training_run, "load_data", load_slowly)
    errors = train("run", status=2)
    assert "run-exists" in errors
    assert "another process has started or removed the run" in errors.replace("\n", " ")


# -- metrics -----------------------------------------------------------------------------------------------------------


@pytest.mark.costly(2)
@pytest.mark.parametrize("damage", ["lost", "torn", "removed", "longer", "empty"])
def test_metrics_are_rebuilt_from_the_checkpoint(damage: str) -> None:
    train("whole")
    train("run", "--set", "training.epochs=2")
    path = Path("run/metrics.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    damages = {"lost": lines[1:], "torn": [lines[0], lines[1][:9]], "longer": [*lines, lines[1], b"{"], "empty": []}
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(b"".join(damages[damage]))
    train("run")
    assert results("run") == results("whole")


def test_the_last_checkpoint_has_the_last_weights_if_the_best_ones_are_restored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoint_schedule, "EPOCH_CHECKPOINT_SECONDS", 1e9)
    restore = ("--set", "training.restore_best_weights=true", "--set", "training.early_stopping.mode=max")
    train("whole", *restore)
    train("run", *restore, "--set", "training.epochs=2")
    assert json.loads(Path("run/run.json").read_text())["best"]["epoch"] == 1
    assert len([*Path("run/checkpoints").glob("step-*")]) == 2  # of the start and of the end
    train("run", *restore)
    assert results("run") == results("whole")


# -- failed saves ------------------------------------------------------------------------------------------------------


def failing(monkeypatch: pytest.MonkeyPatch, method: str, *calls: int) -> list[int]:
    """Makes calls of a method of RunFolder, counted from 1, fail. Returns a list with the number of calls."""
    original, count = getattr(RunFolder, method), [0]

    def call(self: RunFolder, *arguments: Any) -> Any:
        count[0] += 1
        if count[0] in calls:
            raise UsageError("unwritable-file", f"cannot write {str(self.path)!r}: no space left on device")
        return original(self, *arguments)

    monkeypatch.setattr(RunFolder, method, call)
    return count


@pytest.mark.parametrize("method", ["_write_checkpoint", "write_texts"])
def test_a_failed_first_save_leaves_no_run(monkeypatch: pytest.MonkeyPatch, home: Path, method: str) -> None:
    before = files(".")
    with monkeypatch.context() as patch:
        failing(patch, method, 1)
        assert "no space left" in train("new/folder/run", status=2)
        assert files(".") == before
        assert not Path("new").exists()
    os.mkdir("empty")
    failing(monkeypatch, method, 1)
    train("empty", status=2)
    assert os.listdir("empty") == []


def test_a_failed_save_ends_the_run_unless_it_is_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    train("whole")
    with monkeypatch.context() as patch:
        failing(patch, "save_checkpoint", 2)
        errors = train("run", status=2)
        assert "once that is fixed, --resume continues" in errors
        assert len(files("run")["metrics.jsonl"].splitlines()) == 2
    train("run")
    assert results("run") == results("whole")
    with monkeypatch.context() as patch:
        count = failing(patch, "save_checkpoint", 1, 2)
        warnings = train("other", "--on-save-error", "continue")
        assert warnings.count("warning[unwritable-file]") == 1  # of those in a row
        assert "training goes on" in warnings
        assert count == [EPOCHS]
    assert results("other") == results("whole")


@pytest.mark.parametrize(
    ("method", "calls"),
    [
        ("append_metrics", (1,)),
        ("append_metrics", (EPOCHS,)),
        ("append_csv", (1,)),
        ("write_metrics", (1, 2)),
        ("write_csv", (1, 2, 3)),
        ("sync_metrics", (1,)),
    ],
)
def test_the_run_goes_on_and_writes_metrics_later(
    monkeypatch: pytest.MonkeyPatch, method: str, calls: tuple[int, ...]
) -> None:
    train("whole", "--set", "training.csv_log=true")
    count = failing(monkeypatch, method, *calls)
    warnings = train("run", "--set", "training.csv_log=true").replace("\n", " ")
    assert count[0] >= len(calls)
    assert warnings.count("warning[unwritable-file]") == 1
    assert "training goes on, and the file is written later" in warnings
    assert results("run") == results("whole")


def test_a_run_whose_metrics_cannot_be_written_has_all_other_results() -> None:
    train("whole")
    train("run", "--set", "training.epochs=1")
    Path("run/metrics.jsonl").unlink()
    Path("run/metrics.jsonl").mkdir()
    errors = train("run", status=2).replace("\n", " ")
    assert "warning[unwritable-file]: cannot write 'run/metrics.jsonl': it is a folder; training goes on" in errors
    assert "error[unwritable-file]: cannot write 'run/metrics.jsonl': it is a folder" in errors
    Path("run/metrics.jsonl").rmdir()
    found, expected = results("run"), results("whole")
    assert {name for name in expected if found.get(name) != expected[name]} == {"metrics.jsonl"}
    train("run")
    assert results("run") == expected


@pytest.mark.parametrize(("method", "call"), [("save_checkpoint", EPOCHS), ("write_weights", 1), ("write_model", 1)])
def test_the_last_save_must_succeed(monkeypatch: pytest.MonkeyPatch, method: str, call: int) -> None:
    train("whole")
    with monkeypatch.context() as patch:
        failing(patch, method, call)
        assert "once that is fixed, --resume continues" in train("run", "--on-save-error", "continue", status=2)
    found, expected = results("run"), results("whole")
    if method == "save_checkpoint":  # the trained network is not lost
        assert {found[name] == expected[name] for name in ("model.onnx", "weights.safetensors")} == {True}
    train("run")
    assert results("run") == results("whole")
