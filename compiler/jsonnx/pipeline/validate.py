"""Checks a spec, the paths of the files that it names and, on request, its data.

Without data, imports neither NumPy nor onnx, and opens no data file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..core.diagnostics import CompileError, Diagnostic
from ..core.spec_folders import SpecFolders
from .check import CheckedSpec, Spec, check_spec
from .check_columns import check_columns
from .check_paths import DATA_PARTS, check_paths

if TYPE_CHECKING:
    from .target_classes import ClassCounts

DataChoice = bool | str | os.PathLike[str]
"""Whether the spec's data are checked, or a file that is checked in their place."""


@dataclass(frozen=True)
class Validation:
    """The diagnostics of a spec in the order of the file, and what its data contain if they were checked."""

    diagnostics: list[Diagnostic]
    sample_counts: Mapping[str, int] = field(default_factory=dict)
    class_counts: Mapping[str, Mapping[str, ClassCounts]] = field(default_factory=dict)
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    has_unreadable_data: bool = False
    """Whether data were to be checked, but a file cannot be read."""


def validate(
    spec: Spec,
    scale: str | None = None,
    changes: Sequence[str] = (),
    data: DataChoice = False,
    data_roots: Iterable[str | os.PathLike[str]] = (),
) -> list[Diagnostic]:
    """All diagnostics of a spec, in the order of the file; an empty list for a valid spec.

    `scale` is the name of one of the spec's scales; a change is a text like `training.epochs=3` or `width=128`. A data
    file that does not exist is a warning. With `data`, it is an error, and the files are read and checked as training
    would: all that the spec names, or the file that `data` names. `data_roots` are folders whose files the spec may
    name, besides its own folder.
    """
    return validate_spec(spec, scale, changes, data, data_roots).diagnostics


def validate_spec(
    spec: Spec,
    scale: str | None = None,
    changes: Sequence[str] = (),
    data: DataChoice = False,
    data_roots: Iterable[str | os.PathLike[str]] = (),
) -> Validation:
    """Like `validate`, with the numbers of samples and classes of the checked data."""
    try:
        checked = check_spec(spec, changes=changes, scale=scale)
    except CompileError as error:
        return Validation(error.diagnostics)
    file = None if isinstance(data, bool) else os.fspath(data)
    folders = SpecFolders.of(checked.folder, data_roots)
    parts = [part for part in DATA_PARTS if file is None or part != "train"]
    column_faults = check_columns(checked)
    path_faults = check_paths(checked, folders, parts, "error" if data is True else "warning")
    diagnostics = [*checked.diagnostics, *column_faults, *path_faults]
    diagnostics.sort(key=lambda diagnostic: (diagnostic.line or 0, diagnostic.column or 0))
    if data is False or any(diagnostic.severity == "error" for diagnostic in [*checked.diagnostics, *column_faults]):
        return Validation(diagnostics)
    return _with_data(checked, folders, file, diagnostics)


def _with_data(
    checked: CheckedSpec, folders: SpecFolders, file: str | None, diagnostics: list[Diagnostic]
) -> Validation:
    from ..runtime.spec_source import SpecSource
    from .check_data import check_data

    source = SpecSource(checked.source.file, checked.locate, folders.roots)
    faulty_paths = {diagnostic.path for diagnostic in diagnostics}
    skipped_parts = {part for part in DATA_PARTS if f"$.training.data.{part}" in faulty_paths}
    check = check_data(checked, source, file, skipped_parts)
    diagnostics = [*diagnostics, *check.diagnostics]
    return Validation(
        diagnostics,
        {part: len(samples) for part, samples in check.samples.items()},
        check.class_counts,
        checked.network.labels,
        any(item.code == "unreadable-file" and item.severity == "error" for item in diagnostics),
    )
