"""The folder of a run for which the user names none: `runs/SPEC`, `runs/SPEC-2` and so on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from ...core.diagnostics import CompileError, UsageError
from ...core.files.files import refuse_special_files
from ...core.natural_order import natural_key
from ...frontend.json.json_reader import STDIN_NAME
from ..check.check import CheckedSpec
from ..run_folder.list_runs import run_folders
from ..run_folder.run_info import FINISHED, RunInfo, read_run_info, run_state

PARENT_FOLDER = Path("runs")


class DefaultFolder(NamedTuple):
    """A folder, and whether the run in it is to be continued."""

    path: Path
    has_run: bool


def default_run_folder(checked: CheckedSpec, resume: bool, force: bool, parent: Path = PARENT_FOLDER) -> DefaultFolder:
    """The folder of a new run, named after the spec's file, with a number if the name is taken.

    With `resume`, the folder of the spec's newest run that has not finished, or else of its newest run. With `force`,
    the folder without a number. Raises UsageError `unwritable-file` if that is a symbolic link.
    """
    file = checked.source.file
    base = Path(file).stem if file and file != STDIN_NAME else checked.network.name
    folders = numbered_folders(parent, base)
    if resume and not force:
        runs = _runs_of(parent, checked)
        unfinished = [path for path, run_info in runs if run_state(path, run_info) != FINISHED]
        if runs:
            return DefaultFolder((unfinished or [runs[0][0]])[0], True)
    number = max(folders, default=0) + 1
    path = parent / (base if number == 1 or force else f"{base}-{number}")
    refuse_special_files([path])
    return DefaultFolder(path, False)


def _runs_of(parent: Path, checked: CheckedSpec) -> list[tuple[Path, RunInfo]]:
    """The runs of the spec's file beneath a folder, from the one that was started last."""
    runs = [(path, run_info) for path in run_folders(parent) if (run_info := _run_info_of(path, checked)) is not None]

    def age(run: tuple[Path, RunInfo]) -> tuple[str, Any]:
        return str(run[1].get("started", "")), natural_key(str(run[0]))  # of those of one second, the greatest number

    return sorted(runs, key=age, reverse=True)


def numbered_folders(parent: Path, base: str) -> dict[int, Path]:
    """The files and folders called `base` or `base-NUMBER`, by number."""
    name = re.compile(rf"{re.escape(base)}(?:-([1-9]\d{{0,8}}))?")
    try:
        matches = {path: name.fullmatch(path.name) for path in parent.iterdir()}
    except OSError:
        return {}
    return {int(match[1] or 1): path for path, match in matches.items() if match}


def _run_info_of(folder: Path, checked: CheckedSpec) -> RunInfo | None:
    """The description of the run in a folder; None if it is damaged, or the run is one of another spec's file."""
    try:
        run_info = read_run_info(folder)
    except (UsageError, CompileError):
        return None
    if not checked.source.file or checked.source.file == STDIN_NAME:
        return run_info if run_info.get("spec") == STDIN_NAME else None
    spec_file = folder.resolve() / run_info["data_folder"] / str(run_info.get("spec"))
    return run_info if spec_file.resolve() == Path(checked.source.file).resolve() else None
