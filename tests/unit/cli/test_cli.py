"""The command line: results, exit statuses, messages, and files that must not change."""

from __future__ import annotations

import gzip
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from jsonnx.cli import main
from jsonnx.core.limits import bytes_text
from safetensors.numpy import load_file, save_file
from support.commands import SOURCE, jsonnx, process

SPEC: dict[str, Any] = {
    "name": "kinds",
    "inputs": {"flower": {"shape": [2]}},
    "layers": [
        {"type": "Dense", "name": "hidden", "units": 4, "activation": "relu", "kernel_regularizer": "l2"},
        {"type": "Dense", "name": "kind", "units": 3, "activation": "softmax"},
    ],
    "labels": ["x", "y", "z"],
    "training": {
        "data": {"train": "train.csv", "test": "test.csv", "x": ["p", "q"], "y": "kind"},
        "loss": "sparse_categorical_crossentropy",
        "optimizer": "adam",
        "metrics": ["accuracy"],
        "epochs": 2,
        "batch_size": 8,
    },
}


def table(rows: int, seed: int = 0) -> str:
    rng = np.random.default_rng(seed)
    lines = [f"{p:.3f},{q:.3f},{'xyz'[int(p + q) % 3]}" for p, q in rng.uniform(0, 4, (rows, 2))]
    return "\n".join(["p,q,kind", *lines]) + "\n"


@pytest.fixture
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Changes to a temporary folder with a spec and its data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.json").write_text(json.dumps(SPEC, indent=2))
    (tmp_path / "train.csv").write_text(table(24))
    (tmp_path / "test.csv").write_text(table(9, 1))
    return tmp_path


def spec_with(**changes: Any) -> str:
    """Writes a copy of the spec with some values changed, by path with `__` between keys, and returns its file name."""
    document = json.loads(json.dumps(SPEC))
    for path, value in changes.items():
        *steps, last = path.split("__")
        container = document
        for step in steps:
            container = container[step]
        container[last] = value
    Path("changed.json").write_text(json.dumps(document, indent=2))
    return "changed.json"


# -- every command ----------------------------------------------------------------------------------------------------


def test_a_spec_is_validated_trained_evaluated_and_used_for_predictions(work_folder: Path) -> None:
    assert jsonnx("validate", "spec.json").stdout == "1 file is fine\n"
    assert "hidden" in jsonnx("summary", "spec.json").stdout
    trained = jsonnx("train", "spec.json", "-o", "run")
    assert trained.stdout.splitlines()[-1] == f"wrote {Path('run', 'model.onnx')}"
    assert len(trained.stderr.splitlines()) == 2
    assert trained.stderr.startswith("epoch 1/2")
    metrics = json.loads(jsonnx("evaluate", "run", "--format", "json").stdout)
    assert f"{metrics['accuracy']:.4f}" in trained.stdout
    assert f"{metrics['loss']:.4f}" in trained.stdout
    assert jsonnx("evaluate", "run").stdout.startswith("loss ")
    model_metrics = json.loads(jsonnx("evaluate", "run/model.onnx", "--data", "test.csv", "--format", "json").stdout)
    assert model_metrics["accuracy"] == metrics["accuracy"]
    assert model_metrics["loss"] < metrics["loss"]  # a model does not contain the weight penalty

    lines = jsonnx("predict", "run", "--data", "test.csv").stdout.splitlines()
    assert lines[0] == "kind,kind: x,kind: y,kind: z"
    assert len(lines) == 10
    jsonnx("predict", "run/model.onnx", "--data", "test.csv", "-o", "p.csv")
    assert Path("p.csv").read_text().splitlines() == lines
    jsonnx("predict", "run", "--data", "test.csv", "-o", "p.json")
    jsonnx("predict", "run", "--data", "test.csv", "-o", "p.npz")
    predictions = np.load("p.npz")["kind"]
    assert np.allclose(json.loads(Path("p.json").read_text())["outputs"]["kind"], predictions)
    assert [line.partition(",")[0] for line in lines[1:]] == ["xyz"[k] for k in predictions.argmax(1)]


def test_compile_writes_a_model_or_a_training_folder(work_folder: Path) -> None:
    result = jsonnx("compile", "spec.json", "-o", "a.onnx")
    assert (result.stdout, result.stderr) == ("", f"wrote a.onnx ({bytes_text(os.path.getsize('a.onnx'))})\n")
    jsonnx("compile", "spec.json", "-o", "b.onnx", "--seed", "0")
    jsonnx("compile", "spec.json", "-o", "c.onnx", "--seed", "1")
    a, b, c = (Path(f"{name}.onnx").read_bytes() for name in "abc")
    assert a == b != c
    onnx.checker.check_model(onnx.load("a.onnx"), full_check=True)
    jsonnx("compile", "spec.json", "-o", "folder", "--training")
    written = ["manifest.json", "model.labels.json", "model.onnx", "train_step.onnx", "weights.safetensors"]
    assert sorted(os.listdir("folder")) == written
    assert Path("folder/model.onnx").read_bytes() == a


