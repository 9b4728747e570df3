"""Deployed models with random weights, and data for them, to compare metrics with scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonnx
import numpy as np

SAMPLES = 203
FEATURES = 5

SPARSE, BINARY = "sparse_categorical_crossentropy", "binary_crossentropy"
CLASS_METRICS = [
    {"type": "Precision", "top_k": 1, "average": "macro", "name": "precision_macro"},
    {"type": "Precision", "top_k": 1, "average": "weighted", "name": "precision_weighted"},
    {"type": "Precision", "top_k": 1, "average": None, "name": "precision_by_class"},
    {"type": "Recall", "top_k": 1, "average": None, "name": "recall_by_class"},
    {"type": "F1Score", "average": "macro", "name": "f1_macro"},
    {"type": "F1Score", "average": "micro", "name": "f1_micro"},
    {"type": "F1Score", "average": "weighted", "name": "f1_weighted"},
    {"type": "F1Score", "name": "f1_by_class"},
    {"type": "FBetaScore", "beta": 2.0, "average": "macro", "name": "f2_macro"},
    {"type": "MeanIoU", "num_classes": 4, "sparse_y_pred": False, "name": "jaccard_macro"},
    {"type": "SparseTopKCategoricalAccuracy", "k": 2, "name": "top_2"},
    {"type": "ConfusionMatrix", "name": "matrix"},
    {"type": "ConfusionMatrix", "normalize": "true", "name": "matrix_true"},
    {"type": "AUC", "multi_label": True, "num_thresholds": None, "name": "auc_one_vs_rest"},
]
BINARY_METRICS = [
    "accuracy",
    "precision",
    "recall",
    "f1_score",
    {"type": "Recall", "thresholds": 0.3, "name": "recall_at_0.3"},
    {"type": "BinaryIoU", "target_class_ids": [1], "name": "jaccard"},
    {"type": "ConfusionMatrix", "name": "matrix"},
    {"type": "AUC", "num_thresholds": None, "name": "roc_auc"},
    {"type": "AUC", "num_thresholds": None, "curve": "PR", "summation_method": "step", "name": "average_precision"},
]
LABEL_METRICS = [
    {"type": "Precision", "average": "macro", "name": "precision_macro"},
    {"type": "F1Score", "average": "macro", "threshold": 0.5, "name": "f1_macro"},
    {"type": "F1Score", "threshold": 0.5, "name": "f1_by_class"},
    {"type": "Recall", "name": "recall_micro"},
    {"type": "AUC", "multi_label": True, "num_thresholds": None, "name": "roc_auc_macro"},
    {"type": "AUC", "num_thresholds": None, "name": "roc_auc_micro"},
]
NUMBER_METRICS = [
    "r2_score",
    {"type": "R2Score", "class_aggregation": None, "name": "r2_by_number"},
    {"type": "R2Score", "class_aggregation": "variance_weighted_average", "name": "r2_weighted"},
    "mae",
    "mse",
    "root_mean_squared_error",
    {"type": "PearsonCorrelation", "axis": 0, "name": "pearson"},
]
CASES: dict[str, tuple[int, str, str, list[Any]]] = {
    "classes": (4, "softmax", SPARSE, CLASS_METRICS),
    "binary": (1, "sigmoid", BINARY, BINARY_METRICS),
    "labels": (3, "sigmoid", BINARY, LABEL_METRICS),
    "numbers": (2, "linear", "mse", NUMBER_METRICS),
}
"""By name: the units of the output, its activation, the loss and the metrics."""


def spec(case: str) -> dict[str, Any]:
    units, activation, loss, metrics = CASES[case]
    layer = {"type": "Dense", "name": "y", "units": units, "activation": activation}
    return {
        "inputs": {"x": {"shape": [FEATURES]}},
        "layers": [layer],
        "training": {"loss": loss, "metrics": metrics, "seed": 3},
    }


def data(case: str) -> dict[str, np.ndarray]:
    """Inputs `x` and targets `y`. Targets of numbers are far from 0, where sums of squares lose digits."""
    units, activation, _, _ = CASES[case]
    rng = np.random.default_rng(len(case))
    x = rng.normal(size=(SAMPLES, FEATURES)).astype("float32")
    if activation == "softmax":
        return {"x": x, "y": rng.integers(0, units, SAMPLES)}
    if activation == "sigmoid":
        return {"x": x, "y": (rng.random((SAMPLES, units)) > 0.6).astype("float32")}
    return {"x": x, "y": (1000 + rng.normal(size=(SAMPLES, units))).astype("float32")}


def save(case: str, folder: Path) -> tuple[Path, Path]:
    """Writes the model and the data; their files."""
    model, table = folder / f"{case}.onnx", folder / f"{case}.npz"
    jsonnx.compile(spec(case)).save(model)
    np.savez(table, **data(case))
    return model, table


def predictions(case: str, folder: Path) -> np.ndarray:
    """What the deployed model predicts for the data."""
    model, _ = save(case, folder)
    results: np.ndarray = jsonnx.Session(model).run({"x": data(case)["x"]})["y"]
    return results
