"""AddLoss: what it adds to the loss and reports, training without targets, and what the compiled model leaves out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from campaigns.gradient_checks.measure import _alone
from jsonnx.core.diagnostics import CompileError
from jsonnx.gradient.training_step import with_loss
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.training.metrics.objective import Objective
from support.commands import jsonnx as command
from support.harness import check_gradients, draw_weights, lower, one_layer

RNG = np.random.default_rng(5)
X = RNG.normal(size=(12, 4)).astype(np.float32)
SGD = {"type": "sgd", "learning_rate": 0.1}

AUTOENCODER: list[dict[str, Any]] = [
    {"type": "Dense", "units": 2, "name": "code"},
    {"type": "Dense", "units": 4, "name": "decoded"},
    {"type": "ops.subtract", "from": ["x", "decoded"]},
    {"type": "ops.square"},
]


def spec(*layers: dict[str, Any], outputs: Any = "code", **training: Any) -> dict[str, Any]:
    section = {"optimizer": SGD, **training}
    return {"inputs": {"x": {"shape": [4]}}, "layers": [*AUTOENCODER, *layers], "outputs": outputs, "training": section}


def trainer(*layers: dict[str, Any], **options: Any) -> jsonnx.Trainer:
    return jsonnx.Trainer(spec(*layers, **options))


def test_an_added_loss_trains_as_the_same_loss_of_an_output_does() -> None:
    added = trainer({"type": "AddLoss", "name": "error"})
    document = spec(outputs="decoded", loss="mse")
    compared = jsonnx.Trainer(document | {"layers": AUTOENCODER[:2]})
    compared.set_weights(added.weights())
    for _ in range(3):
        loss = compared.step(X, X)["loss"]
        assert added.step(X) == pytest.approx({"loss": loss, "error": loss}, rel=1e-5)
    for name, array in added.weights().items():
        np.testing.assert_allclose(array, compared.weights()[name], atol=1e-6)


def test_weight_and_reduction_change_the_total_and_not_what_is_reported_of_the_others() -> None:
    layers = [
        {"type": "AddLoss", "name": "mean", "weight": 0.5, "from": "square"},
        {"type": "AddLoss", "name": "sum", "weight": -0.01, "reduction": "sum", "from": "square"},
    ]
    metrics = trainer(*layers, outputs="decoded", loss="mse").evaluate(X, np.zeros_like(X))
    assert list(metrics) == ["loss", "mean", "sum"]
    assert metrics["sum"] == pytest.approx(metrics["mean"] * X.size, rel=1e-5)
    task = trainer(outputs=["decoded", "square"], loss={"decoded": "mse"})
    expected = task.evaluate(X, {"decoded": np.zeros_like(X)})["loss"]
    assert metrics["loss"] == pytest.approx(expected + 0.5 * metrics["mean"] - 0.01 * metrics["sum"], rel=1e-5)


def test_a_block_a_repetition_and_a_further_call_add_their_losses() -> None:
    block = {"layers": [{"type": "Dense", "units": 4}, {"type": "ops.abs"}, {"type": "AddLoss", "name": "cost"}]}
    document = {
        "inputs": {"x": {"shape": [4]}},
        "blocks": {"penalized": block},
        "layers": [
            {"type": "penalized", "name": "part", "repeat": 2},
            {"type": "AddLoss", "name": "size"},
            {"use": "size", "from": "x"},
        ],
        "outputs": "part",
        "training": {"optimizer": SGD},
    }
    assert jsonnx.validate(document) == []
    fitted = jsonnx.Trainer(document)
    outputs = jsonnx.Trainer(document | {"outputs": ["part_1_cost", "part_2_cost"]}).predict(X)
    first, last = (float(output.mean()) for output in outputs.values())
    metrics = fitted.evaluate(X)
    expected = {"part_1_cost": first, "part_2_cost": last, "size": last + float(X.mean())}
    assert metrics == pytest.approx({"loss": sum(expected.values()), **expected}, rel=1e-4, abs=1e-6)
    assert fitted.fit(X, epochs=2).history.keys() == {*metrics, "learning_rate"}


def test_masked_positions_do_not_count() -> None:
    layers = [{"type": "Masking"}, {"type": "AddLoss", "name": "mean"}]
    layers.append({"type": "AddLoss", "name": "sum", "reduction": "sum"})
    layers.append({"type": "Dense", "units": 1, "trainable": False})
    document = {"inputs": {"x": {"shape": [3, 2]}}, "layers": layers}
    x = np.float32([[[1, 3], [0, 0], [5, 7]], [[0, 0], [0, 0], [2, 2]]])
    metrics = jsonnx.Trainer(document | {"training": {"optimizer": SGD}}).evaluate(x)
    assert metrics == pytest.approx({"loss": 10 / 3 + 10, "mean": (2 + 6 + 2) / 3, "sum": 2 + 6 + 2})


def test_gradients_of_the_loss_equal_finite_differences() -> None:
    for layer in ({"weight": -2.5}, {"reduction": "sum"}):
        typed = one_layer({"type": "AddLoss", **layer}, (3, 2))
        graph = _alone(with_loss(lower(typed, training=True, float_dtype="float64"), Objective({}, {}, {}, {})))
        rng = np.random.default_rng(0)
        feeds = {"x0": rng.normal(size=(3, 3, 2))} | draw_weights(graph, rng)
        assert check_gradients(graph, feeds, ["x0"]) < 1e-6


PAIR: dict[str, Any] = {
    "inputs": {"anchor": {"shape": [4]}, "other": {"shape": [4]}},
    "layers": [
        {"type": "Dense", "name": "tower", "units": 3, "from": "anchor"},
        {"use": "tower", "name": "other_code", "from": "other"},
        {"type": "ops.subtract", "from": ["tower", "other_code"]},
        {"type": "ops.norm", "axis": -1},
        {"type": "AddLoss", "name": "distance"},
    ],
    "outputs": "tower",
    "training": {"optimizer": SGD},
}


def test_the_compiled_model_has_nothing_that_only_the_loss_needs() -> None:
    pair = jsonnx.Trainer(PAIR)
    both = {"anchor": X, "other": X[::-1].copy()}
    assert pair.fit(both, epochs=3).history["distance"][-1] < pair.fit(both, epochs=1).history["distance"][0] * 2
    model = pair.model()
    assert list(model.inputs) == ["anchor"]
    assert len(model.proto.graph.node) == 1
    expected = model.session().run(X)["tower"]
    for x in (X, {"anchor": X}, both):
        np.testing.assert_allclose(pair.predict(x), expected, atol=1e-6)
    assert jsonnx.compile(PAIR, weights=pair.weights()).to_bytes() == model.to_bytes()


def test_an_input_that_only_a_loss_reads_is_not_part_of_the_signature(tmp_path: Path) -> None:
    single = {"inputs": {"anchor": PAIR["inputs"]["anchor"]}, "layers": PAIR["layers"][:1], "outputs": "tower"}
    for name, document in (("old", single), ("new", PAIR)):
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    result = command("diff", str(tmp_path / "old.json"), str(tmp_path / "new.json"))
    assert "must be fed" not in result.stdout


def test_a_batch_is_split_across_threads_only_if_the_loss_is_a_mean() -> None:
    def is_separable(**layer: Any) -> bool:
        return plan_training(check_spec(spec({"type": "AddLoss", **layer}))).make_shards is not None

    assert is_separable()
    assert is_separable(weight=3.0)
    assert not is_separable(reduction="sum")


def test_targets_are_refused_where_there_are_none() -> None:
    added = trainer({"type": "AddLoss"})
    with pytest.raises(jsonnx.FeedError, match="targets are given, and the training has none"):
        added.fit(X, X)
    for validation in (X, (X,), (X, None), {"x": X}):
        assert "val_loss" in added.fit(X, validation_data=validation, epochs=1).history


@pytest.mark.parametrize(
    ("layer", "training", "code", "message"),
    [
        ({"type": "Identity"}, {}, "missing-key", "'training' needs the key 'loss'"),
        ({"type": "AddLoss"}, {"metrics": ["mae"]}, "metric-mismatch", "no output has a loss"),
        ({"type": "AddLoss"}, {"data": {"train": "a.npz", "y": "b"}}, "unknown-name", "columns of targets are named"),
        ({"type": "AddLoss", "name": "loss"}, {}, "duplicate-name", "has the name of another loss or metric"),
        ({"type": "AddLoss", "name": "val_loss"}, {}, "duplicate-name", "has the name of another loss or metric"),
        ({"type": "AddLoss", "activity_regularizer": "l2"}, {}, "unsupported-argument", "activity_regularizer"),
        ({"type": "TimeDistributed", "layer": {"type": "AddLoss"}}, {}, "shape-mismatch", "needs a sequence"),
    ],
)
def test_invalid_uses_are_reported(layer: dict[str, Any], training: dict[str, Any], code: str, message: str) -> None:
    errors = jsonnx.validate(spec({"name": "last", **layer}, outputs=["code", layer.get("name", "last")], **training))
    assert (code, True) in [(error.code, message in error.message) for error in errors]


def test_a_monitor_may_name_an_added_loss() -> None:
    early = {"monitor": "val_error"}
    assert not jsonnx.validate(spec({"type": "AddLoss", "name": "error"}, early_stopping=early))
    errors = jsonnx.validate(spec({"type": "AddLoss"}, early_stopping=early))
    assert [error.code for error in errors] == ["unknown-figure"]


def test_keras_cannot_express_it() -> None:
    with pytest.raises(CompileError, match="AddLoss"):
        jsonnx.to_keras(spec({"type": "AddLoss"}))


def test_commands_train_and_evaluate_without_targets(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=X)
    data = {"train": "data.npz", "test": "data.npz", "validation_split": 0.25}
    document = spec({"type": "AddLoss", "name": "error"}, data=data, epochs=2)
    spec_file, folder, data_file = (str(tmp_path / name) for name in ("spec.json", "run", "data.npz"))
    Path(spec_file).write_text(json.dumps(document))
    command("train", spec_file, "-o", folder)
    last = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert {"loss", "error", "val_loss", "val_error"} <= last.keys()
    assert json.loads(command("evaluate", folder, "--format", "json").stdout)["error"] > 0
    command("predict", folder, "--data", data_file, "-o", str(tmp_path / "codes.npz"))
    assert next(iter(np.load(tmp_path / "codes.npz").values())).shape == (12, 2)
    from_model = command("evaluate", f"{folder}/model.onnx", "--data", data_file, status=1)
    assert "evaluate the RUN folder" in from_model.stderr
    command("compile", spec_file, "--training", "-o", str(tmp_path / "step"))
    manifest = json.loads((tmp_path / "step/manifest.json").read_text())
    assert (manifest["losses"], manifest["targets"]) == (["loss", "losses/error"], {})


def test_predictions_do_not_read_the_targets_of_a_loss(tmp_path: Path) -> None:
    document = {
        "inputs": {"size": {"shape": [2]}, "truth": {"shape": [1]}},
        "layers": [
            {"type": "Dense", "name": "guess", "units": 1, "from": "size"},
            {"type": "ops.subtract", "from": ["truth", "guess"]},
            {"type": "ops.abs"},
            {"type": "AddLoss"},
        ],
        "outputs": "guess",
        "training": {"data": {"train": "known.csv", "x": {"size": "*", "truth": "price"}}, "optimizer": SGD},
    }
    (tmp_path / "spec.json").write_text(json.dumps(document))
    known, new, run = (str(tmp_path / name) for name in ("known.csv", "new.csv", "run"))
    Path(known).write_text("area,price,rooms\n1,3,2\n2,5,3\n")
    Path(new).write_text("area,rooms\n1,2\n2,3\n")
    command("train", str(tmp_path / "spec.json"), "-o", run)
    predicted = command("predict", run, new).stdout
    assert len(predicted.splitlines()) == 3
    assert command("predict", run, known).stdout == predicted
    assert "price" not in command("drift", run, "--data", new).stdout
    table = [{"area": 1, "rooms": 2}, {"area": 2, "rooms": 3}]
    assert jsonnx.Session(run).run(table)["guess"].shape == (2, 1)
