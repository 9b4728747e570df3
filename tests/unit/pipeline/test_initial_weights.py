"""Transfer learning: complete and partial weights, frozen layers, and learning rates per layer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from click.testing import Result
from jsonnx.cli import main
from safetensors.numpy import load_file, save_file
from support.commands import IN_PROCESS

X = np.random.default_rng(0).normal(size=(24, 6)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 3, 24)


def network(classes: int = 3, **training: Any) -> dict[str, Any]:
    return {
        "name": "kinds",
        "inputs": {"x": {"shape": [6]}},
        "layers": [
            {"type": "Dense", "name": "body_1", "units": 5},
            {"type": "BatchNormalization", "name": "body_2"},
            {"type": "Dense", "name": "head", "units": classes, "activation": "softmax"},
        ],
        "training": {
            "data": {"train": "train.npz", "x": "x", "y": "y"},
            "loss": "sparse_categorical_crossentropy",
            "optimizer": {"type": "sgd", "learning_rate": 0.1},
            "epochs": 2,
            "batch_size": 8,
            **training,
        },
    }


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Changes to a folder with a spec, its data, and the weights of a network with other classes."""
    monkeypatch.chdir(tmp_path)
    np.savez("train.npz", x=X, y=Y)
    Path("spec.json").write_text(json.dumps(network()))
    old = jsonnx.Trainer(network(classes=7), seed=5).weights()
    save_file({**old, "old/bias": np.ones(2, np.float32)}, "old.safetensors")
    return tmp_path


def run(*arguments: str, status: int = 0) -> Result:
    result = IN_PROCESS.invoke(main, arguments)
    assert result.exit_code == status, (result.output, result.exception)
    return result


def old() -> dict[str, np.ndarray]:
    return load_file("old.safetensors")


# -- freezing and rates -----------------------------------------------------------------------------------------------


