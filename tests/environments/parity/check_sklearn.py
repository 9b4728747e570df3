"""Metrics of trained runs, compared with scikit-learn's metrics on what the deployed model predicts.

Each run has what could come between the two: class weights, a chosen threshold, calibrated probabilities, normalized
targets. tests/unit/training/test_sklearn.py compares more metrics, with recorded values.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from sklearn import metrics as sk
from support.commands import jsonnx as command

ROWS, FEATURES = 400, 6
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, FEATURES)).astype(np.float32)
SCORES = X @ RNG.normal(size=(FEATURES, 4)) + RNG.normal(size=(ROWS, 4))
BIN_WIDTH = 1 / 199
"""Distance of the thresholds of Keras' AUC, which bounds its error here."""

Score = Callable[[np.ndarray, np.ndarray, float], Any]
"""A metric by targets, predictions and the threshold of the model."""


def at(score: Any, **options: Any) -> Score:
    """A metric of the classes whose probability is above the model's threshold."""
    return lambda y, p, threshold: score(y, p > threshold, **options)


def best(score: Any, **options: Any) -> Score:
    """A metric of the most likely class."""
    return lambda y, p, threshold: score(y, p.argmax(-1), **options)


BINARY: dict[str, Score] = {
    "accuracy": at(sk.accuracy_score),
    "precision": at(sk.precision_score),
    "recall": at(sk.recall_score),
    "f1_score": at(sk.f1_score),
    "roc_auc": lambda y, p, threshold: sk.roc_auc_score(y, p),
    "loss": lambda y, p, threshold: sk.log_loss(y, p.astype(np.float64)),
}
CLASSES: dict[str, Score] = {
    "accuracy": best(sk.accuracy_score),
    "precision_macro": best(sk.precision_score, average="macro", zero_division=0),
    "recall_macro": best(sk.recall_score, average="macro"),
    "f1_macro": best(sk.f1_score, average="macro"),
    "top_2": lambda y, p, threshold: sk.top_k_accuracy_score(y, p, k=2),
    "loss": lambda y, p, threshold: sk.log_loss(y, p / p.sum(-1, keepdims=True, dtype=np.float64)),
}
NUMBERS: dict[str, Score] = {
    "r2_score": lambda y, p, threshold: sk.r2_score(y, p),
    "mae": lambda y, p, threshold: sk.mean_absolute_error(y, p),
    "root_mean_squared_error": lambda y, p, threshold: sk.root_mean_squared_error(y, p),
}
AUC = {"type": "AUC", "num_thresholds": None, "name": "roc_auc"}
CASES: dict[str, tuple[dict[str, Any], np.ndarray, dict[str, Any], dict[str, Score]]] = {
    "threshold": (
        {"units": 1, "activation": "sigmoid"},
        (SCORES[:, :1] > 1).astype(np.float32),
        {
            "loss": "binary_crossentropy",
            "metrics": ["accuracy", "precision", "recall", "f1_score", AUC, "auc"],
            "threshold": {"maximize": "f1"},
            "calibration": "temperature",
        },
        BINARY,
    ),
    "class weights": (
        {"units": 4, "activation": "softmax"},
        SCORES.argmax(-1),
        {
            "loss": "sparse_categorical_crossentropy",
            "metrics": [
                "accuracy",
                {"type": "Precision", "top_k": 1, "average": "macro", "name": "precision_macro"},
                {"type": "Recall", "top_k": 1, "average": "macro", "name": "recall_macro"},
                {"type": "F1Score", "average": "macro", "name": "f1_macro"},
                {"type": "SparseTopKCategoricalAccuracy", "k": 2, "name": "top_2"},
            ],
            "class_weight": "balanced",
            "calibration": "temperature",
        },
        CLASSES,
    ),
    "normalized targets": (
        {"units": 1},
        (5000 + 300 * SCORES[:, :1]).astype(np.float32),
        {"loss": "mse", "metrics": ["r2_score", "mae", "root_mean_squared_error"], "target": {"normalize": True}},
        NUMBERS,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_metrics_of_a_run_equal_those_of_the_deployed_model(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    layer, targets, training, scores = CASES[case]
    np.savez("train.npz", x=X[:300], y=targets[:300])
    np.savez("test.npz", x=X[300:], y=targets[300:])
    data = {"train": "train.npz", "test": "test.npz", "validation_split": 0.3}
    spec = {
        "inputs": {"x": {"shape": [FEATURES]}},
        "layers": [{"type": "Dense", "units": 8, "activation": "relu"}, {"type": "Dense", "name": "y", **layer}],
        "training": {"data": data, "optimizer": {"type": "adam", "learning_rate": 0.01}, "epochs": 12, **training},
    }
    Path("spec.json").write_text(json.dumps(spec))
    command("train", "spec.json", "-o", "run")
    reported = [
        json.loads(Path("run/run.json").read_text())["test"],
        *(
            json.loads(command("evaluate", name, "--data", "test.npz", "--format", "json").stdout)
            for name in ("run", "run/model.onnx")
        ),
    ]
    session = jsonnx.Session("run/model.onnx")
    threshold = json.loads(session.metadata.get("jsonnx.thresholds", '{"y": 0.5}'))["y"]
    predicted, expected = session.run(X[300:])["y"], targets[300:]
    for metrics in reported:
        for name, score in scores.items():
            assert metrics[name] == pytest.approx(score(expected, predicted, threshold), rel=1e-6, abs=1e-6), name
        if "auc" in metrics:
            assert metrics["auc"] == pytest.approx(metrics["roc_auc"], abs=BIN_WIDTH)
    if case == "threshold":
        assert threshold != 0.5
