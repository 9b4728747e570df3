"""Samplers of Optuna, by its ask-and-tell interface."""

from __future__ import annotations

from typing import Any

from ..core.components import Json
from .optuna_study import (
    MAX_SEED,
    add_trial,
    create_study,
    decoded,
    distribution,
    finite_values,
    quiet,
    require_optuna,
)
from .samplers import Sampler
from .space import ChoiceDomain, Dimension, Space, Values, equal_values
from .trials import FINISHED, PRUNED, Trial


class QmcSampler(Sampler):
    """The points of a Sobol sequence that the seed scrambles: they cover the space more evenly than random ones."""

    def __init__(self, space: Space, seed: int) -> None:
        self._optuna = optuna = require_optuna("the sampler 'qmc'", "scipy")
        self._space = space
        self._points: list[dict[str, Any]] = []
        with quiet(optuna):
            self._distributions = {item.name: distribution(optuna, item) for item in space.dimensions}
            sampler = optuna.samplers.QMCSampler(scramble=True, seed=seed % MAX_SEED)
            self._study = create_study(optuna, sampler, is_maximized=False)
            # Optuna draws the first trial at random, and takes the space from it.
            self._study.tell(self._study.ask(self._distributions), 0.0)

    def propose(self, number: int) -> Values | None:
        with quiet(self._optuna):
            while len(self._points) < number:
                self._points.append(self._study.ask(self._distributions).params)
        point = self._points[number - 1]
        return self._space.assign(lambda dimension: decoded(dimension, point[dimension.name]))


class AdaptiveSampler(Sampler):
    """Proposes values by a sampler of Optuna, which learns from the results that it is told."""

    def __init__(self, kind: str, space: Space, seed: int, is_maximized: bool) -> None:
        self._optuna = optuna = require_optuna(f"the sampler {kind!r}", *["cmaes"] * (kind == "cma_es"))
        self._space = space
        self._asked: dict[int, Any] = {}
        """Optuna's trials that have been asked for and not told, by our numbers."""
        with quiet(optuna):
            if kind == "cma_es":
                sampler = optuna.samplers.CmaEsSampler(seed=seed % MAX_SEED, warn_independent_sampling=False)
            else:  # with `constant_liar`, running trials keep the sampler from proposing values close to theirs
                sampler = optuna.samplers.TPESampler(seed=seed % MAX_SEED, constant_liar=True)
        self._study = create_study(optuna, sampler, is_maximized)

    def propose(self, number: int) -> Values | None:
        with quiet(self._optuna):
            trial = self._study.ask()
            values = self._space.assign(lambda dimension: self._suggest(trial, dimension))
        self._asked[number] = trial
        return values

    def propose_again(self, trial: Trial) -> None:
        """Asks once more. Where another version of Optuna proposes other values, the recorded ones replace them."""
        values = self.propose(trial.number)
        if values is None or not equal_values(values, trial.values):
            self._study.tell(self._asked.pop(trial.number), state=self._optuna.trial.TrialState.FAIL)

    def tell(self, trial: Trial) -> None:
        state = self._optuna.trial.TrialState
        outcome = {FINISHED: state.COMPLETE, PRUNED: state.PRUNED}.get(trial.state, state.FAIL)
        if trial.duplicate_of is not None and trial.value is not None:
            outcome = state.COMPLETE
        if outcome != state.FAIL and trial.value is None and not finite_values(trial):
            outcome = state.FAIL
        asked = self._asked.pop(trial.number, None)
        with quiet(self._optuna):
            if asked is None:
                add_trial(self._optuna, self._study, self._space, trial, outcome)
                return
            for epoch, value in finite_values(trial).items():
                asked.report(value, epoch)
            self._study.tell(asked, trial.value if outcome == state.COMPLETE else None, state=outcome)

    def _suggest(self, trial: Any, dimension: Dimension) -> Json:
        name, values = dimension.name, distribution(self._optuna, dimension)
        if isinstance(dimension.domain, ChoiceDomain):
            return decoded(dimension, trial.suggest_categorical(name, values.choices))
        suggest = trial.suggest_int if dimension.domain.is_integer else trial.suggest_float
        return decoded(dimension, suggest(name, values.low, values.high, step=values.step, log=values.log))
