"""Checks a spec, the paths of the files that it names and, on request, its data.

Without data, imports neither NumPy nor onnx, and opens no data file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ...core.diagnostics import CompileError, Diagnostic, Severity, file_order
from ...core.files.spec_folders import SpecFolders
from ...core.files.user_files import UserFiles
from ...frontend.json.json_reader import Source
from ...sections.data_section import DATA_PARTS
from ...sections.sweep_section import SWEEP_KEY
from ..check.check import Buffers, CheckedSpec, Spec, StageHook, check_source, no_buffers, no_hook, read_spec
from ..check.check_columns import check_columns
from ..check.check_paths import check_paths
from ..check.check_scales import check_scales
from ..check.name_fixes import with_certain_name_fixes
from ..compile.check_budget import OVER_BUDGET, check_budget

if TYPE_CHECKING:
    from ..train.check_data import DataCheck
    from ..train.target_classes import ClassCounts
    from .lint_spec import Linter, LintOptions

DataChoice = bool | UserFiles | os.PathLike[str]
"""Whether the spec's data are checked, or a file, or files by name, that are checked in their place."""


@dataclass(frozen=True)
class Validation:
    """The diagnostics of a spec in the order of the file, and what its data contain if they were checked."""

    diagnostics: list[Diagnostic]
    sample_counts: Mapping[str, int] = field(default_factory=dict)
    class_counts: Mapping[str, Mapping[str, ClassCounts]] = field(default_factory=dict)
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    has_unreadable_data: bool = False
    """Whether data were to be checked, but a file cannot be read."""


@dataclass(frozen=True)
class ValidationOptions:
    """The checks to make besides the spec itself."""

    scale: str | None = None
    """One of the spec's scales; None for its own parameters and every scale."""
    changes: Sequence[str] = ()
    data: DataChoice = False
    data_roots: Iterable[str | os.PathLike[str]] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    """Limits that replace the spec's budget, by key."""
    compiles: bool = False
    """Whether a valid spec is also compiled, and its model compared with the budget."""
    lint_options: LintOptions | None = None
    """The options of the rules; None if no rules run."""

    @property
    def data_file(self) -> UserFiles | None:
        """The file that is checked in place of the spec's data, or files by name."""
        if isinstance(self.data, bool):
            return None
        return self.data if isinstance(self.data, Mapping) else os.fspath(self.data)


DEFAULT_OPTIONS = ValidationOptions()


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
    options = ValidationOptions(scale, changes, data, data_roots, lint_options=_lint_options(lint))
    return validate_spec(spec, options).diagnostics


def _lint_options(lint: bool) -> LintOptions | None:
    """The options of rules that run with the configuration beside the spec; None if none run."""
    if not lint:
        return None
    from .lint_spec import LintOptions

    return LintOptions()


def validate_spec(spec: Spec | Source, options: ValidationOptions = DEFAULT_OPTIONS) -> Validation:
    """Like `validate`, with the numbers of samples and classes of the checked data.

    Raises UsageError for an invalid configuration of rules.
    """
    try:
        source = spec if isinstance(spec, Source) else read_spec(spec)
        checked = check_source(source, changes=options.changes, scale=options.scale)
    except CompileError as error:
        return Validation(error.diagnostics)
    return _validate_checked(source, checked, options)


def validate_source(
    source: Source,
    after: StageHook = no_hook,
    buffers: Buffers = no_buffers,
    lint_options: LintOptions | None = None,
) -> EditedSpec:
    """The diagnostics of a spec that has been read, as `validate` finds them without data, and its typed network."""
    checked = check_source(source, after, buffers=buffers)
    after("checked", checked)
    options = ValidationOptions(lint_options=lint_options)
    return EditedSpec(checked, _validate_checked(source, checked, options).diagnostics)