def test_schema_layers_explain_and_providers() -> None:
    assert json.loads(jsonnx("schema").stdout)["title"] == "jsonnx model"
    assert "Dense" in jsonnx("layers").stdout
    assert "units" in jsonnx("layers", "Dense").stdout
    assert "did you mean 'Dense'?" in jsonnx("layers", "Dens", status=2).stderr
    assert "as layers" in jsonnx("layers", "Lambda", status=2).stderr
    assert "as layers" in jsonnx("explain", "Lambda").stdout
    assert "Wrong:" in jsonnx("explain", "wrong-type").stdout
    assert "there is no error" in jsonnx("explain", "wrongtype", status=2).stderr
    rows = {row["name"]: row for row in json.loads(jsonnx("providers", "--format", "json").stdout)}
    assert rows["cpu"]["available"]
    assert "cuda" in jsonnx("providers").stdout
    assert jsonnx("--version").stdout.startswith("jsonnx, version ")
    for command in main.commands:
        assert "--help" in jsonnx(command, "--help").stdout


def test_usage_errors_exit_with_status_2(work_folder: Path) -> None:
    for arguments in (["nothing"], ["validate"], ["compile", "spec.json"], ["summary", "spec.json", "--format", "xml"]):
        assert "Error" in jsonnx(*arguments, status=2).stderr
    for seed in ("-1", "x", "1.5", str(1 << 63)):
        assert "--seed" in jsonnx("compile", "spec.json", "-o", "a.onnx", "--seed", seed, status=2).stderr


# -- invalid files ----------------------------------------------------------------------------------------------------


def test_validate_reports_all_errors_of_all_files(work_folder: Path) -> None:
    Path("bad.json").write_text('{"inputs": {"x": {"shape": [3]}},\n "layers": [{"type": "Dens"}, {"type": "Dense"}]}')
    Path("worse.json").write_text('{"inputs": }')
    result = jsonnx("validate", "bad.json", "spec.json", "worse.json", status=1)
    assert result.stdout == ""
    for expected in ("bad.json:2:22", "did you mean 'Dense'?", "bad.json:2:31", "worse.json:1:12", "in 2 of 3 files"):
        assert expected in result.stderr
    both = jsonnx("validate", "missing.json", "bad.json", status=2).stderr
    assert "missing.json" in both
    assert "bad.json:2:22" in both


@pytest.mark.parametrize("command", ["validate", "summary", "evaluate"])
@pytest.mark.parametrize("file", ["bad.json", "missing.json"])
def test_json_output_is_one_document_even_for_errors(work_folder: Path, command: str, file: str) -> None:
    Path("bad.json").write_text('{"inputs": {}, "layers": [1]}')
    result = jsonnx(command, file, "--format", "json", status=1 if file == "bad.json" else 2)
    assert result.stderr == ""
    (first, *_) = json.loads(result.stdout)
    assert {"code", "severity", "message", "file", "line", "column", "path", "help"} <= first.keys()
    if command == "summary":
        assert json.loads(jsonnx(command, "spec.json", "--format", "json").stdout)["totals"]["parameters"] == 27


def test_validate_writes_github_sarif_and_junit_formats(work_folder: Path) -> None:
    Path("bad.json").write_text('{"inputs": {}, "layers": [1]}')
    assert jsonnx("validate", "spec.json", "--format", "json").stdout == "[]\n"
    for status, file in ((1, "bad.json"), (2, "missing.json")):
        assert jsonnx("validate", file, "--format", "github", status=status).stdout.startswith(f"::error file={file}")
        (run,) = json.loads(jsonnx("validate", file, "--format", "sarif", status=status).stdout)["runs"]
        assert run["results"]
        text = jsonnx("validate", file, "--format", "junit", status=status).stdout
        assert ElementTree.fromstring(text).get("failures") == "1"


def test_a_spec_is_read_from_standard_input(work_folder: Path) -> None:
    text = Path("spec.json").read_text()
    assert jsonnx("validate", "-", stdin=text).stdout == "1 file is fine\n"
    assert "<stdin>:1:1" in jsonnx("validate", "-", "spec.json", stdin="", status=1).stderr
    assert "in 1 of 2 files" in jsonnx("validate", "-", "spec.json", stdin="{", status=1).stderr
    jsonnx("compile", "-", "-o", "a.onnx", stdin=text)
    jsonnx("train", "-", "-o", "run", stdin=text)
    jsonnx("evaluate", "run")


