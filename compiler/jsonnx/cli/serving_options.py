"""The options of `serve` by which a server is operated: limits, permission, its end, its log."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ..server.options import ServerOptions

Command = TypeVar("Command", bound=Callable[..., Any])

MEBIBYTE = 1 << 20
MAX_SECONDS = 86400.0

_SECONDS = click.FloatRange(0, MAX_SECONDS)
_POSITIVE_SECONDS = click.FloatRange(0.001, MAX_SECONDS)
_FILE = click.Path(path_type=Path)


_OPTIONS = (
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
    """Gives a command the options by which a server is operated."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def operated(options: ServerOptions, arguments: Mapping[str, Any]) -> ServerOptions:
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
