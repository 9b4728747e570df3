"""Normalized targets: the model has the unit of the target, the loss compares standardized values."""

from __future__ import annotations

import json

import jsonnx
import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file
from support.commands import jsonnx as command

RNG = np.random.default_rng(3)
X = RNG.normal(size=(64, 3)).astype(np.float32)
PRICE = (X @ [[4e4], [1e4], [-2e4]] + 250_000).astype(np.float32)
AGE = (X @ [[4, 1], [1, 0], [2, 3]] + [30, 5]).astype(np.float32)


def spec(target, loss="mse", **training):
    return {
        "inputs": {"x": {"shape": [3]}},
        "layers": [{"type": "Dense", "units": 1, "name": "price"}],
        "training": {
            "loss": loss,
            "optimizer": {"type": "adam", "learning_rate": 0.05},
            "metrics": ["mae"],
            **({} if target is None else {"target": target}),
            **training,
        },
    }


def network_output(weights, name="price"):
    return X @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


@pytest.mark.parametrize(
    ("loss", "value"),
    [("mse", lambda d: np.mean(d**2)), ("mae", lambda d: np.mean(np.abs(d)))],
)
def test_loss_metrics_and_model_have_their_units(loss, value):
    trainer = jsonnx.Trainer(spec({"normalize": True}, loss))
    trainer.fit(X, PRICE, batch_size=16, epochs=2, verbose=0)
    weights = trainer.weights()
    mean, deviation = PRICE.mean(), PRICE.std()
    np.testing.assert_allclose(weights["price/target/mean"], [mean], rtol=1e-6)
    np.testing.assert_allclose(weights["price/target/variance"], [deviation**2], rtol=1e-5)
    predicted = network_output(weights) * deviation + mean
    np.testing.assert_allclose(trainer.predict(X), predicted, rtol=1e-5)
    np.testing.assert_allclose(trainer.model().session().run(X)["price"], predicted, rtol=1e-5)
    metrics = trainer.evaluate(X, PRICE)
    assert metrics["loss"] == pytest.approx(value((predicted - PRICE) / deviation), rel=1e-4)
    assert metrics["mae"] == pytest.approx(np.mean(np.abs(predicted - PRICE)), rel=1e-4)


def test_training_equals_that_on_targets_normalized_before():
    trainer = jsonnx.Trainer(spec({"normalize": True}))
    losses = trainer.fit(X, PRICE, epochs=3, verbose=0).history["loss"]
    plain = jsonnx.Trainer(spec(None))
    expected = plain.fit(X, (PRICE - PRICE.mean()) / PRICE.std(), epochs=3, verbose=0).history["loss"]
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    np.testing.assert_allclose(trainer.weights()["price/kernel"], plain.weights()["price/kernel"], rtol=1e-3)


def two_outputs(normalize):
    document = spec({"normalize": normalize})
    document["layers"] = [
        {"type": "Dense", "units": 1, "name": "price", "from": "x"},
        {"type": "Dense", "units": 2, "name": "age", "from": "x"},
    ]
    document["outputs"] = ["price", "age"]
    return document


@pytest.mark.parametrize(("normalize", "states"), [(True, {"price", "age"}), (["age"], {"age"}), (False, set())])
def test_the_outputs_to_normalize_may_be_chosen(normalize, states):
    trainer = jsonnx.Trainer(two_outputs(normalize))
    trainer.fit(X, {"price": PRICE, "age": AGE}, epochs=1, verbose=0)
    weights = trainer.weights()
    assert {name.split("/")[0] for name in weights if "/target/" in name} == states
    predicted = trainer.predict(X)
    if "age" in states:
        np.testing.assert_allclose(weights["age/target/mean"], AGE.mean(0), rtol=1e-5)
        expected = network_output(weights, "age") * AGE.std(0) + AGE.mean(0)
        np.testing.assert_allclose(predicted["age"], expected, rtol=1e-4)


