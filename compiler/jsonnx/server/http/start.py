"""Starts the HTTP server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import uvicorn

from ..models.model_sources import ModelSource
from ..models.repository import ModelRepository
from ..options import ServerOptions
from ..service import InferenceService
from .app import create_app


def start(sources: Sequence[ModelSource], options: ServerOptions) -> None:
    """Serves models until the process is told to end. Raises UsageError, CompileError if one cannot be loaded."""
    asyncio.run(_serve(sources, options))


async def _serve(sources: Sequence[ModelSource], options: ServerOptions) -> None:
    service = InferenceService(ModelRepository(sources, options.models), options)
    await service.repository.load_all()
    config = uvicorn.Config(
        create_app(service, options), options.host, options.port, access_log=False, log_level="warning", lifespan="off"
    )
    await uvicorn.Server(config).serve()
    await service.repository.drain()