def trained(spec: dict[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    trainer = jsonnx.Trainer(spec)
    before = trainer.weights()
    trainer.fit(X, Y)
    return before, trainer.weights()


def test_freeze_equals_trainable_false_in_the_layers() -> None:
    frozen_spec = network()
    for layer in frozen_spec["layers"][:2]:
        layer["trainable"] = False
    before, after = trained(network(freeze=["body_*"]))
    _, expected = trained(frozen_spec)
    assert all(np.array_equal(after[name], expected[name]) for name in after)
    changed_layers = {name.partition("/")[0] for name in after if not np.array_equal(after[name], before[name])}
    assert changed_layers == {"head"}  # moving averages are frozen too, as in Keras


def test_the_weights_of_a_frozen_layer_are_counted_as_not_trainable() -> None:
    rows = {row.name: row for row in jsonnx.compile(network(freeze=["body_1"])).rows()}
    assert (rows["body_1"].trainable, rows["head"].trainable) == (0, rows["head"].parameters)


def test_a_learning_rate_factor_scales_the_step_of_its_layers_only() -> None:
    def step(**training: Any) -> dict[str, np.ndarray]:
        trainer = jsonnx.Trainer(network(**training), weights=start)
        trainer.step(X, Y)
        return {name: array - start[name] for name, array in trainer.weights().items()}

    start = jsonnx.Trainer(network()).weights()
    full, slow = step(), step(learning_rates={"body_*": 0.25})
    for name in ("body_1/kernel", "body_2/gamma"):
        np.testing.assert_allclose(slow[name], full[name] / 4, rtol=1e-4, atol=1e-7)
        assert np.abs(full[name]).max() > 1e-3
    for name in ("head/kernel", "body_2/moving_mean"):
        assert np.array_equal(slow[name], full[name])


def test_a_learning_rate_factor_scales_weight_decay() -> None:
    optimizer = {"type": "sgd", "learning_rate": 0.1, "weight_decay": 0.5}
    spec = network(optimizer=optimizer, learning_rates={"body_1": 0.5})
    spec["layers"][0] |= {"kernel_initializer": "ones"}
    spec["layers"][2] |= {"kernel_initializer": "zeros"}  # so that no gradient reaches the body
    trainer = jsonnx.Trainer(spec)
    trainer.step(X, Y)
    np.testing.assert_allclose(trainer.weights()["body_1/kernel"], 1 - 0.5 * 0.1 * 0.5, rtol=1e-6)


# -- partial weights --------------------------------------------------------------------------------------------------


def test_partial_weights_need_the_option_partial(here: Path) -> None:
    for command in (["compile", "spec.json", "-o", "a.onnx"], ["train", "spec.json", "-o", "run", "--quiet"]):
        errors = run(*command, "--weights", "old.safetensors", status=1).stderr
        assert "the weight 'head/kernel' has shape [5, 7], the network wants [5, 3]" in errors
        assert "the network has no weight 'old/bias'" in errors
        assert "--partial" in errors
    assert sorted(path.name for path in here.iterdir()) == ["old.safetensors", "spec.json", "train.npz"]
    result = run("compile", "spec.json", "-o", "a.onnx", "--weights", "old.safetensors", "--partial")
    assert result.stdout == ""
    lines = [line.split() for line in result.stderr.splitlines()]
    assert lines[0][:4] == ["weights:", "6", "of", "8"]
    assert [line[0] for line in lines[4:] if line] == ["head/kernel", "head/bias", "old/bias", "wrote"]
    assert "(5, 3) (5, 7) has shape" in " ".join(lines[4])


def test_a_run_folder_stands_for_its_weights(here: Path) -> None:
    Path("runs/a").mkdir(parents=True)
    save_file(jsonnx.Trainer(network(), seed=4).weights(), "runs/a/weights.safetensors")
    run("compile", "spec.json", "-o", "a.onnx", "--weights", "runs/a")
    run("compile", "spec.json", "-o", "b.onnx", "--weights", "runs/a/weights.safetensors")
    assert Path("a.onnx").read_bytes() == Path("b.onnx").read_bytes()
    in_spec = network(weights={"file": "runs/a"})
    Path("folder.json").write_text(json.dumps(in_spec))
    run("compile", "folder.json", "-o", "c.onnx")
    np.testing.assert_array_equal(
        jsonnx.compile("folder.json").weights["head/kernel"], jsonnx.Trainer(network(), seed=4).weights()["head/kernel"]
    )


def test_a_folder_without_weights_and_a_model_are_no_weights(here: Path) -> None:
    Path("runs/a").mkdir(parents=True)
    command = ("compile", "spec.json", "-o", "a.onnx", "--weights")
    assert "the folder 'runs/a' has no weights of a run" in run(*command, "runs/a", status=2).stderr
    Path("runs/a/run.json").write_text("{}")
    assert "the run in 'runs/a' has no weights yet" in run(*command, "runs/a", status=2).stderr
    run("compile", "spec.json", "-o", "m.onnx")
    errors = run(*command, "m.onnx", status=2).stderr
    assert "'m.onnx' is a model, not a file of weights" in errors
    assert "give its RUN folder" in errors


def test_weights_missing_from_a_file_are_drawn_from_the_seed(here: Path) -> None:
    seeded_trainer, partial_trainer = (
        jsonnx.Trainer(network(), seed=9),
        jsonnx.Trainer(network(), seed=9, weights=old(), partial=True),
    )
    assert np.array_equal(partial_trainer.weights()["head/kernel"], seeded_trainer.weights()["head/kernel"])
    assert np.array_equal(partial_trainer.weights()["body_1/kernel"], old()["body_1/kernel"])
    model = jsonnx.compile(network(), "old.safetensors", 9, partial=True)
    assert all(np.array_equal(array, partial_trainer.weights()[name]) for name, array in model.weights.items())
    for report in (model.weights_report, partial_trainer.weights_report):
        assert report is not None
        assert report.taken[:2] == ("body_1/kernel", "body_1/bias")
        assert (list(report.unfit), report.extra, report.missing) == (["head/kernel", "head/bias"], ("old/bias",), ())
    assert seeded_trainer.weights_report is None


def test_a_missing_weight_is_reported_with_a_similar_name(here: Path) -> None:
    weights = old()
    save_file({"body1/kernel": weights["body_1/kernel"], "body_1/bias": weights["body_1/bias"]}, "few.safetensors")
    report = run("compile", "spec.json", "-o", "a.onnx", "--weights", "few.safetensors", "--partial").stderr
    row = next(line for line in report.splitlines() if line.startswith("body_1/kernel"))
    assert "not given; did you mean 'body1/kernel'?" in row
    assert "weights: 1 of 8 taken" in report


def test_a_file_without_any_fitting_weight_is_an_error_with_partial(here: Path) -> None:
    save_file({"a/kernel": np.ones(3, np.float32)}, "other.safetensors")
    result = run("compile", "spec.json", "-o", "a.onnx", "--weights", "other.safetensors", "--partial", status=1)
    assert "none of the weights fits the network" in result.stderr
    with pytest.raises(jsonnx.FeedError, match="none of the weights"):
        jsonnx.Trainer(network(), weights={"a": np.ones(2)}, partial=True)


def test_partial_without_weights_is_refused(here: Path) -> None:
    assert "no weights that could be taken partially" in run("train", "spec.json", "--partial", status=2).stderr


def test_complete_weights_are_loaded_without_a_report(here: Path) -> None:
    save_file(jsonnx.Trainer(network(), seed=3).weights(), "all.safetensors")
    messages = run("compile", "spec.json", "-o", "a.onnx", "--weights", "all.safetensors", "--partial").stderr
    assert re.fullmatch(r"wrote a\.onnx \(.*\)\n", messages)


# -- weights named by the spec ----------------------------------------------------------------------------------------

BODY = {"file": "old.safetensors", "layers": ["body_*"]}


def test_layers_start_from_the_weights_named_by_the_spec(here: Path) -> None:
    Path("spec.json").write_text(json.dumps(network(weights=BODY)))
    for weights in (jsonnx.Trainer("spec.json").weights(), jsonnx.compile("spec.json").weights):
        assert np.array_equal(weights["body_1/kernel"], old()["body_1/kernel"])
    kernel = jsonnx.Trainer(network()).weights()["head/kernel"]
    assert np.array_equal(jsonnx.Trainer("spec.json").weights()["head/kernel"], kernel)
    explicit = jsonnx.Trainer("spec.json", weights=jsonnx.Trainer(network()).weights()).weights()
    assert not np.array_equal(explicit["body_1/kernel"], old()["body_1/kernel"])  # explicit weights take precedence


def test_names_in_a_file_may_lack_the_prefix_of_the_spec(here: Path) -> None:
    save_file({name.removeprefix("body_"): array for name, array in old().items()}, "bare.safetensors")
    spec = network(weights={"file": "bare.safetensors", "layers": ["body_*"], "prefix": "body_"})
    assert np.array_equal(jsonnx.Trainer(spec).weights()["body_1/kernel"], old()["body_1/kernel"])


@pytest.mark.parametrize(
    ("weights", "code", "message"),
    [
        ("old.safetensors", "weights-mismatch", "'head/kernel' has shape [5, 7], the network wants [5, 3]"),
        ({"file": "old.safetensors", "layers": ["body_1", "head"]}, "weights-mismatch", "'head/bias' has shape [7]"),
        ({"file": "train.npz", "layers": ["body_1"]}, "weights-mismatch", "2 weights are missing: 'body_1/kernel'"),
        ("../old.safetensors", "unsafe-path", "does not lie beneath"),
        ("absent.safetensors", "unreadable-file", "no such file"),
    ],
)
def test_weights_named_by_the_spec_that_do_not_fit_are_errors(
    here: Path, weights: Any, code: str, message: str
) -> None:
    Path("spec.json").write_text(json.dumps(network(weights=weights), indent=1))
    for build in (jsonnx.compile, jsonnx.Trainer):
        with pytest.raises((jsonnx.CompileError, jsonnx.UsageError)) as error:
            build("spec.json")
        diagnostics = getattr(error.value, "diagnostics", None) or [error.value.diagnostic]
        assert any(diagnostic.code == code and message in diagnostic.message for diagnostic in diagnostics), diagnostics
        assert {diagnostic.path for diagnostic in diagnostics} == {"$.training.weights"}
        assert all(diagnostic.line for diagnostic in diagnostics)


def test_a_run_resumes_after_its_initial_weights_were_deleted(here: Path) -> None:
    Path("spec.json").write_text(json.dumps(network(weights=BODY, epochs=1, freeze=["body_*"])))
    assert (
        "weights: " not in run("train", "spec.json", "-o", "run", "--quiet").stderr
    )  # all requested weights were found
    Path("old.safetensors").unlink()
    run("train", "spec.json", "-o", "run", "--quiet", "--resume", "--set", "training.epochs=3")
    assert "accuracy" not in run("evaluate", "run", "--data", "train.npz").stdout
    assert len(Path("run/metrics.jsonl").read_text().splitlines()) == 3


def test_weights_named_by_the_spec_are_not_overwritten(here: Path) -> None:
    Path("spec.json").write_text(json.dumps(network(weights=BODY)))
    assert "is read by this command" in run("compile", "spec.json", "-o", "old.safetensors", status=2).stderr