def test_an_image_has_statistics_for_each_channel():
    document = spec({"normalize": True})
    document["inputs"] = {"x": {"shape": [4, 4, 1]}}
    document["layers"] = [{"type": "Conv2D", "filters": 2, "kernel_size": 3, "padding": "same", "name": "price"}]
    x = RNG.normal(size=(8, 4, 4, 1))
    y = np.concatenate([x * 100 + 1000, x * 3 - 7], -1)
    trainer = jsonnx.Trainer(document)
    trainer.fit(x, y, epochs=1, verbose=0)
    np.testing.assert_allclose(trainer.weights()["price/target/mean"], y.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(trainer.weights()["price/target/variance"], y.var((0, 1, 2)), rtol=1e-4)


def predicted_prices(model):
    return jsonnx.Session(model).run(X)["price"]


def test_a_model_whose_statistics_were_removed_says_where_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", x=X, price=PRICE)
    jsonnx.compile(spec({"normalize": True})).save("model.onnx")
    model = onnx.load("model.onnx")
    kept = [entry for entry in model.metadata_props if entry.key != "jsonnx.target_statistics"]
    assert len(kept) == len(model.metadata_props) - 1
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, "model.onnx")
    shown = command("evaluate", "model.onnx", "--data", "data.npz", "--unverified", status=1).stderr
    assert "needs-weights" in shown
    assert "'price' compares normalized targets, whose mean the model does not contain" in shown


def test_a_run_is_resumed_evaluated_and_predicts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", x=X, price=PRICE)
    data = {"train": "data.npz", "test": "data.npz"}
    (tmp_path / "spec.json").write_text(json.dumps(spec({"normalize": True}, data=data, epochs=4)))
    command("train", "spec.json", "-o", "whole")
    command("train", "spec.json", "-o", "parts", "--set", "training.epochs=2")
    command("train", "spec.json", "-o", "parts", "--resume")
    whole, parts = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "parts"))
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)
    of_run, of_model = (
        json.loads(command("evaluate", name, "--data", "data.npz", "--format", "json").stdout)
        for name in ("whole", "whole/model.onnx")
    )
    assert of_model.pop("data") == of_run.pop("data")
    assert of_model == pytest.approx(of_run, rel=1e-5)
    assert of_model["mae"] == pytest.approx(np.mean(np.abs(predicted_prices("whole/model.onnx") - PRICE)), rel=1e-5)
    first = float(command("predict", "whole", "--data", "data.npz").stdout.splitlines()[1])
    assert 100_000 < first < 400_000


def test_the_keras_model_restores_the_unit():
    trainer = jsonnx.Trainer(spec({"normalize": True}))
    trainer.fit(X, PRICE, epochs=1, verbose=0)
    from jsonnx.pipeline.check.check import check_spec
    from jsonnx.pipeline.keras_export import with_rescaled_outputs

    exported = with_rescaled_outputs(check_spec(spec({"normalize": True})), trainer.weights())
    weights = {name: trainer.weights()[name] for name in ("price/kernel", "price/bias")}
    model = jsonnx.compile(exported.source.value, weights)
    np.testing.assert_allclose(model.session().run(X)["price_rescaled"], trainer.predict(X), rtol=1e-5)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (spec({"normalize": True}, "poisson"), "poisson compares no differences"),
        (
            spec({"normalize": True}, jsonnx.loss(lambda y_true, y_pred: abs(y_true - y_pred), name="asym")),
            "the targets of 'price' cannot be normalized: asym is a loss in Python, which gets targets as they are",
        ),
        (spec({"normalize": ["prize"]}), "there is no output 'prize'"),
        (
            spec({"normalize": True})
            | {"layers": [{"type": "Dense", "units": 1, "name": "price", "activation": "relu"}]},
            "normalized targets have both signs",
        ),
    ],
)
def test_targets_that_cannot_be_normalized(document, message):
    assert any(message in error.message for error in jsonnx.validate(document))
