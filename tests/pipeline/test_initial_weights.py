"""Transfer learning as people do it: weights taken in whole or in part, layers frozen, layers that learn slowly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from click.testing import CliRunner, Result
from jsonnx.cli import main
from safetensors.numpy import load_file, save_file

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
    """A folder to be in, with data and the weights of a network with other classes."""
    monkeypatch.chdir(tmp_path)
    np.savez("train.npz", x=X, y=Y)
    Path("spec.json").write_text(json.dumps(network()))
    old = jsonnx.Trainer(network(classes=7), seed=5).weights()
    save_file({**old, "old/bias": np.ones(2, np.float32)}, "old.safetensors")
    return tmp_path


def run(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments)
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


def test_frozen_layers_are_as_if_they_said_so_themselves() -> None:
    said = network()
    for layer in said["layers"][:2]:
        layer["trainable"] = False
    before, after = trained(network(freeze=["body_*"]))
    _, same = trained(said)
    assert all(np.array_equal(after[name], same[name]) for name in after)
    moved = {name.partition("/")[0] for name in after if not np.array_equal(after[name], before[name])}
    assert moved == {"head"}  # the moving averages stay too, as in Keras


def test_a_frozen_layer_is_counted_as_such() -> None:
    rows = {row.name: row for row in jsonnx.compile(network(freeze=["body_1"])).rows()}
    assert (rows["body_1"].trainable, rows["head"].trainable) == (0, rows["head"].parameters)


def test_a_factor_scales_the_step_of_its_layers_alone() -> None:
    def step(**training: Any) -> dict[str, np.ndarray]:
        trainer = jsonnx.Trainer(network(**training), weights=start)
        trainer.step(X, Y)
        return {name: array - start[name] for name, array in trainer.weights().items()}

    start = jsonnx.Trainer(network()).weights()
    usual, slow = step(), step(learning_rates={"body_*": 0.25})
    for name in ("body_1/kernel", "body_2/gamma"):
        np.testing.assert_allclose(slow[name], usual[name] / 4, rtol=1e-4, atol=1e-7)
        assert np.abs(usual[name]).max() > 1e-3
    for name in ("head/kernel", "body_2/moving_mean"):
        assert np.array_equal(slow[name], usual[name])


def test_weight_decay_is_scaled_with_the_rate() -> None:
    optimizer = {"type": "sgd", "learning_rate": 0.1, "weight_decay": 0.5}
    spec = network(optimizer=optimizer, learning_rates={"body_1": 0.5})
    spec["layers"][0] |= {"kernel_initializer": "ones"}
    spec["layers"][2] |= {"kernel_initializer": "zeros"}  # so that no gradient reaches the body
    trainer = jsonnx.Trainer(spec)
    trainer.step(X, Y)
    np.testing.assert_allclose(trainer.weights()["body_1/kernel"], 1 - 0.5 * 0.1 * 0.5, rtol=1e-6)


# -- weights in part --------------------------------------------------------------------------------------------------


def test_weights_in_part_are_taken_only_where_asked(here: Path) -> None:
    for command in (["compile", "spec.json", "-o", "a.onnx"], ["train", "spec.json", "-o", "run", "--quiet"]):
        failed = run(*command, "--weights", "old.safetensors", status=1).stderr
        assert "the weight 'head/kernel' has shape [5, 7], the network wants [5, 3]" in failed
        assert "there is no weight 'old/bias'" in failed
        assert "--partial" in failed
    assert sorted(path.name for path in here.iterdir()) == ["old.safetensors", "spec.json", "train.npz"]
    told = run("compile", "spec.json", "-o", "a.onnx", "--weights", "old.safetensors", "--partial")
    assert told.stdout == ""
    lines = [line.split() for line in told.stderr.splitlines()]
    assert lines[0][:4] == ["weights:", "6", "of", "8"]
    assert [line[0] for line in lines[4:] if line] == ["head/kernel", "head/bias", "old/bias", "wrote"]
    assert "(5, 3) (5, 7) has shape" in " ".join(lines[4])


def test_what_is_not_taken_is_drawn_from_the_seed(here: Path) -> None:
    whole, part = jsonnx.Trainer(network(), seed=9), jsonnx.Trainer(network(), seed=9, weights=old(), partial=True)
    assert np.array_equal(part.weights()["head/kernel"], whole.weights()["head/kernel"])
    assert np.array_equal(part.weights()["body_1/kernel"], old()["body_1/kernel"])
    model = jsonnx.compile(network(), "old.safetensors", 9, partial=True)
    assert all(np.array_equal(array, part.weights()[name]) for name, array in model.weights.items())
    for report in (model.weights_report, part.weights_report):
        assert report is not None
        assert report.taken[:2] == ("body_1/kernel", "body_1/bias")
        assert (list(report.unfit), report.extra, report.missing) == (["head/kernel", "head/bias"], ("old/bias",), ())
    assert whole.weights_report is None


def test_a_missing_weight_is_told_with_what_it_may_be_called(here: Path) -> None:
    weights = old()
    save_file({"body1/kernel": weights["body_1/kernel"], "body_1/bias": weights["body_1/bias"]}, "few.safetensors")
    told = run("compile", "spec.json", "-o", "a.onnx", "--weights", "few.safetensors", "--partial").stderr
    row = next(line for line in told.splitlines() if line.startswith("body_1/kernel"))
    assert "not given; did you mean 'body1/kernel'?" in row
    assert "weights: 1 of 8 taken" in told


def test_a_file_of_which_nothing_fits_is_an_error_even_in_part(here: Path) -> None:
    save_file({"a/kernel": np.ones(3, np.float32)}, "other.safetensors")
    failed = run("compile", "spec.json", "-o", "a.onnx", "--weights", "other.safetensors", "--partial", status=1)
    assert "none of the weights fits the network" in failed.stderr
    with pytest.raises(jsonnx.FeedError, match="none of the weights"):
        jsonnx.Trainer(network(), weights={"a": np.ones(2)}, partial=True)


def test_there_must_be_weights_to_take_in_part(here: Path) -> None:
    assert "no weights that could be taken partially" in run("train", "spec.json", "--partial", status=2).stderr


def test_whole_weights_are_taken_without_a_word(here: Path) -> None:
    save_file(jsonnx.Trainer(network(), seed=3).weights(), "all.safetensors")
    told = run("compile", "spec.json", "-o", "a.onnx", "--weights", "all.safetensors", "--partial").stderr
    assert told == "wrote a.onnx\n"


# -- weights that the spec names --------------------------------------------------------------------------------------

BODY = {"file": "old.safetensors", "layers": ["body_*"]}


def test_a_spec_says_where_its_layers_start_from(here: Path) -> None:
    Path("spec.json").write_text(json.dumps(network(weights=BODY)))
    for weights in (jsonnx.Trainer("spec.json").weights(), jsonnx.compile("spec.json").weights):
        assert np.array_equal(weights["body_1/kernel"], old()["body_1/kernel"])
    drawn = jsonnx.Trainer(network()).weights()["head/kernel"]
    assert np.array_equal(jsonnx.Trainer("spec.json").weights()["head/kernel"], drawn)
    given = jsonnx.Trainer("spec.json", weights=jsonnx.Trainer(network()).weights()).weights()
    assert not np.array_equal(given["body_1/kernel"], old()["body_1/kernel"])  # what is given comes first


def test_a_name_in_the_file_may_lack_a_prefix(here: Path) -> None:
    save_file({name.removeprefix("body_"): array for name, array in old().items()}, "bare.safetensors")
    spec = network(weights={"file": "bare.safetensors", "layers": ["body_*"], "prefix": "body_"})
    assert np.array_equal(jsonnx.Trainer(spec).weights()["body_1/kernel"], old()["body_1/kernel"])


@pytest.mark.parametrize(
    ("weights", "code", "told"),
    [
        ("old.safetensors", "weights-mismatch", "'head/kernel' has shape [5, 7], the network wants [5, 3]"),
        ({"file": "old.safetensors", "layers": ["body_1", "head"]}, "weights-mismatch", "'head/bias' has shape [7]"),
        ({"file": "train.npz", "layers": ["body_1"]}, "weights-mismatch", "'body_1/kernel' is missing"),
        ("../old.safetensors", "unsafe-path", "does not lie beneath"),
        ("absent.safetensors", "unreadable-file", "no such file"),
    ],
)
def test_weights_that_the_spec_names_must_fit(here: Path, weights: Any, code: str, told: str) -> None:
    Path("spec.json").write_text(json.dumps(network(weights=weights), indent=1))
    for make in (jsonnx.compile, jsonnx.Trainer):
        with pytest.raises((jsonnx.CompileError, jsonnx.UsageError)) as error:
            make("spec.json")
        found = getattr(error.value, "diagnostics", None) or [error.value.diagnostic]
        assert any(fault.code == code and told in fault.message for fault in found), found
        assert {fault.path for fault in found} == {"$.training.weights"}
        assert all(fault.line for fault in found)


def test_a_run_goes_on_when_the_weights_it_started_from_are_gone(here: Path) -> None:
    Path("spec.json").write_text(json.dumps(network(weights=BODY, epochs=1, freeze=["body_*"])))
    assert "weights: " not in run("train", "spec.json", "-o", "run", "--quiet").stderr  # all that was asked for
    Path("old.safetensors").unlink()
    run("train", "spec.json", "-o", "run", "--quiet", "--resume", "--set", "training.epochs=3")
    assert "accuracy" not in run("evaluate", "run", "--data", "train.npz").stdout
    assert len(Path("run/metrics.jsonl").read_text().splitlines()) == 3


def test_the_weights_that_a_spec_names_are_not_written_over(here: Path) -> None:
    Path("spec.json").write_text(json.dumps(network(weights=BODY)))
    assert "is read by this command" in run("compile", "spec.json", "-o", "old.safetensors", status=2).stderr
