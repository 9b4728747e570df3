"""Checks the `sweep` section of a spec: its parameters, its metric, and the spec with each of the values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...core.components import Json
from ...core.diagnostics import Diagnostic, JsonPath, Note, path_text, quoted_or_list, suggestion
from ...core.limits import MAX_SCALE_LAYERS
from ...frontend.expansion.overrides import OverrideError, override_path, with_overrides
from ...frontend.json.json_reader import Source
from ...frontend.schema.phrases import short_repr
from ...hyperparameter_search.space import Candidate, Dimension, Space, SpaceError, Values, space_errors
from ...sections.monitor import NO_VALIDATION_HELP
from ...sections.sweep_section import SWEEP_KEY, SweepSection
from .check import CheckedSpec
from .check_scales import cost_of_check
from .sweep_plan import SweepPlan, metric_error

MAX_COMBINATIONS_SHOWN = 5


class SweepCheck(NamedTuple):
    """The result of a check. `plan` is None if the spec has no search, or if the section has errors."""

    diagnostics: list[Diagnostic]
    plan: SweepPlan | None = None
    base: CheckedSpec | None = None
    """The spec with its own values, in a cross-validation with its first fold."""

    @property
    def has_errors(self) -> bool:
        return any(diagnostic.severity == "error" for diagnostic in self.diagnostics)


def check_sweep(
    original: Source,
    checked: CheckedSpec,
    scale: str | None = None,
    changes: Sequence[str] = (),
    has_validation: bool | None = None,
    max_cost: int | None = MAX_SCALE_LAYERS,
) -> SweepCheck:
    """The diagnostics of a spec's search; none without a search, or if the spec itself has errors.

    `checked` is the spec `original` at the scale and after the changes. `has_validation` tells whether there are
    validation data, None that the spec says so. Up to `max_cost`, in layers, the values are checked, and a note says
    which are not.
    """
    document: Any = checked.source.value
    section_json = document.get(SWEEP_KEY) if isinstance(document, dict) else None
    if section_json is None or any(diagnostic.severity == "error" for diagnostic in checked.diagnostics):
        return SweepCheck([])
    section = SweepSection(**section_json)
    source = with_overrides(original, scale, changes)[0]
    errors = [*space_errors(section), *_key_errors(source, section)]
    diagnostics = [_at_section(source, error) for error in errors]
    if any(not error.is_warning for error in errors):
        return SweepCheck(diagnostics)
    plan = SweepPlan(original, scale, changes, section, Space.of(section))
    checks = _Checks(plan, max_cost)
    base, base_errors = checks.check_folds(checked)
    diagnostics += base_errors
    if not base_errors:
        error = metric_error(base, section.metric, has_validation)
        if error is not None:
            help = NO_VALIDATION_HELP + ", or `folds`" if error.lacks_validation else None
            help = help or suggestion(section.metric, error.known) or f"the metrics are {quoted_or_list(error.known)}"
            diagnostics.append(_at_section(source, SpaceError("unknown-figure", ("metric",), error.message, help)))
        diagnostics += checks.check_values()
    return SweepCheck(diagnostics, plan, base)


def _at_section(source: Source, error: SpaceError) -> Diagnostic:
    severity = "warning" if error.is_warning else "error"
    return _diagnostic(source, error.path, error.code, error.message, error.help, severity, at_key=error.at_key)


def _diagnostic(
    source: Source,
    path: JsonPath,
    code: str,
    message: str,
    help: str | None = None,
    severity: Any = "error",
    notes: Sequence[Note] = (),
    at_key: bool = False,
) -> Diagnostic:
    """A diagnostic at a path within the section."""
    full = (SWEEP_KEY, *path)
    line, column = source.locate(full, at_key) or (None, None)
    return Diagnostic(code, message, path_text(full), source.file, line, column, help, severity, tuple(notes))


def _key_errors(source: Source, section: SweepSection) -> Iterator[SpaceError]:
    """The errors of names of parameters and of paths."""
    for name in section.parameters:
        path: JsonPath = ("parameters", name)
        try:
            target = override_path(source, name)
        except OverrideError as error:
            yield SpaceError("unknown-name", path, str(error), error.help, at_key=True)
            continue
        if target[:1] == (SWEEP_KEY,):
            yield SpaceError("unknown-name", path, "a search cannot change itself", "remove it", at_key=True)


class _Error(NamedTuple):
    """An error that the spec has with some value, and only then."""

    candidate: Candidate
    diagnostic: Diagnostic

    @property
    def place(self) -> tuple[str, str]:
        return self.diagnostic.code, self.diagnostic.path


@dataclass
class _Checks:
    """Checks the spec with values, and counts what that costs."""

    plan: SweepPlan
    max_cost: int | None
    base: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """The number of errors of the spec without values, by code and path; there are none at other places."""
    cost: int = 0

    def check_folds(self, checked: CheckedSpec) -> tuple[CheckedSpec, list[Diagnostic]]:
        """The spec with the first fold, and the errors that this causes."""
        folds = self.plan.section.folds
        if folds is None:
            return checked, []
        candidate = Candidate(folds, ("folds",))
        with_fold = self._check({})
        if isinstance(with_fold, OverrideError):
            return checked, [_diagnostic(self.plan.source, ("folds",), "unknown-name", str(with_fold), with_fold.help)]
        errors = [_Error(candidate, item) for item in with_fold.diagnostics if item.severity == "error"]
        return with_fold, [self._at_entry("folds", error, ("folds",)) for error in errors]

    def _check(self, values: Values) -> CheckedSpec | OverrideError:
        try:
            checked = self.plan.check(values)
        except OverrideError as error:
            return error
        self.cost += cost_of_check(checked)
        return checked

    def check_values(self) -> list[Diagnostic]:
        """The errors that single values cause, and a note on the parameters that would take too long to check."""
        diagnostics: list[Diagnostic] = []
        unchecked: list[str] = []
        for dimension in self.plan.space.dimensions:
            if self.max_cost is not None and self.cost >= self.max_cost:
                unchecked.append(dimension.name)
            else:
                diagnostics += self._check_dimension(dimension)
        if unchecked:
            message = f"not checked: the values of {quoted_or_list(unchecked, 4)}, since all have too many layers"
            help = "`jsonnx sweep` checks them before the first trial"
            diagnostics.append(_diagnostic(self.plan.source, ("parameters",), "not-checked", message, help, "note"))
        return diagnostics

    def _check_dimension(self, dimension: Dimension) -> list[Diagnostic]:
        path: JsonPath = ("parameters", dimension.name)
        diagnostics: list[_Error] = []
        candidates = dimension.domain.candidates()
        known = self._errors_of_conditions(dimension)
        for candidate in candidates:
            checked = self._check(self.plan.space.with_conditions(dimension, candidate.value))
            if isinstance(checked, OverrideError):
                return [_diagnostic(self.plan.source, path, "unknown-name", str(checked), checked.help, at_key=True)]
            errors = [item for item in checked.diagnostics if item.severity == "error"]
            diagnostics += [_Error(candidate, item) for item in errors if (item.code, item.path) not in known]
        counts = Counter(error.place for error in diagnostics)
        common = {place for place, count in counts.items() if count >= len(candidates) > 1}
        of_key = {error.place: error for error in reversed(diagnostics) if error.place in common}
        return [
            *(self._at_entry(dimension.name, error, path, at_key=True) for error in of_key.values()),
            *(
                self._at_entry(dimension.name, error, (*path, *error.candidate.path))
                for error in diagnostics
                if error.place not in common
            ),
        ]

    def _errors_of_conditions(self, dimension: Dimension) -> set[tuple[str, str]]:
        """The errors of the values that the conditions of a parameter need, which are reported at those."""
        if not dimension.when:
            return set()
        values = self.plan.space.with_conditions(dimension, None)
        del values[dimension.name]
        checked = self._check(values)
        return set() if isinstance(checked, OverrideError) else {(item.code, item.path) for item in checked.diagnostics}

    def _at_entry(self, name: str, error: _Error, path: JsonPath, at_key: bool = False) -> Diagnostic:
        """An error of the spec, reported at the entry of the search that causes it."""
        original = error.diagnostic
        message = f"with {name} = {short_repr(error.candidate.value)}: {original.message}"
        note = Note("the error is here", original.path, original.file, original.line, original.column)
        notes = () if original.path == path_text((SWEEP_KEY, *path)) else (note,)
        return _diagnostic(self.plan.source, path, original.code, message, original.help, notes=notes, at_key=at_key)


# -- all trials --------------------------------------------------------------------------------------------------------


class TrialError(NamedTuple):
    """A trial whose values are valid one by one, but not together."""

    number: int
    values: Values
    diagnostic: Diagnostic


def combination_errors(plan: SweepPlan, errors: Sequence[TrialError]) -> list[Diagnostic]:
    """The errors of trials, one for each place, at the parameters that the combination consists of."""
    first: dict[tuple[str, str], TrialError] = {}
    counts = Counter((error.diagnostic.code, error.diagnostic.path) for error in errors)
    for error in errors:
        first.setdefault((error.diagnostic.code, error.diagnostic.path), error)
    diagnostics = []
    for place, error in list(first.items())[:MAX_COMBINATIONS_SHOWN]:
        original = error.diagnostic
        more = f" (and {counts[place] - 1:,} more trials)" if counts[place] > 1 else ""
        message = f"trial {error.number} with {values_text(error.values)}{more}: {original.message}"
        note = Note("the error is here", original.path, original.file, original.line, original.column)
        help = 'exclude the combination with "when", or leave such trials out with "invalid": "skip"'
        diagnostics.append(
            _diagnostic(plan.source, ("parameters",), original.code, message, help, notes=(note,), at_key=True)
        )
    return diagnostics


def values_text(values: Mapping[str, Json]) -> str:
    """The values of a trial in words: `width = 32, rate = 0.1`."""
    return ", ".join(f"{name} = {short_repr(value)}" for name, value in values.items())