def test_a_file_that_is_not_regular_is_rejected_without_waiting(work_folder: Path) -> None:
    os.mkfifo("pipe")
    Path("folder").mkdir()
    for path in ("pipe", "folder", "/dev/zero", "no/where", "a\nb", "x" * 300):
        assert "unreadable-file" in jsonnx("validate", path, status=2).stderr
        jsonnx("compile", path, "-o", "a.onnx", status=2)
        jsonnx("compile", "spec.json", "-o", "a.onnx", "--weights", path, status=2)
        jsonnx("predict", path, "--data", "test.csv", status=2)
    assert not Path("a.onnx").exists()


# -- output files -----------------------------------------------------------------------------------------------------


def file_contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_an_input_file_is_never_overwritten(work_folder: Path) -> None:
    jsonnx("train", "spec.json", "-o", "run", "--quiet")
    os.link("spec.json", "hard.json")
    os.symlink("spec.json", "soft.json")
    Path("weights.safetensors").write_bytes(Path("run/weights.safetensors").read_bytes())
    weights = ["--weights", "weights.safetensors"]
    before = file_contents(work_folder)
    for arguments in (
        *(["compile", "spec.json", "-o", output] for output in ("spec.json", "./spec.json", "hard.json", "soft.json")),
        ["compile", "spec.json", "-o", "train.csv"],
        ["compile", "spec.json", "-o", "weights.safetensors", *weights],
        ["compile", "spec.json", "-o", ".", "--training", *weights],
        ["predict", "run", "--data", "test.csv", "-o", "test.csv"],
        ["predict", "run", "--data", "test.csv", "-o", "run/run.json"],
        ["train", "spec.json", "-o", "."],
        ["train", "spec.json", "-o", ".", "--force"],
        ["train", "spec.json", "-o", "run", "--force", "--weights", "run/weights.safetensors"],
    ):
        assert "is-an-input" in jsonnx(*arguments, status=2).stderr
    assert file_contents(work_folder) == before


def test_an_unwritable_output_is_an_error_and_leaves_no_files(work_folder: Path) -> None:
    Path("file").write_text("")
    before = file_contents(work_folder)
    for output in ("none/model.onnx", "file/model.onnx", "x" * 300, ".", "/proc/none"):
        assert "unwritable-file" in jsonnx("compile", "spec.json", "-o", output, status=2).stderr
    for output in ("file", "file/run", "/proc/none", "x" * 300):
        assert "unwritable-file" in jsonnx("train", "spec.json", "-o", output, "--quiet", status=2).stderr
    assert "unwritable-file" in jsonnx("schema", "-o", "none/schema.json", status=2).stderr
    assert file_contents(work_folder) == before
    jsonnx("train", "spec.json", "-o", "new/folder/run", "--quiet")


def test_file_modes_and_links_are_kept(work_folder: Path) -> None:
    Path("a.onnx").touch(mode=0o600)
    os.symlink("a.onnx", "link.onnx")
    jsonnx("compile", "spec.json", "-o", "link.onnx")
    assert stat.S_IMODE(os.stat("a.onnx").st_mode) == 0o600
    assert Path("link.onnx").is_symlink()
    onnx.checker.check_model(onnx.load("a.onnx"))


def test_predictions_need_a_known_file_extension(work_folder: Path) -> None:
    jsonnx("compile", "spec.json", "-o", "a.onnx")
    for output in ("p.txt", "p", ".csv"):
        assert (
            "use .csv, .json, .jsonl, .npz or .parquet"
            in jsonnx("predict", "a.onnx", "--data", "test.csv", "-o", output, status=2).stderr
        )
    jsonnx("predict", "a.onnx", "--data", "test.csv", "-o", "P.CSV")


# -- RUN folders ------------------------------------------------------------------------------------------------------


def test_a_run_is_replaced_only_with_force(work_folder: Path) -> None:
    jsonnx("train", "spec.json", "-o", "run", "--quiet")
    before = file_contents(work_folder)
    for output in ("run", "./run"):
        assert "start over with --force" in jsonnx("train", "spec.json", "-o", output, status=2).stderr
    Path("mine").mkdir()
    Path("mine/model.onnx").write_text("mine")
    assert "run-exists" in jsonnx("train", "spec.json", "-o", "mine", status=2).stderr
    assert "no-checkpoint" in jsonnx("train", "spec.json", "-o", "mine", "--resume", status=2).stderr
    assert os.listdir("mine") == ["model.onnx"]
    assert {path: text for path, text in file_contents(work_folder).items() if "mine" not in path} == before
    jsonnx("train", "spec.json", "-o", "run", "--quiet", "--force", "--seed", "9")
    assert file_contents(work_folder) != before


