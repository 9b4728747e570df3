"""Compares runs: what differs in their specs, data and environments, each against the first one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...diff import Comparison
from ..run.run_differences import environment_differences, input_differences
from ..run_folder.run import Run
from .compare_specs import compare_checked_specs


@dataclass(frozen=True)
class RunDifference:
    """How a run differs from the first one."""

    run: Run
    spec: Comparison | None
    """The differences between the specs; None if they are the same, or if one of them cannot be read."""
    inputs: list[str]
    """Differences in data, seed, overrides and initial weights, as clauses."""
    environment: list[str]
    """Differences in versions, threads and processor, as clauses."""

    @property
    def is_empty(self) -> bool:
        return not (self.inputs or self.environment or (self.spec is not None and not self.spec.is_empty))


def compare_runs(runs: Sequence[Run]) -> tuple[list[RunDifference], list[Diagnostic]]:
    """The differences between the first run and each other, and warnings about what cannot be compared."""
    warnings = [diagnostic for run in runs for diagnostic in run.missing_warnings()]
    differences = []
    for run in runs[1:]:
        comparison, errors = _compare_specs(runs[0], run)
        warnings += [error for error in errors if error not in warnings]
        inputs = [*input_differences(runs[0].info, run.info)]
        differences.append(RunDifference(run, comparison, inputs, environment_differences(runs[0].info, run.info)))
    return differences, warnings


def _compare_specs(old: Run, new: Run) -> tuple[Comparison | None, list[Diagnostic]]:
    try:
        if old.spec == new.spec:
            return None, []
        return compare_checked_specs(old.checked_spec, new.checked_spec), []
    except UsageError as error:
        return None, [replace(error.diagnostic, severity="warning")]
    except CompileError as error:
        return None, [replace(diagnostic, severity="warning") for diagnostic in error.diagnostics]
