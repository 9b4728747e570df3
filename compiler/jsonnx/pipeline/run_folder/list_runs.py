"""The runs beneath a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.files.run_layout import RunPaths
from .run import Run


def list_runs(folder: Path) -> tuple[list[Run], list[Diagnostic]]:
    """The runs beneath a folder, by name, and warnings about damaged ones. Raises UsageError for a missing folder."""
    if not folder.is_dir():
        raise UsageError("unreadable-file", f"there is no folder {str(folder)!r}", "name a folder with runs")
    runs, warnings = [], []
    for path in run_folders(folder):
        try:
            runs.append(Run(path))
        except CompileError as error:
            file = str(RunPaths(path).run_info)
            warnings += [replace(item, severity="warning", file=item.file or file) for item in error.diagnostics]
        except UsageError as error:
            warnings.append(replace(error.diagnostic, severity="warning", file=str(RunPaths(path).run_info)))
    return runs, warnings


def run_folders(folder: Path) -> Iterator[Path]:
    """The folders with a `run.json`; hidden folders, links and the insides of runs are not searched."""
    name_in_run = RunPaths(folder).run_info.name
    for name, folders, files in os.walk(folder):
        if name_in_run in files:
            folders.clear()
            yield Path(name)
        folders[:] = sorted(inner for inner in folders if not inner.startswith("."))