def test_a_resumed_run_gives_the_same_result_as_an_uninterrupted_one(work_folder: Path) -> None:
    best = spec_with(
        training__restore_best_weights=True, training__data={**SPEC["training"]["data"], "validation": "test.csv"}
    )
    for run, epochs in (("uninterrupted", 5), ("resumed", 2), ("resumed", 3), ("resumed", 5)):
        jsonnx(
            "train",
            best,
            "-o",
            run,
            "--resume" if Path(run).exists() else "--quiet",
            "--set",
            f"training.epochs={epochs}",
        )
    for name in ("model.onnx", "weights.safetensors"):
        assert Path("uninterrupted", name).read_bytes() == Path("resumed", name).read_bytes()
    records = [json.loads(line) for line in Path("resumed/metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [0, 1, 2, 3, 4]
    assert Path("uninterrupted/metrics.jsonl").read_text() == Path("resumed/metrics.jsonl").read_text()


def test_a_run_is_not_resumed_with_a_changed_spec_or_data(work_folder: Path) -> None:
    jsonnx("train", "spec.json", "-o", "run", "--quiet")
    before = file_contents(work_folder / "run")
    for change in (["--seed", "3"], ["--set", "layers.0.units=5"], ["--set", "training.optimizer.learning_rate=0.5"]):
        assert "checkpoint-mismatch" in jsonnx("train", "spec.json", "-o", "run", "--resume", *change, status=1).stderr
    Path("train.csv").write_text(table(24, 2))
    message = jsonnx("train", "spec.json", "-o", "run", "--resume", "--set", "training.epochs=4", status=1).stderr
    assert "the training data have changed" in message
    after = file_contents(work_folder / "run")
    assert all(after[path] == content for path, content in before.items() if path.endswith((".onnx", ".safetensors")))


def test_an_incomplete_or_damaged_run_is_an_error(work_folder: Path) -> None:
    jsonnx("train", "spec.json", "-o", "run", "--quiet")
    os.unlink("run/model.onnx")
    assert "--resume" in jsonnx("evaluate", "run", status=2).stderr
    assert "is not a RUN folder" in jsonnx("evaluate", ".", status=2).stderr
    jsonnx("train", "spec.json", "-o", "run", "--resume")
    jsonnx("evaluate", "run")
    for damage in ("[]", "{", "{}", '{"data_folder": "..", "spec": 5}', '{"data_folder": "\\u0000"}'):
        Path("run/run.json").write_text(damage)
        jsonnx("evaluate", "run", status=1)


def test_damaged_models_and_models_without_a_spec_have_different_errors(work_folder: Path) -> None:
    jsonnx("compile", "spec.json", "-o", "a.onnx")
    model_bytes = Path("a.onnx").read_bytes()
    Path("cut.onnx").write_bytes(model_bytes[: len(model_bytes) // 2])
    Path("empty.onnx").write_bytes(b"")
    model = onnx.load("a.onnx")
    del model.metadata_props[:]
    onnx.save(model, "bare.onnx")
    other = onnx.load("a.onnx")
    for entry in other.metadata_props:
        entry.value = entry.value.replace('"flower"', '"tree"')
    onnx.save(other, "other.onnx")
    codes = {"cut": "damaged-file", "empty": "bad-model", "bare": "no-spec", "other": "digest-mismatch"}
    for name, code in codes.items():
        assert code in jsonnx("predict", f"{name}.onnx", "--data", "test.csv", status=1).stderr
        assert code in jsonnx("evaluate", f"{name}.onnx", "--data", "test.csv", status=1).stderr
    unverified = jsonnx("predict", "other.onnx", "--data", "test.csv", "--unverified", status=1)
    assert "damaged-file" in unverified.stderr


def test_invalid_data_is_reported_and_leaves_no_run_folder(work_folder: Path) -> None:
    Path("outside.csv").write_text("p,q,kind\n1,2,x\n")
    Path("inner").mkdir()
    Path("inner/train.csv").write_text("p,q,kind\n1,2,x\n3,abc,w\n")
    os.symlink("../outside.csv", "inner/link.csv")
    document = json.dumps(SPEC).replace('"test": "test.csv", ', "")
    for name in ("train.csv", "none.csv", "../outside.csv", str(work_folder / "outside.csv"), "link.csv", "~/x.csv"):
        Path("inner/spec.json").write_text(document.replace("train.csv", name))
        status = 2 if name == "none.csv" else 1
        message = jsonnx("train", "inner/spec.json", "-o", "run", status=status).stderr
        if name == "train.csv":
            assert "inner/train.csv:3:3" in message
            assert "column 'q': 'q' holds 'abc', not a number" in message
            assert "column 'kind': the target of 'kind' is 'w', which is none of the labels" in message
        else:
            assert "inner/spec.json:1:" in message
            assert name in message
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("key", "value", "code", "status"),
    [
        ("training__early_stopping", {"patience": 1}, "unknown-figure", 1),
        ("training__data", {**SPEC["training"]["data"], "validation_split": 0.99}, "empty-data", 1),
        ("training__data", {**SPEC["training"]["data"], "test": "none.csv"}, "unreadable-file", 2),
        ("training__data", None, "no-data", 2),
        ("training", None, "missing-key", 1),
    ],
)
def test_a_run_with_an_error_in_the_training_section_is_not_started(
    work_folder: Path, key: str, value: Any, code: str, status: int
) -> None:
    assert code in jsonnx("train", spec_with(**{key: value}), "-o", "run", status=status).stderr
    assert not Path("run").exists()


def test_a_diverged_run_keeps_the_last_finite_weights(work_folder: Path) -> None:
    diverging = spec_with(training__loss="mean_squared_error", training__metrics=[], labels=None, training__epochs=50,
                     training__optimizer={"type": "sgd", "learning_rate": 1e6})  # fmt: skip
    document = json.loads(Path(diverging).read_text())
    del document["labels"]
    document["layers"][1] = {"type": "Dense", "name": "kind", "units": 1}
    document["training"]["data"] |= {"y": "q"}
    Path(diverging).write_text(json.dumps(document))
    result = jsonnx("train", diverging, "-o", "run", status=1)
    assert "the loss became" in result.stderr
    assert "run/model.onnx" in result.stderr
    assert all(np.isfinite(array).all() for array in load_file("run/weights.safetensors").values())
    jsonnx("evaluate", "run")


# -- several inputs and outputs ---------------------------------------------------------------------------------------

SEVERAL: dict[str, Any] = {
    "name": "house",
    "inputs": {"place": {"shape": [2]}, "kind": {"shape": [1], "dtype": "int32"}},
    "layers": [
        {"type": "Embedding", "name": "known", "from": "kind", "input_dim": 4, "output_dim": 3},
        {"type": "Flatten", "name": "flat"},
        {"type": "Concatenate", "name": "all", "from": ["place", "flat"]},
        {"type": "Dense", "name": "price", "from": "all", "units": 1},
        {"type": "Dense", "name": "state", "from": "all", "units": 2, "activation": "softmax"},
    ],
    "outputs": ["price", "state"],
    "labels": {"state": ["bad", "good"]},
    "training": {
        "data": {
            "train": "d.csv",
            "test": "d.csv",
            "x": {"place": ["north", "east"], "kind": "type"},
            "y": {"price": "euros", "state": "condition"},
        },
        "loss": {"price": "mae", "state": "sparse_categorical_crossentropy"},
        "loss_weights": {"state": 2},
        "metrics": {"state": ["accuracy"]},
        "optimizer": "adam",
        "epochs": 2,
    },
}


def test_a_network_with_several_inputs_and_outputs(work_folder: Path) -> None:
    rng = np.random.default_rng(0)
    place, kind, euros = rng.random((20, 2)), rng.integers(0, 4, 20), rng.random(20)
    words = ["good" if price > 0.5 else "bad" for price in euros]
    rows = [f"{a},{b},{k},{p},{w}" for (a, b), k, p, w in zip(place, kind, euros, words, strict=True)]
    Path("d.csv").write_text("\n".join(["north,east,type,euros,condition", *rows]))
    np.savez("d.npz", place=place, type=kind, euros=euros, condition=[word == "good" for word in words])
    Path("csv.json").write_text(json.dumps(SEVERAL))
    arrays = json.dumps(SEVERAL).replace("d.csv", "d.npz").replace('["north", "east"]', '"place"')
    Path("npz.json").write_text(arrays)
    for name in ("csv", "npz"):
        jsonnx("train", f"{name}.json", "-o", name, "--quiet")
    assert Path("csv/weights.safetensors").read_bytes() == Path("npz/weights.safetensors").read_bytes()
    metrics, of_arrays = (json.loads(jsonnx("evaluate", name, "--format", "json").stdout) for name in ("csv", "npz"))
    assert metrics.pop("data")["files"] == ["d.csv"]
    assert of_arrays.pop("data")["files"] == ["d.npz"]
    assert list(metrics) == ["loss", "price_loss", "state_loss", "state_accuracy"]
    assert metrics == of_arrays
    assert metrics["loss"] == pytest.approx(metrics["price_loss"] + 2 * metrics["state_loss"])
    lines = jsonnx("predict", "csv", "--data", "d.csv").stdout.splitlines()
    assert lines[0] == "price,state,state: bad,state: good"
    assert lines[1].split(",")[1] in ("bad", "good")
    Path("far.csv").write_text("north,east,type\n1,2,3\n1,2,4\n")
    message = jsonnx("predict", "csv", "--data", "far.csv", status=1).stderr
    assert "far.csv:3:5" in message
    assert "input 'kind' is 4; valid are 0 to 3" in message
    jsonnx("predict", "npz/model.onnx", "--data", "d.npz", "-o", "p.npz")
    assert {name: array.shape for name, array in np.load("p.npz").items()} == {"price": (20, 1), "state": (20, 2)}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("east,type", "east,tipe", "there is no column 'type' for input 'kind'"),
        ('"kind": "type"', '"sort": "type"', "'x' maps 'sort'"),
        (
            '"x": {"place": ["north", "east"], "kind": "type"}',
            '"x": ["north"]',
            "names columns without saying for which of",
        ),
        ('["north", "east"]', '["north"]', "has shape [samples], the network wants float32[batch, 2]"),
        ("1,0.3,good", "7,0.3,good", "input 'kind' is 7; valid are 0 to 3"),
        ("1,0.3,good", "1.5,0.3,good", "not a whole number"),
        ("1,0.3,good", "1,0.3,fine", "'fine', which is none of the labels"),
    ],
)
def test_data_that_does_not_match_several_inputs_is_an_error(
    work_folder: Path, old: str, new: str, message: str
) -> None:
    texts = {"d.csv": "north,east,type,euros,condition\n1,2,1,0.3,good\n3,4,0,0.1,bad\n", "s.json": json.dumps(SEVERAL)}
    assert any(old in text for text in texts.values())
    for name, text in texts.items():
        Path(name).write_text(text.replace(old, new))
    assert message in jsonnx("train", "s.json", "-o", "run", status=1).stderr
    assert not Path("run").exists()


# -- options ----------------------------------------------------------------------------------------------------------


def test_all_shows_the_diagnostics_beyond_the_first_twenty(work_folder: Path) -> None:
    layers = [{"type": "Dense", "unit": 3} for _ in range(30)]
    Path("many.json").write_text(json.dumps({"inputs": {"x": {"shape": [3]}}, "layers": layers}, indent=0))
    for command in ("validate", "summary"):
        assert "and 10 more in many.json; --all shows them" in jsonnx(command, "many.json", status=1).stderr
        assert jsonnx(command, "many.json", "--all", status=1).stderr.count("error[unknown-key]") == 30


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ("training.epochs=1", 0, ""),
        ("layers.0.units=7", 0, ""),
        ("training.optimizer.learning_rate=0.1", 0, ""),
        ("training.loss=kullback_leibler_divergence", 1, "--set training.loss"),
        ("layers.0.units=0", 1, "changed by --set layers.0.units=0"),
        ("layers.0.units=six", 1, "expected an integer for 'units', got \"six\""),
        ("layers.0.unit=6", 1, "did you mean 'units'?"),
        ("layers.9.units=3", 2, "there is no '9' in a list of 2, counted from 0"),
        ("layers.-1.units=3", 2, "there is no '-1'"),
        ("layers.\N{SUPERSCRIPT TWO}.units=3", 2, "there is no"),
        ("training.epochs.more=3", 2, "there is no 'more' in 2"),
        ("training.epochs", 2, "not of the form KEY=VALUE"),
        ("=3", 2, "not of the form KEY=VALUE"),
        ("training..epochs=3", 2, "not of the form KEY=VALUE"),
        (".".join("a" * 5000) + "=3", 2, "not of the form KEY=VALUE"),
        ("x=" + "[" * 5000, 2, "there is no parameter 'x'"),
        ("description=" + "[" * 5000, 0, ""),
        ("training=null", 0, ""),
    ],
)
def test_set_overrides_values_by_path(work_folder: Path, change: str, status: int, message: str) -> None:
    assert message in jsonnx("compile", "spec.json", "-o", "a.onnx", "--set", change, status=status).stderr


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("weights")
    (folder / "spec.json").write_text(json.dumps(SPEC))
    jsonnx("compile", str(folder / "spec.json"), "-o", str(folder), "--training")
    arrays = load_file(folder / "weights.safetensors")
    return {name: array for name, array in arrays.items() if not name.startswith("optimizer/")}


