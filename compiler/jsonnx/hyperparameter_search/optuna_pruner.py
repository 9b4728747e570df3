"""Pruning by Optuna: after which epoch a trial ends early, from its metric so far and the metrics of other trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import nan
from typing import Any

from ..sections.sweep_section import PruningSection
from .optuna_study import create_study, quiet, require_optuna
from .trials import FINISHED, Curve, Trial


class Pruner:
    """A pruner of Optuna, and the trials that it compares.

    Each epoch of a trial is judged once, in order, so a search with one trial at a time is pruned in the same way each
    time. Optuna's trials have the numbers of ours, by which Hyperband divides them into brackets.
    """

    def __init__(self, section: PruningSection, epochs: int, is_maximized: bool) -> None:
        """`epochs` is the spec's number, with its own values. Raises UsageError `missing-package`."""
        self._optuna = optuna = require_optuna(f"pruning by {section.method!r}")
        self._trials: list[Any] = []
        self._epochs_reported = Counter[int]()
        self._keeps_state = section.method != "median"
        pruner = _pruner(optuna, section, epochs)
        self._study = create_study(optuna, optuna.samplers.RandomSampler(seed=0), is_maximized, pruner)

    def pruned_after(self, number: int, curve: Curve, epochs: int) -> int | None:
        """The first new epoch, counted from 1, after which the trial is to end; None to let it go on.

        `epochs` is the number that it is to train. It is not pruned after the last one.
        """
        with quiet(self._optuna):
            for epoch in self._new_epochs(number, curve):
                if self._trial(number).should_prune() and epoch < epochs:
                    return epoch
        return None

    def tell(self, trial: Trial) -> None:
        """Adds the result of a trial, and its epochs that have not been judged."""
        with quiet(self._optuna):
            for _ in self._new_epochs(trial.number, trial.curve[: trial.pruned_at]):
                if self._keeps_state:
                    self._trial(trial.number).should_prune()
            if trial.state == FINISHED:
                self._study.tell(self._trial(trial.number), trial.value)

    def restore(self, trials: Sequence[Trial]) -> None:
        """The trials that earlier processes have ended, or whose first run they have finished."""
        for trial in trials:
            if trial.has_ended or trial.runs[0].state == FINISHED:
                self.tell(trial)

    def _new_epochs(self, number: int, curve: Curve) -> Iterator[int]:
        """Reports the epochs of a trial that have not been reported, and yields each."""
        for epoch, value in enumerate(curve[self._epochs_reported[number] :], self._epochs_reported[number] + 1):
            self._trial(number).report(nan if value is None else value, epoch)
            self._epochs_reported[number] = epoch
            yield epoch

    def _trial(self, number: int) -> Any:
        while len(self._trials) < number:
            self._trials.append(self._study.ask())
        return self._trials[number - 1]


def _pruner(optuna: Any, section: PruningSection, epochs: int) -> Any:
    pruners, least, factor = optuna.pruners, section.min_epochs, section.reduction_factor
    if section.method == "median":
        return pruners.MedianPruner(section.min_trials, n_warmup_steps=least, n_min_trials=section.min_trials)
    if section.method == "successive_halving":
        return pruners.SuccessiveHalvingPruner(min_resource=least, reduction_factor=factor)
    return pruners.HyperbandPruner(min_resource=least, max_resource=epochs, reduction_factor=factor)
