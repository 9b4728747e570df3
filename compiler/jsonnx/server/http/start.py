"""Starts the HTTP server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import uvicorn

from ..models.model_sources import ModelSource
from ..models.repository import ModelRepository
from ..options import ServerOptions
from ..service import InferenceService
from .app import create_app


def start(sources: Sequence[ModelSource], options: ServerOptions) -> None:
    """Serves models until the process is told to end. Raises UsageError, CompileError if one cannot be loaded."""
    asyncio.run(_serve(sources, options))


@asynccontextmanager
async def _grpc_server(service: InferenceService, options: ServerOptions) -> AsyncIterator[None]:
    """Answers gRPC within the block, if that is wanted; its end waits for the answers to all calls."""
    if options.grpc_port is None:
        yield
        return
    from ..grpc.grpc_server import GrpcServer  # needs an extra of its own

    server = GrpcServer(service, options)
    await server.start()
    try:
        yield
    finally:
        await server.stop(options.timeout_s)


async def _serve(sources: Sequence[ModelSource], options: ServerOptions) -> None:
    service = InferenceService(ModelRepository(sources, options.models), options)
    await service.repository.load_all()
    config = uvicorn.Config(
        create_app(service, options), options.host, options.port, access_log=False, log_level="warning", lifespan="off"
    )
    async with _grpc_server(service, options):
        await uvicorn.Server(config).serve()
    await service.repository.drain()