def test_weights_are_read_from_safetensors_and_npz(work_folder: Path, weights: dict[str, np.ndarray]) -> None:
    changed = {name: array + np.float32(0.5) for name, array in weights.items()}
    save_file(changed, "w.safetensors")
    np.savez("w.npz", **changed)
    np.savez("w64.NPZ.npz", **{name: array.astype(">f8") for name, array in changed.items()})
    for number, file in enumerate(("w.safetensors", "w.npz", "w64.NPZ.npz")):
        jsonnx("compile", "spec.json", "-o", f"{number}.onnx", "--weights", file)
        assert Path(f"{number}.onnx").read_bytes() == Path("0.onnx").read_bytes()
    jsonnx(
        "train",
        "spec.json",
        "-o",
        "run",
        "--weights",
        "w.npz",
        "--quiet",
        "--set",
        "training.optimizer.learning_rate=1e-30",
    )
    trained = load_file("run/weights.safetensors")
    assert all(np.array_equal(trained[name], changed[name]) for name in changed)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda name, array: (name.upper(), array), "did you mean 'hidden/kernel'?"),
        (lambda name, array: (name, array.T), "has shape [4, 2], the network wants [2, 4]"),
        (lambda name, array: (name, array[None]), "has shape [1, 2, 4]"),
        (lambda name, array: (name, np.full(array.shape, "a")), "elements, the network wants float32"),
        (lambda name, array: (name, array * 1j), "complex"),
        (lambda name, array: (name, array * np.nan), "holds nan"),
        (lambda name, array: (name, np.full(array.shape, 1e300)), "too large for float32"),
        (lambda name, array: (name, np.array([{}], object)), "cannot be read"),
    ],
)
def test_weights_that_do_not_match_are_an_error(
    work_folder: Path, weights: dict[str, np.ndarray], damage: Any, message: str
) -> None:
    name, array = damage("hidden/kernel", weights["hidden/kernel"])
    np.savez("w.npz", **{name: array, **{n: a for n, a in weights.items() if n != "hidden/kernel"}})
    for command in (["compile", "spec.json", "-o", "a.onnx"], ["train", "spec.json", "-o", "run"]):
        assert message in jsonnx(*command, "--weights", "w.npz", status=1).stderr
    assert not Path("a.onnx").exists()
    assert not Path("run").exists()


