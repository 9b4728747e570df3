"""The trials of a search in order: trials of earlier processes, then new proposals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ...core.diagnostics import CompileError, Diagnostic
from ...frontend.expansion.overrides import OverrideError
from ...hyperparameter_search.samplers import GridSampler, Sampler
from ...hyperparameter_search.space import Values
from ...hyperparameter_search.sweep_folder import SweepFolder
from ...hyperparameter_search.trials import DUPLICATE, INVALID, RUNNING, Run, Trial, reasons_of
from ...sections.sweep_section import MAX_TRIALS
from ..check.check_sweep import TrialError, combination_errors
from ..check.sweep_plan import SweepPlan, spec_digest

ADAPTIVE_SAMPLERS = ("tpe", "cma_es")
"""Samplers whose proposals depend on results, so that they cannot be checked before the first trial."""
MIN_TRIALS_FOR_STATUS = 200
"""Minimum number of trials whose checks take long enough to be announced."""


class TrialSpec(NamedTuple):
    """The results of the check of a trial's spec."""

    digest: str
    seed: int
    epochs: int
    errors: Sequence[Diagnostic]


@dataclass(eq=False)
class TrialQueue:
    """Gives out trials to run. Duplicates and invalid ones are recorded at once: `on_ended` is called with them."""

    plan: SweepPlan
    sampler: Sampler
    records: dict[int, Trial]
    """All trials so far by number, which the queue extends."""
    seed: int | None
    """The seed that replaces the spec's."""
    on_ended: Callable[[Trial], None]
    first_of_digest: dict[str, int] = field(default_factory=dict)
    _known: dict[str, TrialSpec] = field(default_factory=dict)
    """The checked specs of trials that have not been given out."""

    def __post_init__(self) -> None:
        self.limit = trial_limit(self.plan, self.sampler)
        self._numbers = self._new_numbers()
        self._pending = [trial for trial in self.records.values() if not trial.has_ended]
        for number, trial in sorted(self.records.items()):
            if trial.duplicate_of is None and trial.state != INVALID:
                self.first_of_digest.setdefault(trial.digest, number)

    def spec_of(self, values: Values) -> TrialSpec:
        """Checks the spec of a trial."""
        try:
            checked = self.plan.check(values)
        except OverrideError as error:
            return TrialSpec("", 0, 0, [Diagnostic("unknown-name", str(error), help=error.help)])
        errors = [item for item in checked.diagnostics if item.severity == "error"]
        training = None if errors else checked.network.training
        seed = self.seed if errors or self.seed is not None else checked.seed(None)
        return TrialSpec(spec_digest(checked), seed or 0, training.epochs if training else 0, errors)

    def check_all(self, on_status: Callable[[str], None]) -> None:
        """Checks the specs of all trials to come. Raises CompileError if one is invalid and none may be."""
        if self.plan.section.sampler in ADAPTIVE_SAMPLERS:
            return
        if self.limit >= MIN_TRIALS_FOR_STATUS:
            on_status(f"checking the specs of {self.limit:,} trials")
        errors: list[TrialError] = []
        for number in self._new_numbers():
            values = self.sampler.propose(number)
            if values is None:
                break
            key = _key(values)
            if key not in self._known:
                self._known[key] = self.spec_of(values)
            errors += [TrialError(number, values, error) for error in self._known[key].errors[:1]]
        if errors and self.plan.section.invalid == "error":
            raise CompileError(combination_errors(self.plan, errors))

    def _new_numbers(self) -> Iterator[int]:
        return (number for number in range(1, self.limit + 1) if number not in self.records)

    def next_trial(self, told: int) -> tuple[Trial, TrialSpec] | None:
        """The next trial to run, and what its check has found; None if there are no more.

        `told` is the number of trials that have ended.
        """
        if self._pending:
            trial = self._pending.pop(0)
            return trial, self.spec_of(trial.values)
        for number in self._numbers:
            values = self.sampler.propose(number)
            if values is None:
                return None
            key = _key(values)
            spec = self._known.get(key) or self.spec_of(values)
            trial = Trial(number, values, spec.digest, told)
            self.records[number] = trial
            if not self._is_recorded_at_once(trial, spec):
                self.first_of_digest[spec.digest] = number
                trial.runs = self._runs(number, spec)
                return trial, spec
            self.on_ended(trial)
            told = max(told, trial.told or 0)
        return None

    def _is_recorded_at_once(self, trial: Trial, spec: TrialSpec) -> bool:
        """Records a trial that is invalid, or that repeats another one."""
        if spec.errors:
            trial.state, trial.reasons = INVALID, reasons_of(spec.errors)
            return True
        original = self.first_of_digest.get(spec.digest)
        if original is not None:
            trial.state, trial.duplicate_of, trial.value = DUPLICATE, original, self.records[original].value
        return original is not None

    def _runs(self, number: int, spec: TrialSpec) -> list[Run]:
        """The runs of a trial: one for each seed and fold."""
        section = self.plan.section
        runs = []
        for index in range(section.seeds):
            for fold in self.plan.folds:
                seed = spec.seed + index
                names = [f"seed-{seed}"] * (section.seeds > 1) + [f"fold-{fold}"] * (fold is not None)
                runs.append(Run(SweepFolder.run_name(number, "-".join(names)), seed, fold, RUNNING))
        return runs


def trial_limit(plan: SweepPlan, sampler: Sampler) -> int:
    """The number of trials of a search."""
    limit = plan.section.trials or MAX_TRIALS
    return min(limit, len(sampler)) if isinstance(sampler, GridSampler) else limit


def _key(values: Values) -> str:
    return repr(values)
