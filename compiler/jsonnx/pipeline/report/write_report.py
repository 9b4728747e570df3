"""Writes the report of one or several runs as one HTML file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ...core.diagnostics import CompileError, UsageError
from ...core.files.files import refuse_overwrite, write_atomically
from ...core.files.run_layout import RunPaths
from ...core.files.spec_folders import existing_folders
from ...core.files.user_files import expand_user_files
from ...html_report.page import report_page
from ..run.recorded_data import recorded_data
from ..run_folder.run import Run
from ..train.run_data import file_paths
from .report_run import DEFAULT_OPTIONS, ReportOptions, run_values

JSON_SUFFIX = ".json"


def write_report(folders: Sequence[Path], output: Path, options: ReportOptions = DEFAULT_OPTIONS) -> list[str]:
    """Writes the page, or its values as JSON to a file with the suffix .json, and returns notes on what is missing.

    Raises UsageError, CompileError.
    """
    refuse_overwrite((path for folder in folders for path in _input_files(folder, options)), [output])
    runs = [run_values(folder, options) for folder in folders]
    titles = _titles(folders)
    for run, title in zip(runs, titles, strict=True):
        run["name"] = title
    if output.suffix == JSON_SUFFIX:
        text = json.dumps({"runs": runs}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    else:
        text = report_page(f"jsonnx report: {', '.join(titles)}", runs)
    in_run = any(output == RunPaths(folder).report for folder in folders)
    write_atomically(output, text.encode(), follows_links=not in_run)
    return [f"{run['name']}: {note}" for run in runs for note in run["notes"]]


def _input_files(folder: Path, options: ReportOptions) -> list[Path]:
    """The files of a run, its spec's file, and the files that its data were read from. Raises UsageError."""
    run = Run(folder)
    data_files: list[Path] = []
    with suppress(UsageError, CompileError):  # the report has a note of it or the error
        training = run.checked_spec.require().network.training
        roots = existing_folders(options.data_roots)
        data = recorded_data(folder, run.info, roots)
        data_files = file_paths(training.data if training else None, data.source.folders, data.files)
    own_files = [path for path in run.paths.results if path != run.paths.report]
    given_files = map(Path, expand_user_files(options.data))
    return [*own_files, run.data_folder / run.spec_file, *data_files, *given_files]


def _titles(folders: Sequence[Path]) -> list[str]:
    """The names of the folders, or their paths where several have the same name."""
    names = [folder.resolve().name for folder in folders]
    return [name if names.count(name) == 1 else str(folder) for name, folder in zip(names, folders, strict=True)]


def default_report_file(folders: Sequence[Path]) -> Path:
    """In the folder of a single run, otherwise in the current one."""
    return RunPaths(folders[0] if len(folders) == 1 else Path()).report
