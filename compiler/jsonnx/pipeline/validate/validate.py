"""Checks a spec, the paths of the files that it names and, on request, its data.

Without data, imports neither NumPy nor onnx, and opens no data file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ...core.diagnostics import CompileError, Diagnostic, file_order
from ...core.files.spec_folders import SpecFolders
from ...frontend.json.json_reader import Source
from ...sections.data_section import DATA_PARTS
from ...sections.sweep_section import SWEEP_KEY
from ..check.check import Buffers, CheckedSpec, Spec, StageHook, check_source, no_buffers, no_hook, read_spec
from ..check.check_columns import check_columns
from ..check.check_paths import check_paths
from ..check.check_scales import check_scales
from ..compile.check_budget import OVER_BUDGET, check_budget

if TYPE_CHECKING:
    from ..train.check_data import DataCheck
    from ..train.target_classes import ClassCounts
    from .lint_spec import Linter, LintOptions

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


class _Choices(NamedTuple):
    """What is checked besides the spec, and the arguments of `validate_spec` with these names."""

    scale: str | None = None
    changes: Sequence[str] = ()
    data: DataChoice = False
    data_roots: Iterable[str | os.PathLike[str]] = ()
    limits: Mapping[str, Any] = {}
    compiles: bool = False
    lint_options: LintOptions | None = None


class EditedSpec(NamedTuple):
    """A spec in an editor: the result of its check, and all its diagnostics in the order of the file."""

    checked: CheckedSpec
    diagnostics: list[Diagnostic]


def validate(
    spec: Spec,
    scale: str | None = None,
    changes: Sequence[str] = (),
    data: DataChoice = False,
    data_roots: Iterable[str | os.PathLike[str]] = (),
    lint: bool = False,
) -> list[Diagnostic]:
    """All diagnostics of a spec, in the order of the file; an empty list for a valid spec.

    `scale` is the name of one of the spec's scales; without it, the spec is checked with its own parameters and at
    every scale. A change is a text like `training.epochs=3` or `width=128`. A data file that does not exist is a
    warning. With `data`, it is an error, and the files are read and checked as training at `scale` would: all that the
    spec names, or the file that `data` names. `data_roots` are folders whose files the spec may name, besides its own
    folder. With `lint`, findings of the rules of `jsonnx lint` are diagnostics, too.
    """
    return validate_spec(spec, scale, changes, data, data_roots, lint_options=_lint_options(lint)).diagnostics


def _lint_options(lint: bool) -> LintOptions | None:
    """The options of rules that run with the configuration beside the spec; None if none run."""
    if not lint:
        return None
    from .lint_spec import LintOptions

    return LintOptions()


def validate_spec(
    spec: Spec | Source,
    scale: str | None = None,
    changes: Sequence[str] = (),
    data: DataChoice = False,
    data_roots: Iterable[str | os.PathLike[str]] = (),
    limits: Mapping[str, Any] = {},
    compiles: bool = False,
    lint_options: LintOptions | None = None,
) -> Validation:
    """Like `validate`, with the numbers of samples and classes of the checked data.

    `limits` replace those of the spec's budget, by key. With `compiles`, a valid spec is also compiled, and its model
    compared with the budget. With options for rules, the rules run, too; raises UsageError for an invalid
    configuration of rules.
    """
    try:
        source = spec if isinstance(spec, Source) else read_spec(spec)
        checked = check_source(source, changes=changes, scale=scale)
    except CompileError as error:
        return Validation(error.diagnostics)
    return _validate_checked(
        source, checked, _Choices(scale, changes, data, data_roots, limits, compiles, lint_options)
    )


def validate_source(
    source: Source,
    after: StageHook = no_hook,
    buffers: Buffers = no_buffers,
    lint_options: LintOptions | None = None,
) -> EditedSpec:
    """The diagnostics of a spec that has been read, as `validate` finds them without data, and its typed network."""
    checked = check_source(source, after, buffers=buffers)
    after("checked", checked)
    return EditedSpec(checked, _validate_checked(source, checked, _Choices(lint_options=lint_options)).diagnostics)


def _validate_checked(source: Source, checked: CheckedSpec, choices: _Choices) -> Validation:
    scale, changes, data, data_roots, limits, compiles, lint_options = choices
    file = None if isinstance(data, bool) else os.fspath(data)
    folders = SpecFolders.of(checked.folder, data_roots)
    parts = [part for part in DATA_PARTS if file is None or part != "train"]

    def diagnostics_of(checked: CheckedSpec) -> list[Diagnostic]:
        path_faults = check_paths(checked, folders, parts, "error" if data is True else "warning")
        return [*checked.diagnostics, *check_columns(checked), *path_faults, *check_budget(checked, limits)]

    own_diagnostics = diagnostics_of(checked)
    faults = [*checked.diagnostics, *check_columns(checked)]
    data_check = None
    if data is not False and not any(fault.severity == "error" for fault in faults):
        # A file of a list may be missing, so that the path of a fault goes on with its index.
        faulty_paths = {diagnostic.path.partition("[")[0] for diagnostic in own_diagnostics}
        skipped_parts = {part for part in DATA_PARTS if f"$.training.data.{part}" in faulty_paths}
        data_check = _check_data(checked, folders, file, skipped_parts)
    linter = _linter(lint_options, source)
    findings_of = linter.findings if linter is not None else _no_findings
    own_diagnostics += findings_of(checked, data_check)

    def all_diagnostics_of(checked: CheckedSpec) -> list[Diagnostic]:
        return [*diagnostics_of(checked), *findings_of(checked, None)]

    at_scales = check_scales(source, changes, own_diagnostics, all_diagnostics_of) if scale is None else []
    own_diagnostics += _check_model(checked, own_diagnostics, limits) if compiles else []
    of_sweep = _check_sweep(source, checked, scale, changes)
    diagnostics = sorted([*own_diagnostics, *at_scales, *of_sweep], key=file_order)
    if data_check is not None:
        diagnostics += data_check.diagnostics
    if linter is not None:
        diagnostics = linter.selected(diagnostics)
    return Validation(diagnostics) if data_check is None else _with_data(checked, data_check, diagnostics)


def _no_findings(checked: CheckedSpec, data: DataCheck | None) -> list[Diagnostic]:
    return []


def _linter(options: LintOptions | None, source: Source) -> Linter | None:
    """The rules that are selected; None without options. They are imported only if they run."""
    if options is None:
        return None
    from .lint_spec import Linter

    return Linter(options.codes(source.file))


def _check_sweep(source: Source, checked: CheckedSpec, scale: str | None, changes: Sequence[str]) -> list[Diagnostic]:
    """The diagnostics of the spec's search. What checks it is imported only for a spec that has one."""
    document = checked.source.value
    if not (isinstance(document, dict) and SWEEP_KEY in document):
        return []
    from ..check.check_sweep import check_sweep

    return check_sweep(source, checked, scale, changes).diagnostics