def test_damaged_weight_files_are_an_error(work_folder: Path, weights: dict[str, np.ndarray]) -> None:
    save_file(weights, "w.safetensors")
    np.savez("w.npz", **weights)
    np.save("array.npy", np.ones(3))
    os.rename("array.npy", "array.npz")
    for file in ("w.safetensors", "w.npz"):
        content = Path(file).read_bytes()
        ending = Path(file).suffix
        for number, damaged_bytes in enumerate(
            (b"", b"x" * 99, content[:300], content[:99] + b"\xff" * 99 + content[198:])
        ):
            Path(f"{number}{ending}").write_bytes(damaged_bytes)
            jsonnx("compile", "spec.json", "-o", "a.onnx", "--weights", f"{number}{ending}", status=1)
    for file in ("array.npz", "spec.json", "train.csv"):
        jsonnx("compile", "spec.json", "-o", "a.onnx", "--weights", file, status=1)
    assert not Path("a.onnx").exists()


def test_a_missing_provider_is_an_error_that_shows_how_to_install_it(work_folder: Path) -> None:
    result = jsonnx("train", "spec.json", "-o", "run", "--provider", "tensorrt", status=2)
    assert "pip install" in result.stderr
    assert "did you mean 'cuda'?" in jsonnx("train", "spec.json", "-o", "run", "--provider", "cudaa", status=2).stderr
    assert not Path("run").exists()
    jsonnx("train", "spec.json", "-o", "run", "--provider", "CPUExecutionProvider", "--quiet")


