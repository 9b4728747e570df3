"""Samplers of Optuna, by its ask-and-tell interface.

Optuna stores nothing on disk: a study in memory gets the recorded trials when a search is resumed. So it reads no file,
and its storages, some of which unpickle their contents, are not used.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..core.components import Json
from ..core.diagnostics import UsageError
from ..core.system.installation import install_command
from .space import ChoiceDomain, Dimension, Space, Values, equal_values
from .trials import FINISHED, PRUNED, Trial

MAX_SEED = (1 << 32) - 1


class OptunaSampler:
    """Proposes values by a sampler of Optuna, which learns from the results that it is told."""

    def __init__(self, kind: str, space: Space, seed: int, is_maximized: bool) -> None:
        self._optuna = _require_optuna(kind)
        self._space = space
        self._asked: dict[int, Any] = {}
        """Optuna's trials that have been asked for and not told, by our numbers."""
        with _quiet(self._optuna):
            self._study = self._optuna.create_study(
                sampler=_sampler(self._optuna, kind, seed % MAX_SEED),
                direction="maximize" if is_maximized else "minimize",
            )

    def propose(self, number: int) -> Values | None:
        with _quiet(self._optuna):
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
        if outcome != state.FAIL and trial.value is None and not _reported(trial):
            outcome = state.FAIL
        asked = self._asked.pop(trial.number, None)
        with _quiet(self._optuna):
            if asked is None:
                self._add(trial, outcome)
                return
            for epoch, value in _reported(trial).items():
                asked.report(value, epoch)
            self._study.tell(asked, trial.value if outcome == state.COMPLETE else None, state=outcome)

    def _add(self, trial: Trial, outcome: Any) -> None:
        """Adds a result whose values Optuna has not proposed in this process, unless they are outside of the space."""
        set_dimensions = [item for item in self._space.dimensions if item.name in trial.values]
        reported = _reported(trial)
        is_complete = outcome == self._optuna.trial.TrialState.COMPLETE
        try:
            added = self._optuna.trial.create_trial(
                state=outcome,
                value=trial.value if is_complete else None,
                params={item.name: _encoded(item, trial.values[item.name]) for item in set_dimensions},
                distributions={item.name: self._distribution(item) for item in set_dimensions},
                intermediate_values=reported,
            )
        except ValueError:  # a record that was edited may have such values
            return
        self._study.add_trial(added)

    def _suggest(self, trial: Any, dimension: Dimension) -> Json:
        name, distribution = dimension.name, self._distribution(dimension)
        if isinstance(dimension.domain, ChoiceDomain):
            return _decoded(dimension, trial.suggest_categorical(name, distribution.choices))
        suggest = trial.suggest_int if dimension.domain.is_integer else trial.suggest_float
        return _decoded(
            dimension,
            suggest(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log),
        )

    def _distribution(self, dimension: Dimension) -> Any:
        distributions, domain = self._optuna.distributions, dimension.domain
        if isinstance(domain, ChoiceDomain):
            return distributions.CategoricalDistribution(list(range(len(domain.values))))
        if domain.is_integer:
            step = 1 if domain.is_log else int(domain.step or 1)
            return distributions.IntDistribution(int(domain.low), int(domain.high), log=domain.is_log, step=step)
        return distributions.FloatDistribution(
            float(domain.low), float(domain.high), log=domain.is_log, step=None if domain.is_log else domain.step
        )


def _require_optuna(kind: str) -> Any:
    """The module. Raises UsageError `missing-package`."""
    try:
        import optuna

        if kind == "cma_es":
            import cmaes  # noqa: F401 (imported by Optuna when it samples)
    except ImportError as error:
        package = (error.name or "optuna").partition(".")[0]
        message = f"the sampler {kind!r} needs the package {package}, which is not installed"
        raise UsageError("missing-package", message, install_command("search")) from error
    return optuna


def _encoded(dimension: Dimension, value: Json) -> Json:
    """The form of a value in Optuna: the index of a choice, which may be an array or an object.

    Raises ValueError for a value that is no choice.
    """
    if not isinstance(dimension.domain, ChoiceDomain):
        return value
    return [equal_values(choice, value) for choice in dimension.domain.values].index(True)


def _decoded(dimension: Dimension, value: Any) -> Json:
    domain = dimension.domain
    return domain.values[value] if isinstance(domain, ChoiceDomain) else domain.rounded(value)


def _reported(trial: Trial) -> dict[int, float]:
    """The values by epoch up to the last one, or to the one after which the trial was pruned."""
    return {epoch: value for epoch, value in enumerate(trial.curve[: trial.pruned_at], 1) if value is not None}


def _sampler(optuna: Any, kind: str, seed: int) -> Any:
    if kind == "cma_es":
        return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
    # With `constant_liar`, running trials keep the sampler from proposing values close to theirs.
    return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Keeps Optuna from printing, and restores its verbosity."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
