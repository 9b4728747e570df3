"""The data that a RUN folder names: used if the folder, which someone else may have made, does not lead elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ...core.diagnostics import CompileError, UsageError
from ...core.files.boundary import is_beneath
from ...core.files.files import display_path
from ...core.files.run_layout import SPEC_FILE, RunPaths
from ...core.files.spec_source import SpecSource
from ...core.files.user_files import file_names
from ...frontend.json.json_reader import read_file
from ...frontend.text.spec_detection import has_keys_of_a_spec
from ..run_folder.run_info import RunInfo
from ..train.run_data import SPEC_FILES, DataFiles, replaced_files

DATA_ROOT_HELP = "if the data are the ones that you mean, allow their folder with --data-root"


class RecordedData(NamedTuple):
    """The source of a run's data: the spec, to whose folder paths refer, and the files that replaced the spec's."""

    source: SpecSource
    files: DataFiles = SPEC_FILES


def recorded_data(folder: Path, run_info: RunInfo, roots: Sequence[Path] = ()) -> RecordedData:
    """The source of the data of the run in a folder. Raises UsageError `unsafe-path`."""
    data_folder = recorded_folder(folder, run_info, roots)
    files = replaced_files(folder, run_info)
    for path in (path for named in files.paths.values() for path in file_names(named)):
        if not _is_allowed(path, [Path(), data_folder, *roots]):
            message = f"the run in {str(folder)!r} names the data {display_path(Path(path))!r}, which lie neither "
            raise UsageError("unsafe-path", f"{message}beneath the current folder nor beside its spec", DATA_ROOT_HELP)
    spec_file = display_path(data_folder / run_info.get("spec", SPEC_FILE))
    return RecordedData(SpecSource(spec_file, data_roots=tuple(roots)), files)


def recorded_folder(folder: Path, run_info: RunInfo, roots: Sequence[Path] = ()) -> Path:
    """The folder of the spec of the run in a folder, without links: what the run records, if that lies beneath the
    current folder or one of `roots`, or has the run's spec; else the first of `roots`.

    Raises UsageError `unsafe-path` without roots.
    """
    recorded = Path(os.path.realpath(folder / run_info["data_folder"]))
    if _is_allowed(recorded, [Path(), *roots]) or _has_spec(recorded, folder, run_info.get("spec", SPEC_FILE)):
        return recorded
    if roots:
        return roots[0]
    message = f"the run in {str(folder)!r} names {str(recorded)!r} as the folder of its spec, which neither lies "
    raise UsageError("unsafe-path", f"{message}beneath the current folder nor has the spec of the run", DATA_ROOT_HELP)


def _is_allowed(path: str | Path, folders: Iterable[Path]) -> bool:
    return any(is_beneath(os.path.realpath(path), os.path.realpath(folder)) for folder in folders)


def _has_spec(data_folder: Path, folder: Path, name: str) -> bool:
    """Whether a folder has the spec that the run in another folder was started with: a file of the same text."""
    try:
        spec, own = read_file(data_folder / name), read_file(RunPaths(folder).source_spec)
    except (UsageError, CompileError):
        return False
    return spec.text == own.text and isinstance(spec.value, dict) and has_keys_of_a_spec(spec.value)
