"""The counts of a replica's models as metrics of Ray, which Ray exports with the names of deployment and replica."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray.serve import metrics

from ..server.http.application import Application
from ..server.models.served_model import ServedModel
from ..server.monitoring.histogram import ROWS_BOUNDS, SECONDS_BOUNDS
from ..server.monitoring.observer import Feeds, Observer

MODEL_TAGS = ("model", "version")


class ReplicaServer(Application):
    """The application of a replica. `/metrics` is that of one replica; Ray has those of all."""

    def observe(self, served: ServedModel) -> Observer:
        """What counts the requests to a model, for both."""
        return RayObserver(super().observe(served), served)


class RayObserver:
    """Counts the requests to one version of a model for Ray, and for another observer."""

    def __init__(self, other: Observer, served: ServedModel) -> None:
        self._other = other
        self._tags = {"model": served.name, "version": served.version}
        self._successes = self._counter("jsonnx_request_success", "Requests that got their outputs")
        self._failures = self._counter("jsonnx_request_failure", "Requests that failed", "code")
        self._rows = self._counter("jsonnx_rows", "Rows of the requests that got their outputs")
        self._executions = self._counter("jsonnx_executions", "Runs of a session")
        self._queue = self._histogram("jsonnx_queue_seconds", "Time of a request before its run", SECONDS_BOUNDS)
        self._compute = self._histogram("jsonnx_compute_seconds", "Time of the run with a request", SECONDS_BOUNDS)
        self._batch = self._histogram("jsonnx_batch_rows", "Rows of a run", ROWS_BOUNDS)

    def _counter(self, name: str, text: str, *tags: str) -> Any:
        return self._tagged(metrics.Counter(name, text, (*MODEL_TAGS, *tags)))

    def _histogram(self, name: str, text: str, bounds: Sequence[float]) -> Any:
        return self._tagged(metrics.Histogram(name, text, list(bounds), MODEL_TAGS))

    def _tagged(self, metric: Any) -> Any:
        metric.set_default_tags({**self._tags})  # Ray adds its own tags to the dict
        return metric

    def executed(self, rows: int, compute_s: float) -> None:
        """Counts a run of a session."""
        self._other.executed(rows, compute_s)
        self._executions.inc()
        self._batch.observe(rows)

    def answered(self, rows: int, queue_s: float, compute_s: float) -> None:
        """Counts a request that got its outputs."""
        self._other.answered(rows, queue_s, compute_s)
        self._successes.inc()
        self._rows.inc(rows)
        self._queue.observe(queue_s)
        self._compute.observe(compute_s)

    def failed(self, code: str) -> None:
        """Counts a request that failed."""
        self._other.failed(code)
        self._failures.inc(tags={"code": code})

    def predicted(self, feeds: Feeds, outputs: Feeds) -> None:
        """Passes on the values of a request and of its answer."""
        self._other.predicted(feeds, outputs)
