"""A Ray Serve application, whose replicas answer as `jsonnx serve` does: with its protocol, batching and metrics."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..core.diagnostics import CompileError, UsageError
from ..core.system.optional_packages import require_package

if TYPE_CHECKING:
    from ..server.http.application import Application
    from ..server.models.model_sources import ModelSource
    from ..server.options import ServerOptions

MAX_ONGOING_REQUESTS = 256
"""Requests that a replica takes at the same time: Ray's default, 5, leaves nothing to batch."""
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def app(
    *models: str | os.PathLike[str],
    threads: int = 1,
    sessions: int | None = None,
    provider: str = "cpu",
    **deployment_options: Any,
) -> Any:
    """An application for `ray.serve.run`, or for the command `serve run MODULE:NAME`.

    `models` are RUN folders or ONNX files, as `[NAME=]PATH`; every node must have them at the same path, absolute or
    beneath the `working_dir` of the runtime environment. A replica has `sessions` runs of a model at the same time, by
    default as many as CPUs, each with `threads` threads. `deployment_options` are those of Ray's
    `serve.deployment`, such as `num_replicas`, `autoscaling_config` or `ray_actor_options`. Replicas whose environment
    has JSONNX_TOKEN answer no request without it. Raises UsageError.
    """
    serve = require_package("ray.serve", "ray", "jsonnx.ray.app")
    require_package("orjson", "ray", "jsonnx.ray.app")
    from ..server.models.model_options import ModelOptions
    from ..server.models.model_sources import model_sources
    from ..server.options import ServerOptions

    sources = model_sources([os.fspath(model) for model in models])
    if not sources:
        raise UsageError("bad-option", "jsonnx.ray.app has no models", "give it the folder of a run")
    actor_options = {"num_cpus": 1, **deployment_options.pop("ray_actor_options", {})}
    sessions = sessions or max(1, int(actor_options["num_cpus"]))
    # Requests come from Ray's proxies, which log them, and whose addresses and names a replica does not know.
    options = ServerOptions(host="0.0.0.0", log="off", models=ModelOptions(provider, None, threads, sessions))
    settings = {
        "name": "jsonnx",
        "max_ongoing_requests": MAX_ONGOING_REQUESTS,
        "ray_actor_options": actor_options,
        **deployment_options,
    }
    deployment = serve.deployment(**settings)(serve.ingress(ReplicaApplication(sources, options))())
    return deployment.bind()


class ReplicaApplication:
    """The ASGI application of a replica, which loads its models when it starts."""

    def __init__(self, sources: list[ModelSource], options: ServerOptions) -> None:
        self._sources = [(source, source.path.absolute()) for source in sources]
        self._options = options
        self._application: Application | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._application is not None:
            await self._application.asgi(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Loads the models, and at the end answers the requests that have arrived."""
        await receive()
        try:
            service = await self._start()
        except (UsageError, CompileError) as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        service.is_draining = True
        await service.repository.drain()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> Any:
        from ..server.http.sockets import TOKEN_VARIABLE, read_token
        from ..server.monitoring.request_log import RequestLog
        from .serving_metrics import ReplicaServer

        token = read_token(None, os.environ.get(TOKEN_VARIABLE))
        # The folder of this process has the files of a `working_dir`; else they are where the driver has them.
        sources = [source if source.path.exists() else source._replace(path=path) for source, path in self._sources]
        application = ReplicaServer(sources, replace(self._options, token=token), RequestLog(sys.stderr, "json"))
        await application.service.repository.load_all()
        self._application = application
        return application.service
