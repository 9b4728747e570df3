"""The spans of requests, with OpenTelemetry's own packages."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonnx
import pytest
from jsonnx.server.http.middleware.permission import Permission
from jsonnx.server.http.middleware.request_middleware import App, RequestMiddleware, RequestSettings
from jsonnx.server.monitoring.request_log import RequestLog
from jsonnx.server.monitoring.request_record import current_request
from jsonnx.server.monitoring.server_metrics import ServerMetrics
from jsonnx.server.monitoring.tracing import find_tracing
from jsonnx.server.protocol.errors import RequestError
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.serve_process import serve_process
from unit.server.grpc.grpc_server_thread import running

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    assert find_tracing() is None, "nothing is configured"
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


def answer(app: App, log: RequestLog) -> None:
    """Answers one request with a traceparent."""
    tracing = find_tracing()
    assert tracing is not None
    settings = RequestSettings(Permission(), ServerMetrics({}), log, lambda: False, 30, 1000, tracing)
    scope = {
        "type": "http",
        "http_version": "1.0",
        "http_version": "1.0",
        "method": "POST",
        "path": "/predict",
        "raw_path": b"/predict",
        "headers": [(b"traceparent", TRACEPARENT.encode())],
        "client": None,
    }

    async def send(message: Any) -> None: ...

    asyncio.run(RequestMiddleware(app, settings)(scope, lambda: asyncio.sleep(0, {}), send))


def test_a_request_is_a_span_of_the_callers_trace(
    exporter: InMemorySpanExporter, capsys: pytest.CaptureFixture[str]
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        record = current_request.get()
        assert record is not None
        record.model, record.version, record.rows = "penguins", "1", 3
        with trace.get_tracer("test").start_as_current_span("inner"):
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"abc"})

    log = RequestLog(sys.stdout, "json")
    answer(app, log)
    log.close()
    assert f'"trace_id":"{TRACE}"' in capsys.readouterr().out
    inner, span = exporter.get_finished_spans()[-2:]
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == PARENT
    assert inner.parent.span_id == span.context.span_id
    assert (span.name, span.kind) == ("POST penguins", trace.SpanKind.SERVER)
    wanted = {"http.request.method": "POST", "url.path": "/predict", "http.response.status_code": 200}
    assert dict(span.attributes).items() >= {**wanted, "jsonnx.model": "penguins", "jsonnx.rows": 3}.items()


def test_a_call_of_grpc_is_a_span_of_the_callers_trace(exporter: InMemorySpanExporter, tmp_path: Path) -> None:
    with running(tmp_path, find_tracing()) as server:
        words = {"name": "word", "datatype": "BYTES", "shape": [2], "contents": {"bytes_contents": [b"a", b"b"]}}
        server.client(metadata=[("traceparent", TRACEPARENT)]).call("ModelInfer", model_name="words", inputs=[words])
        (line,) = server.log()
    span = exporter.get_finished_spans()[-1]
    assert (span.name, f"{span.context.trace_id:032x}", line["trace_id"]) == ("gRPC words", TRACE, TRACE)
    assert f"{span.parent.span_id:016x}" == PARENT
    assert span.attributes["url.path"] == "/inference.GRPCInferenceService/ModelInfer"
    assert span.attributes["jsonnx.rows"] == 2


def test_a_failure_is_marked(exporter: InMemorySpanExporter) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RequestError(503, "model-unavailable", "not ready")

    answer(app, RequestLog(open("/dev/null", "w"), "off"))  # noqa: SIM115
    span = exporter.get_finished_spans()[-1]
    assert span.attributes["http.response.status_code"] == 503
    assert span.attributes["error.type"] == "model-unavailable"
    assert span.status.status_code is trace.StatusCode.ERROR


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """The endpoint of a collector, and what it gets."""
    bodies: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", bodies
    server.shutdown()


def test_the_server_sends_spans_to_the_endpoint_of_the_environment(
    collector: tuple[str, list[bytes]], tmp_path: Path
) -> None:
    endpoint, bodies = collector
    spec = {"inputs": {"x": {"shape": [2]}}, "layers": [{"type": "Dense", "units": 1, "from": "x"}]}
    (tmp_path / "m.onnx").write_bytes(jsonnx.compile(spec).to_bytes())
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SERVICE_NAME": "models"}
    with serve_process(tmp_path / "m.onnx", env=environment) as server:
        assert server.request("GET", "/v2", headers={"traceparent": TRACEPARENT}).status == 200
        assert server.wait_for("request")[0]["trace_id"] == TRACE
        assert server.end() == 0
    assert any(bytes.fromhex(TRACE) in body and b"models" in body for body in bodies)
