"""The command report, and the options of `train` that write and serve reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from ..core.diagnostics import UsageError
from ..core.files.user_files import UserFiles, file_names
from .common import (
    ALL_OPTION,
    DATA_ROOT_OPTION,
    PROVIDER_OPTION,
    UNVERIFIED_OPTION,
    handles_errors,
    print_provider_choice,
    print_result,
    print_status,
)
from .options import data_option, training_option

PORT_WITHOUT_LIVE = "--port has no effect without --live"


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="File to write: the page, or its values as JSON if the name ends in .json; if omitted, report.html in the RUN "
    "folder, for several runs in the current folder.",
)
@data_option(
    "Data to predict and to compare with; if omitted, each run's validation data, or else its test data.",
)
@DATA_ROOT_OPTION
@click.option("--baseline", is_flag=True, help="Compare with simple models, as `jsonnx evaluate --baseline` does.")
@click.option("--live", is_flag=True, help="Write nothing; serve the page on this machine while the run trains.")
@training_option("port")
@PROVIDER_OPTION
@UNVERIFIED_OPTION
@ALL_OPTION
@handles_errors
def report(
    runs: tuple[str, ...],
    output: str | None,
    data: UserFiles | None,
    data_roots: tuple[str, ...],
    baseline: bool,
    live: bool,
    port: int | None,
    provider: str,
    unverified: bool,
) -> None:
    """Write a page that shows runs: curves, predictions, examples, network."""
    from ..pipeline.report.report_run import ReportOptions
    from ..pipeline.report.write_report import default_report_file, write_report

    folders = [Path(run) for run in runs]
    if live:
        _serve(folders, port, {"-o": output, "--data": ", ".join(file_names(data)), "--baseline": baseline})
        return
    check_port(port, live)
    print_provider_choice(provider)
    file = Path(output) if output else default_report_file(folders)
    options = ReportOptions(data, data_roots, provider, not unverified, baseline)
    for note in write_report(folders, file, options):
        print_status(f"note: {note}")
    print_status(f"wrote {file}")


def check_port(port: int | None, is_live: bool) -> None:
    """Raises UsageError for a port that nothing can be served at."""
    if port is not None and not is_live:
        raise UsageError("bad-option", PORT_WITHOUT_LIVE)


@contextmanager
def live_report(folder: Path, port: int | None, is_live: bool) -> Iterator[None]:
    """Serves the page of a run that is about to train, if the user wants it, and prints its address."""
    if not is_live:
        yield
        return
    from ..pipeline.report.live_report import DEFAULT_PORT, LiveReport, serving

    server = LiveReport(folder, DEFAULT_PORT if port is None else port)
    print_status(f"live report: {server.url}")
    with serving(server):
        yield


def write_run_report(folder: Path, data_roots: tuple[str, ...]) -> None:
    """Writes the report of a run that has ended to its folder."""
    from ..pipeline.report.report_run import ReportOptions
    from ..pipeline.report.write_report import default_report_file, write_report

    file = default_report_file([folder])
    for note in write_report([folder], file, ReportOptions(data_roots=data_roots)):
        print_status(f"note: {note}")
    print_result(f"wrote {file}")


def _serve(folders: list[Path], port: int | None, ignored: Mapping[str, object]) -> None:
    """Serves the page of a run until Ctrl-C."""
    from ..pipeline.report.live_report import DEFAULT_PORT, LiveReport
    from ..pipeline.run_folder.run import Run

    for option, value in ignored.items():
        if value:
            raise UsageError("bad-option", f"{option} has no effect with --live")
    if len(folders) > 1:
        raise UsageError("bad-option", "--live follows one run", "name one RUN folder")
    Run(folders[0])  # raises UsageError for a folder without a run
    server = LiveReport(folders[0], DEFAULT_PORT if port is None else port)
    print_status(f"live report: {server.url} (Ctrl-C ends it)")
    server.serve_forever()