def _validate_checked(source: Source, checked: CheckedSpec, options: ValidationOptions) -> Validation:
    folders = SpecFolders.of(checked.folder, options.data_roots)
    checks = _ScaleChecks(options, folders, _linter(options.lint_options, source))
    of_spec = _spec_diagnostics(checked)
    own = [*of_spec, *checks.of_files_and_budget(checked)]
    has_errors = any(item.severity == "error" for item in of_spec)
    data_check = _check_data(checked, checks, own) if options.data is not False and not has_errors else None
    own += checks.findings(checked, data_check)
    at_scales = check_scales(source, options.changes, own, checks.all_of) if options.scale is None else []
    of_model = _check_model(checked, own, options.limits) if options.compiles else []
    of_sweep = _check_sweep(source, checked, options)
    diagnostics = with_certain_name_fixes(sorted([*own, *of_model, *at_scales, *of_sweep], key=file_order))
    if data_check is not None:
        diagnostics += data_check.diagnostics
    if checks.linter is not None:
        diagnostics = checks.linter.selected(diagnostics)
    return Validation(diagnostics) if data_check is None else _with_data(checked, data_check, diagnostics)


def _spec_diagnostics(checked: CheckedSpec) -> list[Diagnostic]:
    """The diagnostics of the text and the network of a spec, and of the columns that it assigns."""
    return [*checked.diagnostics, *check_columns(checked)]


class _ScaleChecks(NamedTuple):
    """The checks of a spec without its data, which run at each of its scales."""

    options: ValidationOptions
    folders: SpecFolders
    linter: Linter | None

    def all_of(self, checked: CheckedSpec) -> list[Diagnostic]:
        """The diagnostics of a spec at one scale."""
        return [*_spec_diagnostics(checked), *self.of_files_and_budget(checked), *self.findings(checked)]

    def of_files_and_budget(self, checked: CheckedSpec) -> list[Diagnostic]:
        """The diagnostics of the files that the spec names, and of its budget."""
        parts = [part for part in DATA_PARTS if self.options.data_file is None or part != "train"]
        missing: Severity = "error" if self.options.data is True else "warning"
        return [*check_paths(checked, self.folders, parts, missing), *check_budget(checked, self.options.limits)]

    def findings(self, checked: CheckedSpec, data: DataCheck | None = None) -> list[Diagnostic]:
        """The findings of the selected rules, with the data if they were read."""
        return self.linter.findings(checked, data) if self.linter is not None else []


def _linter(options: LintOptions | None, source: Source) -> Linter | None:
    """The rules that are selected; None without options. They are imported only if they run."""
    if options is None:
        return None
    from .lint_spec import Linter

    return Linter(options.codes(source.file))


def _check_sweep(source: Source, checked: CheckedSpec, options: ValidationOptions) -> list[Diagnostic]:
    """The diagnostics of the spec's search. What checks it is imported only for a spec that has one."""
    document = checked.source.value
    if not (isinstance(document, dict) and SWEEP_KEY in document):
        return []
    from ..check.check_sweep import check_sweep

    return check_sweep(source, checked, options.scale, options.changes).diagnostics


def _check_model(checked: CheckedSpec, known: Sequence[Diagnostic], limits: Mapping[str, Any]) -> list[Diagnostic]:
    """The diagnostics of the model of a spec without errors, compiled with its initial weights."""
    if any(item.severity == "error" and item.code != OVER_BUDGET for item in known):
        return []
    from ..compile.compile import compile_checked
    from .check_model_budget import check_model_budget

    try:
        return check_model_budget(checked, compile_checked(checked), limits)
    except CompileError as error:
        earlier = set(known)
        return [item for item in error.diagnostics if item not in earlier]


def _check_data(checked: CheckedSpec, checks: _ScaleChecks, known: Sequence[Diagnostic]) -> DataCheck:
    """Checks the data that have no known diagnostic."""
    from ...core.files.spec_source import SpecSource
    from ..train.check_data import check_data

    # A file of a list may be missing, so that the path of its diagnostic goes on with its index.
    paths = {diagnostic.path.partition("[")[0] for diagnostic in known}
    skipped_parts = {part for part in DATA_PARTS if f"$.training.data.{part}" in paths}
    source = SpecSource(checked.source.file, checked.locate, checks.folders.roots)
    check = check_data(checked, source, checks.options.data_file, skipped_parts)
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
