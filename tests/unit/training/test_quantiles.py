"""Quantile forecasts: the loss, its gradient and metrics, and models that predict quantiles in ascending order."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.types import BATCH, ShapeError, TensorType
from jsonnx.gradient import GradientBuilder, gradients
from jsonnx.training.losses.losses import LOSSES
from support.commands import jsonnx as command
from support.harness import run

from .recorded import read

RNG = np.random.default_rng(5)
X = RNG.uniform(-1, 1, (256, 2)).astype(np.float32)
Y = (100 + 20 * X[:, :1] + (5 + 4 * X[:, 1:]) * RNG.normal(size=(256, 1))).astype(np.float32)
QUANTILES = [0.1, 0.5, 0.9]
LOSS = {"type": "quantile", "quantiles": QUANTILES}


def spec(target: Any = None, loss: Any = LOSS, units: int = 3, **training: Any) -> dict[str, Any]:
    target = {} if target is None else {"target": target}
    optimizer = {"type": "adam", "learning_rate": 0.05}
    layers = [{"type": "Dense", "units": units, "name": "price"}]
    return {
        "inputs": {"x": {"shape": [2]}},
        "layers": layers,
        "training": {"loss": loss, "optimizer": optimizer, **target, **training},
    }


def pinball(true: np.ndarray, predicted: np.ndarray) -> float:
    """The mean of sklearn.metrics.mean_pinball_loss over the quantiles on the last axis."""
    error = true[..., None].astype(float) - predicted
    return float(np.maximum(np.array(QUANTILES) * error, (np.array(QUANTILES) - 1) * error).mean())


def test_the_loss_is_that_of_scikit_learn() -> None:
    # the values of sklearn.metrics.mean_pinball_loss, 1.7
    true, predicted = np.array([1.0, -2.0, 3.0]), np.array([[0.0, 1, 3], [-3, -1, 0], [1, 1, 1]])
    losses = [pinball_of(true, predicted[:, index], q) for index, q in enumerate(QUANTILES)]
    assert losses == pytest.approx([0.13333333, 0.5, 0.73333333])
    assert value_and_gradient(true, predicted)[0] == pytest.approx(np.mean(losses), rel=1e-6)


def pinball_of(true: np.ndarray, predicted: np.ndarray, quantile: float) -> float:
    error = true - predicted
    return float(np.maximum(quantile * error, (quantile - 1) * error).mean())


def value_and_gradient(true: np.ndarray, predicted: np.ndarray) -> tuple[float, np.ndarray]:
    loss: Any = read(LOSSES, LOSS)
    g = GradientBuilder(training=True)
    x = g.input("output", TensorType("float32", (BATCH, *predicted.shape[1:])))
    target = g.input("target", loss.target_type(x.type))
    value = loss.reduce(g, target, x)
    found = gradients(g, g.graph({"value": value}), {value: g.const(1.0)}, [x])
    graph = g.graph({"value": value, "gradient": found[x]})
    results = run(graph, {"output": predicted.astype(np.float32), "target": true.astype(np.float32)})
    return float(results["value"]), results["gradient"]


@pytest.mark.parametrize("shape", [(6,), (4, 5)])
def test_the_gradient_is_that_of_finite_differences(shape: tuple[int, ...]) -> None:
    true, predicted = RNG.normal(size=shape), RNG.normal(size=(*shape, 3))
    _, gradient = value_and_gradient(true, predicted)
    for index in np.ndindex(predicted.shape):
        step = np.zeros_like(predicted)
        step[index] = 1e-5
        difference = (pinball(true, predicted + step) - pinball(true, predicted - step)) / 2e-5
        assert gradient[index] == pytest.approx(difference, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("target", [None, {"normalize": True}, {"transform": "log", "normalize": True}])
def test_quantiles_are_learned_in_the_unit_of_the_target(target: Any) -> None:
    metrics = ["mae", "interval_coverage", "mean_pinball_loss"]
    document = spec(target, metrics=metrics, epochs=1)
    if target is None:
        document["layers"][0]["bias_initializer"] = {"type": "constant", "value": 100}
    trainer = jsonnx.Trainer(document)
    trainer.fit(X, Y, epochs=60, verbose=0)
    predicted = trainer.predict(X)
    assert (np.diff(predicted) >= 0).all()
    measured = trainer.evaluate(X, Y)
    assert measured["mean_pinball_loss"] == pytest.approx(pinball(Y[:, 0], predicted), rel=1e-5)
    assert measured["mae"] == pytest.approx(np.abs(predicted[:, 1] - Y[:, 0]).mean(), rel=1e-5)
    inside = (predicted[:, 0] <= Y[:, 0]) & (Y[:, 0] <= predicted[:, 2])
    assert measured["interval_coverage"] == pytest.approx(inside.mean(), rel=1e-6)
    assert 0.7 < inside.mean() < 0.9
    assert pinball(Y[:, 0], predicted) < 1.45
    width = predicted[:, 2] - predicted[:, 0]
    assert np.corrcoef(width, X[:, 1])[0, 1] > 0.5


def test_models_sort_quantiles_that_cross() -> None:
    document = spec({"normalize": True})
    trainer = jsonnx.Trainer(document)
    trainer.plan_trainer.prepare(jsonnx_samples(trainer))
    kernel = np.zeros((2, 3), np.float32)
    trainer.set_weights({"price/kernel": kernel, "price/bias": np.float32([2, 0, 1])}, strict=False)
    expected = Y.mean() + Y.std() * np.arange(3)
    np.testing.assert_allclose(trainer.predict(X), np.tile(expected, (len(X), 1)), rtol=1e-5)
    np.testing.assert_allclose(trainer.model().session().run(X)["price"][0], expected, rtol=1e-5)


def jsonnx_samples(trainer: Any) -> Any:
    from jsonnx.runtime.fit.fit_data import dataset_of

    return dataset_of(trainer.plan, X, Y)


def test_one_quantile_is_a_number() -> None:
    trainer = jsonnx.Trainer(spec({"normalize": True}, {"type": "quantile", "quantiles": [0.9]}, 1))
    trainer.fit(X, Y, epochs=60, verbose=0)
    assert (trainer.predict(X) >= Y).mean() == pytest.approx(0.9, abs=0.05)


def test_the_statistics_of_several_targets_are_those_of_each(tmp_path: Path) -> None:
    document = spec({"normalize": True})
    document["layers"] = [{"type": "Dense", "units": 6}, {"type": "Reshape", "name": "price", "target_shape": [2, 3]}]
    trainer = jsonnx.Trainer(document)
    both = np.concatenate([Y, Y * 1000], 1)
    trainer.fit(X, both, epochs=2, verbose=0)
    weights = trainer.weights()
    np.testing.assert_allclose(weights["price/target/mean"], both.mean(0), rtol=1e-5)
    assert trainer.predict(X)[:, 1].mean() > 1000 * 50
    path = tmp_path / "model.onnx"
    trainer.model().save(path)
    np.savez(tmp_path / "data.npz", x=X, price=both)
    shown = json.loads(command("evaluate", str(path), "--data", str(tmp_path / "data.npz"), "--format", "json").stdout)
    assert shown["loss"] == pytest.approx(trainer.evaluate(X, both)["loss"], rel=1e-4)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_rows(path: Path) -> None:
    rows = [f"{a},{b},{y}" for (a, b), (y,) in zip(X.tolist(), Y.tolist(), strict=True)]
    path.write_text("\n".join(["a,b,price", *rows]) + "\n")


def test_a_run_from_a_table_names_its_columns_by_quantile(folder: Path) -> None:
    write_rows(folder / "data.csv")
    data = {"train": "data.csv", "x": ["a", "b"], "y": "price", "split": {"validation": 0.2, "test": 0.2}}
    document = spec({"transform": "log1p", "normalize": True}, data=data, metrics=["mae"], epochs=3)
    (folder / "spec.json").write_text(json.dumps(document))
    command("validate", "spec.json", "--data")
    command("train", "spec.json", "-o", "run")
    command("predict", "run", "--data", "data.csv", "-o", "p.csv")
    with open("p.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["price_q0.1", "price_q0.5", "price_q0.9"]
    assert all(sorted(map(float, row)) == [*map(float, row)] for row in rows)
    of_run, of_model = (
        json.loads(command("evaluate", name, "--data", "data.csv", "--format", "json").stdout)
        for name in ("run", "run/model.onnx")
    )
    assert of_model["loss"] == pytest.approx(of_run["loss"], rel=1e-4)
    assert of_model["mae"] == pytest.approx(of_run["mae"], rel=1e-5)


def test_a_forecast_has_quantiles_for_each_step_of_the_horizon(folder: Path) -> None:
    values = np.sin(np.arange(120) / 5) * 10 + 50
    (folder / "series.csv").write_text("sales\n" + "\n".join(f"{value:.4f}" for value in values) + "\n")
    document: dict[str, Any] = {
        "inputs": {"past": {"shape": [12, 1]}},
        "layers": [
            {"type": "Normalization"},
            {"type": "Flatten"},
            {"type": "Dense", "units": 6},
            {"type": "Reshape", "name": "sales", "target_shape": [2, 3]},
        ],
        "training": {
            "data": {"train": "series.csv", "x": ["sales"], "y": "sales", "windows": {"length": 12, "horizon": 2}},
            "loss": LOSS,
            "target": {"normalize": True},
            "optimizer": {"type": "adam", "learning_rate": 0.02},
            "metrics": ["mae"],
            "epochs": 40,
        },
    }
    (folder / "spec.json").write_text(json.dumps(document))
    command("train", "spec.json", "-o", "run")
    command("predict", "run", "--data", "series.csv", "-o", "p.csv")
    with open("p.csv", newline="") as file:
        header = next(csv.reader(file))
    steps = [f"sales_{step}_q{quantile:g}" for step in range(2) for quantile in QUANTILES]
    assert [name for name in header if name.startswith("sales_")] == steps
    assert json.loads(command("evaluate", "run", "--data", "series.csv", "--format", "json").stdout)["mae"] < 5


@pytest.mark.parametrize(
    ("loss", "shape", "message"),
    [
        (LOSS, (BATCH, 2), "needs the 3 quantiles [0.1, 0.5, 0.9] on the last axis, got float32[batch, 2]"),
        ({"type": "quantile", "quantiles": [0.9, 0.1]}, (BATCH, 2), "needs quantiles in ascending order"),
        ({"type": "quantile", "quantiles": []}, (BATCH, 2), "needs quantiles in ascending order"),
    ],
)
def test_outputs_that_the_loss_does_not_take(loss: Any, shape: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        read(LOSSES, loss).target_type(TensorType("float32", shape))  # type: ignore[attr-defined]
    assert message in caught.value.message


def test_the_metrics_of_quantiles_need_the_loss() -> None:
    document = spec(None, "mse", 1, metrics=["interval_coverage"])
    (error,) = jsonnx.validate(document)
    assert "interval_coverage measures predicted quantiles, and the loss is mean_squared_error" in error.message


def test_the_report_draws_intervals(folder: Path) -> None:
    write_rows(folder / "data.csv")
    data = {"train": "data.csv", "x": ["a", "b"], "y": "price", "split": {"validation": 0.2}}
    (folder / "spec.json").write_text(json.dumps(spec({"normalize": True}, data=data, epochs=3)))
    command("train", "spec.json", "-o", "run")
    shown = command("report", "run")
    assert "not shown" not in shown.stdout + shown.stderr
    page = (folder / "run" / "report.html").read_text()
    assert '"levels":[0.1,0.5,0.9]' in page
    assert "price, quantile 0.5" in page


def test_the_keras_model_sorts_the_quantiles() -> None:
    from jsonnx.pipeline.check.check import check_spec
    from jsonnx.pipeline.keras_export import with_rescaled_outputs

    document = spec({"transform": "log", "normalize": True})
    trainer = jsonnx.Trainer(document)
    trainer.fit(X, Y, epochs=1, verbose=0)
    exported = with_rescaled_outputs(check_spec(document), trainer.weights())
    weights = {name: trainer.weights()[name] for name in ("price/kernel", "price/bias")}
    (predicted,) = jsonnx.compile(exported.source.value, weights).session().run(X).values()
    np.testing.assert_allclose(predicted, trainer.predict(X), rtol=1e-5)
