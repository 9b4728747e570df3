"""Liveness and readiness."""

from __future__ import annotations

from ..case import Area
from ..target import UNKNOWN, Target, error, success
from ..verdicts import NotApplicable, require

area = Area("health")


@area.must("live", "GET v2/health/live answers 200 if the server can receive requests.")
def live(t: Target) -> None:
    answer = t.http.get("v2/health/live")
    require(answer.status == 200, "status 200", str(answer))


@area.must("ready", "GET v2/health/ready answers 200 if all models are ready.")
def ready(t: Target) -> None:
    answer = t.http.get("v2/health/ready")
    require(answer.status == 200, "status 200", str(answer))


@area.should("live-body", 'The body of server live is {"live": $bool}.')
def live_body(t: Target) -> None:
    document = success(t.http.get("v2/health/live"))
    require(isinstance(document, dict) and document.get("live") is True, '{"live": true}', document)


@area.should("ready-body", "The body of server ready has a boolean: `live` in the text of the protocol, or `ready`.")
def ready_body(t: Target) -> None:
    document = success(t.http.get("v2/health/ready"))
    is_told = isinstance(document, dict) and True in (document.get("live"), document.get("ready"))
    require(is_told, '{"ready": true} or {"live": true}', document)


@area.must("model-ready", "GET v2/models/NAME/ready answers 200 if the model is ready.")
def model_ready(t: Target) -> None:
    answer = t.http.get(t.path("/ready"))
    require(answer.status == 200, "status 200", str(answer))


@area.should("model-ready-body", 'The body of model ready is {"name": $string, "ready": $bool}.')
def model_ready_body(t: Target) -> None:
    document = success(t.http.get(t.path("/ready")))
    expected = {"name": t.signature.name, "ready": True}
    require(isinstance(document, dict) and expected.items() <= document.items(), str(expected), document)


@area.must("version-ready", "GET v2/models/NAME/versions/VERSION/ready answers 200 if that version is ready.")
def version_ready(t: Target) -> None:
    answer = t.http.get(t.path("/ready", t.version))
    require(answer.status == 200, "status 200", str(answer))


@area.must("unknown-model-ready", "Readiness of an unknown model is not answered by 200.")
def unknown_model_ready(t: Target) -> None:
    answer = t.http.get(t.path("/ready", name=UNKNOWN))
    require(answer.status >= 400, "a status of an error", str(answer))


@area.must("unknown-version-ready", "Readiness of an unknown version is not answered by 200.")
def unknown_version_ready(t: Target) -> None:
    answer = t.http.get(t.path("/ready", UNKNOWN))
    require(answer.status >= 400, "a status of an error", str(answer))


@area.should("unknown-model-ready-error", 'Readiness of an unknown model is answered by 404 and {"error": $string}.')
def unknown_model_ready_error(t: Target) -> None:
    error(t.http.get(t.path("/ready", name=UNKNOWN)), 404)


@area.should("head", "RFC 9110, 9.1: a server supports GET and HEAD; HEAD has no body.")
def head(t: Target) -> None:
    answer = t.http.request("HEAD", "v2/health/live")
    require(answer.status == 200 and not answer.body, "status 200 without a body", str(answer))


@area.should("method", "RFC 9110, 15.5.6: a method that a resource lacks is answered by 405 with Allow.")
def method(t: Target) -> None:
    answer = t.http.post("v2/health/live", {})
    require(answer.status == 405, "status 405", str(answer))
    require("GET" in answer.headers.get("allow", ""), "the header Allow with GET", answer.headers)


@area.should("without-token", "Probes of an orchestrator have no token: health answers without one.")
def without_token(t: Target) -> None:
    if t.http.token is None:
        raise NotApplicable("no --token-file was given")
    for path in ("v2/health/live", "v2/health/ready"):
        answer = t.http.request("GET", path, proves=False)
        require(answer.status == 200, f"status 200 for {path}", str(answer))


@area.should("inference-needs-token", "A server with a token answers 401 or 403 without it.")
def inference_needs_token(t: Target) -> None:
    if t.http.token is None:
        raise NotApplicable("no --token-file was given")
    error(t.http.request("GET", t.path(), proves=False), 401, 403)
