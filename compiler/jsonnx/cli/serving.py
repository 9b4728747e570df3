"""The commands `serve` and `client`."""

from __future__ import annotations

import click

from .common import PROVIDER_OPTION, PROVIDER_OPTIONS_OPTION, UNVERIFIED_OPTION, handles_errors, print_status


@click.command(short_help="Serve models over HTTP, by the Open Inference Protocol.")
@click.argument("models", metavar="[NAME=]RUN_OR_MODEL...", nargs=-1, required=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 takes a free one."
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
    from ..server.http.start import start
    from ..server.models.model_options import ModelOptions
    from ..server.models.model_sources import model_sources
    from ..server.options import ServerOptions

    options = ModelOptions(provider, parse_assignments(provider_options) or None, threads, sessions, not unverified)
    start(model_sources(models), ServerOptions(host, port, models=options))


@click.command(short_help="Write a typed client of a model, in Python or TypeScript.")
@click.argument("model", metavar="RUN_OR_MODEL")
@click.option("-o", "--output", required=True, metavar="FILE", help="File to write: .py or .ts.")
@UNVERIFIED_OPTION
@handles_errors
def client(model: str, output: str, unverified: bool) -> None:
    """Write a client with the model's names and types, for a server that `jsonnx serve` has started.

    It is one file without dependencies: Python that passes `mypy --strict`, or TypeScript for browsers and Node.
    Categories and classes are types, so that an editor completes them, and a misspelt one is an error.
    """
    from ..pipeline.serving.generate_client import generate_client

    generate_client(model, output, not unverified)
    print_status(f"wrote {output}")
