"""ONNX files that compute their loss from labels: specs, training steps and models without labels."""

from __future__ import annotations

import json
from pathlib import Path

import jsonnx
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from support.commands import jsonnx as command
from support.foreign_models import model, numbers

node = helper.make_node
WEIGHTS = {"fc.weight": numbers(4, 3), "fc.bias": numbers(3, seed=1)}
LOGITS = [node("MatMul", ["x", "fc.weight"], ["p"]), node("Add", ["p", "fc.bias"], ["logits"])]
X, LABELS = numbers(12, 4, seed=2), np.arange(12) % 3
FORMS: dict[str, list[onnx.NodeProto]] = {
    "cross-entropy": [node("SoftmaxCrossEntropyLoss", ["logits", "labels"], ["loss"])],
    "log-likelihood": [
        node("LogSoftmax", ["logits"], ["log_p"], axis=1),
        node("NegativeLogLikelihoodLoss", ["log_p", "labels"], ["loss"]),
    ],
    "operators": [
        node("LogSoftmax", ["logits"], ["log_p"], axis=1),
        node("Unsqueeze", ["labels", "last"], ["column"]),
        node("GatherElements", ["log_p", "column"], ["chosen"], axis=1),
        node("ReduceMean", ["chosen"], ["mean"], keepdims=0),
        node("Neg", ["mean"], ["loss"]),
    ],
}


def file(form: str, outputs: tuple[str, ...] = ("logits", "loss"), opset: int = 17) -> onnx.ModelProto:
    shapes = {"logits": ["N", 3], "loss": []}
    tensors = {**WEIGHTS, **({"last": np.int64([1])} if form == "operators" else {})}
    inputs, dtypes = {"x": ["N", 4], "labels": ["N"]}, {"labels": TensorProto.INT64}
    return model([*LOGITS, *FORMS[form]], inputs, {name: shapes[name] for name in outputs}, tensors, opset, dtypes)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(file("cross-entropy"), "model.onnx")


def expected_losses(rate: float, epochs: int) -> list[float]:
    """The losses of gradient descent on the same network, whose loss the spec names."""
    dense = {"type": "Dense", "name": "y", "units": 3}
    loss = {"type": "SparseCategoricalCrossentropy", "from_logits": True}
    training = {"loss": loss, "optimizer": {"type": "sgd", "learning_rate": rate}}
    spec = {"inputs": {"x": {"shape": [4]}}, "layers": [dense], "training": training}
    weights = {"y/kernel": WEIGHTS["fc.weight"], "y/bias": WEIGHTS["fc.bias"]}
    trainer = jsonnx.Trainer(spec, weights=weights)
    return trainer.fit(X, LABELS, batch_size=12, epochs=epochs, verbose=0).history["loss"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("outputs", [("logits", "loss"), ("loss",)])
def test_the_loss_of_the_file_trains_its_weights(form: str, outputs: tuple[str, ...]) -> None:
    onnx.save(file(form, outputs), "model.onnx")
    spec, weights = jsonnx.from_onnx("model.onnx")
    spec["training"]["optimizer"] = {"type": "sgd", "learning_rate": 0.5}
    trainer = jsonnx.Trainer(spec, weights=weights)
    history = trainer.fit({"x": X, "labels": LABELS}, batch_size=12, epochs=4, verbose=0).history
    np.testing.assert_allclose(history["loss"], expected_losses(0.5, 4), rtol=1e-5)
    assert trainer.predict(X).shape == (12, 3)


def test_the_spec_names_results_and_loss() -> None:
    command("import", "model.onnx", "-o", "spec.json")
    spec = json.loads(Path("spec.json").read_text())
    assert spec["layers"][0]["outputs"] == {"logits": "logits", "loss": "loss"}
    assert spec["layers"][1] == {"type": "AddLoss", "name": "model_loss", "from": "net.loss"}
    assert spec["outputs"] == ["net"]


def test_the_model_needs_no_labels() -> None:
    command("import", "model.onnx", "-o", "spec.json")
    command("compile", "spec.json", "-o", "compiled.onnx")
    session = onnxruntime.InferenceSession("compiled.onnx")
    assert [value.name for value in session.get_inputs()] == ["x"]
    np.testing.assert_allclose(session.run(None, {"x": X})[0], X @ WEIGHTS["fc.weight"] + WEIGHTS["fc.bias"], rtol=1e-4)


def test_a_run_takes_labels_from_a_column_and_predicts_without() -> None:
    rows = [",".join(map(str, [*x, label])) for x, label in zip(X, LABELS, strict=True)]
    Path("train.csv").write_text("\n".join(["a,b,c,d,kind", *rows]))
    Path("new.csv").write_text("\n".join(["a,b,c,d", *(row.rpartition(",")[0] for row in rows)]))
    command("import", "model.onnx", "-o", "spec.json")
    data = {"train": "train.csv", "x": {"x": ["a", "b", "c", "d"], "labels": "kind"}}
    command("train", "spec.json", "-o", "run", "--set", f"training.data={json.dumps(data)}")
    assert len(command("predict", "run", "--data", "new.csv").stdout.splitlines()) == 13
    assert len(command("predict", "run/model.onnx", "--data", "new.csv").stdout.splitlines()) == 13


def test_a_head_takes_the_place_of_the_loss() -> None:
    spec, weights = jsonnx.from_onnx("model.onnx", {"kind": 5})
    assert list(spec["inputs"]) == ["x"]
    assert weights is not None
    jsonnx.Trainer(spec, weights=weights, partial=True).fit(X, LABELS, verbose=0)


def test_another_loss_is_named() -> None:
    nodes = [*LOGITS, node("Sub", ["logits", "target"], ["error"]), node("Mul", ["error", "error"], ["squares"])]
    inputs = {"x": ["N", 4], "target": ["N", 3]}
    onnx.save(model(nodes, inputs, {"logits": ["N", 3], "squares": ["N", 3]}, WEIGHTS), "model.onnx")
    assert "training" not in jsonnx.from_onnx("model.onnx")[0]
    command("import", "model.onnx", "-o", "spec.json", "--loss", "squares")
    trainer = jsonnx.Trainer("spec.json")
    losses = trainer.fit({"x": X, "target": numbers(12, 3)}, batch_size=12, epochs=3, verbose=0).history["loss"]
    assert losses[2] < losses[0]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--loss", "none"), 1, "it has no value 'none'"),
        (("--loss", "logits"), 1, "'logits' does not depend on labels"),
        (("--loss", "loss", "--head", "kind=3"), 2, "a new head has a loss of its own"),
    ],
)
def test_losses_that_cannot_be_trained(arguments: tuple[str, ...], status: int, message: str) -> None:
    assert message in command("import", "model.onnx", *arguments, status=status).stderr
