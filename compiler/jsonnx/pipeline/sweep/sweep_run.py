"""Runs the trials of a search, several at a time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...frontend.json.json_reader import Source
from ...hyperparameter_search.optuna_pruner import Pruner
from ...hyperparameter_search.samplers import Sampler
from ...hyperparameter_search.space import Values
from ...hyperparameter_search.sweep_folder import SweepFolder
from ...hyperparameter_search.trials import (
    FAILED,
    FINISHED,
    PRUNED,
    Curve,
    RunningTrial,
    SweepView,
    Trial,
    best_trial,
    mean,
)
from ...render.results.sweep_display import NoSweepDisplay
from ...runtime.providers.signals import StopOnSignal
from ..check.sweep_plan import SweepPlan
from ..run_folder.run_info import INTERRUPTED
from .sweep_options import SweepOptions
from .sweep_trials import TrialQueue, TrialSpec
from .trial_host import StartedRun, TrialHost
from .trial_run import TrialJob, TrialResult

SECONDS_BETWEEN_POLLS = 0.05


@dataclass
class _Slot:
    """A trial that occupies one of the jobs, and its current run."""

    trial: Trial
    spec: TrialSpec
    started: StartedRun
    run_index: int
    start_time: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.start_time


@dataclass(eq=False)
class SweepRun:
    """A search that is going on. Every change is in the SWEEP folder before the next step."""

    folder: SweepFolder
    plan: SweepPlan
    options: SweepOptions
    settings: dict[str, Any]
    sampler: Sampler
    pruner: Pruner | None
    is_maximized: bool
    records: dict[int, Trial]
    display: NoSweepDisplay
    host: TrialHost
    slots: list[_Slot] = field(default_factory=list)
    timed_out: bool = False

    def __post_init__(self) -> None:
        self.queue = TrialQueue(self.plan, self.sampler, self.records, self.options.training.seed, self._end)

    @property
    def trials(self) -> list[Trial]:
        return [self.records[number] for number in sorted(self.records)]

    @property
    def told(self) -> int:
        """The `told` of the trial that ended last."""
        return max((trial.told or 0 for trial in self.records.values()), default=0)

    def run(self) -> int | None:
        """Runs all trials. Returns the signal that ended the search early, None without one.

        The first signal lets the trials write checkpoints; the second one ends them at once.
        """
        limit = self.plan.section.time_limit
        deadline = time.monotonic() + limit.total_seconds if limit is not None else None
        try:
            with StopOnSignal() as stop_signal:
                is_ending = False
                while True:
                    self.timed_out = self.timed_out or (deadline is not None and time.monotonic() >= deadline)
                    if (stop_signal.signal is not None or self.timed_out) and not is_ending:
                        is_ending = True
                        for slot in self.slots:
                            slot.started.tell_to_end()
                    if not is_ending:
                        self._fill_slots()
                    if not self.slots:
                        break
                    self.slots = [slot for slot in self.slots if self._goes_on(slot, is_ending)]
                    self.display.show(self.view())
                    time.sleep(SECONDS_BETWEEN_POLLS)
                return stop_signal.signal
        finally:
            for slot in self.slots:
                slot.started.kill()

    def view(self) -> SweepView:
        running = [
            RunningTrial(item.trial, item.started.curve(), item.spec.epochs, item.seconds)
            for item in self.slots
            if not item.trial.has_ended
        ]
        return SweepView(self.trials, running, self.queue.limit, self.plan.section.metric, self.is_maximized)

    # -- runs ----------------------------------------------------------------------------------------------------------

    def _fill_slots(self) -> None:
        while len(self.slots) < self.options.jobs:
            following = self.queue.next_trial(self.told)
            if following is None:
                return
            trial, spec = following
            self.folder.write_trial(trial)
            index = next((index for index, run in enumerate(trial.runs) if run.state != FINISHED), len(trial.runs))
            if index == len(trial.runs):  # the process of the sweep was killed before it wrote the result
                self._finish(trial)
            else:
                self.slots.append(_Slot(trial, spec, self._start(trial, index), index))

    def prepare_host(self, on_status: Callable[[str], None]) -> None:
        """Checks that trials can run. Raises UsageError, CompileError."""
        fold = next(iter(self.plan.folds))
        self.host.prepare(self._job({}, fold, self.options.training.seed, self.folder.path), on_status)

    def _start(self, trial: Trial, index: int) -> StartedRun:
        run = trial.runs[index]
        job = self._job(trial.values, run.fold, run.seed, self.folder.path / run.folder)
        Path(job.folder).parent.mkdir(parents=True, exist_ok=True)
        return self.host.start(trial.number, job, self.folder.log_file(trial.number))

    def _job(self, values: Values, fold: int | None, seed: int | None, folder: Path) -> TrialJob:
        source, training = self.plan.original, self.options.training
        provider_options = {key: str(value) for key, value in (training.provider_options or {}).items()} or None
        options = replace(training, seed=seed, threads=self.settings["threads"], provider_options=provider_options)
        return TrialJob(
            text=text_of(source),
            file=source.file,
            values=self.plan.values_of_run(values, fold),
            metric=self.plan.section.metric,
            folder=str(folder),
            options=options.changed(),
        )

    def _goes_on(self, slot: _Slot, is_ending: bool) -> bool:
        """Looks at a trial's run, and starts the next one if it has finished. Returns whether the trial goes on."""
        result = slot.started.poll()
        if result is None or result.state == FINISHED:
            curve = slot.started.curve() if result is None else result.curve
            epoch = self._pruned_after(slot, curve)
            if epoch is not None:
                slot.started.kill()
                self._record_run(slot, TrialResult(PRUNED, curve=curve[:epoch]))
                slot.trial.state, slot.trial.pruned_at = PRUNED, epoch
                self._end(slot.trial)
                return False
        return True if result is None else self._take_result(slot, result, is_ending)

    def _take_result(self, slot: _Slot, result: TrialResult, is_ending: bool) -> bool:
        trial = slot.trial
        if result.state == INTERRUPTED and not is_ending:
            result = TrialResult(FAILED, curve=result.curve, reasons=["a signal has ended the process of the trial"])
        self._record_run(slot, result)
        if result.state == FAILED:
            trial.state, trial.reasons = FAILED, list(result.reasons)
            self._end(trial)
        elif result.state == FINISHED and slot.run_index + 1 == len(trial.runs):
            self._finish(trial)
        else:
            self.folder.write_trial(trial)
            if result.state == FINISHED and not is_ending:
                slot.run_index += 1
                slot.started, slot.start_time = self._start(trial, slot.run_index), time.monotonic()
                return True
        return False

    def _record_run(self, slot: _Slot, result: TrialResult) -> None:
        run = slot.trial.runs[slot.run_index]
        run.state, run.value, run.epoch, run.curve = result.state, result.value, result.epoch, list(result.curve)
        run.seconds = round(run.seconds + slot.seconds, 3)

    # -- trials --------------------------------------------------------------------------------------------------------

    def _pruned_after(self, slot: _Slot, curve: Curve) -> int | None:
        """The epoch after which a trial is to end. Only its first run is compared with other trials."""
        if self.pruner is None or slot.run_index:
            return None
        return self.pruner.pruned_after(slot.trial.number, curve, slot.spec.epochs)

    def _finish(self, trial: Trial) -> None:
        values = [run.value for run in trial.runs if run.value is not None]
        trial.state, trial.value = FINISHED, mean(values)
        self._end(trial)

    def _end(self, trial: Trial) -> None:
        """Records a trial that has ended, and keeps or removes its runs."""
        best_before = best_trial([other for other in self.trials if other is not trial], self.is_maximized)
        trial.told = self.told + 1
        self.folder.write_trial(trial)
        self.sampler.tell(trial)
        if self.pruner is not None:
            self.pruner.tell(trial)
        best = best_trial(self.trials, self.is_maximized)
        if best is trial:
            self.write_best_spec(trial)
        if self.options.keep == "best":
            for other in (trial, best_before):
                if other is not None and other is not best:
                    self.folder.remove_runs(other.number)
        self.display.show_ended(trial, self.view())

    def write_best_spec(self, trial: Trial) -> None:
        self.folder.write_best_spec(self.best_spec_text(trial))

    def best_spec_text(self, trial: Trial) -> str:
        return self.plan.best_spec_text(trial.values, trial.runs[0].seed)


def text_of(source: Source) -> str:
    """The text of a spec; of a Python value, as JSON."""
    return source.text or json.dumps(source.value)
