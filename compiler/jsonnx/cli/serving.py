"""The command `serve`."""

from __future__ import annotations

import click

from .common import PROVIDER_OPTION, PROVIDER_OPTIONS_OPTION, UNVERIFIED_OPTION, handles_errors


@click.command(short_help="Serve models over HTTP, by the Open Inference Protocol.")
@click.argument("models", metavar="[NAME=]RUN_OR_MODEL...", nargs=-1, required=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 takes a free one."
)
@click.option(
    "--grpc-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Also answer gRPC, on this port; 0 takes a free one. Needs the extra `grpc`.",
)
@click.option("--threads", type=click.IntRange(1, 4096), metavar="N", help="Threads of each run of a model.")
@click.option("--sessions", type=click.IntRange(1, 1024), metavar="N", help="Runs of a model at the same time.")
@PROVIDER_OPTION
@PROVIDER_OPTIONS_OPTION
@UNVERIFIED_OPTION
@handles_errors
def serve(
    models: tuple[str, ...],
    host: str,
    port: int,
    grpc_port: int | None,
    threads: int | None,
    sessions: int | None,
    provider: str,
    provider_options: tuple[str, ...],
    unverified: bool,
) -> None:
    """Serve trained models, or any ONNX files, over HTTP.

    `POST /predict` takes a JSON row, a list of rows, csv or a picture, by the columns of the spec. Below `/v2` the
    server speaks the Open Inference Protocol, as Triton, KServe and MLServer do. Needs the extra `serve`.
    """
    from ..core.system.optional_packages import require_package
    from ..runtime.providers.provider_options import parse_assignments

    require_package("starlette", "serve", "the server")
    require_package("uvicorn", "serve", "the server")
    if grpc_port is not None:
        require_package("grpc", "grpc", "--grpc-port")
    from ..server.http.start import start
    from ..server.models.model_options import ModelOptions
    from ..server.models.model_sources import model_sources
    from ..server.options import ServerOptions

    options = ModelOptions(provider, parse_assignments(provider_options) or None, threads, sessions, not unverified)
    start(model_sources(models), ServerOptions(host, port, grpc_port, models=options))