# -- real processes ---------------------------------------------------------------------------------------------------

WITHOUT_RUNTIME = """
import sys
sys.modules["onnxruntime"] = None
from jsonnx.cli import main
for line in sys.stdin:
    try:
        main(line.split(), prog_name="jsonnx")
    except SystemExit as error:
        print("STATUS", line.split()[0], error.code, flush=True)
"""


def test_commands_that_run_no_model_work_without_onnxruntime(work_folder: Path) -> None:
    commands = {
        "validate spec.json": 0,
        "summary spec.json": 0,
        "compile spec.json -o a.onnx": 0,
        "schema": 0,
        "layers Dense": 0,
        "explain wrong-type": 0,
        "providers": 0,
        "train spec.json -o run": 2,
        "evaluate a.onnx --data test.csv": 2,
        "predict a.onnx --data test.csv": 2,
    }
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_RUNTIME], input="\n".join(commands), capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)}, timeout=300,
    )  # fmt: skip
    statuses = [line.split()[1:] for line in result.stdout.splitlines() if line.startswith("STATUS")]
    assert statuses == [[command.split()[0], str(status)] for command, status in commands.items()]
    assert result.stderr.count("help: pip install ") == 3
    assert not Path("run").exists()


@pytest.mark.slow
def test_a_closed_pipe_is_not_an_error(work_folder: Path) -> None:
    Path("bad.json").write_text('{"layers": []}')
    shell = f'PYTHONPATH="{SOURCE}" "{sys.executable}" -m jsonnx'
    for command, status in (
        ("schema", 0),
        ("validate bad.json --format json", 1),
        ("train spec.json -o run --quiet", 0),
    ):
        line = f'({shell} {command}; echo "status $?" >&2) | true'
        result = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=300)
        assert result.stderr == f"status {status}\n"
    result = subprocess.run(["sh", "-c", f"{shell} train spec.json -o other 2>&1 | true"], timeout=300)
    assert Path("other/model.onnx").exists()


