"""Every metric over batches of different sizes, compared with recorded values of Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.core.types import BATCH, ShapeError, Size, TensorType
from jsonnx.ir import Builder
from jsonnx.training.losses.losses import LOSSES
from jsonnx.training.metrics.metrics import METRICS, MetricCodec, SparseCategoricalAccuracy
from support.harness import run

from .cases import METRICS as CASES
from .cases import name
from .recorded import array, read, recorded, target_array


def totals(metric: Any, target: TensorType, output: TensorType, batches: list) -> np.ndarray:
    """The sums of the statistics over all batches, as in a training run."""
    g = Builder()
    statistics = metric.statistics(g, g.input("target", target), g.input("output", output))
    graph = g.graph({"statistics": statistics})
    feeds = [{"target": target_array(t).astype(target.dtype), "output": array(o)} for t, o in batches]
    return sum(run(graph, feed)["statistics"].astype("float64") for feed in feeds)


@pytest.mark.costly(2)
@pytest.mark.parametrize(("case", "said"), recorded(CASES, "metrics"), ids=[name(case[0]) for case in CASES])
def test_a_metric_and_its_name_equal_those_of_keras(case: Any, said: dict[str, Any]) -> None:
    spec, loss, pair = case
    output = TensorType("float32", (BATCH, *pair.shape[1:]))
    suited = read(LOSSES, loss)
    metric = MetricCodec().read(spec).resolve(suited, output)
    assert metric.reported_name == said["name"]
    with np.errstate(divide="ignore"):
        found = metric.result(totals(metric, suited.target_type(output), output, said["batches"]))
    assert isinstance(found, float) == metric.is_scalar
    np.testing.assert_allclose(found, said["value"], rtol=2e-6, atol=2e-6)


def test_samples_of_different_lengths_have_equal_weights() -> None:
    output = TensorType("float32", (BATCH, Size.named("time"), 2))
    metric = read(METRICS, "mae")
    batches = [(np.zeros((n, time, 2)), np.full((n, time, 2), value)) for n, time, value in ((1, 9, 1.0), (3, 1, 5.0))]
    assert metric.result(totals(metric, output, output, batches)) == 4.0


def test_the_statistics_of_accuracy_are_integers() -> None:
    output, target = TensorType("float32", (BATCH, 10)), TensorType("int64", (BATCH,))
    given = np.eye(10, dtype="float32")
    found = totals(SparseCategoricalAccuracy(), target, output, [(np.zeros(10, "int64"), given)] * 3)
    assert found.tolist() == [3.0, 30.0]


def test_every_metric_of_keras_has_a_case() -> None:
    known = {METRICS.by_name[spec if isinstance(spec, str) else spec["type"]] for spec, _, _ in CASES}
    assert known == {metric for metric in METRICS if metric.keras_name}


@pytest.mark.parametrize(
    "spec", ["mae", "acc", {"type": "BinaryAccuracy", "threshold": 0.2}, {"type": "mse", "name": "x"}]
)
def test_a_metric_that_is_written_and_read_stays_the_same(spec: Any) -> None:
    form = MetricCodec()
    metric = form.read(spec)
    assert form.read(form.write(metric)) == metric
    assert isinstance(spec, dict) or form.write(metric) == spec


@pytest.mark.parametrize(
    ("metric", "loss", "message"),
    [
        ("sparse_categorical_accuracy", "categorical_crossentropy", "needs class indices as the target"),
        ("categorical_accuracy", "sparse_categorical_crossentropy", "needs a target of the output's type"),
        ("mae", "sparse_categorical_crossentropy", r"needs the target float32\[batch, 3\], the loss takes int64"),
    ],
)
def test_a_metric_that_does_not_accept_the_target_is_an_error(metric: str, loss: str, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        read(METRICS, metric).resolve(read(LOSSES, loss), TensorType("float32", (BATCH, 3)))
