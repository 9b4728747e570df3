"""The extension of model repositories: index, load and unload, announced as `model_repository`."""

from __future__ import annotations

import time
from typing import Any

from ..case import Area
from ..target import UNKNOWN, Target, error, success
from ..verdicts import NotApplicable, require

area = Area("repository", "model_repository")

INDEX = "v2/repository/index"
MAX_LOAD_S = 30.0


def _index(t: Target, body: Any = None) -> list[dict[str, Any]]:
    document = success(t.http.post(INDEX, {} if body is None else body))
    require(isinstance(document, list), "an array", document)
    return document


@area.extends("index", "POST v2/repository/index answers 200 with an array of models.")
def index(t: Target) -> None:
    names = [entry.get("name") for entry in _index(t)]
    require(t.signature.name in names, f"{t.signature.name} among the models", names)


@area.extends("entries", "An entry has name, state and reason, and optionally a version, all strings.")
def entries(t: Target) -> None:
    for entry in _index(t):
        for key in ("name", "state", "reason"):
            require(isinstance(entry.get(key), str), f"the string {key!r}", entry)
        require(isinstance(entry.get("version", ""), str), "a version that is a string", entry)


@area.extends("state", "A model that answers has the state READY.")
def state(t: Target) -> None:
    states = [entry["state"] for entry in _index(t) if entry["name"] == t.signature.name]
    require("READY" in states, "READY", states)


@area.extends("ready-only", '{"ready": true} returns only models ready for inferencing.')
def ready_only(t: Target) -> None:
    found = _index(t, {"ready": True})
    require(t.signature.name in [entry["name"] for entry in found], t.signature.name, found)
    require(all(entry["state"] == "READY" for entry in found), "READY only", found)


@area.extends("empty-body", "An index request without a body counts as {}.")
def empty_body(t: Target) -> None:
    success(t.http.post(INDEX, b""))


@area.extends("bad-body", 'A body that is no index request: {"error": $string}.')
def bad_body(t: Target) -> None:
    for body in (b"{", b"[]", b'{"ready": "yes"}'):
        error(t.http.post(INDEX, body))


@area.extends("load-unknown", 'A failed load request: a status of an error and {"error": $string}.')
def load_unknown(t: Target) -> None:
    error(t.http.post(f"v2/repository/models/{UNKNOWN}/load", {}))


@area.extends("unload-unknown", 'A failed unload request: a status of an error and {"error": $string}.')
def unload_unknown(t: Target) -> None:
    error(t.http.post(f"v2/repository/models/{UNKNOWN}/unload", {}))


def _change(t: Target, action: str, body: Any) -> None:
    answer = t.http.post(f"v2/repository/models/{t.signature.name}/{action}", body)
    require(answer.status == 200, "status 200", str(answer))


def needs_permission(t: Target) -> None:
    if not t.reloads:
        raise NotApplicable("loads and unloads models only with --reload")


def _wait_until_ready(t: Target) -> None:
    end = time.monotonic() + MAX_LOAD_S
    while t.http.get(t.path("/ready")).status != 200:
        require(time.monotonic() < end, "a model that is ready after its load", f"none for {MAX_LOAD_S:g} s")
        time.sleep(0.05)


@area.extends("reload", "A load request of a model that is loaded reloads it; its body may be empty.")
def reload(t: Target) -> None:
    needs_permission(t)
    bodies: tuple[Any, ...] = (b"", {}, {"parameters": {}})
    for body in bodies:
        _change(t, "load", body)
        _wait_until_ready(t)
        success(t.infer(t.request()))


@area.extends("unload", "An unloaded model is not ready, and answers no inference, until it is loaded again.")
def unload(t: Target) -> None:
    needs_permission(t)
    _change(t, "unload", b"")
    try:
        answer = t.http.get(t.path("/ready"))
        require(answer.status >= 400, "a model that is not ready", str(answer))
        error(t.infer({"inputs": []}))
        states = [entry["state"] for entry in _index(t) if entry["name"] == t.signature.name]
        require("READY" not in states, "a state other than READY", states)
    finally:
        _change(t, "load", {})
        _wait_until_ready(t)
    success(t.infer(t.request()))