@pytest.mark.slow
def test_closed_and_full_standard_streams(work_folder: Path) -> None:
    shell = f'PYTHONPATH="{SOURCE}" "{sys.executable}" -m jsonnx'
    for line, status in (
        ("layers >/dev/full", 2),
        ("validate spec.json <&- >&- 2>&-", 0),
        ("validate missing.json 2>&-", 2),
        ("train spec.json -o run <&- >&- 2>&-", 0),
    ):
        assert (
            subprocess.run(["sh", "-c", f"{shell} {line}"], stderr=subprocess.DEVNULL, timeout=300).returncode == status
        )
    assert json.loads(Path("run/run.json").read_text())["seed"] == 0


@pytest.mark.costly(2)
@pytest.mark.parametrize(
    "environment",
    [{"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "latin-1"}],
)
def test_characters_that_the_terminal_cannot_encode_are_escaped(work_folder: Path, environment: dict[str, str]) -> None:
    spec = spec_with(labels=["\u65e5\u672c", "\u2192", "z"])
    Path(spec).write_text(Path(spec).read_text().replace('"units"', '"\u65e5\u2192"'), encoding="utf-8")
    result = process("validate", spec, env=environment, encoding="latin-1")
    assert (result.returncode, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr
    assert (
        process("compile", spec_with(labels=["\u65e5", "\u2192", "z"]), "-o", "a.onnx", env=environment).returncode == 0
    )
    result = process("predict", "a.onnx", "--data", "test.csv", env=environment, encoding="latin-1")
    assert (result.returncode, len(result.stdout.splitlines())) == (0, 10)


def test_compile_tells_the_size_of_the_download_for_browsers(work_folder: Path) -> None:
    message = jsonnx("compile", "spec.json", "-o", "a.onnx", "--for", "webgpu").stderr
    data = Path("a.onnx").read_bytes()
    sizes = [bytes_text(len(item)) for item in (data, gzip.compress(data, 6))]
    assert message == f"wrote a.onnx ({sizes[0]}, {sizes[1]} with gzip)\n"
    labels = Path("a.labels.json").read_bytes()
    jsonnx("compile", "spec.json", "-o", "b.onnx")
    assert Path("b.labels.json").read_bytes() == labels


def test_the_environment_does_not_change_the_model(work_folder: Path) -> None:
    """The bytes are the same without a home and a temporary folder, with optimised bytecode, warnings as errors."""
    jsonnx("compile", "spec.json", "-o", "a.onnx")
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "TMPDIR": "/nonexistent", "PYTHONOPTIMIZE": "2",
            "PYTHONHASHSEED": "7", "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
    command = [sys.executable, "-W", "error", "-m", "jsonnx", "compile", "spec.json", "-o", "b.onnx"]
    result = subprocess.run(command, env=bare, capture_output=True, text=True, timeout=300)
    assert (result.returncode, result.stderr) == (0, f"wrote b.onnx ({bytes_text(os.path.getsize('b.onnx'))})\n")
    assert Path("a.onnx").read_bytes() == Path("b.onnx").read_bytes()


def test_an_internal_error_is_reported_as_a_bug(work_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jsonnx.lowering.cost.cost_table", lambda *arguments: 1 // 0)
    result = jsonnx("summary", "spec.json", status=70)
    assert "This is a bug in jsonnx" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_commands_in_a_deleted_folder(work_folder: Path) -> None:
    folder = work_folder / "deleted"
    shell = f'mkdir "{folder}"; cd "{folder}"; rmdir "{folder}"; PYTHONPATH="{SOURCE}" "{sys.executable}" -m jsonnx'
    for line, status in (
        (f'compile "{work_folder}/spec.json" -o "{work_folder}/a.onnx"', 0),
        (f'train "{work_folder}/spec.json" -o "{work_folder}/run" --quiet', 0),
        (f'compile "{work_folder}/spec.json" -o a.onnx', 2),
    ):
        result = subprocess.run(["sh", "-c", f"{shell} {line}"], capture_output=True, text=True, timeout=300)
        assert (result.returncode, "Traceback" in result.stderr) == (status, False)


def test_options_of_other_programs_are_answered_with_the_change_of_the_spec() -> None:
    error = jsonnx("train", "spec.json", "--epochs", "3", status=2).stderr
    assert "--set 'training.epochs=3'" in error
    assert "--set 'training.optimizer.learning_rate=0.001'" in jsonnx("train", "spec.json", "--lr=1", status=2).stderr
    assert "--set" not in jsonnx("predict", "run", "--epochs", "3", status=2).stderr


def test_data_taken_for_a_spec_are_answered_with_the_option(tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    path.write_text('[{"x": 1}]')
    assert "--data=FILE" in jsonnx("validate", str(path), status=1).stderr
