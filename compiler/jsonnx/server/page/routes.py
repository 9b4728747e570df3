"""The routes of the pages, of the OpenAPI document, and of each model's form."""

from __future__ import annotations

import asyncio
from functools import cache
from importlib.resources import files
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...html_report.page import page_asset
from ..models.served_model import ServedModel
from ..service import InferenceService
from .form_document import ModelForm
from .openapi import openapi_document

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
PAGES = {"/": "index.html", "/docs": "docs.html"}
PUBLIC_PATHS = (*PAGES, "/page/")
"""What needs no token, since the pages ask for it."""

_STYLES = ("page.css",)
_SCRIPTS = {
    "page.js": (
        "requests.js",
        "examples.js",
        "canvas.js",
        "form.js",
        "results.js",
        "figures.js",
        "drift.js",
        "page.js",
    ),
    "docs.js": ("requests.js", "docs.js"),
}
"""The files of each script that is served, in the order in which they are run."""


def page_routes(service: InferenceService) -> list[Route]:
    """The routes of the pages of a service."""
    forms = _Forms(service)

    async def form(request: Request) -> Response:
        name, version = request.path_params["model"], request.path_params.get("version")
        return _json((await forms.of(service.repository.model(name, version).served)).document)

    async def openapi(request: Request) -> Response:
        loaded = [await forms.of(item.served) for item in service.repository.loaded()]
        return _json(openapi_document(loaded, service.options.token is not None))

    return [
        *(Route(path, _static(_asset(name), "text/html")) for path, name in PAGES.items()),
        Route("/page/page.css", _static(page_asset("base.css") + "".join(map(_asset, _STYLES)), "text/css")),
        Route("/page/icon.svg", _static(_asset("icon.svg"), "image/svg+xml")),
        *(Route(f"/page/{name}", _static(_script(name), "text/javascript")) for name in _SCRIPTS),
        Route("/openapi.json", openapi),
        Route("/v2/models/{model}/form", form),
        Route("/v2/models/{model}/versions/{version}/form", form),
    ]


class _Forms:
    """The forms of the models that are loaded, each made once."""

    def __init__(self, service: InferenceService) -> None:
        self._service = service
        self._forms: dict[tuple[str, str], ModelForm] = {}

    async def of(self, served: ServedModel) -> ModelForm:
        """The form of a version."""
        key = served.name, served.version
        form = self._forms.get(key)
        if form is None or form.served is not served:
            form = self._forms[key] = await asyncio.to_thread(ModelForm.of, served)
        return form


def _json(document: Any) -> Response:
    return Response(orjson.dumps(document), media_type="application/json")


def _static(content: str, media_type: str) -> Any:
    async def answer(request: Request) -> Response:
        return Response(content, headers=SECURITY_HEADERS, media_type=media_type)

    return answer


def _script(name: str) -> str:
    return '"use strict";\n' + page_asset("dom.js") + "".join(map(_asset, _SCRIPTS[name]))


@cache
def _asset(name: str) -> str:
    return (files(__package__) / "assets" / name).read_text("utf-8")
