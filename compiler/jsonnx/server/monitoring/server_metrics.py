"""The metrics of a server, in Prometheus' text format."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from .histogram import SECONDS_BOUNDS, Histogram
from .model_metrics import ModelMetrics
from .request_record import RequestRecord

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"))


class ModelStatus(NamedTuple):
    """The state of a version of a model when metrics are read."""

    name: str
    version: str
    is_ready: bool
    queue_rows: int
    """Rows that wait for a run."""


class ServerMetrics(Collector):
    """Counts of all requests to a server, and of those to each version of its models.

    `build` has the labels of `jsonnx_build_info`, such as the versions of packages.
    """

    def __init__(self, build: dict[str, str]) -> None:
        self._build = {"python": platform.python_version(), **build}
        self._models: dict[tuple[str, str], ModelMetrics] = {}
        self._responses: Counter[tuple[str, str]] = Counter()
        self._request_s = Histogram(SECONDS_BOUNDS)
        self._calls: Counter[tuple[str, str]] = Counter()
        self._call_s = Histogram(SECONDS_BOUNDS)
        self._loads: Counter[tuple[str, str]] = Counter()
        self._failed_loads: dict[str, bool] = {}
        self.requests_in_flight = 0
        self.connections: Callable[[], int] = lambda: 0
        """Counts the open connections."""
        self.statuses: Callable[[], Iterable[ModelStatus]] = lambda: ()
        """Reads the states of all models."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def model(self, name: str, version: str) -> ModelMetrics:
        """What counts the requests to a version; its counts outlive a reload."""
        return self._models.setdefault((name, version), ModelMetrics())

    def began(self) -> None:
        """Counts a request that has arrived."""
        self.requests_in_flight += 1

    def ended(self, record: RequestRecord) -> None:
        """Counts a request that has been answered."""
        self.requests_in_flight -= 1
        self._responses[record.method if record.method in METHODS else "other", str(record.status)] += 1
        self._request_s.observe(record.duration_s)

    def ended_call(self, record: RequestRecord, status: str) -> None:
        """Counts a call of gRPC that has been answered, with its status of gRPC."""
        self.requests_in_flight -= 1
        self._calls[record.path.rpartition("/")[2], status] += 1
        self._call_s.observe(record.duration_s)

    def refused(self, status: int) -> None:
        """Counts a connection that was ended with an error before a request was complete."""
        self._responses["other", str(status)] += 1

    def loaded(self, name: str, has_failed: bool = False) -> None:
        """Counts the load of a model."""
        self._loads[name, "failure" if has_failed else "success"] += 1
        self._failed_loads[name] = has_failed

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics in the format that a client prefers, and its media type."""
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type

    def collect(self) -> Iterator[Metric]:
        """All families of metrics, for prometheus_client."""
        yield InfoMetricFamily("jsonnx_build", "Versions of the software", self._build)
        yield from self._server_families()
        yield from self._state_families()
        yield from _model_families(self._models)
        yield from _input_families(self._models)

    def _server_families(self) -> Iterator[Metric]:
        yield _gauge("jsonnx_requests_in_flight", "Requests that are being answered", self.requests_in_flight)
        yield _gauge("jsonnx_connections", "Open connections", self.connections())
        responses = CounterMetricFamily("jsonnx_http_responses", "HTTP answers", labels=["method", "status"])
        for labels, count in [*self._responses.items()]:
            responses.add_metric(labels, count)
        yield responses
        calls = CounterMetricFamily("jsonnx_grpc_responses", "Answers to calls of gRPC", labels=["call", "status"])
        for labels, count in [*self._calls.items()]:
            calls.add_metric(labels, count)
        yield calls
        for name, histogram in (("http_request", self._request_s), ("grpc_call", self._call_s)):
            seconds = HistogramMetricFamily(f"jsonnx_{name}_seconds", "Time from a request's arrival to its answer")
            seconds.add_metric([], histogram.buckets(), histogram.sum)
            yield seconds

    def _state_families(self) -> Iterator[Metric]:
        ready = GaugeMetricFamily("jsonnx_model_ready", "Whether a version answers requests", labels=_MODEL)
        waiting = GaugeMetricFamily("jsonnx_queue_rows", "Rows that wait for a run", labels=_MODEL)
        for status in self.statuses():
            ready.add_metric([status.name, status.version], float(status.is_ready))
            waiting.add_metric([status.name, status.version], status.queue_rows)
        loads = CounterMetricFamily("jsonnx_model_loads", "Loads of a model", labels=["model", "result"])
        for labels, count in [*self._loads.items()]:
            loads.add_metric(labels, count)
        failed = GaugeMetricFamily("jsonnx_model_load_failed", "Whether a model's last load failed", labels=["model"])
        for name, has_failed in [*self._failed_loads.items()]:
            failed.add_metric([name], float(has_failed))
        yield from (ready, waiting, loads, failed)


_MODEL = ["model", "version"]


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _model_families(models: dict[tuple[str, str], ModelMetrics]) -> Iterator[Metric]:
    success = CounterMetricFamily("jsonnx_request_success", "Requests that got their outputs", labels=_MODEL)
    failure = CounterMetricFamily("jsonnx_request_failure", "Requests that failed", labels=[*_MODEL, "code"])
    rows = CounterMetricFamily("jsonnx_rows", "Rows of the requests that got their outputs", labels=_MODEL)
    executions = CounterMetricFamily("jsonnx_executions", "Runs of a session", labels=_MODEL)
    batch = HistogramMetricFamily("jsonnx_batch_rows", "Rows of a run", labels=_MODEL)
    queue = HistogramMetricFamily("jsonnx_queue_seconds", "Time of a request before its run", labels=_MODEL)
    compute = HistogramMetricFamily("jsonnx_compute_seconds", "Time of the run with a request", labels=_MODEL)
    for labels, metrics in [*models.items()]:
        success.add_metric(labels, metrics.successes)
        rows.add_metric(labels, metrics.rows)
        executions.add_metric(labels, metrics.executions)
        for code, count in [*metrics.failures.items()]:
            failure.add_metric([*labels, code], count)
        for family, histogram in (
            (batch, metrics.batch_rows),
            (queue, metrics.queue_s),
            (compute, metrics.compute_s),
        ):
            family.add_metric(list(labels), histogram.buckets(), histogram.sum)
    yield from (success, failure, rows, executions, batch, queue, compute)


def _input_families(models: dict[tuple[str, str], ModelMetrics]) -> Iterator[Metric]:
    """The values that came in, by column, and their drift."""
    families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for labels, metrics in [*models.items()]:
        for sample in metrics.inputs.samples():
            if sample.name not in families:
                family = CounterMetricFamily if sample.kind == "counter" else GaugeMetricFamily
                families[sample.name] = family(sample.name, sample.help, labels=[*_MODEL, *sample.labels])
            families[sample.name].add_metric([*labels, *sample.labels.values()], sample.value)
    yield from families.values()
