"""Checks the paths of the data and weight files that a spec names, without opening a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...core.diagnostics import Diagnostic, JsonPath, Report, Severity, UsageError
from ...core.files.data_formats import data_suffix_error
from ...core.files.files import MissingFile, UnsafePath, check_beneath, display_path
from ...core.files.spec_folders import (
    DATA_FOLDER_HELP,
    OWN_FOLDER_HELP,
    UNSAFE_DATA_HELP,
    WEIGHT_FILE_SUFFIXES,
    SpecFolders,
    suffix_error,
)
from ...sections.data_section import DATA_PARTS, named_files
from .check import CheckedSpec


class NamedFile(NamedTuple):
    """A file that a spec names, and the path of its name in the flat document."""

    name: str
    path: JsonPath


def check_paths(
    checked: CheckedSpec, folders: SpecFolders, parts: Sequence[str] = DATA_PARTS, missing: Severity = "warning"
) -> list[Diagnostic]:
    """Diagnostics of files that training could not read: a path out of the allowed folders, a folder, another suffix.

    `parts` are the keys of `training.data` that are checked, `missing` is the severity of a data file that does not
    exist: specs are also checked on machines that have no data.
    """
    report = checked.new_report()
    document = checked.flat.document if checked.flat else None
    training = document.get("training") if isinstance(document, Mapping) else None
    if isinstance(training, Mapping):
        for file in _data_files(training, parts):
            _check_data_file(file, folders, missing, report)
        for file in _weight_files(training):
            _check_weight_file(file, folders, missing, report)
    return list(report)


def _data_files(training: Mapping[str, Any], parts: Sequence[str]) -> Iterator[NamedFile]:
    data = training.get("data")
    for part in parts:
        if isinstance(data, Mapping):
            yield from (NamedFile(*named) for named in named_files(data.get(part), part))


def _weight_files(training: Mapping[str, Any]) -> Iterator[NamedFile]:
    weights = training.get("weights")
    if isinstance(weights, str):
        yield NamedFile(weights, ("training", "weights"))
    elif isinstance(weights, Mapping) and isinstance(name := weights.get("file"), str):
        yield NamedFile(name, ("training", "weights", "file"))


def _check_data_file(file: NamedFile, folders: SpecFolders, missing: Severity, report: Report) -> None:
    """Checks a file, a folder, or the files and folders that match a pattern."""
    suffix = None
    try:
        names = folders.expand(file.name)
        part = str(file.path[2])
        suffix = next(
            (diagnostic for name in names if (diagnostic := _check_item(name, folders, part)) is not None), None
        )
    except UnsafePath as error:
        report.add("unsafe-path", file.path, str(error), help=UNSAFE_DATA_HELP)
        return
    except UsageError as error:
        suffix = data_suffix_error(file.name)
        if suffix is None or not isinstance(error, MissingFile) or not os.path.splitext(file.name)[1]:
            _add(error, file, report, missing)
            return
    if suffix is not None:
        report.add("bad-data-file", file.path, suffix[0], help=suffix[1])


def _check_item(name: str, folders: SpecFolders, part: str) -> tuple[str, str] | None:
    """Message and help for a file with another suffix. Raises UnsafePath, UsageError as `SpecFolders.open`, and for a
    folder without samples."""
    subfolder = folders.subfolder(name)
    if subfolder is None:
        folders.check(name, part)
        return data_suffix_error(name)
    if not subfolder.may_hold_samples():
        shown = display_path(folders.path(name))
        message = f"cannot read {shown!r}: it is a folder without images, recordings or texts"
        raise UsageError("unreadable-file", message, DATA_FOLDER_HELP)
    return None


def _check_weight_file(file: NamedFile, folders: SpecFolders, missing: Severity, report: Report) -> None:
    suffix = suffix_error(file.name, WEIGHT_FILE_SUFFIXES, "weight")
    try:
        check_beneath(folders.own, file.name)
    except UnsafePath as error:
        report.add("unsafe-path", file.path, str(error), help=OWN_FOLDER_HELP)
        return
    except UsageError as error:
        if suffix is None or not isinstance(error, MissingFile):
            _add(error, file, report, missing)
            return
    if suffix is not None:
        report.add("damaged-file", file.path, suffix[0], help=suffix[1])


def _add(error: UsageError, file: NamedFile, report: Report, missing: Severity, help: str | None = None) -> None:
    severity = missing if isinstance(error, MissingFile) else "error"
    diagnostic = error.diagnostic
    report.add(diagnostic.code, file.path, diagnostic.message, help=diagnostic.help or help, severity=severity)
