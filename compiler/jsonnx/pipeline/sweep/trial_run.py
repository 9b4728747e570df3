"""A run of a trial: a function of a spec, values and a seed. Job and result are plain values, written as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ...core.components import Json
from ...core.diagnostics import CompileError, UsageError
from ...core.metric_values import finite_or_none
from ...core.training_options import TrainingOptions
from ...data.samples.data_errors import FeedError
from ...frontend.expansion.overrides import OverrideError, with_overrides
from ...frontend.json.json_reader import read_text
from ...hyperparameter_search.trials import FAILED, FINISHED, Curve, reasons_of
from ...runtime.execution.history import History
from ..check.check import CheckedSpec, check_source
from ..check.sweep_plan import as_changes, trial_source
from ..run.run_outcome import Outcome
from ..run.training_run import train
from ..run_folder.run_folder import RunFolder
from ..run_folder.run_info import INTERRUPTED


@dataclass(frozen=True)
class TrialJob:
    """All that a run of a trial depends on, and where it is written: plain values, which another machine could get."""

    text: str
    """The spec as it was read, with its search."""
    file: str | None
    values: dict[str, Json]
    metric: str
    folder: str
    options: dict[str, Json] = field(default_factory=dict)
    """The options of the training that differ from their defaults."""

    @property
    def training(self) -> TrainingOptions:
        return TrainingOptions.of_changed(self.options)

    def checked_spec(self) -> CheckedSpec:
        """Raises UsageError, OverrideError, CompileError."""
        training = self.training
        source = with_overrides(read_text(self.text, self.file), training.scale, training.changes)[0]
        checked = check_source(trial_source(source, self.values))
        checked.require()
        return checked


@dataclass(frozen=True)
class TrialResult:
    """How a run of a trial has ended. An interrupted one can be continued by the same job."""

    state: str
    value: float | None = None
    epoch: int | None = None
    """The epoch, counted from 1, whose weights the run has kept, and whose metric is the value."""
    curve: Curve = field(default_factory=list)
    reasons: Sequence[str] = ()


Train = Callable[[CheckedSpec, Path, TrainingOptions], Outcome]
"""A function that trains a spec and writes a RUN folder, as `train` of `pipeline/run/training_run.py` does."""


def run_trial(job: TrialJob, train: Train = train) -> TrialResult:
    """Trains a spec with values in place, or continues a run that was interrupted. Returns the reasons of a failure."""
    try:
        checked = job.checked_spec()
        return _result(job, checked, _train(job, checked, train))
    except (CompileError, FeedError) as error:
        return TrialResult(FAILED, reasons=reasons_of(error.diagnostics))
    except UsageError as error:
        return TrialResult(FAILED, reasons=reasons_of([error.diagnostic]))
    except OverrideError as error:
        return TrialResult(FAILED, reasons=[str(error)])
    except MemoryError:
        return TrialResult(FAILED, reasons=["this machine has too little memory for the trial"])
    except Exception as error:
        if os.environ.get("JSONNX_DEBUG"):
            raise
        return TrialResult(FAILED, reasons=[f"internal error: {type(error).__name__}: {error}"])


def _train(job: TrialJob, checked: CheckedSpec, train: Train) -> History:
    folder = Path(job.folder)
    has_run = RunFolder(folder).has_run
    changes = (*job.training.changes, *as_changes(job.values))
    options = replace(job.training, changes=changes, resume=has_run, force=not has_run)
    try:
        return train(checked, folder, options).history
    except CompileError as error:
        if not options.resume or error.diagnostics[0].code != "bad-checkpoint":
            raise
        # All checkpoints are damaged: the run starts over.
        return train(checked, folder, replace(options, resume=False, force=True)).history


def _result(job: TrialJob, checked: CheckedSpec, history: History) -> TrialResult:
    curve = [finite_or_none(value) for value in history.history.get(job.metric, [])]
    if history.signal is not None:
        return TrialResult(INTERRUPTED, curve=curve)
    training = checked.network.training
    keeps_best = training is not None and training.restore_best_weights and not history.timed_out
    epoch = history.best_epoch if keeps_best and history.best_epoch is not None else len(curve) - 1
    if not 0 <= epoch < len(curve):
        return TrialResult(FAILED, curve=curve, reasons=[f"no epoch has reported {job.metric!r}"])
    if curve[epoch] is None:
        return TrialResult(FAILED, curve=curve, reasons=[f"{job.metric!r} is not finite after epoch {epoch + 1}"])
    return TrialResult(FINISHED, curve[epoch], epoch + 1, curve)


# -- as JSON -----------------------------------------------------------------------------------------------------------


def job_line(job: TrialJob) -> bytes:
    return json.dumps(asdict(job)).encode() + b"\n"


def result_line(result: TrialResult) -> str:
    return json.dumps(asdict(result))


def result_from_line(line: str) -> TrialResult | None:
    """The result that a process has printed; None if it has printed none."""
    try:
        return TrialResult(**json.loads(line))
    except (ValueError, TypeError):
        return None