def _check_model(checked: CheckedSpec, faults: Sequence[Diagnostic], limits: Mapping[str, Any]) -> list[Diagnostic]:
    """What is wrong with the model of a spec without errors, compiled with its initial weights."""
    if any(item.severity == "error" and item.code != OVER_BUDGET for item in faults):
        return []
    from ..compile.compile import compile_checked
    from .check_model_budget import check_model_budget

    try:
        return check_model_budget(checked, compile_checked(checked), limits)
    except CompileError as error:
        known = set(faults)
        return [item for item in error.diagnostics if item not in known]


def _check_data(checked: CheckedSpec, folders: SpecFolders, file: str | None, skipped_parts: set[str]) -> DataCheck:
    from ...core.files.spec_source import SpecSource
    from ..train.check_data import check_data

    source = SpecSource(checked.source.file, checked.locate, folders.roots)
    check = check_data(checked, source, file, skipped_parts)
    check.diagnostics = checked.without_silenced(check.diagnostics)
    return check


def _with_data(checked: CheckedSpec, check: DataCheck, diagnostics: list[Diagnostic]) -> Validation:
    return Validation(
        diagnostics,
        {part: len(samples) for part, samples in check.samples.items()},
        check.class_counts,
        check.labels or checked.network.labels,
        any(item.code == "unreadable-file" and item.severity == "error" for item in diagnostics),
    )
