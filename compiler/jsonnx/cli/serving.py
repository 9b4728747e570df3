"""The commands `serve`, `client` and `conform`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..core.diagnostics import UsageError
from .common import (
    EXIT_INVALID_INPUT,
    FORMAT_OPTION,
    PROVIDER_OPTION,
    PROVIDER_OPTIONS_OPTION,
    UNVERIFIED_OPTION,
    handles_errors,
    print_document,
    print_result,
    print_status,
)

if TYPE_CHECKING:
    from ..conformance.run import Result
    from ..conformance.target import Target
    from ..server.options import ServerOptions

Command = TypeVar("Command", bound=Callable[..., Any])

MEBIBYTE = 1 << 20
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
@operation_options
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
    **operation: Any,
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
    start(model_sources(models), _operated(ServerOptions(host, port, grpc_port, models=options), operation))


def _operated(options: ServerOptions, arguments: Mapping[str, Any]) -> ServerOptions:
    """The options of a server with the arguments of `operation_options`. Raises UsageError."""
    from ..server.http.sockets import TOKEN_VARIABLE, read_token

    return replace(
        options,
        max_body_bytes=round(arguments["max_body"] * MEBIBYTE),
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


@click.command(short_help="Test any server against the Open Inference Protocol v2.")
@click.argument("url", metavar="URL", required=False)
@click.option("--grpc", metavar="HOST:PORT", help="Test gRPC, too, at this address. Needs the extra `grpc`.")
@click.option("--model", metavar="NAME", help="The model to ask; by default the first that the server lists as ready.")
@click.option("--request", metavar="FILE", help="A valid inference request as JSON, if synthesized ones are refused.")
@click.option("--token-file", metavar="FILE", help="A file with the token that the server demands.")
@click.option("--only", metavar="TEXT", multiple=True, help="Run only cases whose id contains this text.")
@click.option("--reload", is_flag=True, help="Also load and unload the model, which fails requests of other clients.")
@click.option("--timeout", type=click.FloatRange(0.1), default=15.0, show_default=True, help="Seconds for an answer.")
@click.option("--list", "lists", is_flag=True, help="List the cases and their rules; needs no URL.")
@FORMAT_OPTION
@handles_errors
def conform(url: str | None, lists: bool, format_: str, **options: Any) -> None:
    """Test the server at URL, which may be of any make: some 300 cases, right requests and wrong ones.

    Each case tests one sentence of the protocol, of its extensions by Triton, or of HTTP. Exits with 1 if the server
    violates a sentence with "must", or an extension that it announces.
    """
    from ..conformance import cases as _cases  # noqa: F401  (registers the cases)
    from ..conformance.case import CASES

    if lists:
        rows = [[case.id, case.level, case.rule] for case in CASES.values()]
        print_document(json.dumps(rows, indent=2) if format_ == "json" else _aligned(rows))
        return
    if url is None:
        raise click.UsageError("give the URL of a server, or --list")
    results = _run_suite(url, format_, **options)
    if format_ == "json":
        print_document(json.dumps([result.document() for result in results], indent=2))
    else:
        print_result(_verdicts_text(results))
    sys.exit(EXIT_INVALID_INPUT if any(result.is_failure for result in results) else 0)


def _run_suite(
    url: str,
    format_: str,
    grpc: str | None,
    model: str | None,
    request: str | None,
    token_file: str | None,
    only: Sequence[str],
    reload: bool,
    timeout: float,
) -> list[Result]:
    from ..conformance.run import http_client, run_suite
    from ..conformance.target import discover

    token = _read_text(token_file).strip() if token_file is not None else None
    given = _valid_request(request) if request is not None else None
    target = discover(http_client(url, token, timeout), model, given)
    target.reloads = reload
    _connect_grpc(target, grpc, timeout)
    if format_ == "text":
        versions = ", ".join(target.signature.versions)
        print_status(f"model {target.signature.name}{f', version {versions}' if versions else ''} at {url}")
    return run_suite(target, lambda case: not only or any(text in case.id for text in only))


def _connect_grpc(target: Target, address: str | None, timeout_s: float) -> None:
    if address is None:
        return
    from ..core.system.optional_packages import require_package

    require_package("grpc", "grpc", "tests of gRPC")
    from ..conformance.grpc_client import GrpcClient

    target.grpc = GrpcClient(address, target.http.token, timeout_s)


def _read_text(file: str) -> str:
    try:
        return Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("unreadable-file", f"cannot read {file}: {error}") from error


def _valid_request(file: str) -> Any:
    try:
        document = json.loads(_read_text(file))
        complete = all({"name", "shape", "datatype", "data"} <= set(entry) for entry in document["inputs"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError("invalid-request-file", f"{file} is no inference request: {error}") from error
    if not complete:
        raise UsageError("invalid-request-file", f"an input in {file} lacks name, shape, datatype or data")
    return document


def _verdicts_text(results: Sequence[Result]) -> str:
    """The violations, and a table by area and verdict."""
    from ..conformance.run import Verdict, counts

    lines: list[str] = []
    for result in results:
        if result.verdict is Verdict.VIOLATED:
            case = result.case
            lines += [f"violated: {case.id} ({case.level})", f"  rule      {case.rule}", f"  sent      {result.sent}"]
            lines += [f"  expected  {result.expected}", f"  seen      {result.seen}", ""]
    table = counts(results)
    rows = [["area", *Verdict], *([area, *map(_count, row.values())] for area, row in table.items())]
    total = [_count(sum(row[verdict] for row in table.values())) for verdict in Verdict]
    return "\n".join([*lines, _aligned([*rows, ["all", *total]], right=(1, 2, 3, 4))])


def _count(number: int) -> str:
    return str(number) if number else "-"


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    from ..render.text.text_table import aligned_rows

    return "\n".join(aligned_rows(rows, right))
