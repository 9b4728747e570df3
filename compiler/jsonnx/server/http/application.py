"""The application of a server: its models, and permission, limits, metrics and log around the answers to requests."""

from __future__ import annotations

from collections.abc import Sequence

from ..models.model_sources import ModelSource
from ..models.repository import ModelRepository
from ..models.served_model import ServedModel
from ..models.warm_up import warm_up
from ..monitoring.input_monitor import InputMonitor
from ..monitoring.observer import Observer
from ..monitoring.request_log import RequestLog
from ..monitoring.server_metrics import ServerMetrics
from ..monitoring.tracing import find_tracing
from ..options import ServerOptions
from ..page.routes import PUBLIC_PATHS as PAGE_PATHS
from ..service import InferenceService
from .app import create_app
from .metrics_route import metrics_route
from .middleware.permission import PROBES, Permission, is_loopback
from .middleware.request_middleware import RequestMiddleware, RequestSettings
from .start_report import build_labels, model_statuses

WARM_UP_ROWS = 8
"""Rows of the largest run before the first request."""


class Application:
    """The models of a server, and `asgi`, which answers with them once `service.repository` has loaded them."""

    def __init__(self, sources: Sequence[ModelSource], options: ServerOptions, log: RequestLog) -> None:
        self.options, self.log = options, log
        self.metrics, self.tracing = ServerMetrics(build_labels(options)), find_tracing()
        repository = ModelRepository(sources, options.models, self.observe, self._warm_up, self._on_load)
        self.metrics.statuses = lambda: model_statuses(repository)
        self.service = InferenceService(repository, options)
        settings = RequestSettings(
            permission_of(options),
            self.metrics,
            log,
            lambda: self.service.is_draining,
            options.timeout_s,
            options.max_body_bytes,
            self.tracing,
        )
        routes = [metrics_route(self.metrics)]
        self.asgi = RequestMiddleware(create_app(self.service, options, routes), settings)

    def observe(self, served: ServedModel) -> Observer:
        """What counts the requests to a model; the drift of its inputs begins anew when it is loaded."""
        metrics = self.metrics.model(served.name, served.version)
        metrics.inputs = InputMonitor.open(served.path, served.session, served.text_inputs)
        return metrics

    def _warm_up(self, served: ServedModel) -> None:
        sizes = (1, min(WARM_UP_ROWS, self.options.models.max_batch_rows)) if served.batching.is_allowed else (1,)
        if refusal := warm_up(served, sizes):
            message = f"the model {served.name} is not warm: it does not take drawn values"
            self.log.event("not-warm", message, model=served.name, version=served.version, reason=refusal)

    def _on_load(self, name: str, error: str | None) -> None:
        self.metrics.loaded(name, error is not None)
        if not self.service.repository.has_loaded_all:
            return  # the report of the start, or its error, tells of it
        if error is not None:
            kept = self.service.repository.ready_versions(name)
            message = f"the model {name} was not loaded: {error}"
            self.log.event("load-failed", message, level="error", model=name, kept_versions=kept)
        else:
            self.log.event("loaded", f"the model {name} was loaded again", model=name)


def permission_of(options: ServerOptions) -> Permission:
    """Who may send requests to a server: with a name of this machine alone, only programs that call it by that name."""
    checks_hosts = is_loopback(options.host) or bool(options.hosts)
    return Permission(options.token, options.hosts if checks_hosts else None, options.origins, (*PROBES, *PAGE_PATHS))
