"""The route `/metrics`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..monitoring.server_metrics import ServerMetrics


def metrics_route(metrics: ServerMetrics) -> Route:
    """The route that Prometheus reads."""

    async def read(request: Request) -> Response:
        body, media_type = metrics.render(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": media_type})

    return Route("/metrics", read)
