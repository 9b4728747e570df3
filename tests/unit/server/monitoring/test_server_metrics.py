from __future__ import annotations

from typing import Any

from jsonnx.server.monitoring.histogram import Histogram
from jsonnx.server.monitoring.request_record import RequestRecord
from jsonnx.server.monitoring.server_metrics import ModelStatus, ServerMetrics
from prometheus_client.parser import text_string_to_metric_families


def samples(metrics: ServerMetrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The values that Prometheus reads, by name and labels."""
    text = metrics.render()[0].decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(metrics: ServerMetrics, name: str, **labels: Any) -> float:
    return samples(metrics)[name, tuple(sorted(labels.items()))]


def test_a_histogram_counts_values_up_to_each_bound() -> None:
    histogram = Histogram((1.0, 2.0))
    for number in (0.5, 1.0, 1.5, 2.0, 3.0):
        histogram.observe(number)
    assert histogram.buckets() == [("1.0", 2), ("2.0", 4), ("+Inf", 5)]
    assert (histogram.count, histogram.sum) == (5, 8.0)


def test_the_counts_of_a_model() -> None:
    metrics = ServerMetrics({"version": "1"})
    model = metrics.model("m", "2")
    model.executed(5, 0.01)
    model.answered(2, 0.003, 0.01)
    model.answered(3, 0.0, 0.01)
    model.failed("bad-feed")
    labels = {"model": "m", "version": "2"}
    assert value(metrics, "jsonnx_request_success_total", **labels) == 2
    assert value(metrics, "jsonnx_request_failure_total", code="bad-feed", **labels) == 1
    assert value(metrics, "jsonnx_rows_total", **labels) == 5
    assert value(metrics, "jsonnx_executions_total", **labels) == 1
    assert value(metrics, "jsonnx_queue_seconds_bucket", le="0.0025", **labels) == 1
    assert value(metrics, "jsonnx_queue_seconds_bucket", le="0.005", **labels) == 2
    assert value(metrics, "jsonnx_compute_seconds_count", **labels) == 2
    assert value(metrics, "jsonnx_batch_rows_bucket", le="8.0", **labels) == 1
    assert metrics.model("m", "2") is model, "counts outlive a reload"


def test_the_counts_of_all_requests() -> None:
    metrics = ServerMetrics({})
    metrics.statuses = lambda: [ModelStatus("m", "1", True, 7), ModelStatus("n", "1", False, 0)]
    metrics.connections = lambda: 3
    metrics.began()
    metrics.began()
    metrics.ended(RequestRecord("id", "POST", "/", 0, 0, status=200, duration_s=0.2))
    metrics.refused(431)
    metrics.loaded("n", has_failed=True)
    assert value(metrics, "jsonnx_requests_in_flight") == 1
    assert value(metrics, "jsonnx_connections") == 3
    assert value(metrics, "jsonnx_http_responses_total", method="POST", status="200") == 1
    assert value(metrics, "jsonnx_http_responses_total", method="other", status="431") == 1
    assert value(metrics, "jsonnx_http_request_seconds_bucket", le="0.25") == 1
    assert value(metrics, "jsonnx_model_ready", model="m", version="1") == 1
    assert value(metrics, "jsonnx_model_ready", model="n", version="1") == 0
    assert value(metrics, "jsonnx_queue_rows", model="m", version="1") == 7
    assert value(metrics, "jsonnx_model_loads_total", model="n", result="failure") == 1
    assert value(metrics, "jsonnx_model_load_failed", model="n") == 1
    assert value(metrics, "process_open_fds") > 0


def test_methods_that_nobody_knows_make_no_series_of_their_own() -> None:
    metrics = ServerMetrics({})
    for method in ("A", "B", "C"):
        metrics.began()
        metrics.ended(RequestRecord("id", method, "/", 0, 0, status=405))
    assert value(metrics, "jsonnx_http_responses_total", method="other", status="405") == 3


def test_prometheus_may_ask_for_openmetrics() -> None:
    metrics = ServerMetrics({})
    assert metrics.render()[1].startswith("text/plain")
    body, media_type = metrics.render("application/openmetrics-text; version=1.0.0")
    assert media_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
