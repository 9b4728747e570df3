"""Services of models in this process, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonnx.server.models.model_sources import model_sources
from jsonnx.server.models.repository import ModelRepository
from jsonnx.server.options import ServerOptions
from jsonnx.server.service import InferenceService


def service_of(*models: str | Path, options: ServerOptions | None = None) -> InferenceService:
    """A service with some models, all of them loaded."""
    options = options or ServerOptions()
    service = InferenceService(ModelRepository(model_sources([*map(str, models)]), options.models), options)
    asyncio.run(service.repository.load_all())
    return service


async def asgi_get(
    app: Any, path: str, headers: Sequence[tuple[bytes, bytes]] = ()
) -> tuple[int, dict[str, str], bytes]:
    """The status, the headers and the body of an application's answer to GET."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": list(headers),
        "http_version": "1.1",
        "scheme": "http",
        "server": ("localhost", 80),
        "client": ("localhost", 1),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answered, b"".join(message.get("body", b"") for message in sent[1:])
