"""The routes of the pages: what they serve, and the headers that protect them."""

from __future__ import annotations

import asyncio
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jsonnx.server.http.app import create_app
from jsonnx.server.options import ServerOptions
from support.asgi_service import asgi_get, service_of
from support.commands import jsonnx

SAMPLES = Path(__file__).parents[4] / "samples"
PATHS = ("/", "/docs", "/page/page.css", "/page/page.js", "/page/docs.js", "/page/icon.svg")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> object:
    model = tmp_path_factory.mktemp("models") / "diabetes.onnx"
    jsonnx("compile", str(SAMPLES / "diabetes.json"), "-o", str(model))
    return create_app(service_of(model), ServerOptions())


@pytest.mark.parametrize("path", PATHS)
def test_pages_may_load_nothing_from_elsewhere(app: object, path: str) -> None:
    status, headers, body = asyncio.run(asgi_get(app, path))
    assert status == 200
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in headers
    assert "access-control-allow-origin" not in headers
    assert not re.search(rb"https?://(?!www\.w3\.org/)", body)


class InlineCode(HTMLParser):
    """Collects what a strict policy forbids: scripts and styles in the page, and handlers in attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        self.found += [name for name in names if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_have_no_inline_code(app: object, path: str) -> None:
    parser = InlineCode()
    parser.feed(asyncio.run(asgi_get(app, path))[2].decode())
    assert parser.found == []


def test_the_form_of_a_model_is_served(app: object) -> None:
    for path in ("/v2/models/diabetes/form", "/v2/models/diabetes/versions/1/form"):
        status, _, body = asyncio.run(asgi_get(app, path))
        assert status == 200
        assert [field["column"] for field in json.loads(body)["fields"]][:3] == ["age", "sex", "bmi"]
    status, _, body = asyncio.run(asgi_get(app, "/v2/models/nothing/form"))
    assert status == 404
    assert json.loads(body)["code"] == "unknown-model"


def test_the_document_of_the_api_is_served(app: object) -> None:
    status, headers, body = asyncio.run(asgi_get(app, "/openapi.json"))
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body)["openapi"] == "3.1.0"


def test_drift_has_a_reason_where_it_is_not_measured(app: object) -> None:
    status, _, body = asyncio.run(asgi_get(app, "/drift/diabetes"))
    document = json.loads(body)
    assert status == 200
    assert document["reason"]
    assert document["columns"] == []
