"""The HTTP application: its routes, and answers to requests that fail."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..options import ServerOptions
from ..page.routes import page_routes
from ..protocol.errors import RequestError
from ..service import InferenceService
from .drift_routes import drift_routes
from .predict_routes import predict_routes
from .protocol_routes import protocol_routes
from .responses import error_response


def create_app(service: InferenceService, options: ServerOptions, routes: Sequence[Route] = ()) -> Starlette:
    """The application that answers with a service; `routes` are further ones."""
    app = Starlette(
        routes=[
            *protocol_routes(service),
            *predict_routes(service),
            *drift_routes(service),
            *page_routes(service),
            *routes,
        ],
        exception_handlers={RequestError: _answer_failure, HTTPException: _answer_http_error, Exception: _answer_bug},
    )
    app.router.redirect_slashes = False
    return app


async def _answer_failure(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return error_response(error)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        failure = RequestError(405, "bad-request", f"{request.url.path} does not take {request.method}")
    else:
        failure = RequestError(error.status_code, "not-found", f"there is nothing at {request.url.path}")
    response = error_response(failure)
    response.headers.update(error.headers or {})
    return response


async def _answer_bug(request: Request, error: Exception) -> Response:
    return error_response(RequestError(500, "internal-error", "the server failed; its log has the cause"))
