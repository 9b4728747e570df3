"""Writes the report of one or several runs as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..core.files import refuse_overwrite, write_atomically
from ..report.page import report_page
from ..runtime.run_files import REPORT_FILE, RESULT_FILES
from .report_run import DEFAULT_OPTIONS, ReportOptions, run_values


def write_report(folders: Sequence[Path], output: Path, options: ReportOptions = DEFAULT_OPTIONS) -> list[str]:
    """Writes the page, and returns notes on what is missing in it. Raises UsageError, CompileError."""
    inputs = [folder / name for folder in folders for name in RESULT_FILES if name != REPORT_FILE]
    refuse_overwrite([*inputs, *([Path(options.data)] if options.data else [])], [output])
    runs = [run_values(folder, options) for folder in folders]
    titles = _titles(folders)
    for run, title in zip(runs, titles, strict=True):
        run["name"] = title
    write_atomically(output, report_page(f"jsonnx report: {', '.join(titles)}", runs).encode())
    return [f"{run['name']}: {note}" for run in runs for note in run["notes"]]


def _titles(folders: Sequence[Path]) -> list[str]:
    """The names of the folders, or their paths where several have the same name."""
    names = [folder.resolve().name for folder in folders]
    return [name if names.count(name) == 1 else str(folder) for name, folder in zip(names, folders, strict=True)]


def default_report_file(folders: Sequence[Path]) -> Path:
    """In the folder of a single run, otherwise in the current one."""
    return folders[0] / REPORT_FILE if len(folders) == 1 else Path(REPORT_FILE)
