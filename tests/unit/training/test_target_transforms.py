"""Transformed targets: the loss compares transformed values, the model computes the inverse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.ir import Builder
from jsonnx.sections.target_scaling import TargetScaling
from jsonnx.sections.yeo_johnson import MAX_ROWS, best_power, learn_yeo_johnson, yeo_johnson
from jsonnx.training.target_form import TargetForm
from safetensors.numpy import load_file
from support.commands import jsonnx as command
from support.harness import run

RNG = np.random.default_rng(3)
X = RNG.normal(size=(64, 3)).astype(np.float32)
SKEWED = np.exp(X @ [[0.8], [0.2], [-0.4]] + 5).astype(np.float32)
SIGNED = (np.sinh(X @ [[0.8, 1.0], [0.2, 0.0], [-0.4, 0.4]]) * 10).astype(np.float32)
TRANSFORMS: dict[str, Any] = {"log": np.log, "log1p": np.log1p}


def spec(target: Any, loss: str = "mse", units: int = 1, **training: Any) -> dict[str, Any]:
    optimizer = {"type": "adam", "learning_rate": 0.05}
    training = {"loss": loss, "optimizer": optimizer, "metrics": ["mae"], "target": target, **training}
    layers = [{"type": "Dense", "units": units, "name": "price"}]
    return {"inputs": {"x": {"shape": [3]}}, "layers": layers, "training": training}


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_training_equals_that_on_targets_transformed_before(transform: str, normalize: bool) -> None:
    trainer = jsonnx.Trainer(spec({"transform": transform, "normalize": normalize}))
    losses = trainer.fit(X, SKEWED, epochs=3, verbose=0).history["loss"]
    values = TRANSFORMS[transform](SKEWED)
    plain = jsonnx.Trainer(spec({"normalize": normalize}))
    assert plain.fit(X, values, epochs=3, verbose=0).history["loss"] == pytest.approx(losses, rel=1e-4)
    for name, weight in plain.weights().items():
        np.testing.assert_allclose(trainer.weights()[name], weight, rtol=1e-3, atol=1e-5)
    expected = np.exp(plain.predict(X)) - (transform == "log1p")
    np.testing.assert_allclose(trainer.predict(X), expected, rtol=1e-3)
    metrics = trainer.evaluate(X, SKEWED)
    assert metrics["mae"] == pytest.approx(np.abs(expected - SKEWED).mean(), rel=1e-3)
    assert metrics["loss"] == pytest.approx(plain.evaluate(X, values)["loss"], rel=1e-4)


def test_yeo_johnson_learns_an_exponent_for_each_feature() -> None:
    trainer = jsonnx.Trainer(spec({"transform": "yeo_johnson", "normalize": True}, units=2))
    losses = trainer.fit(X, SIGNED, epochs=3, verbose=0).history["loss"]
    powers = [best_power(column) for column in SIGNED.astype(float).T]
    np.testing.assert_allclose(trainer.weights()["price/target/lambda"], powers, rtol=1e-6)
    values = np.stack([yeo_johnson(column, power) for column, power in zip(SIGNED.T, powers, strict=True)], 1)
    plain = jsonnx.Trainer(spec({"normalize": True}, units=2))
    assert plain.fit(X, values, epochs=3, verbose=0).history["loss"] == pytest.approx(losses, rel=1e-4)
    assert trainer.evaluate(X, trainer.predict(X))["mae"] == pytest.approx(0, abs=1e-4)


# The exponents of sklearn.preprocessing.PowerTransformer, 1.7; of the first one, -0.0788, the nearer bound.
SKLEARN = [
    (lambda rng: rng.lognormal(3, 1, 5000), 0.0),
    (lambda rng: rng.normal(5, 2, 5000), 1.0657659932098091),
    (lambda rng: rng.standard_t(3, 5000) * 10, 0.9704558364823287),
    (lambda rng: -rng.gamma(2, 3, 3000), 1.890965998575657),
    (lambda rng: rng.poisson(3, 1000).astype(float), 0.5243953766584833),
]


def test_the_exponents_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    for draw, power in SKLEARN:
        assert best_power(draw(rng)) == pytest.approx(power, abs=1e-6)


@pytest.mark.parametrize(("sign", "bound"), [(1, 0.0), (-1, 2.0)])
def test_every_value_of_a_network_has_an_inverse(sign: int, bound: float) -> None:
    """The most likely exponents are outside of the bounds: their transformed values have a limit."""
    y = sign * np.random.default_rng(0).lognormal(0, 1, (700, 1)).astype(np.float32)
    learned = learn_yeo_johnson([y], [1])
    assert learned["lambda"][0] == pytest.approx(bound, abs=1e-6)
    forward, backward = scaling_graphs(TargetForm("yeo_johnson", False))
    state = {"price/target/lambda": learned["lambda"]}
    largest = run(forward, {"x": y, **state})["y"]
    beyond = run(backward, {"x": 2 * largest, **state})["y"]
    assert np.abs(beyond).max() < 1e4
    np.testing.assert_allclose(run(forward, {"x": beyond, **state})["y"], 2 * largest, rtol=1e-4)


def test_the_exponent_of_equal_values_is_1() -> None:
    assert best_power(np.full(5, 3.0)) == 1.0


def test_of_many_rows_some_at_equal_distances_count() -> None:
    values = np.random.default_rng(0).lognormal(size=(2 * MAX_ROWS + 5, 1))
    learned = learn_yeo_johnson((values[start : start + 1000] for start in range(0, len(values), 1000)), [1])
    assert learned["lambda"][0] == pytest.approx(best_power(values[::4, 0]), rel=1e-5)


@pytest.mark.parametrize("power", [-1.5, -1e-4, 0.0, 5e-4, 0.3, 1.0, 1.9995, 2.0, 3.1])
def test_the_inverse_restores_targets(power: float) -> None:
    y = np.array([-900, -3, -0.5, -1e-3, 0, 1e-3, 0.5, 3, 900], np.float32)[:, None]
    forward, backward = scaling_graphs(TargetForm("yeo_johnson", False))
    state = {"price/target/lambda": np.float32([power])}
    values = run(forward, {"x": y, **state})["y"]
    np.testing.assert_allclose(values, yeo_johnson(y.astype(float), np.float32(power)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(run(backward, {"x": values, **state})["y"], y, rtol=1e-3, atol=1e-6)


def scaling_graphs(form: TargetForm) -> list[Any]:
    graphs = []
    for direction in ("normalized", "denormalized"):
        g = Builder()
        x = g.input("x", jsonnx_type())
        scaling = TargetScaling.of(g, "price", x.type, (), form)
        graphs.append(g.graph({"y": getattr(scaling, direction)(g, x)}))
    return graphs


def jsonnx_type() -> Any:
    from jsonnx.core.types import BATCH, TensorType

    return TensorType("float32", (BATCH, 1))


@pytest.mark.parametrize("transform", ["log", "log1p", "yeo_johnson"])
@pytest.mark.parametrize("power", [-0.5, 0.0, 0.5])
def test_predictions_are_finite_whatever_the_network_computes(transform: Any, power: float) -> None:
    _, backward = scaling_graphs(TargetForm(transform, False))
    x = np.array([-1e30, -500, 88, 500, 1e30], np.float32)[:, None]
    feeds = {"x": x, "price/target/lambda": np.float32([power])}
    predicted = run(backward, {name: feeds[name] for name in (*backward.inputs, *backward.states)})["y"]
    assert np.isfinite(predicted).all()
    assert np.abs(predicted).max() == pytest.approx(1e15, rel=1e-4)


def test_the_transforms_of_outputs_are_named() -> None:
    document = spec({"transform": {"price": "log1p"}, "normalize": ["age"]})
    document["layers"] = [{"type": "Dense", "units": 1, "name": name, "from": "x"} for name in ("price", "age")]
    document["outputs"] = ["price", "age"]
    trainer = jsonnx.Trainer(document)
    trainer.fit(X, {"price": SKEWED, "age": SIGNED[:, :1]}, epochs=1, verbose=0)
    weights, predicted = trainer.weights(), trainer.predict(X)
    own = {name: X @ weights[f"{name}/kernel"] + weights[f"{name}/bias"] for name in ("price", "age")}
    np.testing.assert_allclose(predicted["price"], np.expm1(own["price"]), rtol=1e-4, atol=1e-6)
    age = own["age"] * SIGNED[:, 0].std() + SIGNED[:, 0].mean()
    np.testing.assert_allclose(predicted["age"], age, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (spec({"transform": "log"}, "poisson"), "'price' cannot be transformed: poisson compares no differences"),
        (spec({"transform": {"prize": "log"}}), "there is no output 'prize'"),
        (spec({"transform": "sqrt"}), "'transform' cannot be \"sqrt\""),
        (spec({"transform": "log"}) | {"layers": [{"type": "Dense", "units": 1, "activation": "relu"}]},
         "transformed targets have both signs"),
        (spec({"transform": "log1p"}) | {"layers": [{"type": "Dense", "units": 1, "activation": "sigmoid"}]},
         "transformed targets have no bounds"),
    ],
)  # fmt: skip
def test_targets_that_cannot_be_transformed(document: Any, message: str) -> None:
    assert any(message in error.message for error in jsonnx.validate(document))


def test_a_count_may_come_from_a_relu() -> None:
    layers = [{"type": "Dense", "units": 1, "name": "price", "activation": "relu"}]
    assert jsonnx.validate(spec({"transform": "log1p"}) | {"layers": layers}) == []


@pytest.mark.parametrize(
    ("transform", "value", "message"),
    [
        ("log", 0.0, "is 0.0, and 'log' has no value there"),
        ("log1p", -1.0, "is -1.0, and 'log1p' has no value there"),
        ("yeo_johnson", -1e20, "too large for the transform 'yeo_johnson'"),
    ],
)
def test_targets_outside_the_domain_are_found_with_their_place(
    transform: str, value: float, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{a},{b},{c},{y}" for (a, b, c), (y,) in zip(X.tolist(), SKEWED.tolist(), strict=True)]
    rows[7] = f"1,2,3,{value}"
    (tmp_path / "data.csv").write_text("\n".join(["a,b,c,price", *rows]))
    data = {"train": "data.csv", "x": ["a", "b", "c"], "y": "price"}
    (tmp_path / "spec.json").write_text(json.dumps(spec({"transform": transform}, data=data)))
    for shown in (
        command("validate", "spec.json", "--data", status=1),
        command("train", "spec.json", "-o", "run", status=1),
    ):
        text = shown.stdout + shown.stderr
        assert "row at line 9, column 'price'" in text
        assert message in text


@pytest.mark.parametrize("streams", [False, True])
def test_a_run_is_resumed_evaluated_and_predicts(
    streams: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", x=X, price=SKEWED)
    data = {"train": "data.npz", "test": "data.npz", **({"memory": "stream"} if streams else {})}
    target = {"transform": "yeo_johnson", "normalize": True}
    (tmp_path / "spec.json").write_text(json.dumps(spec(target, data=data, epochs=4)))
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
    assert of_model == pytest.approx(of_run, rel=1e-4)
    predicted = jsonnx.Session("whole/model.onnx").run(X)["price"]
    assert of_model["mae"] == pytest.approx(np.mean(np.abs(predicted - SKEWED)), rel=1e-5)


@pytest.mark.parametrize("transform", ["log", "log1p"])
def test_the_keras_model_restores_the_unit(transform: str) -> None:
    from jsonnx.pipeline.check.check import check_spec
    from jsonnx.pipeline.keras_export import with_rescaled_outputs

    document = spec({"transform": transform, "normalize": True})
    trainer = jsonnx.Trainer(document)
    trainer.fit(X, SKEWED, epochs=1, verbose=0)
    exported = with_rescaled_outputs(check_spec(document), trainer.weights())
    weights = {name: trainer.weights()[name] for name in ("price/kernel", "price/bias")}
    (predicted,) = jsonnx.compile(exported.source.value, weights).session().run(X).values()
    np.testing.assert_allclose(predicted, trainer.predict(X), rtol=1e-5)


def test_keras_has_no_inverse_of_yeo_johnson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.json").write_text(json.dumps(spec({"transform": "yeo_johnson"})))
    shown = command("export", "--keras", "spec.json", "-o", "model.keras", status=1).stderr
    assert "not-exportable" in shown
    assert "'yeo_johnson' of 'price'" in shown


def sequence_spec(target: Any, layers: list[Any]) -> dict[str, Any]:
    data = {"train": "data.jsonl", "x": "x", "y": "y", "sequences": {}}
    price = {"type": "Dense", "units": 1, "name": "price"}
    return {"inputs": {"x": {"shape": [None, 2]}}, "layers": [*layers, price]} | {
        "training": {"loss": "mse", "optimizer": "adam", "target": target, "data": data, "epochs": 1, "batch_size": 8}
    }


@pytest.mark.parametrize("transform", [None, "log", "log1p", "yeo_johnson"])
def test_padded_steps_count_for_no_statistics(transform: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    sequences = [np.exp(rng.normal(size=(int(rng.integers(1, 6)), 2)) + 1).astype(np.float32) for _ in range(40)]
    rows = [json.dumps({"x": x.tolist(), "y": x[:, 0].tolist()}) for x in sequences]
    (tmp_path / "data.jsonl").write_text("\n".join(rows))
    layers = [{"type": "SequenceMask"}, {"type": "GRU", "units": 2, "return_sequences": True}]
    trainer = jsonnx.Trainer(sequence_spec({"transform": transform, "normalize": True}, layers))
    assert np.isfinite(trainer.fit(verbose=0).history["loss"]).all()
    values = np.concatenate(sequences)[:, 0].astype(float)
    power = best_power(values)
    functions = {None: np.asarray, **TRANSFORMS, "yeo_johnson": lambda y: yeo_johnson(y, power)}
    learned, expected = trainer.weights(), functions[transform](values)
    np.testing.assert_allclose(learned["price/target/mean"], expected.mean(), rtol=1e-5)
    np.testing.assert_allclose(learned["price/target/variance"], expected.var(), rtol=1e-5)
    if transform == "yeo_johnson":
        np.testing.assert_allclose(learned["price/target/lambda"], power, atol=1e-5)


def test_statistics_of_quantiles_of_steps_have_no_axis() -> None:
    document = sequence_spec({"normalize": True}, [])
    document["layers"] = [{"type": "Dense", "units": 3, "name": "price"}]
    document["training"] |= {"loss": {"type": "quantile", "quantiles": [0.1, 0.5, 0.9]}, "data": None}
    trainer = jsonnx.Trainer(document)
    y = SKEWED.reshape(16, 4)
    trainer.fit(X[:, :2].reshape(16, 4, 2), y, verbose=0)
    np.testing.assert_allclose(trainer.weights()["price/target/mean"], y.mean(), rtol=1e-5)


def test_padded_targets_without_a_mask_have_no_logarithm() -> None:
    error, *others = jsonnx.validate(sequence_spec({"transform": "log"}, []))
    assert "padded with 0, which has no logarithm" in error.message
    assert [*map(str, others)] == [*map(str, jsonnx.validate(sequence_spec({"transform": "log1p"}, [])))]


def test_masked_steps_have_no_statistics_of_their_own() -> None:
    document = sequence_spec({"normalize": True}, [])
    document["inputs"]["x"]["shape"] = [4, 2]
    document["layers"] = [{"type": "SequenceMask"}, {"type": "Dense", "units": 3, "name": "price"}]
    document["training"] |= {"loss": {"type": "quantile", "quantiles": [0.1, 0.5, 0.9]}, "data": None}
    (error,) = jsonnx.validate(document)
    assert "statistics for each step, of which a mask leaves some out" in error.message
    document["inputs"]["x"]["shape"] = [None, 2]
    assert jsonnx.validate(document) == []
