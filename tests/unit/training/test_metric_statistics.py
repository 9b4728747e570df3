"""Metrics of masked, weighted, invalid and sharded samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.training.metrics.metrics import METRICS, Metric, MetricCodec
from support.harness import run

TIME, CLASSES = 4, 3
OUTPUT = TensorType("float32", (BATCH, TIME, CLASSES))
TARGET = TensorType("int64", (BATCH, TIME))
SPECS: list[Any] = [
    "true_positives",
    {"type": "Precision", "average": None},
    {"type": "Recall", "top_k": 1},
    "auc",
    {"type": "AUC", "num_thresholds": None},
    {"type": "AUC", "thresholds": [0.2, 0.6], "label_weights": [1.0, 2.0, 0.5]},
    {"type": "PrecisionAtRecall", "recall": 0.5},
    "f1_score",
    {"type": "MeanIoU", "num_classes": 3, "sparse_y_pred": False},
    "confusion_matrix",
]


def value_of(metric: Metric, target: np.ndarray, output: np.ndarray, mask: np.ndarray | None = None) -> Any:
    g = Builder()
    weights = None if mask is None else g.input("mask", TensorType(str(mask.dtype), (BATCH, TIME)))
    x, y = g.input("output", OUTPUT), g.input("target", TARGET)
    feeds = {"target": target, "output": output} | ({} if mask is None else {"mask": mask})
    totals = run(g.graph({"totals": metric.statistics(g, y, x, weights)}), feeds)["totals"]
    return metric.result(totals.astype("float64"))


def drawn() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    scores = np.exp(2 * rng.normal(size=(6, TIME, CLASSES)))
    output = (scores / scores.sum(-1, keepdims=True)).astype("float32")
    return rng.integers(0, CLASSES, (6, TIME)), output


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_masked_positions_do_not_count(spec: Any) -> None:
    metric: Any = MetricCodec().read(spec)
    target, output = drawn()
    kept = np.array([True, True, False, False, True, True])
    mask = np.repeat(kept[:, None], TIME, 1)
    np.testing.assert_allclose(
        value_of(metric, target, output, mask), value_of(metric, target[kept], output[kept]), 1e-6
    )
    assert value_of(metric, target, output, mask) != value_of(metric, target, output)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_weight_counts_as_often_as_a_repeated_sample(spec: Any) -> None:
    metric: Any = MetricCodec().read(spec)
    target, output = drawn()
    counts = np.array([1, 2, 0, 3, 1, 1])
    weights = np.repeat(counts[:, None], TIME, 1).astype("float32")
    repeated = value_of(metric, np.repeat(target, counts, 0), np.repeat(output, counts, 0))
    np.testing.assert_allclose(value_of(metric, target, output, weights), repeated, 1e-6)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_scores_that_are_no_numbers_do_not_end_the_step(spec: Any) -> None:
    metric: Any = MetricCodec().read(spec)
    target, output = drawn()
    value_of(metric, target, np.full_like(output, np.nan))


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_batch_is_split_across_threads_unless_samples_are_kept(spec: Any) -> None:
    layer = {"type": "Dense", "name": "y", "units": CLASSES, "activation": "softmax"}
    training = {"loss": "sparse_categorical_crossentropy", "metrics": [spec]}
    plan = plan_training(check_spec({"inputs": {"x": {"shape": [2]}}, "layers": [layer], "training": training}))
    (metric,) = plan.metrics.values()
    assert (plan.make_shards is None) == metric.keeps_samples


@pytest.mark.parametrize(
    ("name", "higher"),
    [("auc", True), ("false_positives", False), ("mse", False), ("cosine_similarity", True), ("r2_score", True)],
)
def test_early_stopping_knows_which_metrics_are_better(name: str, higher: bool) -> None:
    cls: Any = METRICS.by_name[name]
    assert cls.higher_is_better is higher


def test_relative_errors_are_divided_by_the_normalizer() -> None:
    metric = MetricCodec().read({"type": "MeanRelativeError", "normalizer": [1.0, 0.0, 2.0]})
    g = Builder()
    type = TensorType("float32", (BATCH, 3))
    x, y = g.input("output", type), g.input("target", type)
    feeds = {
        "target": np.array([[1, 3, 2], [1, 3, 2]], "float32"),
        "output": np.array([[2, 9, 6], [1, 3, 2]], "float32"),
    }
    totals = run(g.graph({"totals": metric.statistics(g, y, x)}), feeds)["totals"]
    assert metric.result(totals) == pytest.approx((1 + 0 + 2) / 6)


def test_a_run_with_lists_and_kept_samples_is_resumed_within_an_epoch(tmp_path: Path) -> None:
    layer = {"type": "Dense", "name": "y", "units": CLASSES, "activation": "softmax"}
    metrics = ["confusion_matrix", {"type": "AUC", "num_thresholds": None}]
    training = {"loss": "sparse_categorical_crossentropy", "metrics": metrics, "epochs": 2, "batch_size": 4}
    spec = {"inputs": {"x": {"shape": [2]}}, "layers": [layer], "training": training}
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(18, 2)).astype("float32"), rng.integers(0, CLASSES, 18)
    whole, resumed = jsonnx.Trainer(spec), jsonnx.Trainer(spec)

    class Save(jsonnx.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if (whole.epochs_done, batch) == (1, 2):
                whole.save_checkpoint(tmp_path / "checkpoint")

    history = whole.fit(x, y, callbacks=[Save()]).history
    resumed.load_checkpoint(tmp_path / "checkpoint")
    assert resumed.fit(x, y).history == history
    assert np.sum(history["confusion_matrix"]) == 36
