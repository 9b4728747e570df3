"""Trials: a set of values, the runs that train the spec with them, and the result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from ..core.components import Json
from ..core.diagnostics import Diagnostic
from ..core.json_shapes import COUNT, FINITE, TEXT, has_shape

RUNNING, FINISHED, PRUNED, FAILED, DUPLICATE, INVALID = STATES = (
    "running",
    "finished",
    "pruned",
    "failed",
    "duplicate",
    "invalid",
)
"""The states of a trial. `running` is one that has started and not ended, also if its process was killed; a `duplicate`
and an `invalid` one are not run."""

MAX_REASONS = 5
"""Reasons that the record of a trial has."""

Curve = list[float | None]
"""The metric of each epoch; None stands for NaN and infinity."""


@dataclass
class Run:
    """A training run of a trial: with one seed, and in a cross-validation with one fold."""

    folder: str
    """The RUN folder, relative to the SWEEP folder."""
    seed: int
    fold: int | None = None
    state: str = RUNNING
    value: float | None = None
    """The metric of the epoch whose weights the run has kept."""
    epoch: int | None = None
    """That epoch, counted from 1."""
    curve: Curve = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Trial:
    """A trial of a search, as its record in the SWEEP folder has it."""

    number: int
    values: dict[str, Json]
    digest: str
    """Of the spec with the values in place: equal for trials that would train the same."""
    proposed_after: int = 0
    """The `told` of the last trial that had ended when this one was proposed; 0 if none had."""
    state: str = RUNNING
    value: float | None = None
    """The metric, or its mean over all runs; the original's for a duplicate."""
    told: int | None = None
    """This trial's place in the order in which trials ended, from 1; None while it runs."""
    duplicate_of: int | None = None
    pruned_at: int | None = None
    """The epoch after which the trial was pruned."""
    reasons: list[str] = field(default_factory=list)
    """Why the trial failed or is invalid."""
    runs: list[Run] = field(default_factory=list)

    @property
    def has_ended(self) -> bool:
        return self.told is not None

    @property
    def curve(self) -> Curve:
        """The metric of each epoch of the first run."""
        return self.runs[0].curve if self.runs else []

    @property
    def seconds(self) -> float:
        return sum(run.seconds for run in self.runs)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(value: Any) -> Trial:
        """The trial of a record. Raises ValueError for another value."""
        if not has_shape(value, _RECORD_SHAPE) or value["state"] not in STATES:
            raise ValueError("not the record of a trial")
        trial = Trial(**{**value, "runs": [Run(**run) for run in value["runs"]]})
        if not _has_what_its_state_needs(trial):
            raise ValueError(f"not the record of a trial that is {trial.state}")
        return trial


_RECORD_SHAPE = {
    **dict.fromkeys(("number", "proposed_after"), COUNT),
    **dict.fromkeys(("digest", "state"), TEXT),
    **{key: [None, COUNT] for key in ("told", "duplicate_of", "pruned_at")},
    "values": {"": None},
    "value": [None, FINITE],
    "reasons": (TEXT,),
    "runs": (
        {
            **dict.fromkeys(("folder", "state"), TEXT),
            **{key: [None, COUNT] for key in ("fold", "epoch")},
            "seed": COUNT,
            "value": [None, FINITE],
            "curve": ([None, FINITE],),
            "seconds": FINITE,
        },
    ),
}


def _has_what_its_state_needs(trial: Trial) -> bool:
    if trial.state in (FAILED, INVALID) and not trial.reasons:
        return False
    if (trial.state in (RUNNING, FINISHED, PRUNED) or not trial.has_ended) and not trial.runs:
        return False
    if any(run.value is None for run in trial.runs if run.state == FINISHED):
        return False
    needed = {FINISHED: trial.value, PRUNED: trial.pruned_at, DUPLICATE: trial.duplicate_of}
    return needed.get(trial.state, 0) is not None and (trial.state == RUNNING) != trial.has_ended


class RunningTrial(NamedTuple):
    """A trial that runs, for a display."""

    trial: Trial
    curve: Curve
    """The metric of each epoch of the current run."""
    epochs: int
    seconds: float


class SweepView(NamedTuple):
    """The state of a search, for a display."""

    trials: list[Trial]
    running: list[RunningTrial]
    limit: int
    metric: str
    is_maximized: bool


def reasons_of(diagnostics: Sequence[Diagnostic]) -> list[str]:
    """The first of the diagnostics, as a trial records them."""
    return [f"{diagnostic.code}: {diagnostic.message}" for diagnostic in diagnostics[:MAX_REASONS]]


def record_text(trial: Trial) -> str:
    return json.dumps(trial.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def ranked_trials(trials: Sequence[Trial], is_maximized: bool) -> list[Trial]:
    """The finished trials, the best first; of several with one value the earliest first."""
    finished = [trial for trial in trials if trial.state == FINISHED and trial.value is not None]
    sign = -1.0 if is_maximized else 1.0
    return sorted(finished, key=lambda trial: (sign * (trial.value or 0.0), trial.number))


def best_trial(trials: Sequence[Trial], is_maximized: bool) -> Trial | None:
    """The finished trial with the best value; the earliest of several. None if no trial has finished."""
    return next(iter(ranked_trials(trials, is_maximized)), None)


def counts_by_state(trials: Sequence[Trial]) -> Mapping[str, int]:
    """The number of trials in each state that occurs."""
    counts = {state: sum(trial.state == state for trial in trials) for state in STATES}
    return {state: count for state, count in counts.items() if count}
