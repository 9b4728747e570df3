"""Checks the paths of the data and weight files that a spec names, of which only word vectors are opened."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...core.diagnostics import Diagnostic, JsonPath, Report, Severity, UsageError
from ...core.files.data_formats import data_suffix_error
from ...core.files.files import MissingFile, UnsafePath, check_beneath, display_path
from ...core.files.spec_folders import (
    DATA_FOLDER_HELP,
    MODEL_HELP,
    MODEL_SUFFIXES,
    OWN_FOLDER_HELP,
    UNSAFE_DATA_HELP,
    WEIGHT_FILE_SUFFIXES,
    WEIGHTS_HELP,
    SpecFolders,
    check_spec_model,
    spec_weight_file,
    suffix_error,
    unsafe_data_help,
)
from ...core.files.word_vectors import VECTORS_HELP, MalformedVectors, VectorFile, has_vector_suffix
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
    for file, size in _vector_files(document):
        _check_vector_file(file, size, folders, missing, report)
    if isinstance(training, Mapping):
        for file in _data_files(training, parts):
            _check_data_file(file, folders, missing, report)
        for file in _weight_files(training):
            _check_weight_file(file, folders, missing, report)
        for file in _teachers(training):
            _check_teacher(file, folders, missing, report)
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


def _teachers(training: Mapping[str, Any]) -> Iterator[NamedFile]:
    distill = training.get("distill")
    if isinstance(distill, Mapping) and isinstance(name := distill.get("teacher"), str):
        yield NamedFile(name, ("training", "distill", "teacher"))


def _vector_files(document: object) -> Iterator[tuple[NamedFile, int | None]]:
    """The files of word vectors, each with the size of the vectors of its layer."""
    layers = document.get("layers") if isinstance(document, Mapping) else None
    for index, entry in enumerate(layers if isinstance(layers, list) else ()):
        if isinstance(entry, Mapping) and entry.get("type") == "Embedding" and isinstance(entry.get("vectors"), str):
            size = entry.get("output_dim")
            yield NamedFile(entry["vectors"], ("layers", index, "vectors")), size if isinstance(size, int) else None


def _check_vector_file(
    file: NamedFile, size: int | None, folders: SpecFolders, missing: Severity, report: Report
) -> None:
    try:
        with folders.open(file.name, "") as content:
            vectors = VectorFile(content)
    except UnsafePath as error:
        report.add("unsafe-path", file.path, str(error), help=UNSAFE_DATA_HELP)
    except UsageError as error:
        _add(error, file, report, missing)
    except (MalformedVectors, OSError) as error:
        line = f", line {error.line:,}" if isinstance(error, MalformedVectors) and error.line else ""
        report.add("bad-data-file", file.path, f"{file.name!r}{line}: {error}")
    else:
        if size is not None and vectors.size != size:
            message = f"the vectors in {file.name!r} have {vectors.size} numbers, the Embedding's {size}"
            report.add("data-shape", file.path, message, help=f'write "output_dim": {vectors.size}')


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
        report.add("unsafe-path", file.path, str(error), help=unsafe_data_help(error))
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
    name = spec_weight_file(folders.own, file.name)
    suffix = suffix_error(name, WEIGHT_FILE_SUFFIXES, "weight")
    if suffix is not None and has_vector_suffix(name):
        suffix = suffix[0], f"{suffix[1]}; {VECTORS_HELP}"
    try:
        check_beneath(folders.own, name)
    except UnsafePath as error:
        report.add("unsafe-path", file.path, str(error), help=OWN_FOLDER_HELP)
        return
    except UsageError as error:
        is_other_file = suffix is not None and os.path.splitext(name)[1][1:].isalpha()  # not a RUN folder `v1.2`
        if not is_other_file or not isinstance(error, MissingFile):
            _add(error, file, report, missing, None if suffix is None else WEIGHTS_HELP)
            return
    if suffix is not None:
        report.add("damaged-file", file.path, suffix[0], help=suffix[1])


def _check_teacher(file: NamedFile, folders: SpecFolders, missing: Severity, report: Report) -> None:
    try:
        name = check_spec_model(folders, file.name)
    except UnsafePath as error:
        report.add("unsafe-path", file.path, str(error), help=UNSAFE_DATA_HELP)
        return
    except UsageError as error:
        _add(error, file, report, missing)
        return
    if suffix := suffix_error(name, MODEL_SUFFIXES, "model"):
        report.add("bad-model", file.path, suffix[0], help=MODEL_HELP)


def _add(error: UsageError, file: NamedFile, report: Report, missing: Severity, help: str | None = None) -> None:
    severity = missing if isinstance(error, MissingFile) else "error"
    diagnostic = error.diagnostic
    report.add(diagnostic.code, file.path, diagnostic.message, help=diagnostic.help or help, severity=severity)
