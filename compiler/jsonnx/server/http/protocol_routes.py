"""The routes of the Open Inference Protocol, and of its repository extension."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..protocol.errors import RequestError, bad_request
from ..protocol.http_bodies import HEADER_LENGTH, decode_raw_request, decode_request, encode_response, parse_json
from ..service import InferenceService
from .responses import JSON, json_response

OCTET_STREAM = "application/octet-stream"
NOT_READY = 400
"""The status of a server or a model that is not ready: the protocol wants 4xx."""

Answer = Callable[[Request], Awaitable[Response]]


def protocol_routes(service: InferenceService) -> list[Route]:
    """The routes below `/v2`."""
    routes = _ProtocolRoutes(service)
    models = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
    paths: list[tuple[str, Answer, str]] = [
        *((f"{model}/infer", routes.infer, "POST") for model in models),  # first: routes are tried in this order
        ("/v2/health/live", routes.live, "GET"),
        ("/v2/health/ready", routes.ready, "GET"),
        ("/v2", routes.server_metadata, "GET"),
        ("/v2/", routes.server_metadata, "GET"),
        *([] if "stats" in service.repository.names else [("/v2/models/stats", routes.model_statistics, "GET")]),
        *((model, routes.model_metadata, "GET") for model in models),
        *((f"{model}/stats", routes.model_statistics, "GET") for model in models),
        *((f"{model}/config", routes.model_config, "GET") for model in models),
        *((f"{model}/ready", routes.model_ready, "GET") for model in models),
        ("/v2/repository/index", routes.index, "POST"),
        ("/v2/repository/models/{model}/load", routes.load, "POST"),
        ("/v2/repository/models/{model}/unload", routes.unload, "POST"),
    ]
    return [Route(path, answer, methods=[method]) for path, answer, method in paths]


class _ProtocolRoutes:
    def __init__(self, service: InferenceService) -> None:
        self._service = service

    async def live(self, request: Request) -> Response:
        return json_response({"live": True})

    async def ready(self, request: Request) -> Response:
        is_ready = self._service.is_ready()
        return json_response({"ready": is_ready}, 200 if is_ready else NOT_READY)

    async def server_metadata(self, request: Request) -> Response:
        return json_response(self._service.server_metadata())

    async def model_metadata(self, request: Request) -> Response:
        model = _model_of(request)
        reason = self._service.repository.model(*model).served.batching.reason
        return json_response({**self._service.model_metadata(*model), "properties": {"batching": reason}})

    async def model_config(self, request: Request) -> Response:
        return json_response(self._service.model_config(*_model_of(request)))

    async def model_statistics(self, request: Request) -> Response:
        parameters = request.path_params
        return json_response(self._service.model_statistics(parameters.get("model"), parameters.get("version")))

    async def model_ready(self, request: Request) -> Response:
        name, version = _model_of(request)
        is_ready = self._service.model_is_ready(name, version)
        return json_response({"name": name, "ready": is_ready}, 200 if is_ready else NOT_READY)

    async def infer(self, request: Request) -> Response:
        body = await request.body()
        header_length, model = request.headers.get(HEADER_LENGTH), _model_of(request)
        if header_length == "0":
            infer_request = decode_raw_request(body, self._service.model_metadata(*model)["inputs"], *model)
        else:
            infer_request = decode_request(body, header_length, *model)
        response = await self._service.infer(infer_request)
        content, json_length = encode_response(infer_request, response)
        if json_length is None:
            return Response(content, media_type=JSON)
        return Response(content, headers={HEADER_LENGTH: str(json_length)}, media_type=OCTET_STREAM)

    async def index(self, request: Request) -> Response:
        document = await _document(request)
        only_ready = document.get("ready", False)
        if not isinstance(only_ready, bool):
            raise bad_request(f"`ready` is {only_ready!r}", "give true or false")
        return json_response(self._service.repository.index(only_ready))

    async def load(self, request: Request) -> Response:
        document = await _document(request)
        if document.get("parameters"):
            message = "a model cannot be loaded with parameters"
            raise RequestError(400, "bad-request", message, "the server loads the files that it was started with")
        await self._service.repository.load(request.path_params["model"])
        return json_response({})

    async def unload(self, request: Request) -> Response:
        await self._service.repository.unload(request.path_params["model"])
        return json_response({})


def _model_of(request: Request) -> tuple[str, str | None]:
    return request.path_params["model"], request.path_params.get("version")


async def _document(request: Request) -> dict[str, Any]:
    """The body of a request of the repository extension; it may be empty. Raises RequestError."""
    body = await request.body()
    document = parse_json(body) if body.strip() else {}
    if not isinstance(document, dict):
        raise bad_request("the request is no JSON object")
    return document
