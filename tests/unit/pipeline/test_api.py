"""The public Python API: models, training, and the errors of wrong calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest

SPEC: dict[str, Any] = {
    "name": "pair",
    "inputs": {"a": {"shape": [3]}, "b": {"shape": [4, 2]}},
    "layers": [
        {"type": "GRU", "name": "read", "from": "b", "units": 4},
        {"type": "Concatenate", "name": "both", "from": ["a", "read"]},
        {"type": "Dense", "name": "kind", "from": "both", "units": 3, "activation": "softmax"},
        {"type": "Dense", "name": "size", "from": "both", "units": 1},
    ],
    "outputs": ["kind", "size"],
    "training": {
        "loss": {"kind": "sparse_categorical_crossentropy", "size": "mse"},
        "loss_weights": {"size": 0.5},
        "metrics": {"kind": ["accuracy"], "size": ["mae"]},
        "optimizer": "adam",
        "epochs": 2,
        "batch_size": 8,
    },
}

LINE: dict[str, Any] = {
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"type": "Dense", "name": "y", "units": 1}],
    "training": {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.1}},
}

RNG = np.random.default_rng(0)
X = {"a": RNG.normal(size=(20, 3)).astype(np.float32), "b": RNG.normal(size=(20, 4, 2)).astype(np.float32)}
Y = {"kind": RNG.integers(0, 3, 20), "size": RNG.normal(size=20)}
PX, PY = RNG.normal(size=(12, 2)), RNG.normal(size=12)


# -- specs and models -------------------------------------------------------------------------------------------------


def test_a_weight_with_the_name_of_another_weights_next_value_is_an_error_in_training() -> None:
    """A training step would confuse the two; without training there is no conflict."""
    bidirectional = {
        "type": "Bidirectional",
        "layer": {"type": "LSTM", "units": 2, "return_sequences": True},
        "name": "next",
    }
    spec = {
        "inputs": {"x": {"shape": [5, 3]}},
        "layers": [bidirectional, {"type": "LSTM", "units": 2, "name": "forward_lstm"}],
    }
    jsonnx.compile(spec)
    with pytest.raises(jsonnx.CompileError) as error:
        jsonnx.Trainer({**spec, "training": {"loss": "mse"}})
    (diagnostic,) = error.value.diagnostics
    assert (diagnostic.code, diagnostic.path) == ("duplicate-name", "$.layers[0]")
    assert "next value of 'forward_lstm/lstm_cell/kernel'" in diagnostic.message


def test_a_spec_is_a_path_a_text_or_a_dict(tmp_path: Path) -> None:
    path = tmp_path / "pair.json"
    path.write_text(json.dumps(SPEC))
    models = []
    for spec in (path, str(path), json.dumps(SPEC), "\n  " + json.dumps(SPEC), SPEC):
        assert jsonnx.validate(spec) == []
        models.append(jsonnx.compile(spec, weights=None, seed=0).to_bytes())
        assert list(jsonnx.Trainer(spec).step(X, Y)) == ["loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae"]
    assert len(set(models)) == 1


def test_a_diagnostic_has_code_path_position_and_help(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{"inputs": {"x": {"shape": [2]}},\n "layers": [{"type": "Dense", "unit": 1}]}')
    (diagnostic,) = jsonnx.validate(path)
    assert isinstance(diagnostic, jsonnx.Diagnostic)
    assert (diagnostic.code, diagnostic.path, diagnostic.line, diagnostic.column) == (
        "unknown-key",
        "$.layers[0].unit",
        2,
        31,
    )
    assert (diagnostic.severity, diagnostic.help, diagnostic.file) == ("error", "did you mean 'units'?", str(path))
    assert "unit" in diagnostic.message
    with pytest.raises(jsonnx.CompileError) as error:
        jsonnx.compile(path)
    assert error.value.diagnostics == [diagnostic]
    assert "bad.json:2:31" in str(error.value)


def test_a_model_is_saved_and_run_from_memory_and_from_its_file(tmp_path: Path) -> None:
    model = jsonnx.compile(SPEC)
    assert {name: str(type) for name, type in model.inputs.items()} == {
        "a": "float32[batch, 3]",
        "b": "float32[batch, 4, 2]",
    }
    output = model.outputs["kind"]
    assert (output.dtype, str(output.shape[0]), output.shape[1]) == ("float32", "batch", 3)
    assert "read" in model.summary()
    model.save(tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == model.to_bytes()
    results = [
        session.run(X)
        for session in (
            model.session(provider="cpu"),
            jsonnx.Session(tmp_path / "model.onnx", provider="cpu"),
            jsonnx.Session(str(tmp_path / "model.onnx")),
            jsonnx.Session(model.to_bytes()),
            jsonnx.Session(model, provider="auto"),
        )
    ]
    for result in results:
        assert {name: array.shape for name, array in result.items()} == {"kind": (20, 3), "size": (20, 1)}
        assert all(np.array_equal(result[name], results[0][name]) for name in result)


def test_seed_and_weights_determine_the_model(tmp_path: Path) -> None:
    model, repeated_model, model_of_another_seed = (
        jsonnx.compile(LINE, seed=seed).to_bytes() for seed in (4, np.int64(4), 5)
    )
    assert model == repeated_model != model_of_another_seed
    weights = {"y/kernel": np.array([[2.0], [3.0]]), "y/bias": [1]}
    np.savez(tmp_path / "w.npz", **weights)
    for source in (weights, tmp_path / "w.npz", str(tmp_path / "w.npz")):
        assert jsonnx.compile(LINE, source).session().run([[1.0, 10.0]])["y"] == 33
        assert jsonnx.Trainer(LINE, weights=source).predict([[1, 10]]) == 33


def test_a_single_input_is_given_without_its_name() -> None:
    session = jsonnx.compile(LINE).session()
    (expected,) = session.run({"x": PX}).values()
    for x in (PX, PX.tolist(), PX.astype(np.float32)):
        assert np.array_equal(session.run(x)["y"], expected)


def test_public_names_are_listed_and_unknown_names_raise() -> None:
    assert {"compile", "validate", "Trainer", "Session", "Model", "Diagnostic", "CompileError"} <= set(dir(jsonnx))
    assert jsonnx.__version__
    with pytest.raises(AttributeError, match="no attribute 'Traner'"):
        jsonnx.Traner  # noqa: B018


# -- training ---------------------------------------------------------------------------------------------------------


def test_a_model_is_trained_evaluated_and_checkpointed_from_arrays(tmp_path: Path) -> None:
    trainer = jsonnx.Trainer(SPEC, provider="cpu", seed=0)
    assert list(trainer.weights()) == [
        "read/gru_cell/kernel", "read/gru_cell/recurrent_kernel", "read/gru_cell/bias",
        "kind/kernel", "kind/bias", "size/kernel", "size/bias",
    ]  # fmt: skip
    history = trainer.fit(X, Y, batch_size=16, epochs=3, shuffle=True, validation_data=(X, Y))
    assert len(history.history["loss"]) == len(history.history["val_kind_accuracy"]) == 3
    metrics = trainer.evaluate(X, Y)
    assert metrics["loss"] == pytest.approx(history.history["val_loss"][-1])
    assert metrics["loss"] == pytest.approx(metrics["kind_loss"] + 0.5 * metrics["size_loss"])
    predicted = trainer.predict(X)
    deployed = trainer.model().session().run(X)
    for name in ("kind", "size"):
        np.testing.assert_allclose(deployed[name], predicted[name], atol=1e-6)
    trainer.save_checkpoint(tmp_path / "c")
    expected = trainer.step(X, Y)
    resumed = jsonnx.Trainer(SPEC)
    resumed.load_checkpoint(tmp_path / "c")
    assert resumed.step(X, Y) == expected
    assert all(np.array_equal(array, resumed.weights()[name]) for name, array in trainer.weights().items())


def test_a_step_with_sgd_subtracts_the_scaled_gradient() -> None:
    trainer = jsonnx.Trainer(LINE)
    trainer.set_weights({"y/kernel": [[0.0], [0.0]], "y/bias": [0.0]})
    assert trainer.step(PX, PY)["loss"] == pytest.approx((PY**2).mean(), rel=1e-6)
    weights = trainer.weights()
    np.testing.assert_allclose(weights["y/kernel"][:, 0], 0.1 * 2 * (PX * PY[:, None]).mean(0), rtol=1e-5)
    np.testing.assert_allclose(weights["y/bias"], [0.1 * 2 * PY.mean()], rtol=1e-5)
    assert trainer.predict(PX).shape == (12, 1)


def test_fit_and_evaluate_read_the_data_of_the_spec(tmp_path: Path) -> None:
    rows = "\n".join(f"{a:.3f},{b:.3f},{c:.3f}" for (a, b), c in zip(PX, PY, strict=True))
    (tmp_path / "d.csv").write_text(f"a,b,y\n{rows}\n")
    data = {"train": "d.csv", "test": "d.csv", "x": ["a", "b"], "validation_split": 0.25}
    (tmp_path / "s.json").write_text(json.dumps({**LINE, "training": {**LINE["training"], "data": data, "epochs": 4}}))
    trainer = jsonnx.Trainer(tmp_path / "s.json")
    history = trainer.fit()
    assert list(history.history) == ["loss", "val_loss", "learning_rate"]
    assert len(history.epoch) == 4
    assert trainer.evaluate()["loss"] > 0


# -- wrong calls ------------------------------------------------------------------------------------------------------


def wrong_calls() -> dict[str, tuple[Any, type[Exception], str]]:
    compile, trainer, session = jsonnx.compile, jsonnx.Trainer(LINE), jsonnx.compile(LINE).session()
    pair = jsonnx.Trainer(SPEC)
    without = {key: value for key, value in LINE.items() if key != "training"}
    ones = {"y/kernel": np.ones((2, 1)), "y/bias": np.ones(1)}
    return {
        "spec-of-no-kind": (lambda: jsonnx.validate(5), TypeError, "a spec is a path, a JSON text or a dict"),
        "spec-is-none": (lambda: jsonnx.Trainer(None), TypeError, "a spec is a path, a JSON text or a dict"),
        "spec-missing": (lambda: compile("none.json"), jsonnx.UsageError, "none.json"),
        "spec-no-json": (lambda: compile("{"), jsonnx.CompileError, "1:2"),
        "spec-not-plain": (lambda: compile({"inputs": {1: 2}}), jsonnx.CompileError, "a key of type int"),
        "spec-with-objects": (lambda: compile({"inputs": object()}), jsonnx.CompileError, "not a JSON type"),
        "spec-untrained": (lambda: jsonnx.Trainer(without), jsonnx.CompileError, "no `training` section"),
        "seed-text": (lambda: compile(LINE, seed="x"), TypeError, "a seed is an integer"),
        "seed-negative": (lambda: jsonnx.Trainer(LINE, seed=-1), ValueError, "a seed is an integer"),
        "provider-unknown": (lambda: jsonnx.Trainer(LINE, provider="gpu9"), jsonnx.UsageError, "no provider 'gpu9'"),
        "provider-absent": (lambda: compile(LINE).session(provider="qnn"), jsonnx.UsageError, "pip install"),
        "provider-number": (lambda: compile(LINE).session(provider=3), TypeError, "a provider is a name"),
        "model-of-no-kind": (lambda: jsonnx.Session(None), TypeError, "a model is a path"),
        "model-missing": (lambda: jsonnx.Session("none.onnx"), jsonnx.UsageError, "none.onnx"),
        "model-damaged": (lambda: jsonnx.Session(b"damaged"), jsonnx.CompileError, "bad-model"),
        "save-nowhere": (lambda: compile(LINE).save("/none/a.onnx"), jsonnx.UsageError, "/none/a.onnx"),
        "weights-unknown": (lambda: compile(LINE, {"y/kernl": 1}), jsonnx.CompileError, "did you mean 'y/kernel'?"),
        "weights-list": (lambda: compile(LINE, list(ones.values())), TypeError, "weights are a dict"),
        "weights-shape": (lambda: trainer.set_weights({**ones, "y/bias": [1, 2]}), ValueError, r"has shape \[2\]"),
        "weights-missing": (lambda: trainer.set_weights({}), ValueError, "2 weights are missing: 'y/kernel'"),
        "weights-ragged": (lambda: trainer.set_weights({**ones, "y/kernel": [[1], []]}), ValueError, "is ragged"),
        "weights-none": (lambda: trainer.set_weights(None), TypeError, "weights are a dict"),
        "feed-name": (lambda: session.run({"z": PX}), jsonnx.FeedError, "no input 'z'"),
        "feed-shape": (lambda: session.run(PX[:, :1]), jsonnx.FeedError, "axis 1 is 1, not 2"),
        "feed-sample": (lambda: session.run(PX[0]), jsonnx.FeedError, "needs a batch axis"),
        "feed-none": (lambda: session.run(None), jsonnx.FeedError, "object elements"),
        "feeds-unnamed": (lambda: compile(SPEC).session().run(PX), jsonnx.FeedError, "give a dict"),
        "batches-differ": (lambda: compile(SPEC).session().run({**X, "a": X["a"][:3]}), jsonnx.FeedError, "batch"),
        "step-no-target": (lambda: trainer.step(PX), jsonnx.FeedError, "target is missing"),
        "step-lengths": (lambda: trainer.step(PX, PY[:-1]), jsonnx.FeedError, "numbers of samples differ"),
        "step-nan": (lambda: trainer.step(PX * np.nan, PY), jsonnx.FeedError, "is nan"),
        "step-text": (lambda: trainer.step(PX, ["a"] * 12), jsonnx.FeedError, "holds texts"),
        "step-label": (lambda: pair.step(X, {**Y, "kind": Y["kind"] + 9}), jsonnx.FeedError, "valid are 0 to 2"),
        "step-unnamed": (lambda: pair.step(X, Y["kind"]), jsonnx.FeedError, "'kind' and 'size'"),
        "fit-targets-only": (lambda: trainer.fit(None, PY), jsonnx.FeedError, "the input is missing"),
        "fit-no-data": (lambda: trainer.fit(), jsonnx.UsageError, "training.data.train"),
        "fit-empty": (lambda: trainer.fit(PX[:0], PY[:0]), jsonnx.FeedError, "there are no samples"),
        "fit-batch": (lambda: trainer.fit(PX, PY, batch_size=0), ValueError, "batch_size must be at least 1"),
        "fit-batch-text": (lambda: trainer.fit(PX, PY, batch_size="8"), TypeError, "batch_size must be an integer"),
        "fit-epochs": (lambda: trainer.fit(PX, PY, epochs=1.5), TypeError, "epochs must be an integer"),
        "fit-validation": (lambda: trainer.fit(PX, PY, validation_data=PX), TypeError, "is a table, or a tuple"),
        "fit-split": (
            lambda: trainer.fit(PX, PY, validation_split=2),
            ValueError,
            "validation_split must be at least 0 and below 1",
        ),
        "predict-batch": (lambda: trainer.predict(PX, batch_size=-1), ValueError, "batch_size must be at least 1"),
        "evaluate-nothing": (lambda: trainer.evaluate(), jsonnx.UsageError, "training.data.test"),
        "checkpoint-none": (lambda: trainer.load_checkpoint("none"), jsonnx.UsageError, "none"),
        "checkpoint-no": (lambda: trainer.load_checkpoint(__file__), jsonnx.CompileError, "bad-checkpoint"),
        "checkpoint-where": (lambda: trainer.save_checkpoint("/none/c"), jsonnx.UsageError, "/none/c"),
    }


WRONG = wrong_calls()


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_raises_a_specific_error(name: str) -> None:
    call, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        call()


def test_a_wrong_call_leaves_the_weights_unchanged() -> None:
    trainer = jsonnx.Trainer(LINE)
    before = trainer.weights()
    for call in (
        lambda: trainer.step(PX, PY[:-1]),
        lambda: trainer.set_weights({}),
        lambda: trainer.fit(PX, PY, epochs=-1),
    ):
        with pytest.raises(ValueError, match=r".+"):
            call()
    assert all(np.array_equal(array, before[name]) for name, array in trainer.weights().items())
    trainer.weights()["y/kernel"][:] = 9  # `weights` returns copies
    assert all(np.array_equal(array, before[name]) for name, array in trainer.weights().items())


# -- symbolic sizes and integer inputs --------------------------------------------------------------------------------

TAGS: dict[str, Any] = {
    "inputs": {"s": {"shape": ["time", 4]}},
    "layers": [
        {"type": "Dense", "units": 6, "activation": "relu"},
        {"type": "LSTM", "units": 5, "return_sequences": True, "name": "steps"},
        {"type": "GlobalAveragePooling1D"},
        {"type": "Dense", "units": 1, "activation": "sigmoid", "name": "p"},
    ],
    "outputs": ["p", "steps"],
    "training": {"loss": {"p": "binary_crossentropy"}, "optimizer": "adam", "metrics": {"p": ["accuracy"]}},
}


def test_a_symbolic_size_accepts_every_length() -> None:
    trainer = jsonnx.Trainer(TAGS)
    assert str(trainer.model().outputs["steps"]) == "float32[batch, time, 5]"
    for length in (1, 2, 9):
        x = RNG.normal(size=(3, length, 4)).astype(np.float32)
        trainer.step(x, {"p": [0, 1, 1]})
        fixed = {**TAGS, "inputs": {"s": {"shape": [length, 4]}}}
        expected = jsonnx.compile(fixed, trainer.weights()).session().run(x)
        for name, array in trainer.model().session().run(x).items():
            np.testing.assert_allclose(array, expected[name], atol=1e-6)
        for name, array in trainer.predict(x).items():
            np.testing.assert_allclose(array, expected[name], atol=1e-6)


def test_a_layer_that_needs_a_fixed_size_is_reported_with_its_position(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(
        json.dumps({**TAGS, "layers": [{"type": "Flatten"}, *TAGS["layers"][3:]], "outputs": ["p"]}, indent=1)
    )
    error, _ = jsonnx.validate(path)
    assert error.line is not None
    assert '"type": "Dense"' in "".join(path.read_text().splitlines()[error.line - 1 : error.line + 1])
    assert "needs a fixed size on axis 1" in error.message


def test_integer_inputs_are_looked_up_and_out_of_range_values_are_refused() -> None:
    spec = {
        "inputs": {"w": {"shape": [5], "dtype": "int32"}},
        "layers": [
            {"type": "Embedding", "input_dim": 9, "output_dim": 3},
            {"type": "GlobalMaxPooling1D"},
            {"type": "Dense", "units": 2, "activation": "softmax", "name": "topic"},
        ],
        "training": {"loss": "sparse_categorical_crossentropy", "optimizer": "adam"},
    }
    trainer = jsonnx.Trainer(spec)
    x, y = RNG.integers(0, 9, (6, 5)), [0, 1, 0, 1, 0, 1]
    trainer.fit(x, y, epochs=2)
    assert trainer.predict(x.astype(np.uint8)).shape == (6, 2)
    for bad, message in ((x + 9, "valid are 0 to 8"), (x - 9, "valid are 0 to 8"), (x + 0.5, "not a whole number")):
        with pytest.raises(jsonnx.FeedError, match=message):
            trainer.step(bad, y)


@pytest.mark.parametrize("monitored", [{"early_stopping": {"monitor": "val_loss"}}, {"restore_best_weights": True}])
def test_a_spec_whose_validation_data_a_program_passes_has_a_warning(
    monitored: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.npz").write_bytes(b"")  # its path is checked
    spec = {
        "inputs": {"x": {"shape": [2]}},
        "layers": [{"type": "Dense", "units": 1}],
        "training": {"loss": "mse", "data": {"train": "x.npz"}, **monitored},
    }
    (warning,) = jsonnx.validate(spec)
    assert (warning.code, warning.severity) == ("unknown-figure", "warning")
    x, y = np.ones((4, 2), np.float32), np.ones(4, np.float32)
    assert "val_loss" in jsonnx.Trainer(spec).fit(x, y, validation_data=(x, y)).history
    with pytest.raises(jsonnx.CompileError, match="unknown-figure"):
        jsonnx.Trainer(spec).fit(x, y)
    spec["training"]["data"]["validation_split"] = 0.1
    assert jsonnx.validate(spec) == []


# -- attributes, text and progress of a trainer ------------------------------------------------------------------------


class SetsRate(jsonnx.Callback):
    """A callback that sets the learning rate so low after a step that nothing changes any more."""

    def __init__(self, trainer: jsonnx.Trainer, step: int) -> None:
        super().__init__()
        self.trainer, self.last_step, self.weights = trainer, step, {}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch + 1 == self.last_step:
            self.trainer.learning_rate = 1e-30
            self.weights = self.trainer.weights()


@pytest.mark.parametrize("batch_size", [1, 5, 12])
def test_a_callback_may_set_the_learning_rate_from_the_next_step_on(batch_size: int) -> None:
    trainer = jsonnx.Trainer(LINE)
    assert trainer.learning_rate == pytest.approx(0.1)
    callback = SetsRate(trainer, 1)
    before = trainer.weights()
    trainer.fit(PX, PY, batch_size=batch_size, epochs=3, callbacks=[callback])
    assert not np.array_equal(before["y/kernel"], callback.weights["y/kernel"])
    np.testing.assert_array_equal(trainer.weights()["y/kernel"], callback.weights["y/kernel"])
    trainer.step(PX, PY)
    np.testing.assert_array_equal(trainer.weights()["y/kernel"], callback.weights["y/kernel"])


def test_a_learning_rate_that_was_set_is_part_of_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    first, second = jsonnx.Trainer(LINE), jsonnx.Trainer(LINE)
    first.learning_rate = np.float32(0.25)
    first.save_checkpoint(path)
    second.load_checkpoint(path)
    assert second.learning_rate == 0.25


@pytest.mark.parametrize(("rate", "error"), [(0, ValueError), (-1.0, ValueError), (float("nan"), ValueError)])
def test_a_learning_rate_is_a_positive_number(rate: Any, error: type[Exception]) -> None:
    trainer = jsonnx.Trainer(LINE)
    with pytest.raises(error, match="learning_rate"):
        trainer.learning_rate = rate
    with pytest.raises(TypeError, match="learning_rate"):
        trainer.learning_rate = "0.1"  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("name", "message"),
    [("lr", "did you mean 'learning_rate'"), ("learning_rat", "did you mean 'learning_rate'"), ("zzz", "no attribute")],
)
def test_a_misspelt_attribute_of_a_trainer_is_an_error(name: str, message: str) -> None:
    trainer = jsonnx.Trainer(LINE)
    with pytest.raises(AttributeError, match=message):
        setattr(trainer, name, 1e-3)


def test_a_subclass_of_trainer_may_have_attributes() -> None:
    class Noted(jsonnx.Trainer):
        pass

    trainer = Noted(LINE)
    trainer.note = "a"  # type: ignore[attr-defined]


def test_trainer_and_model_say_what_they_are() -> None:
    assert repr(jsonnx.Trainer(SPEC)) == (
        "<Trainer of 'pair': Adam with learning rate 0.001, 0 steps done, provider cpu>"
    )
    assert repr(jsonnx.compile(LINE)) == "<Model 'model': x float32[batch, 2] -> y float32[batch, 1]; 3 parameters>"


@pytest.mark.parametrize(("verbose", "lines"), [("auto", 0), (0, 0), (1, 2), (2, 2), (True, 2), (False, 0)])
def test_fit_prints_as_keras_does(verbose: Any, lines: int, capfd: pytest.CaptureFixture[str]) -> None:
    jsonnx.Trainer(LINE).fit(PX, PY, epochs=2, verbose=verbose)
    output = capfd.readouterr()
    assert (output.out, len(output.err.splitlines())) == ("", lines)
    with pytest.raises(ValueError, match="verbose must be one of"):
        jsonnx.Trainer(LINE).fit(PX, PY, verbose=3)  # type: ignore[arg-type]


# -- gradients --------------------------------------------------------------------------------------------------------


def test_gradients_are_those_of_finite_differences() -> None:
    trainer = jsonnx.Trainer(SPEC, seed=0)
    gradients, weights = trainer.gradients(X, Y), trainer.weights()
    assert {name: array.shape for name, array in gradients.items()} == {n: a.shape for n, a in weights.items()}
    assert {array.dtype for array in gradients.values()} == {np.dtype(np.float32)}
    for name, gradient in gradients.items():
        direction = np.random.default_rng(1).normal(size=gradient.shape).astype(np.float32)
        losses = []
        for step in (1e-2, -1e-2):
            trainer.set_weights({**weights, name: weights[name] + step * direction})
            losses.append(trainer.evaluate(X, Y)["loss"])
        assert (losses[0] - losses[1]) / 2e-2 == pytest.approx(float((gradient * direction).sum()), rel=1e-2, abs=1e-3)


def test_gradients_are_those_of_the_next_step_and_change_nothing() -> None:
    """With plain SGD, a step subtracts the gradients times the learning rate."""
    layers = [
        {"type": "Dense", "name": "hidden", "units": 8, "activation": "relu"},
        {"type": "Dropout", "rate": 0.5},
        {"type": "BatchNormalization", "name": "norm"},
        {"type": "Dense", "name": "y", "units": 1},
    ]
    trainer = jsonnx.Trainer({**LINE, "layers": layers}, seed=0)
    before = trainer.weights()
    weights = np.arange(1.0, 13.0)
    gradients = trainer.gradients(PX, PY, sample_weight=weights)
    for name, array in trainer.weights().items():
        np.testing.assert_array_equal(array, before[name])
    assert trainer.steps == 0
    trainer.step(PX, PY, sample_weight=weights)
    after = trainer.weights()
    assert gradients.keys() == {n for n in before if not n.startswith("norm/moving")}
    for name, gradient in gradients.items():
        np.testing.assert_allclose(after[name], before[name] - 0.1 * gradient, atol=1e-5)


def test_frozen_weights_have_no_gradient() -> None:
    spec = {**LINE, "layers": [{"type": "Dense", "units": 3, "name": "fixed", "trainable": False}, *LINE["layers"]]}
    assert jsonnx.Trainer(spec).gradients(PX, PY).keys() == {"y/kernel", "y/bias"}


def test_gradients_need_data_that_fit() -> None:
    with pytest.raises(jsonnx.FeedError, match="numbers of samples differ"):
        jsonnx.Trainer(LINE).gradients(PX, PY[:4])
