"""The routes `/predict` and `/predict/NAME`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..service import InferenceService
from .responses import json_response


def predict_routes(service: InferenceService) -> list[Route]:
    """The routes that take rows by the columns of a spec."""

    async def predict(request: Request) -> Response:
        name = service.repository.named_or_only(request.path_params.get("model"), "/predict")
        body, media_type = await request.body(), request.headers.get("content-type", "")
        return json_response(await service.predict_rows(name, request.path_params.get("version"), body, media_type))

    paths = ("/predict", "/predict/{model}", "/predict/{model}/versions/{version}")
    return [Route(path, predict, methods=["POST"]) for path in paths]
