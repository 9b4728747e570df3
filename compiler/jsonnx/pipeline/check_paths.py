"""Checks the paths of the data and weight files that a spec names, without opening a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..core.diagnostics import Diagnostic, JsonPath, Report, Severity, UsageError
from ..core.files import MissingFile, UnsafePath, check_beneath
from ..core.spec_folders import (
    DATA_FILE_SUFFIXES,
    DATA_FOLDER_HELP,
    OWN_FOLDER_HELP,
    UNSAFE_DATA_HELP,
    WEIGHT_FILE_SUFFIXES,
    SpecFolders,
    suffix_fault,
)
from ..training.section import DATA_PARTS
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
        if isinstance(data, Mapping) and isinstance(name := data.get(part), str):
            yield NamedFile(name, ("training", "data", part))


def _weight_files(training: Mapping[str, Any]) -> Iterator[NamedFile]:
    weights = training.get("weights")
    if isinstance(weights, str):
        yield NamedFile(weights, ("training", "weights"))
    elif isinstance(weights, Mapping) and isinstance(name := weights.get("file"), str):
        yield NamedFile(name, ("training", "weights", "file"))


def _check_data_file(file: NamedFile, folders: SpecFolders, missing: Severity, report: Report) -> None:
    suffix = suffix_fault(file.name, DATA_FILE_SUFFIXES, "data")
    try:
        folders.check(file.name, str(file.path[-1]))
    except UnsafePath as error:
        report.add("unsafe-path", file.path, str(error), help=UNSAFE_DATA_HELP)
        return
    except UsageError as error:
        if suffix is None or not isinstance(error, MissingFile):
            _add(error, file, report, missing, DATA_FOLDER_HELP)
            return
    if suffix is not None:
        report.add("bad-data-file", file.path, suffix[0], help=suffix[1])


def _check_weight_file(file: NamedFile, folders: SpecFolders, missing: Severity, report: Report) -> None:
    suffix = suffix_fault(file.name, WEIGHT_FILE_SUFFIXES, "weight")
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
