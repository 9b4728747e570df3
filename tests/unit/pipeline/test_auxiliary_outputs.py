"""Outputs that training and evaluation have and the compiled model lacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from jsonnx import CompileError, Session, Trainer, compile, validate
from jsonnx.analysis.layer_costs import formula_costs
from jsonnx.cli import main
from jsonnx.pipeline.check.check import check_spec

HEAD: dict[str, Any] = {
    "parameters": {"units": 3},
    "layers": [
        {"type": "GlobalAveragePooling2D"},
        {"type": "Dense", "name": "class", "units": "${units}", "activation": "softmax"},
    ],
}
LAYERS: list[Any] = [
    {"type": "Conv2D", "name": "first", "filters": 4, "kernel_size": 3},
    {"type": "head", "name": "side"},
    {"type": "Conv2D", "name": "second", "filters": 4, "kernel_size": 3, "from": "first"},
    {"type": "head", "name": "main"},
]


def spec(**training: Any) -> dict[str, Any]:
    """A network with two heads, of which the model has the second."""
    return {
        "inputs": {"image": {"shape": [8, 8, 1]}},
        "blocks": {"head": HEAD},
        "layers": LAYERS,
        "training": {
            "auxiliary_outputs": ["side"],
            "loss": "sparse_categorical_crossentropy",
            "loss_weights": {"side_class": 0.5},
            "optimizer": {"type": "sgd", "learning_rate": 0.1},
            **training,
        },
    }


def samples() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    return rng.normal(size=(60, 8, 8, 1)).astype("f4") + y[:, None, None, None], {"main_class": y, "side_class": y}


def test_the_compiled_model_has_no_auxiliary_output_and_none_of_its_weights() -> None:
    model = compile(spec())
    assert list(model.outputs) == ["main_class"]
    session = Session(model.to_bytes())
    assert list(session.outputs) == ["main_class"]
    assert session.metadata["jsonnx.parameters"] == "203"  # 218 in training
    assert list(json.loads(session.metadata["jsonnx.signature"])["outputs"]) == ["main_class"]


def test_costs_are_those_of_the_compiled_model(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec()))
    text = CliRunner().invoke(main, ["summary", str(path)]).output
    assert "parameters      218\n" in text
    assert "compiled model  203 parameters, the others are for training\n" in text
    totals = json.loads(CliRunner().invoke(main, ["summary", str(path), "--format", "json"]).output)["totals"]
    assert (totals["parameters"], totals["compiled_parameters"]) == (218, 203)
    assert validate({**spec(), "budget": {"parameters": 203, "multiply_adds": totals["multiply_adds"]}}) == []
    (error,) = validate({**spec(), "budget": {"parameters": 202}})
    assert error.message == "the compiled model has 203 parameters, the budget is 202"


def test_costs_by_formulas_are_those_of_the_compiled_model() -> None:
    layers = [
        {"type": "Dense", "name": "body", "units": 4},
        {"type": "Dense", "name": "side", "units": 3},
        {"type": "Dense", "name": "shared", "units": 4, "from": "body"},
        {"type": "Dense", "name": "main", "units": 2, "from": "body"},
    ]
    document = {"inputs": {"x": {"shape": [4]}}, "layers": layers, "outputs": "main"}
    training = {"loss": "mse", "auxiliary_outputs": ["side", "shared"], "optimizer": "sgd"}
    costs = formula_costs(check_spec({**document, "training": training}).require())
    assert costs is not None
    assert {name: tuple(cost) for name, cost in costs.items()} == {
        "body": (20, 16), "side": (0, 0), "shared": (0, 0), "main": (10, 8)
    }  # fmt: skip


def test_auxiliary_losses_are_minimized_and_reported() -> None:
    x, y = samples()
    trainer = Trainer(spec())
    before = trainer.weights()
    history = trainer.fit(x, y, epochs=3).history
    total = np.array(history["main_class_loss"]) + 0.5 * np.array(history["side_class_loss"])
    assert history["loss"] == pytest.approx(total.tolist())
    assert not np.array_equal(before["side_class/kernel"], trainer.weights()["side_class/kernel"])
    assert {"loss", "main_class_loss", "side_class_loss"} <= trainer.evaluate(x, y).keys()
    predicted = trainer.predict(x)
    assert predicted.shape == (60, 3)
    session = Session(trainer.model().to_bytes())
    assert np.allclose(session.run({"image": x})["main_class"], predicted, atol=1e-6)


def test_the_auxiliary_loss_trains_the_layers_that_it_shares() -> None:
    x, y = samples()
    weights = []
    for factor in (0.5, 0.0):
        trainer = Trainer(spec(loss_weights={"side_class": factor}))
        trainer.fit(x, y, epochs=1)
        weights.append(trainer.weights()["first/kernel"])
    assert not np.array_equal(*weights)


def test_the_summary_marks_layers_that_only_training_has() -> None:
    rows = {row.name: row for row in compile(spec()).rows()}
    assert rows["side_class"].is_training_only
    assert not rows["main_class"].is_training_only


@pytest.mark.parametrize(
    ("auxiliary", "message"),
    [
        (["sied"], "nothing is called 'sied'"),
        (["image"], "the output 'image' is an input"),
        (["main"], "'main_class' is an output of the compiled model already"),
        (["side", "side"], "the output 'side_class' is named twice"),
    ],
)
def test_a_wrong_name_is_an_error(auxiliary: list[str], message: str) -> None:
    diagnostics = validate(spec(auxiliary_outputs=auxiliary, loss_weights=None))
    assert message in [diagnostic.message for diagnostic in diagnostics]


def test_without_the_key_the_head_is_unused() -> None:
    messages = [diagnostic.message for diagnostic in validate(spec(auxiliary_outputs=[], loss_weights=None))]
    assert any("nothing uses the result of 'side_class'" in message for message in messages)


def test_a_model_cannot_be_scored_without_its_auxiliary_outputs(tmp_path: Path) -> None:
    from jsonnx.pipeline.run.trained_model import TrainedModel

    x, y = samples()
    np.savez(tmp_path / "data.npz", image=x, **y)
    compile(spec()).save(tmp_path / "model.onnx")
    with pytest.raises(CompileError, match="depends on values that a compiled model does not contain"):
        TrainedModel.open(tmp_path / "model.onnx").evaluate(str(tmp_path / "data.npz"))
