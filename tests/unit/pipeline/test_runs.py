"""The default RUN folder, `run.json`, `jsonnx runs`, and `jsonnx evaluate` of several runs."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from jsonnx import Run, Trainer, compile
from jsonnx.core.files.run_layout import RunPaths
from jsonnx.pipeline.git.git_revision import git_revision
from jsonnx.pipeline.run_folder.list_runs import list_runs
from jsonnx.pipeline.run_folder.run_folder import RunFolder
from jsonnx.pipeline.run_folder.run_info import run_info_texts
from jsonnx.render.results.runs_table import runs_text
from support.commands import jsonnx

SPEC: dict[str, Any] = {
    "name": "model",
    "parameters": {"width": 2},
    "scales": {"large": {"width": 3}},
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"type": "Dense", "units": "${width}"}, {"type": "Dense", "name": "y", "units": 1}],
    "training": {
        "data": {"train": "train.csv", "validation": "test.csv", "test": "test.csv", "x": ["a", "b"]},
        "loss": "mse",
        "metrics": ["mae"],
        "optimizer": "adam",
        "epochs": 2,
        "batch_size": 8,
    },
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("flights.json").write_text(json.dumps(SPEC))
    rng = np.random.default_rng(0)
    for name, count in (("train", 16), ("test", 6)):
        rows = rng.normal(size=(count, 3))
        np.savetxt(f"{name}.csv", rows, delimiter=",", header="a,b,y", comments="")
    return tmp_path


def train(*options: str, status: int = 0) -> Any:
    return jsonnx("train", "flights.json", *options, status=status)


def run_info(run: str) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for name in ("run.json", "execution.json"):
        value |= json.loads(Path(run, name).read_text())
    return value


def set_info(run: str, **values: Any) -> None:
    for path, text in run_info_texts(RunPaths(Path(run)), run_info(run) | values).items():
        path.write_text(text)


def set_state(run: str, state: str) -> None:
    set_info(run, state=state)


# -- the default folder ------------------------------------------------------------------------------------------------


def test_runs_are_named_after_the_spec_and_numbered() -> None:
    first, second = train(), train()
    assert "training in runs/flights\n" in first.stderr
    assert "wrote runs/flights/model.onnx" in first.stdout
    assert "training in runs/flights-2\n" in second.stderr
    Path("runs/flights-10").mkdir()
    assert "wrote runs/flights-11/model.onnx" in train("--quiet").stdout
    lines = jsonnx("runs").stdout.splitlines()[2:]
    assert [line.split()[0] for line in lines] == ["runs/flights", "runs/flights-2", "runs/flights-11"]
    assert "wrote runs/flights/model.onnx" in train("--force").stdout


def test_resume_takes_the_newest_unfinished_run_of_the_spec() -> None:
    for _ in range(3):
        train("--quiet", "--set", "training.epochs=1")
    set_state("runs/flights", "running")
    set_state("runs/flights-2", "interrupted")
    assert "resuming the run in runs/flights-2\n" in train("--resume").stderr
    assert "resuming the run in runs/flights\n" in train("--resume").stderr
    assert "resuming the run in runs/flights-3\n" in train("--resume").stderr  # all have finished
    assert run_info("runs/flights-3")["epochs"] == 2


def test_resume_takes_an_unfinished_run_with_a_name_of_its_own() -> None:
    train("--quiet")
    train("--quiet", "-o", "runs/longer")
    set_state("runs/longer", "running")
    assert "resuming the run in runs/longer\n" in train("--resume").stderr


def test_resume_says_where_it_continues_and_how_the_spec_has_changed() -> None:
    train("--quiet")
    assert "all 2 epochs are trained already\n" in train("--resume").stderr
    result = train("--resume", "--set", "training.epochs=3").stderr
    assert "continues after step 4, in epoch 3 of 3\n`training.epochs` changes from 2 to 3\n" in result
    for path in sorted(Path("runs/flights/checkpoints").iterdir())[-2:]:
        path.unlink()
    jsonnx("train", "flights.json", "-o", "first", "--quiet", "--set", "training.epochs=200")
    checkpoints = sorted(Path("first/checkpoints").iterdir())
    for path in checkpoints:
        path.unlink()
    Trainer("flights.json").save_checkpoint(checkpoints[-1].with_name("step-000000000000.safetensors"))
    set_state("first", "running")  # as a run that was killed before its first checkpoint after the start
    result = train("-o", "first", "--resume").stderr
    assert "no checkpoint was written since the start: begins at epoch 1\n" in result
    assert "`training.epochs` changes from 200 to 2\n" in result


def test_the_duration_of_a_killed_run_lasts_to_its_last_epoch() -> None:
    train("--quiet")
    path = Path("runs/flights/run.json")
    set_info("runs/flights", state="running", seconds=4.0)
    written = path.stat().st_mtime
    os.utime("runs/flights/metrics.jsonl", (written + 60, written + 60))
    (summary,) = list_runs(Path("runs"))[0]
    assert (summary.state, summary.epochs, summary.seconds) == ("interrupted", 2, 64.0)
    os.utime("runs/flights/metrics.jsonl", (written - 60, written - 60))  # as after a copy of the folder
    set_info("runs/flights", seconds=0.0)
    assert list_runs(Path("runs"))[0][0].seconds is None


def test_a_run_is_evaluated_on_the_samples_that_training_split_off() -> None:
    data = SPEC["training"]["data"] | {"validation": None, "test": None, "validation_split": 0.25}
    Path("flights.json").write_text(json.dumps(SPEC | {"training": SPEC["training"] | {"data": data}}))
    train("--quiet")
    loss = run_info("runs/flights")["figures"]["val_loss"]
    assert json.loads(jsonnx("evaluate", "runs/flights", "--format", "json").stdout)["loss"] == pytest.approx(loss)
    assert [*run_info("runs/flights")["evaluations"]] == ["validation data"]
    train("--quiet", "--data", "test.csv", "-o", "other")
    loss = run_info("other")["figures"]["val_loss"]
    assert json.loads(jsonnx("evaluate", "other", "--format", "json").stdout)["loss"] == pytest.approx(loss)


def test_evaluate_says_on_which_data() -> None:
    data = SPEC["training"]["data"]
    cases = [
        (data, (), "on the test data in test.csv, 6 rows:"),
        (data | {"test": None}, (), "on the validation data in test.csv, 6 rows:"),
        (data | {"test": None}, ("--validation-data", "train.csv"), "on the validation data in train.csv, 16 rows:"),
        (
            data | {"test": None, "validation": None, "validation_split": 0.25},
            (),
            "on the validation part of train.csv, 4 rows:",
        ),
        ({"train": "t*.csv", "x": ["a", "b"], "split": {"test": 0.3}}, (), "on the test part of t*.csv, 9 rows:"),
    ]
    for number, (section, options, text) in enumerate(cases):
        Path("flights.json").write_text(json.dumps(SPEC | {"training": SPEC["training"] | {"data": section}}))
        train("--quiet", "-o", f"run{number}", *options)
        assert jsonnx("evaluate", f"run{number}").stderr.strip() == text
    assert jsonnx("evaluate", "run0", "--data", "test.csv").stderr == "on test.csv, 6 rows:\n"
    document = json.loads(jsonnx("evaluate", "run4", "--format", "json").stdout)
    assert document["data"] == {"split": "test", "files": ["t*.csv"], "samples": 9}


def test_a_part_is_chosen_and_one_that_does_not_exist_is_an_error_that_says_what_there_is() -> None:
    train("--quiet", "-o", "run", "--set", "training.data.test=null", "--set", "training.data.validation=null")
    assert jsonnx("evaluate", "run", "--split", "train").stderr == "on the training data in train.csv, 16 rows:\n"
    error = jsonnx("evaluate", "run", "--split", "test", status=2).stderr
    assert "the spec of 'run' has no test data" in error
    assert "there is `train`" in error
    error = jsonnx("evaluate", "run", "--split", "test", "--data", "test.csv", status=2).stderr
    assert "--split is a part of the data that the spec names" in error
    split = ("training.data.validation=null", "training.data.test=null", "training.data.validation_split=0.25")
    train("--quiet", "-o", "split", *(word for change in split for word in ("--set", change)))
    shown = [jsonnx("evaluate", "split", "--split", part).stderr for part in ("train", "validation")]
    assert shown == [
        f"on the {part} part of train.csv, {count} rows:\n" for part, count in (("training", 12), ("validation", 4))
    ]


def test_runs_are_selected_by_the_epoch_whose_weights_they_have() -> None:
    train("--quiet", "--set", "training.optimizer=sgd", "--set", "training.restore_best_weights=true")
    losses = [1.0, 5.0]
    rows = [json.loads(line) for line in Path("runs/flights/metrics.jsonl").read_text().splitlines()]
    text = "".join(json.dumps(row | {"val_loss": loss}) + "\n" for row, loss in zip(rows, losses, strict=True))
    Path("runs/flights/metrics.jsonl").write_text(text)
    assert Run("runs/flights").model_figures["val_loss"] == 1.0
    assert "runs/flights" in jsonnx("runs", "--where", "val_loss<2").stdout
    assert Run("runs/flights").figures["val_loss"] == 5.0
    set_state("runs/flights", "interrupted")
    assert Run("runs/flights").model_figures["val_loss"] == 5.0


def test_a_folder_of_runs_is_named_where_a_run_folder_is_wanted() -> None:
    train("--quiet", "-o", "runs/folds/fold-0", "--set", "training.epochs=1")
    error = jsonnx("evaluate", "runs/folds", status=2).stderr
    assert "'runs/folds' is not a RUN folder, but a folder of RUN folders" in error
    assert "name 'runs/folds/fold-0'; `jsonnx runs runs/folds` lists all" in error


def test_a_run_without_data_to_evaluate_on_is_named() -> None:
    data = SPEC["training"]["data"] | {"validation": None, "test": None}
    train("--quiet")
    Path("flights.json").write_text(json.dumps(SPEC | {"training": SPEC["training"] | {"data": data}}))
    train("--quiet", "-o", "plain")
    error = jsonnx("evaluate", "runs/flights", "plain", status=2).stderr
    assert "there is no data to evaluate 'plain' on" in error
    assert "validation_split" in error


def test_a_run_of_standard_input_is_named_after_the_network() -> None:
    jsonnx("train", "-", "--quiet", stdin=json.dumps(SPEC))
    assert "resuming the run in runs/model\n" in jsonnx("train", "-", "--resume", stdin=json.dumps(SPEC)).stderr


def test_resume_ignores_runs_of_another_spec_and_damaged_ones() -> None:
    Path("runs/flights").mkdir(parents=True)
    Path("runs/flights/run.json").write_text('{"data_folder": "../../elsewhere", "spec": "flights.json"}')
    Path("runs/flights-2").mkdir()
    Path("runs/flights-2/run.json").write_text("{")
    assert "training in runs/flights-3\n" in train("--resume").stderr


# -- run.json ----------------------------------------------------------------------------------------------------------


def test_run_json_says_what_the_run_was_made_from_and_what_came_of_it() -> None:
    metrics = train("--scale", "large", "--set", "training.epochs=3", "--seed", "5").stdout
    info = run_info("runs/flights")
    assert (info["state"], info["epochs"], info["scale"], info["seed"]) == ("finished", 3, "large", 5)
    assert (info["set"], info["parameters"]) == (["training.epochs=3"], {"width": 3})
    assert info["versions"]["onnxruntime"] == onnxruntime.__version__
    assert {"jsonnx", "onnx", "numpy", "python"} <= info["versions"].keys()
    assert {part: data["samples"] for part, data in info["data"].items()} == {"train": 16, "validation": 6, "test": 6}
    assert info["data"]["validation"]["sha256"] == info["data"]["test"]["sha256"] != info["data"]["train"]["sha256"]
    assert info["figures"].keys() == {"loss", "mae", "val_loss", "val_mae", "learning_rate"}
    assert f"mae {info['test']['mae']:.4f}" in metrics
    assert info["seconds"] > 0
    assert sys.platform == "win32" or 10e6 < info["peak_memory_bytes"] < 1e12
    assert info["started"] <= info["ended"]
    lines = [json.loads(line) for line in Path("runs/flights/metrics.jsonl").read_text().splitlines()]
    best = min(range(3), key=lambda epoch: lines[epoch]["val_loss"])
    assert info["best"] == {"figure": "val_loss", "value": lines[best]["val_loss"], "epoch": best + 1}


def test_a_resumed_run_keeps_its_start_and_adds_its_time() -> None:
    train("--set", "training.epochs=1")
    set_info("runs/flights", started="2020-01-01T00:00:00+00:00", seconds=1000.0, peak_memory_bytes=10**15)
    train("--resume")
    info = run_info("runs/flights")
    assert info["peak_memory_bytes"] == 10**15
    assert info["started"] == "2020-01-01T00:00:00+00:00"
    assert info["seconds"] > 1000
    assert (info["epochs"], info["set"]) == (2, [])


def test_evaluate_keeps_its_metrics_in_the_run() -> None:
    train("--quiet")
    before = run_info("runs/flights")
    set_info("runs/flights", test=None)
    jsonnx("evaluate", "runs/flights")
    info = run_info("runs/flights")
    assert info["test"].keys() == {"loss", "mae"}
    assert info["test"] == pytest.approx(before["test"])
    jsonnx("evaluate", "runs/flights", "--data", "train.csv")
    info = run_info("runs/flights")
    assert [*info["evaluations"]] == ["../../train.csv"]
    assert info["test"] == pytest.approx(before["test"])


def test_evaluate_leaves_a_run_alone_that_is_being_trained() -> None:
    train("--quiet")
    before = Path("runs/flights/run.json").read_bytes()
    with RunFolder("runs/flights"):
        jsonnx("evaluate", "runs/flights", "--data", "train.csv")
        assert "running" not in jsonnx("runs").stdout
        set_state("runs/flights", "running")
        assert "running" in jsonnx("runs").stdout
    assert "interrupted" in jsonnx("runs").stdout
    assert json.loads(before).keys() == json.loads(Path("runs/flights/run.json").read_bytes()).keys()


def test_the_commit_is_read_from_the_repository(tmp_path: Path) -> None:
    revision = "0123456789" * 4
    git, spec_folder = tmp_path / "a/.git", tmp_path / "a/specs"
    (git / "refs/heads").mkdir(parents=True)
    spec_folder.mkdir()
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "packed-refs").write_text(f"# pack-refs\n{'9' * 40} refs/heads/main\n")
    assert git_revision(spec_folder) == "9" * 40
    (git / "refs/heads/main").write_text(f"{revision}\n")
    assert git_revision(spec_folder) == revision
    (git / "HEAD").write_text("nonsense")
    assert git_revision(spec_folder) is None
    worktree = tmp_path / "b"
    (git / "worktrees/b").mkdir(parents=True)
    worktree.mkdir()
    (worktree / ".git").write_text(f"gitdir: {git / 'worktrees/b'}\n")
    (git / "worktrees/b/HEAD").write_text("ref: refs/heads/main\n")
    (git / "worktrees/b/commondir").write_text("../..\n")
    assert git_revision(worktree) == revision


def test_no_pipe_or_device_of_a_repository_is_read(tmp_path: Path) -> None:
    head = tmp_path / ".git" / "HEAD"
    head.parent.mkdir()
    os.mkfifo(head)
    assert git_revision(tmp_path) is None
    head.unlink()
    head.symlink_to("/dev/zero")
    assert git_revision(tmp_path) is None


# -- runs and evaluate -------------------------------------------------------------------------------------------------


def test_runs_are_listed_with_their_metrics() -> None:
    train("--quiet", "-o", "all/one", "--set", "training.epochs=1")
    train("--quiet", "-o", "all/deep/two")
    lines = jsonnx("runs", "all").stdout.splitlines()
    assert lines[0].split() == ["run", "state", "epochs", "best", "test", "loss", "test", "mae", "duration", "started"]
    assert [line.split()[:3] for line in lines[2:]] == [["all/deep/two", "finished", "2"], ["all/one", "finished", "1"]]
    document = json.loads(jsonnx("runs", "all", "--format", "json", "--sort", "-epochs").stdout)
    assert [run["folder"] for run in document] == ["all/deep/two", "all/one"]
    assert document[0]["test"] == run_info("all/deep/two")["test"]
    assert document[0]["best"] == run_info("all/deep/two")["best"]
    rows = list(csv.DictReader(io.StringIO(jsonnx("runs", "all", "--format", "csv", "--sort", "test_mae").stdout)))
    assert [float(row["test_mae"]) for row in rows] == sorted(run["test"]["mae"] for run in document)
    assert "there is no such column" in jsonnx("runs", "all", "--sort", "maee", status=2).stderr


def test_damaged_and_foreign_runs_are_told_and_not_fatal() -> None:
    train("--quiet", "-o", "all/one")
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"data_folder": 3}')):
        Path("all", name).mkdir()
        Path("all", name, "run.json").write_text(text)
    Path("all/old").mkdir()
    old = {"jsonnx": "0.1.0", "data_folder": "..", "spec": "a.json", "seconds": "x", "test": [1], "monitor": 3}
    Path("all/old/run.json").write_text(json.dumps(old))
    Path("all/old/metrics.jsonl").write_text('{"epoch": 0, "loss": 1.0}\n{"epo')
    result = jsonnx("runs", "all")
    assert [line.split()[0] for line in result.stdout.splitlines()[2:]] == ["all/old", "all/one"]
    assert result.stdout.splitlines()[2].split()[1:3] == ["interrupted", "1"]
    assert all(f"all/{name}/run.json" in result.stderr for name in "abc")
    assert result.stderr.count("warning[") == 3


def test_a_folder_without_runs_is_no_error_and_a_missing_one_is() -> None:
    Path("empty").mkdir()
    assert "there are no runs in empty" in jsonnx("runs", "empty").stderr
    assert json.loads(jsonnx("runs", "empty", "--format", "json").stdout) == []
    assert "there is no folder 'missing'" in jsonnx("runs", "missing", status=2).stderr


def test_several_runs_and_models_are_evaluated_in_one_table() -> None:
    train("--quiet", "-o", "a")
    compile({**SPEC, "parameters": {"width": 1}}).save("m.onnx")
    single = json.loads(jsonnx("evaluate", "a", "--format", "json").stdout)
    assert single.pop("data") == {"split": "test", "files": ["test.csv"], "samples": 6}
    assert single.keys() == {"loss", "mae"}
    several = json.loads(jsonnx("evaluate", "a", "m.onnx", "--data", "test.csv", "--format", "json").stdout)
    assert [entry["run"] for entry in several] == ["a", "m.onnx"]
    assert several[0]["figures"] == single
    result = jsonnx("evaluate", "a", "m.onnx", "--data", "test.csv")
    assert result.stderr == "on test.csv, 6 rows:\n"
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["run", "loss", "mae"]
    assert [line.split()[0] for line in lines[2:]] == ["a", "m.onnx"]
    train("--quiet", "-o", "b", "--set", "training.data.test=null")
    expected = "a on the test data in test.csv, 6 rows\nb on the validation data in test.csv, 6 rows\n"
    assert jsonnx("evaluate", "a", "b").stderr == expected


def test_the_folder_of_a_run_is_not_broken_in_a_narrow_terminal() -> None:
    train("--quiet", "-o", "runs/a_table_of_runs")
    runs = list_runs(Path("runs"))[0]
    assert "\nruns/a_table_of_runs " in runs_text(runs, width=60)
