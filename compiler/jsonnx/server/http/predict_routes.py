"""The routes `/predict` and `/predict/NAME`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..protocol.errors import bad_request
from ..service import InferenceService
from .responses import json_response


def predict_routes(service: InferenceService) -> list[Route]:
    """The routes that take rows by the columns of a spec."""

    async def predict(request: Request) -> Response:
        names = service.repository.names
        name = request.path_params.get("model") or (names[0] if len(names) == 1 else None)
        if name is None:
            raise bad_request("the server has several models", f"name one: /predict/{names[0]}")
        body, media_type = await request.body(), request.headers.get("content-type", "")
        return json_response(await service.predict_rows(name, request.path_params.get("version"), body, media_type))

    paths = ("/predict", "/predict/{model}", "/predict/{model}/versions/{version}")
    return [Route(path, predict, methods=["POST"]) for path in paths]
