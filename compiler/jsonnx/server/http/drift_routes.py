"""The routes `/drift` and `/drift/NAME`."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..monitoring.input_monitor import InputMonitor
from ..monitoring.model_metrics import ModelMetrics
from ..service import InferenceService
from .responses import json_response


def drift_routes(service: InferenceService) -> list[Route]:
    """The routes that tell how the values of requests differ from the training data of a model."""

    async def drift(request: Request) -> Response:
        name = service.repository.named_or_only(request.path_params.get("model"), "/drift")
        loaded = service.repository.model(name, request.path_params.get("version"))
        observer, served = loaded.observer, loaded.served
        monitor = observer.inputs if isinstance(observer, ModelMetrics) else InputMonitor(None, "it is not measured")
        document = await asyncio.to_thread(monitor.document)
        return json_response({"model": served.name, "version": served.version, **document})

    paths = ("/drift", "/drift/{model}", "/drift/{model}/versions/{version}")
    return [Route(path, drift) for path in paths]
