"""The folder of a run for which the user names none: `runs/SPEC`, `runs/SPEC-2` and so on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from ..core.diagnostics import CompileError, UsageError
from ..frontend.json_reader import STDIN_NAME
from .check import CheckedSpec
from .run_info import FINISHED, read_run_info, run_state

PARENT_FOLDER = Path("runs")


class DefaultFolder(NamedTuple):
    """A folder, and whether the run in it is to be continued."""

    path: Path
    has_run: bool


def default_run_folder(checked: CheckedSpec, resume: bool, force: bool, parent: Path = PARENT_FOLDER) -> DefaultFolder:
    """The folder of a new run, named after the spec's file, with a number if the name is taken.

    With `resume`, the folder of the spec's newest run that has not finished, or else of its newest run. With `force`,
    the folder without a number.
    """
    file = checked.source.file
    base = Path(file).stem if file and file != STDIN_NAME else checked.network.name
    folders = _numbered_folders(parent, base)
    if resume and not force:
        runs = [path for _, path in sorted(folders.items(), reverse=True) if _is_run_of(path, checked)]
        unfinished = [path for path in runs if run_state(path, read_run_info(path)) != FINISHED]
        if runs:
            return DefaultFolder((unfinished or runs)[0], True)
    number = max(folders, default=0) + 1
    return DefaultFolder(parent / (base if number == 1 or force else f"{base}-{number}"), False)


def _numbered_folders(parent: Path, base: str) -> dict[int, Path]:
    """The files and folders called `base` or `base-NUMBER`, by number."""
    name = re.compile(rf"{re.escape(base)}(?:-([1-9]\d{{0,8}}))?")
    try:
        matches = {path: name.fullmatch(path.name) for path in parent.iterdir()}
    except OSError:
        return {}
    return {int(match[1] or 1): path for path, match in matches.items() if match}


def _is_run_of(folder: Path, checked: CheckedSpec) -> bool:
    """Whether the folder has a run of the spec's file."""
    try:
        run_info = read_run_info(folder)
    except (UsageError, CompileError):
        return False
    if not checked.source.file or checked.source.file == STDIN_NAME:
        return run_info.get("spec") == STDIN_NAME
    spec_file = folder.resolve() / run_info["data_folder"] / str(run_info.get("spec"))
    return spec_file.resolve() == Path(checked.source.file).resolve()
