"""The layout of RUN folders and its schema, `jsonnx.Run`, and `jsonnx.lock`."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from jsonnx import CompileError, Run, Trainer, UsageError
from jsonnx.core.files.digests import file_sha256
from jsonnx.core.providers.execution_provider import FLAG
from jsonnx.core.providers.known_providers import PROVIDERS
from jsonnx.render.schemas.run_schema import lock_schema, run_schema
from support.commands import jsonnx

SPEC: dict[str, Any] = {
    "name": "clouds",
    "parameters": {"width": 2},
    "scales": {"large": {"width": 3}},
    "blocks": {
        "Pair": {
            "globals": ["width"],
            "layers": [{"type": "Dense", "units": "${width}"}, {"type": "Dense", "units": 2}],
        }
    },
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"type": "Pair"}, {"type": "Dense", "name": "y", "units": 3, "activation": "softmax"}],
    "training": {
        "data": {"train": "train.csv", "validation": "test.csv", "test": "test.csv", "x": ["a", "b"]},
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy", {"type": "f1_score", "average": None}],
        "optimizer": "adam",
        "epochs": 3,
        "batch_size": 8,
    },
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec, its data, and two runs of it."""
    folder = tmp_path_factory.mktemp("home")
    rng = np.random.default_rng(0)
    for name, count in (("train", 60), ("test", 12)):
        rows = [f"{a:.4f},{b:.4f},{('calm', 'rain', 'snow')[rng.integers(3)]}" for a, b in rng.normal(size=(count, 2))]
        (folder / f"{name}.csv").write_text("\n".join(["a,b,y", *rows, ""]))
    (folder / "clouds.json").write_text(json.dumps(SPEC, indent=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for _ in range(2):
            train("--quiet", "--set", "training.batch_size=2")
    return folder


@pytest.fixture(autouse=True)
def home(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(trained, folder)
    monkeypatch.chdir(folder)
    return folder


def train(*options: str, status: int = 0) -> Any:
    return jsonnx("train", "clouds.json", *options, status=status)


def folder_document(folder: Path) -> dict[str, Any]:
    """The JSON files of a RUN folder by name."""
    names = ("run.json", "execution.json", "spec.json", "spec.expanded.json")
    lines = ("metrics.jsonl", "steps.jsonl")
    return {name: json.loads((folder / name).read_text()) for name in names} | {
        name: [json.loads(line) for line in (folder / name).read_text().splitlines()] for name in lines
    }


# -- the layout --------------------------------------------------------------------------------------------------------


def test_runs_follow_the_schema_of_their_layout() -> None:
    schema = run_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonnx("evaluate", "runs/clouds", "--data", "train.csv")
    train("--quiet", "-o", "replaced", "--data", "test.csv", "--scale", "large")
    for folder in ("runs/clouds", "runs/clouds-2", "replaced"):
        jsonschema.validate(folder_document(Path(folder)), schema)
    broken = folder_document(Path("runs/clouds"))
    del broken["run.json"]["seed"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_equal_runs_have_equal_bytes_but_for_when_and_where_they_ran() -> None:
    first, second = (
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}
        for folder in ("runs/clouds", "runs/clouds-2")
    )
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == ["execution.json"]
    assert not any(str(Path.home()).encode() in content for content in first.values())


def test_a_run_has_the_spec_as_written_as_trained_and_without_blocks() -> None:
    train("--quiet", "--scale", "large", "-o", "large")
    run = Run("large")
    assert run.source_spec == Path("clouds.json").read_text()
    assert run.spec["parameters"] == {"width": 3}
    assert run.spec["labels"] == {"y": ["calm", "rain", "snow"]}
    expanded = json.loads(Path("large/spec.expanded.json").read_text())
    assert [layer.get("units") for layer in expanded["layers"]] == [3, 2, 3]
    assert (run.scale, run.parameters, run.provider, run.seed) == ("large", {"width": 3}, "cpu", 0)


def test_the_hashes_are_those_of_the_files() -> None:
    run = Run("runs/clouds")
    assert run.hashes == {name: file_sha256(run.folder / name) for name in ("weights.safetensors", "model.onnx")}
    assert {name: array.shape for name, array in run.weights().items()}["y/kernel"] == (2, 3)


# -- metrics -----------------------------------------------------------------------------------------------------------


def test_metrics_are_read_by_epoch_and_step() -> None:
    run = Run("runs/clouds")
    assert run.epochs == 3
    metrics = {"loss", "accuracy", "f1_score"}
    assert run.history.keys() == {*metrics, *(f"val_{name}" for name in metrics), "learning_rate"}
    assert [len(values) for values in run.history["f1_score"]] == [3, 3, 3]
    assert run.figures["val_loss"] == run.history["val_loss"][-1]
    assert run.steps.keys() == {"step", "epoch", "loss", "accuracy", "learning_rate"}
    assert run.steps["step"] == [step + 30 * epoch for epoch in range(3) for step in (10, 20, 30)]
    assert run.steps["loss"][2] == run.history["loss"][0]  # the mean at the end of an epoch is that of the epoch
    assert run.figure_labels()["f1_score"] == [("calm", "rain", "snow")]
    assert run.missing == []


def test_a_resumed_run_has_the_lines_of_steps_of_one_that_was_not_interrupted() -> None:
    train("--quiet", "-o", "whole", "--set", "training.batch_size=2")
    train("--quiet", "-o", "parts", "--set", "training.batch_size=2", "--set", "training.epochs=1")
    path = Path("parts/steps.jsonl")
    path.write_text(path.read_text() + '{"step": 40, "epoch": 1, "loss": 1.0}\n{"step": 5')  # as if killed in epoch 2
    train("--quiet", "-o", "parts", "--set", "training.batch_size=2", "--resume")
    assert len(Run("parts").steps["step"]) == 9
    assert path.read_bytes() == Path("whole/steps.jsonl").read_bytes()


def test_a_run_of_an_earlier_version_is_read_as_far_as_it_goes() -> None:
    folder = Path("runs/clouds")
    document = folder_document(folder)
    execution = document["execution.json"]
    old = {key: value for key, value in document["run.json"].items() if key not in ("layout", "sha256")}
    (folder / "run.json").write_text(json.dumps({"jsonnx": "0.1.0", **old, **execution}))
    for name in ("execution.json", "spec.expanded.json", "steps.jsonl"):
        (folder / name).unlink()
    run = Run(folder)
    assert set(run.missing) == {"execution.json", "spec.expanded.json", "steps.jsonl", "sha256"}
    assert (run.steps, run.epochs, run.state) == ({}, 3, "finished")
    assert run.started == execution["started"]
    result = jsonnx("compare", "runs/clouds", "runs/clouds-2")
    assert "an earlier version of jsonnx wrote it" in result.stderr
    assert "no difference in spec, data, seed and environment" in result.stdout
    assert "does not record sha256" in jsonnx("lock", "runs/clouds", status=2).stderr.replace("\n", " ")


def test_a_folder_that_is_no_run_is_an_error() -> None:
    with pytest.raises(UsageError, match="not a RUN folder"):
        Run("runs")
    Path("runs/clouds", "execution.json").write_text("{")
    with pytest.raises(CompileError):
        Run("runs/clouds")


ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**400,
    1e308,
    "\x1b[31m",
    [],
    [[[1]]],
    {},
    {"figure": []},
    {"train": 3},
)


@pytest.mark.parametrize("value", ODD_VALUES, ids=lambda value: str(value)[:12])
def test_odd_values_in_the_files_of_a_run_are_no_internal_error(value: Any) -> None:
    run, execution = (json.loads(Path("runs/clouds", name).read_text()) for name in ("run.json", "execution.json"))
    line = {"epoch": 0, "loss": value, "accuracy": [value, 1.0], "val_loss": float("nan")}
    Path("runs/clouds/metrics.jsonl").write_text(json.dumps(line) + "\n" + json.dumps({"epoch": 1, "loss": 2.0}) + "\n")
    Path("runs/clouds/run.json").write_text(json.dumps(dict.fromkeys(run, value) | {"spec": "clouds.json"}))
    Path("runs/clouds", "execution.json").write_text(json.dumps(dict.fromkeys(execution, value) | {"data_folder": "."}))
    for format in ("text", "json", "csv"):
        assert len(jsonnx("runs", "--format", format, "--sort", "best").stdout.splitlines()) > 2
    text = jsonnx("compare", "runs/clouds", "runs/clouds-2").stdout
    assert "val_loss" in text
    assert "\x1b" not in text
    jsonnx("compare", "runs/clouds-2", "runs/clouds", "--format", "json")
    jsonnx("lock", "runs/clouds", status=2)


# -- runs and compare --------------------------------------------------------------------------------------------------


def test_runs_are_filtered_and_sorted_by_columns() -> None:
    train("--quiet", "-o", "runs/other", "--seed", "1", "--set", "width=5", "--set", "training.epochs=2")
    for conditions, count in {
        ("seed=1",): 1,
        ("training.epochs<3",): 1,
        ("training.epochs>=3", "state=finished"): 2,
        ("width!=2",): 1,
        ("name!=2", "test_loss>0"): 3,
        ("spec=clouds.json", "val_loss < 0"): 0,
        ("state>1",): 0,
    }.items():
        options = [option for condition in conditions for option in ("--where", condition)]
        assert len(json.loads(jsonnx("runs", *options, "--format", "json").stdout)) == count, conditions
        shown = jsonnx("runs", *options)
        assert (len(shown.stdout.splitlines()) == 2 + count) if count else ("no run fulfils" in shown.stderr)
    for key in ("-width", "training.epochs"):
        runs = json.loads(jsonnx("runs", "--sort", key, "--format", "json").stdout)
        assert runs[0]["folder"] == "runs/other"


@pytest.mark.parametrize("condition", ["vall_loss>1", "state", ">3", "val_loss>", "val_loss>="])
def test_a_wrong_condition_is_an_error(condition: str) -> None:
    assert "error[bad-option]: --where" in jsonnx("runs", "--where", condition, status=2).stderr


def test_runs_are_compared_with_differences_curves_and_classes() -> None:
    train("--quiet", "-o", "wide", "--seed", "1", "--set", "width=5", "--data", "test.csv")
    text = jsonnx("compare", "runs/clouds", "wide").stdout
    for part in (
        "runs/clouds -> wide",
        "seed changes from 0 to 1",
        "the number of samples of train data changes from 60 to 12",
        "units 2 -> 5",
        "val_loss\n  runs/clouds  ",
        "█",
        "test f1_score  runs/clouds",
    ):
        assert part in text
    assert [line.split()[0] for line in text.splitlines() if line.startswith(("calm", "rain", "snow"))] == [
        "calm",
        "rain",
        "snow",
    ]
    document = json.loads(jsonnx("compare", "runs/clouds", "wide", "--format", "json").stdout)
    assert document["differences"][0]["spec"]["parameters"]["new"] > 0
    assert len(document["runs"][0]["history"]["loss"]) == 3


# -- jsonnx.lock -------------------------------------------------------------------------------------------------------


def test_a_locked_run_is_reproduced() -> None:
    train("--quiet", "-o", "first", "--seed", "7", "--scale", "large", "--set", "training.epochs=2")
    assert "wrote the run of clouds.json to jsonnx.lock" in jsonnx("lock", "first").stderr
    jsonschema.validate(json.loads(Path("jsonnx.lock").read_text()), lock_schema())
    assert "the weights are those of jsonnx.lock, bit for bit" in train("--locked", "-o", "second").stdout
    assert Path("second/run.json").read_bytes() == Path("first/run.json").read_bytes()


def test_a_locked_run_keeps_the_schedule_of_the_epochs_before_it_was_resumed() -> None:
    rate = {"type": "CosineDecay", "initial_learning_rate": 0.01, "decay_steps": "all"}
    training = {**SPEC["training"], "optimizer": {"type": "adam", "learning_rate": rate}}
    Path("clouds.json").write_text(json.dumps(SPEC | {"training": training}))
    train("--quiet", "-o", "first")
    train("--quiet", "-o", "first", "--resume", "--set", "training.epochs=5")
    jsonnx("lock", "first")
    assert Run("first").info["schedule_steps"] == {"decay_steps": 24}
    assert "the weights are those of jsonnx.lock, bit for bit" in train("--locked", "-o", "second").stdout
    assert Run("second").info["schedule_steps"] == {"decay_steps": 24}
    document = json.loads(Path("jsonnx.lock").read_text())
    for steps in ({"decay_steps": 0}, {"warmup_steps": 3}):  # of no run of this spec
        document["specs"]["clouds.json"]["schedule_steps"] = steps
        Path("jsonnx.lock").write_text(json.dumps(document))
        assert f"schedule_steps changes from {json.dumps(steps)}" in train("--locked", "-o", "third", status=1).stderr


def test_a_locked_run_has_the_options_of_its_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROVIDERS, "cpu", replace(PROVIDERS["cpu"], options={"use_tf32": FLAG}))
    option = ("--provider-option", "use_tf32=1")
    train("--quiet", "-o", "first", *option)
    jsonschema.validate(folder_document(Path("first")), run_schema())
    jsonnx("lock", "first")
    train("--quiet", "--locked", "-o", "second")
    assert Run("second").info["provider_options"] == ["use_tf32=1"]
    assert "--provider-option exclude each other" in train("--locked", *option, status=2).stderr
    jsonnx("lock", "runs/clouds")
    assert 'provider_options changes from [] to ["use_tf32=1"]' in jsonnx("compare", "runs/clouds", "first").stdout
    document = json.loads(Path("jsonnx.lock").read_text())
    del document["specs"]["clouds.json"]["provider_options"]
    Path("jsonnx.lock").write_text(json.dumps(document))
    train("--quiet", "--locked", "-o", "third")


def test_a_run_with_other_inputs_is_refused_before_anything_is_written() -> None:
    jsonnx("lock", "runs/clouds-2")
    path = Path("test.csv")
    path.write_text(path.read_text().replace("rain", "snow", 1))
    error = train("--locked", "-o", "new", status=1).stderr
    assert "error[lock-mismatch]" in error
    assert "the test data have changed" in error
    Path("clouds.json").write_text(json.dumps(SPEC | {"name": "other"}))
    assert "the spec has changed" in train("--locked", "-o", "new", status=1).stderr
    assert not Path("new").exists()
    assert "exclude each other" in train("--locked", "--seed", "1", status=2).stderr


def test_other_weights_are_told_with_what_may_have_caused_them() -> None:
    jsonnx("lock", "runs/clouds")
    document = json.loads(Path("jsonnx.lock").read_text())
    entry = document["specs"]["clouds.json"]
    entry["weights_sha256"], entry["versions"]["numpy"] = "0" * 64, "1.0"
    Path("jsonnx.lock").write_text(json.dumps(document))
    error = train("--locked", "-o", "new", status=1).stderr
    assert "warning[not-exact]" in error
    assert "error[lock-mismatch]: the weights are not those in jsonnx.lock" in error
    assert error.count("numpy changes from 1.0 to") == 2
    assert Run("new").state == "finished"


def test_a_lock_file_must_be_there_and_sound() -> None:
    assert "error[no-lock]" in train("--locked", status=2).stderr
    jsonnx("lock", "runs/clouds")
    Path("other.json").write_text(Path("clouds.json").read_text())
    assert "has no entry for 'other.json'" in jsonnx("train", "other.json", "--locked", status=2).stderr
    document = json.loads(Path("jsonnx.lock").read_text())
    for key, value in (("threads", 10**6), ("set", [1]), ("seed", -1), ("data", {"train": 1}), ("machine", {})):
        entry = document["specs"]["clouds.json"] | {key: value}
        Path("jsonnx.lock").write_text(json.dumps(document | {"specs": {"clouds.json": entry}}))
        assert "error[damaged-file]" in train("--locked", status=1).stderr


def test_only_a_finished_run_with_its_own_weights_is_locked() -> None:
    weights = Path("runs/clouds/weights.safetensors")
    weights.write_bytes(weights.read_bytes() + b" ")
    assert "has changed since the run has ended" in jsonnx("lock", "runs/clouds", status=2).stderr
    info = json.loads(Path("runs/clouds-2/run.json").read_text())
    Path("runs/clouds-2/run.json").write_text(json.dumps(info | {"state": "diverged"}))
    assert "error[not-lockable]" in jsonnx("lock", "runs/clouds-2", status=2).stderr
    assert not Path("jsonnx.lock").exists()


def test_a_lock_keeps_the_number_of_threads() -> None:
    jsonnx("lock", "runs/clouds")
    document = json.loads(Path("jsonnx.lock").read_text())
    document["specs"]["clouds.json"]["threads"] = 1
    Path("jsonnx.lock").write_text(json.dumps(document))
    train("--locked", "--quiet", "-o", "new")
    assert Run("new").threads == 1
    assert Trainer("clouds.json", threads=1).environment()["threads"] == 1
