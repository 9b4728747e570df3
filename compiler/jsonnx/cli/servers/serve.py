"""The command `serve`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ...core.limits import MIB
from ..common import PROVIDER_OPTION, PROVIDER_OPTIONS_OPTION, UNVERIFIED_OPTION, handles_errors

if TYPE_CHECKING:
    from ...server.options import ServerOptions

Command = TypeVar("Command", bound=Callable[..., Any])

MAX_SECONDS = 86400.0

_SECONDS = click.FloatRange(0, MAX_SECONDS)
_POSITIVE_SECONDS = click.FloatRange(0.001, MAX_SECONDS)
_FILE = click.Path(path_type=Path)

_OPERATION_OPTIONS = (
    click.option(
        "--max-body",
        type=click.FloatRange(0.001, 65536),
        default=64,
        show_default=True,
        metavar="MIB",
        help="Largest body of a request in MiB, also after its decompression.",
    ),
    click.option(
        "--max-rows",
        type=click.IntRange(1),
        default=65536,
        show_default=True,
        metavar="N",
        help="Largest number of rows in a request.",
    ),
    click.option(
        "--timeout",
        type=_POSITIVE_SECONDS,
        default=30,
        show_default=True,
        metavar="SECONDS",
        help="Longest time from a request's headers to its answer.",
    ),
    click.option(
        "--max-connections",
        type=click.IntRange(1, 1_000_000),
        default=1024,
        show_default=True,
        metavar="N",
        help="Largest number of open connections; requests on further ones are refused.",
    ),
    click.option(
        "--token-file",
        metavar="FILE",
        help="File with a token that each request must send, but for those of probes; by default the environment "
        "variable JSONNX_TOKEN has it, if it is set.",
    ),
    click.option(
        "--insecure",
        is_flag=True,
        help="Serve anybody who reaches the server: without a token, --host is otherwise limited to this machine.",
    ),
    click.option("--tls-certificate", type=_FILE, metavar="FILE", help="Certificate chain as PEM: serve HTTPS."),
    click.option("--tls-key", type=_FILE, metavar="FILE", help="Key of the certificate, unless its file has it."),
    click.option(
        "--allow-host",
        "hosts",
        multiple=True,
        metavar="NAME",
        help="Name in the Host header that is accepted besides those of this machine; others are refused. May be "
        "repeated.",
    ),
    click.option(
        "--allow-origin",
        "origins",
        multiple=True,
        metavar="ORIGIN",
        help="Site whose pages may send requests, such as https://example.org. May be repeated.",
    ),
    click.option(
        "--drain",
        type=_SECONDS,
        default=30,
        show_default=True,
        metavar="SECONDS",
        help="Longest time that requests get to their answers after SIGTERM or SIGINT; a second signal ends at once.",
    ),
    click.option(
        "--drain-delay",
        type=_SECONDS,
        default=0,
        show_default=True,
        metavar="SECONDS",
        help="Time before that in which the server is not ready but accepts requests, until load balancers know.",
    ),
    click.option(
        "--reload-seconds",
        type=_SECONDS,
        default=0,
        show_default=True,
        metavar="SECONDS",
        help="Look at the models' files so often, and load changed ones; 0 does not.",
    ),
    click.option(
        "--log",
        type=click.Choice(["text", "json", "off"]),
        help="Form of the log on standard error; off has no line about each request. [default: text on a terminal, "
        "else json]",
    ),
)


def operation_options(command: Command) -> Command:
    """Gives a command the options by which a server is operated: limits, permission, its end, its log."""
    for option in reversed(_OPERATION_OPTIONS):
        command = option(command)
    return command


@click.command(short_help="Serve models over HTTP, by the Open Inference Protocol.")
@click.argument("models", metavar="[NAME=]RUN_OR_MODEL...", nargs=-1, required=True)
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 takes a free one."
)
@click.option(
    "--grpc-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Also answer gRPC, on this port; 0 takes a free one. Needs the extra `grpc`.",
)
@click.option("--threads", type=click.IntRange(1, 4096), default=1, show_default=True, help="Threads of each run.")
@click.option(
    "--sessions",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Runs of a model at the same time; by default the number of CPUs.",
)
@click.option("--max-batch", type=click.IntRange(1, 65536), default=256, show_default=True, help="Rows of a batch.")
@click.option("--max-queue", type=click.IntRange(1), default=4096, show_default=True, help="Rows that wait for a run.")
@click.option(
    "--max-delay",
    type=click.FloatRange(0.0, 60.0),
    default=0.002,
    show_default=True,
    help="Seconds that a batch waits for more rows while others are computed.",
)
@click.option(
    "--batch-unproven",
    multiple=True,
    metavar="NAME",
    help="Batch this model, although its rows may affect one another.",
)
@PROVIDER_OPTION
@PROVIDER_OPTIONS_OPTION
@UNVERIFIED_OPTION
@operation_options
@handles_errors
def serve(
    models: tuple[str, ...],
    host: str,
    port: int,
    grpc_port: int | None,
    threads: int,
    sessions: int | None,
    max_batch: int,
    max_queue: int,
    max_delay: float,
    batch_unproven: tuple[str, ...],
    provider: str,
    provider_options: tuple[str, ...],
    unverified: bool,
    **operation: Any,
) -> None:
    """Serve trained models, or any ONNX files, over HTTP.

    `POST /predict` takes a JSON row, a list of rows, csv or a picture, by the columns of the spec. Below `/v2` the
    server speaks the Open Inference Protocol, as Triton, KServe and MLServer do. Needs the extra `serve`.
    """
    from ...core.diagnostics import UsageError, suggestion
    from ...core.system.cpu_count import thread_count
    from ...core.system.optional_packages import require_package
    from ...runtime.providers.provider_options import parse_assignments

    require_package("starlette", "serve", "the server")
    require_package("uvicorn", "serve", "the server")
    if grpc_port is not None:
        require_package("grpc", "grpc", "--grpc-port")
    from ...server.http.start import start
    from ...server.models.model_options import ModelOptions
    from ...server.models.model_sources import model_sources
    from ...server.options import ServerOptions

    sources = model_sources(models)
    names = [source.name for source in sources]
    if unknown := [name for name in batch_unproven if name not in names]:
        message = f"--batch-unproven names {unknown[0]!r}, which is not served"
        raise UsageError("bad-option", message, suggestion(unknown[0], names) or f"models are {', '.join(names)}")
    options = ModelOptions(
        provider,
        parse_assignments(provider_options) or None,
        threads,
        sessions or thread_count(),
        not unverified,
        max_batch,
        max_delay,
        max_queue,
        frozenset(batch_unproven),
    )
    start(sources, _operated(ServerOptions(host, port, grpc_port, models=options), operation))


def _operated(options: ServerOptions, arguments: Mapping[str, Any]) -> ServerOptions:
    """The options of a server with the arguments of `operation_options`. Raises UsageError."""
    from ...server.http.sockets import TOKEN_VARIABLE, read_token

    return replace(
        options,
        max_body_bytes=round(arguments["max_body"] * MIB),
        max_rows=arguments["max_rows"],
        timeout_s=arguments["timeout"],
        max_connections=arguments["max_connections"],
        token=read_token(arguments["token_file"], os.environ.get(TOKEN_VARIABLE)),
        is_insecure=arguments["insecure"],
        tls_certificate=arguments["tls_certificate"],
        tls_key=arguments["tls_key"],
        hosts=arguments["hosts"],
        origins=arguments["origins"],
        drain_s=arguments["drain"],
        drain_delay_s=arguments["drain_delay"],
        reload_s=arguments["reload_seconds"],
        log=arguments["log"] or ("text" if sys.stderr.isatty() else "json"),
    )
