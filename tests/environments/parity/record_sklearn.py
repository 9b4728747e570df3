"""Records scikit-learn's metrics of the deployed models in tests/unit/training/deployed.py.

    PYTHONPATH=compiler:tests python tests/environments/parity/record_sklearn.py

Needs an environment of its own with jsonnx and scikit-learn.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import metrics as sk
from unit.training import deployed

FIXTURE = Path(__file__).parents[2] / "unit" / "training" / "fixtures" / "sklearn.json"

Score = Callable[[np.ndarray, np.ndarray], Any]


def of_class(score: Any, **options: Any) -> Score:
    """A metric of the most likely class."""
    return lambda y, p: score(y, p.argmax(-1), **options)


def above(threshold: float, score: Any, **options: Any) -> Score:
    """A metric of the classes whose score is above a threshold."""
    return lambda y, p: score(y, p > threshold, **options)


SCORES: dict[str, dict[str, Score]] = {
    "classes": {
        "precision_macro": of_class(sk.precision_score, average="macro", zero_division=0),
        "precision_weighted": of_class(sk.precision_score, average="weighted", zero_division=0),
        "precision_by_class": of_class(sk.precision_score, average=None, zero_division=0),
        "recall_by_class": of_class(sk.recall_score, average=None),
        "f1_macro": of_class(sk.f1_score, average="macro"),
        "f1_micro": of_class(sk.f1_score, average="micro"),
        "f1_weighted": of_class(sk.f1_score, average="weighted"),
        "f1_by_class": of_class(sk.f1_score, average=None),
        "f2_macro": of_class(sk.fbeta_score, average="macro", beta=2.0),
        "jaccard_macro": of_class(sk.jaccard_score, average="macro"),
        "top_2": lambda y, p: sk.top_k_accuracy_score(y, p, k=2),
        "matrix": of_class(sk.confusion_matrix),
        "matrix_true": of_class(sk.confusion_matrix, normalize="true"),
        "auc_one_vs_rest": lambda y, p: sk.roc_auc_score(y, p / p.sum(-1, keepdims=True), multi_class="ovr"),
    },
    "binary": {
        "accuracy": above(0.5, sk.accuracy_score),
        "precision": above(0.5, sk.precision_score),
        "recall": above(0.5, sk.recall_score),
        "f1_score": above(0.5, sk.f1_score),
        "recall_at_0.3": above(0.3, sk.recall_score),
        "jaccard": above(0.5, sk.jaccard_score),
        "matrix": above(0.5, sk.confusion_matrix),
        "roc_auc": sk.roc_auc_score,
        "average_precision": sk.average_precision_score,
    },
    "labels": {
        "precision_macro": above(0.5, sk.precision_score, average="macro"),
        "f1_macro": above(0.5, sk.f1_score, average="macro"),
        "f1_by_class": above(0.5, sk.f1_score, average=None),
        "recall_micro": above(0.5, sk.recall_score, average="micro"),
        "roc_auc_macro": lambda y, p: sk.roc_auc_score(y, p, average="macro"),
        "roc_auc_micro": lambda y, p: sk.roc_auc_score(y, p, average="micro"),
    },
    "numbers": {
        "r2_score": sk.r2_score,
        "r2_by_number": lambda y, p: sk.r2_score(y, p, multioutput="raw_values"),
        "r2_weighted": lambda y, p: sk.r2_score(y, p, multioutput="variance_weighted"),
        "mae": sk.mean_absolute_error,
        "mse": sk.mean_squared_error,
        "root_mean_squared_error": lambda y, p: sk.mean_squared_error(y, p) ** 0.5,
        "pearson": lambda y, p: np.mean([np.corrcoef(y[:, i], p[:, i])[0, 1] for i in range(y.shape[1])]),
    },
}


def record() -> None:
    results: dict[str, dict[str, Any]] = {}
    for case, scores in SCORES.items():
        with tempfile.TemporaryDirectory() as folder:
            predicted = deployed.predictions(case, Path(folder)).astype(np.float64)
        target = deployed.data(case)["y"]
        results[case] = {name: np.asarray(score(target, predicted)).tolist() for name, score in scores.items()}
    FIXTURE.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    record()
