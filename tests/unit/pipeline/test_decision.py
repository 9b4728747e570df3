"""Thresholds and temperatures that are chosen on validation data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.backend import thresholds_from
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.compile.output_classes import output_classes
from jsonnx.pipeline.predict.predict import Reports, predict
from jsonnx.pipeline.predict.predictor import PredictOptions
from jsonnx.pipeline.run.trained_model import TrainedModel
from jsonnx.pipeline.train.decision import with_thresholds
from jsonnx.runtime.execution import engine
from jsonnx.runtime.fit.fit_data import dataset_of
from jsonnx.sections.decision_arithmetic import best_temperature, best_threshold
from jsonnx.sections.training_section import ThresholdSection

LATE = {"type": "Dense", "name": "late", "units": 1, "activation": "sigmoid"}


def spec(**training: Any) -> dict[str, Any]:
    section = {"loss": "binary_crossentropy", "metrics": ["accuracy", "f1_score"], "optimizer": "adam", **training}
    return {"inputs": {"x": {"shape": [3]}}, "layers": [LATE], "training": section}


def samples(count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 3)).astype("float32")
    return x, (x[:, :1] + rng.normal(size=(count, 1)) > 1.2).astype("float32")


def fitted(**training: Any) -> jsonnx.Trainer:
    trainer = jsonnx.Trainer(spec(**training))
    x, y = samples()
    trainer.fit(x, y, validation_data=(x, y), epochs=3)
    return trainer


@pytest.mark.parametrize("maximize", ["f1", "accuracy", "balanced_accuracy", "mcc", "f2", "precision", "recall"])
def test_the_threshold_is_the_best_of_all(maximize: str) -> None:
    rng = np.random.default_rng(1)
    scores, targets = rng.integers(1, 20, 60) / 20, rng.integers(0, 2, 60)

    def value(threshold: float) -> float:
        predicted, actual = scores > threshold, targets == 1
        tp, fp = (predicted & actual).sum(), (predicted & ~actual).sum()
        fn, tn = (~predicted & actual).sum(), (~predicted & ~actual).sum()
        scale = np.sqrt(float((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))
        return {
            "f1": 2 * tp / (2 * tp + fp + fn),
            "f2": 5 * tp / (5 * tp + fp + 4 * fn),
            "accuracy": (tp + tn) / 60,
            "balanced_accuracy": (tp / (tp + fn) + tn / (tn + fp)) / 2,
            "mcc": (tp * tn - fp * fn) / scale if scale else 0.0,
            "precision": tp / (tp + fp) if tp + fp else 0.0,
            "recall": tp / (tp + fn),
        }[maximize]

    chosen = best_threshold(scores, targets, ThresholdSection(maximize=maximize))
    assert value(chosen) == pytest.approx(max(value(threshold) for threshold in np.linspace(0.001, 0.999, 999)))


def test_thresholds_are_evaluated_with_the_weights_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, (x, y) = fitted(threshold={"maximize": "f1"}), samples()
    loss, weights = trainer.plan_trainer.evaluate(dataset_of(trainer.plan, x, y))["loss"], trainer.weights()
    monkeypatch.setattr(engine.Engine, "__init__", None)  # no second one
    measured = trainer.evaluate(x, y)
    predicted = trainer.predict(x) > trainer.thresholds["late"]
    assert measured["accuracy"] == pytest.approx((predicted == y).mean())
    assert measured["loss"] == loss
    assert all((array == weights[name]).all() for name, array in trainer.weights().items())


def test_a_model_keeps_its_weights_when_training_goes_on() -> None:
    trainer = jsonnx.Trainer(spec())
    model = trainer.model()
    before = model.to_bytes()
    trainer.step(*samples())
    assert (model.weights["late/kernel"] != trainer.weights()["late/kernel"]).any()
    assert model.to_bytes() == before


def test_a_threshold_reaches_the_least_precision() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.8])
    targets = np.array([0, 1, 0, 0, 1, 1])
    assert best_threshold(scores, targets, ThresholdSection(maximize="recall")) < 0.2
    assert best_threshold(scores, targets, ThresholdSection(maximize="recall", min_precision=1.0)) == pytest.approx(0.5)


def test_the_temperature_undoes_a_scale() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3))
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    targets = np.array([rng.choice(3, p=share) for share in shares])
    assert best_temperature(3 * logits, targets, True) == pytest.approx(
        3 * best_temperature(logits, targets, True), rel=1e-6
    )
    assert best_temperature(logits, targets, True) == pytest.approx(1.0, abs=0.1)
    assert best_temperature(2 * logits, shares, True) == pytest.approx(2.0)
    assert best_temperature(2 * logits, 1 / (1 + np.exp(-logits)), False) == pytest.approx(2.0)


def test_model_and_metrics_use_the_chosen_threshold(tmp_path: Path) -> None:
    trainer = fitted(threshold={"maximize": "f1"})
    x, y = samples()
    (threshold,) = trainer.thresholds.values()
    predicted = trainer.predict(x) > threshold
    f1 = 2 * (predicted & (y == 1)).sum() / (predicted.sum() + y.sum())
    assert trainer.evaluate(x, y)["f1_score"] == pytest.approx(f1)
    trainer.model().save(tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=x, late=y)
    model = TrainedModel.open(tmp_path / "model.onnx")
    assert model.evaluate(str(tmp_path / "data.npz")).metrics["f1_score"] == pytest.approx(f1)
    texts: list[str] = []
    predict(model, str(tmp_path / "data.npz"), None, PredictOptions(), Reports(texts.append))
    classes = [line.split(",")[0] for line in texts[0].splitlines()[1:]]
    assert classes == [str(int(item)) for item in predicted[:, 0]]


@pytest.mark.parametrize(
    ("metric", "is_chosen"),
    [
        *(({"type": name}, True) for name in ("accuracy", "binary_accuracy", "f1_score", "confusion_matrix")),
        *(({"type": name}, True) for name in ("precision", "recall", "true_positives", "binary_io_u")),
        ({"type": "f1_score", "threshold": 0.5}, True),
        ({"type": "f1_score", "threshold": 0.5001}, False),
        ({"type": "precision", "thresholds": 0.5}, False),
        ({"type": "true_negatives", "thresholds": [0.5]}, False),
        ({"type": "auc"}, False),
    ],
)
def test_metrics_with_the_chosen_threshold(metric: dict[str, Any], is_chosen: bool) -> None:
    """The table in docs/guides/training/thresholds.md, "Where the threshold is used"."""
    layers = [{"type": "Dense", "units": 1, "activation": "sigmoid", "name": "y"}]
    training = {"loss": "binary_crossentropy", "metrics": [metric]}
    checked = check_spec({"inputs": {"x": {"shape": [1]}}, "layers": layers, "training": training})
    assert checked.objective is not None
    (own,) = checked.objective.metrics["y"]
    changed = with_thresholds(checked, {"y": 0.25}).objective
    assert changed is not None
    assert (changed.metrics["y"] != (own,)) == is_chosen


def test_a_threshold_in_the_spec_is_kept_in_the_model() -> None:
    assert jsonnx.compile(spec(threshold=0.3)).session().metadata["jsonnx.thresholds"] == '{"late": 0.3}'


def test_calibration_divides_the_logits_of_the_model() -> None:
    plain, calibrated = fitted(), fitted(calibration="temperature")
    x, y = samples()
    temperature = calibrated.temperatures["late"]
    p, q = (np.asarray(trainer.predict(x), np.float64) for trainer in (plain, calibrated))
    np.testing.assert_allclose(np.log(q / (1 - q)), np.log(p / (1 - p)) / temperature, atol=1e-4)
    assert calibrated.evaluate(x, y)["loss"] < plain.evaluate(x, y)["loss"]


def classified(targets: np.ndarray, activation: str, loss: Any) -> jsonnx.Trainer:
    """A trainer of an output with three units, calibrated on the training data."""
    layer = {"type": "Dense", "name": "y", "units": 3, "activation": activation}
    training = {"loss": loss, "optimizer": {"type": "adam", "learning_rate": 0.05}, "calibration": "temperature"}
    trainer = jsonnx.Trainer({"inputs": {"x": {"shape": [4]}}, "layers": [layer], "training": training})
    trainer.fit(INPUTS, targets, validation_data=(INPUTS, targets), epochs=20)
    return trainer


INPUTS = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
CLASSES = INPUTS[:, :3].argmax(1)
ONE_HOT = np.eye(3, dtype=np.float32)[CLASSES]


@pytest.mark.parametrize(
    ("targets", "activation", "loss"),
    [
        (CLASSES, "softmax", "sparse_categorical_crossentropy"),
        (ONE_HOT, "softmax", "categorical_crossentropy"),
        (0.7 * ONE_HOT + np.float32(0.1), "softmax", "categorical_crossentropy"),
        (ONE_HOT, "sigmoid", "binary_crossentropy"),
        (np.where(np.arange(200) % 5, CLASSES, -1), "softmax", {"ignore_class": -1}),
        (np.where(np.arange(200) % 5, CLASSES, 255), "softmax", {"ignore_class": 255}),
    ],
)
def test_the_temperature_minimizes_the_loss(targets: np.ndarray, activation: str, loss: Any) -> None:
    if isinstance(loss, dict):
        loss = {"type": "sparse_categorical_crossentropy", **loss}
    trainer = classified(targets, activation, loss)
    weights, least = trainer.weights(), trainer.evaluate(INPUTS, targets)["loss"]
    for factor in (0.95, 1.05):
        trainer.set_weights({name: factor * array for name, array in weights.items()})
        assert trainer.evaluate(INPUTS, targets)["loss"] > least


@pytest.mark.parametrize("training", [{"threshold": {"maximize": "f1"}}, {"calibration": "temperature"}])
def test_validation_data_are_needed(training: dict[str, Any]) -> None:
    with pytest.raises(jsonnx.CompileError, match="is chosen on validation data, and there are none"):
        jsonnx.Trainer(spec(**training)).fit(*samples())


# -- several labels ----------------------------------------------------------------------------------------------------

TAGS = {"type": "Dense", "name": "tags", "units": 3, "activation": "sigmoid"}
LABELED = [{"type": "f1_score", "threshold": 0.5}, "binary_accuracy", "precision", "recall"]


def labeled_spec(threshold: Any, **training: Any) -> dict[str, Any]:
    document = spec(**{"metrics": LABELED, "threshold": threshold, **training})
    return document | {"layers": [TAGS], "labels": ["a", "b", "c"]}


def labeled_samples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3)).astype("float32")
    return x, (x + rng.normal(size=x.shape) > [0.0, 1.0, 2.0]).astype("float32")


def test_each_label_gets_the_threshold_that_is_best_for_it() -> None:
    trainer, (x, y) = jsonnx.Trainer(labeled_spec({"maximize": "f1", "by_label": True})), labeled_samples()
    trainer.fit(x, y, validation_data=(x, y), epochs=20)
    chosen, predicted = trainer.thresholds["tags"], trainer.predict(x)
    section = ThresholdSection(maximize="f1")
    assert chosen == tuple(best_threshold(predicted[:, index], y[:, index], section) for index in range(3))
    measured = trainer.evaluate(x, y)
    holds = predicted > np.float32(chosen)
    precision, recall = (holds * y).sum(0) / holds.sum(0), (holds * y).sum(0) / y.sum(0)
    assert measured["f1_score"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert measured["binary_accuracy"] == pytest.approx((holds == y).mean())
    assert measured["precision"] == pytest.approx((holds * y).sum() / holds.sum())
    labels = json.loads(trainer.model().labels_file or b"{}")
    assert labels["tags"]["threshold"] == np.float32(chosen).astype(float).tolist()


def test_a_label_without_positive_samples_keeps_the_usual_threshold() -> None:
    assert best_threshold(np.array([0.1, 0.2]), np.zeros(2), ThresholdSection(maximize="f1")) == 0.5


@pytest.mark.parametrize("from_logits", [False, True])
def test_thresholds_are_given_by_label(from_logits: bool) -> None:
    document = labeled_spec({"a": 0.25, "c": 0.75})
    if from_logits:
        document["layers"] = [{"type": "Dense", "name": "tags", "units": 3}]
        document["training"] |= {"loss": {"type": "binary_crossentropy", "from_logits": True}, "metrics": []}
    metadata = {entry.key: entry.value for entry in jsonnx.compile(document).proto.metadata_props}
    classes = output_classes(check_spec(document), None, thresholds_from(metadata))["tags"]
    assert classes.shown_threshold == {"a": 0.25, "b": 0.5, "c": 0.75}
    array = np.array([[0.3, 0.4, 0.7], [0.2, 0.6, 0.8]], np.float32)
    array = np.log(array / (1 - array)) if from_logits else array
    assert classes.predicted(array) == [["a"], ["b", "c"]]


@pytest.mark.parametrize(
    ("threshold", "message"),
    [
        ({"a": 0.3, "d": 0.4}, "there is no label 'd'"),
        ({"a": 1.5}, "'a' must be less than 1, got 1.5"),
        ({"a": "x"}, "expected a number for 'a'"),
        ({"by_label": True}, "'threshold' needs the key 'maximize'"),
    ],
)
def test_thresholds_of_labels_are_checked(threshold: Any, message: str) -> None:
    assert message in str(check_spec(labeled_spec(threshold)).diagnostics[0])


def test_one_label_has_no_thresholds_by_label() -> None:
    (found,) = check_spec(spec(threshold={"maximize": "f1", "by_label": True})).diagnostics[:1]
    assert "no output has several" in found.message


def test_weights_of_classes_are_refused_for_labels() -> None:
    (found,) = check_spec(labeled_spec(None, class_weight="balanced")).diagnostics
    assert "samples may have several labels of 'tags'" in found.message
    assert '"by_label": true' in str(found.help)
