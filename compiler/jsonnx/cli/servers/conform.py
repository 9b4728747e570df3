"""The command `conform`, which tests any server of the Open Inference Protocol."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...core.diagnostics import UsageError
from ..common import EXIT_INVALID_INPUT, FORMAT_OPTION, handles_errors, print_document, print_result, print_status

if TYPE_CHECKING:
    from ...conformance.run import Result
    from ...conformance.target import Target


@click.command(short_help="Test any server against the Open Inference Protocol v2.")
@click.argument("url", metavar="URL", required=False)
@click.option("--grpc", metavar="HOST:PORT", help="Test gRPC, too, at this address. Needs the extra `grpc`.")
@click.option("--model", metavar="NAME", help="The model to ask; by default the first that the server lists as ready.")
@click.option("--request", metavar="FILE", help="A valid inference request as JSON, if synthesized ones are refused.")
@click.option("--token-file", metavar="FILE", help="A file with the token that the server demands.")
@click.option("--ca-file", metavar="FILE", help="Certificates to trust, as PEM, for https and gRPC with TLS.")
@click.option("--only", metavar="TEXT", multiple=True, help="Run only cases whose id contains this text.")
@click.option("--reload", is_flag=True, help="Also load and unload the model, which fails requests of other clients.")
@click.option("--timeout", type=click.FloatRange(0.1), default=15.0, show_default=True, help="Seconds for an answer.")
@click.option("--list", "lists", is_flag=True, help="List the cases and their rules; needs no URL.")
@FORMAT_OPTION
@handles_errors
def conform(url: str | None, lists: bool, format_: str, **options: Any) -> None:
    """Test the server at URL, which may be of any make: some 330 cases, right requests and wrong ones.

    Each case tests one sentence of the protocol, of its extensions by Triton, or of HTTP. Exits with 1 if the server
    violates a sentence with "must", or an extension that it announces.
    """
    from ...conformance import cases as _cases  # noqa: F401  (registers the cases)
    from ...conformance.case import CASES

    if lists:
        rows = [[case.id, case.level, case.rule] for case in CASES.values()]
        print_document(json.dumps(rows, indent=2) if format_ == "json" else _aligned(rows))
        return
    if url is None:
        raise click.UsageError("give the URL of a server, or --list")
    results = _run(url, format_, **options)
    if format_ == "json":
        print_document(json.dumps([result.document() for result in results], indent=2))
    else:
        print_result(_text(results))
    sys.exit(EXIT_INVALID_INPUT if any(result.is_failure for result in results) else 0)


def _run(
    url: str,
    format_: str,
    grpc: str | None,
    model: str | None,
    request: str | None,
    token_file: str | None,
    ca_file: str | None,
    only: Sequence[str],
    reload: bool,
    timeout: float,
) -> list[Result]:
    from ...conformance.run import http_client, run_suite
    from ...conformance.target import discover

    token = _read(token_file).strip() if token_file is not None else None
    if ca_file is not None:
        _read(ca_file)  # an error of the file is told apart from one of the connection
    given = _request(request) if request is not None else None
    target = discover(http_client(url, token, timeout, ca_file), model, given)
    target.reloads = reload
    _connect_grpc(target, grpc, timeout)
    if format_ == "text":
        versions = ", ".join(target.signature.versions)
        print_status(f"model {target.signature.name}{f', version {versions}' if versions else ''} at {url}")
    return run_suite(target, lambda case: not only or any(text in case.id for text in only))


def _connect_grpc(target: Target, address: str | None, timeout_s: float) -> None:
    if address is None:
        return
    from ...core.system.optional_packages import require_package

    require_package("grpc", "grpc", "tests of gRPC")
    from ...conformance.grpc_client import GrpcClient

    ca_file = target.http.ca_file
    certificates = _read(ca_file).encode() if ca_file is not None else None
    target.grpc = GrpcClient(address, target.http.token, timeout_s, certificates)


def _read(file: str) -> str:
    try:
        return Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("unreadable-file", f"cannot read {file}: {error}") from error


def _request(file: str) -> Any:
    try:
        document = json.loads(_read(file))
        complete = all({"name", "shape", "datatype", "data"} <= set(entry) for entry in document["inputs"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError("invalid-request-file", f"{file} is no inference request: {error}") from error
    if not complete:
        raise UsageError("invalid-request-file", f"an input in {file} lacks name, shape, datatype or data")
    return document


def _text(results: Sequence[Result]) -> str:
    """The violations, and a table by area and verdict."""
    from ...conformance.run import Verdict, counts

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
    from ...render.text.text_table import aligned_rows

    return "\n".join(aligned_rows(rows, right))
