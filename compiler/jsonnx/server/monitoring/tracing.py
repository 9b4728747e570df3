"""Spans of OpenTelemetry, where its packages are installed and configured."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .request_record import RequestRecord

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class Tracing:
    """Makes a span of each request, a child of the caller's."""

    def __init__(self, trace: Any, propagate: Any) -> None:
        self._trace, self._propagate = trace, propagate
        self._tracer = trace.get_tracer("jsonnx")

    @contextmanager
    def span(self, record: RequestRecord, headers: Mapping[bytes, bytes]) -> Iterator[None]:
        """The span of a request, which ends with its answer."""
        carrier = {
            name: value.decode("latin-1")
            for name in ("traceparent", "tracestate", "baggage")
            if (value := headers.get(name.encode())) is not None
        }
        kind = self._trace.SpanKind.SERVER
        attributes = {"http.request.method": record.method, "url.path": record.path, "jsonnx.request_id": record.id}
        context = self._propagate.extract(carrier)
        with self._tracer.start_as_current_span(record.method, context, kind, attributes) as span:
            record.trace_id = f"{span.get_span_context().trace_id:032x}"
            try:
                yield
            finally:
                self._describe(span, record)

    def _describe(self, span: Any, record: RequestRecord) -> None:
        span.set_attribute("http.response.status_code", record.status)
        if record.model is not None:
            span.update_name(f"{record.method} {record.model}")
            span.set_attribute("jsonnx.model", record.model)
            span.set_attribute("jsonnx.model_version", record.version or "")
        if record.rows is not None:
            span.set_attribute("jsonnx.rows", record.rows)
        if record.code is not None:
            span.set_attribute("error.type", record.code)
        if record.status >= 500:
            span.set_status(self._trace.StatusCode.ERROR)


def find_tracing() -> Tracing | None:
    """The tracing of this process; None unless OpenTelemetry is installed, and has somewhere to send spans to.

    That is a provider that the process has set, as `opentelemetry-instrument` does, or an endpoint in OpenTelemetry's
    environment variables.
    """
    try:
        from opentelemetry import propagate, trace
    except ImportError:
        return None
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider) and not _export_to_endpoint(trace):
        return None
    return Tracing(trace, propagate)


def _export_to_endpoint(trace: Any) -> bool:
    """Sends spans to the endpoint of the environment; False without one, or without the packages for it."""
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return False
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        return False
    service = os.environ.get("OTEL_SERVICE_NAME") or "jsonnx"
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return True
