"""Studies of Optuna in memory, and the values of a space in the form that Optuna has for them.

Optuna stores nothing on disk: a study in memory gets the recorded trials when a search is resumed. So it reads no file,
and its storages, some of which unpickle their contents, are not used.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..core.components import Json
from ..core.system.optional_packages import require_package
from .space import ChoiceDomain, Dimension, Space, equal_values
from .trials import Trial

MAX_SEED = (1 << 32) - 1
STUDY_NAME = "sweep"
"""Constant, since Hyperband assigns a trial to a bracket by the names of study and trial."""


def require_optuna(purpose: str, *packages: str) -> Any:
    """The module. `packages` are further ones that the purpose needs. Raises UsageError `missing-package`."""
    for package in packages:
        require_package(package, "search", purpose)
    return require_package("optuna", "search", purpose)


def create_study(optuna: Any, sampler: Any, is_maximized: bool, pruner: Any = None) -> Any:
    direction = "maximize" if is_maximized else "minimize"
    with quiet(optuna):
        return optuna.create_study(study_name=STUDY_NAME, sampler=sampler, pruner=pruner, direction=direction)


def add_trial(optuna: Any, study: Any, space: Space, trial: Trial, state: Any) -> None:
    """Adds a trial whose values Optuna has not proposed in this process, unless they are outside of the space."""
    set_dimensions = [item for item in space.dimensions if item.name in trial.values]
    is_complete = state == optuna.trial.TrialState.COMPLETE
    try:
        added = optuna.trial.create_trial(
            state=state,
            value=trial.value if is_complete else None,
            params={item.name: encoded(item, trial.values[item.name]) for item in set_dimensions},
            distributions={item.name: distribution(optuna, item) for item in set_dimensions},
            intermediate_values=finite_values(trial),
        )
    except ValueError:  # a record that was edited may have such values
        return
    study.add_trial(added)


def finite_values(trial: Trial) -> dict[int, float]:
    """The values by epoch up to the last one, or to the one after which the trial was pruned."""
    return {epoch: value for epoch, value in enumerate(trial.curve[: trial.pruned_at], 1) if value is not None}


def distribution(optuna: Any, dimension: Dimension) -> Any:
    """The distribution of a parameter."""
    distributions, domain = optuna.distributions, dimension.domain
    if isinstance(domain, ChoiceDomain):
        return distributions.CategoricalDistribution(list(range(len(domain.values))))
    if domain.is_integer:
        step = 1 if domain.is_log else int(domain.step or 1)
        return distributions.IntDistribution(int(domain.low), int(domain.high), log=domain.is_log, step=step)
    return distributions.FloatDistribution(
        float(domain.low), float(domain.high), log=domain.is_log, step=None if domain.is_log else domain.step
    )


def encoded(dimension: Dimension, value: Json) -> Json:
    """The form of a value in Optuna: the index of a choice, which may be an array or an object.

    Raises ValueError for a value that is no choice.
    """
    if not isinstance(dimension.domain, ChoiceDomain):
        return value
    return [equal_values(choice, value) for choice in dimension.domain.values].index(True)


def decoded(dimension: Dimension, value: Any) -> Json:
    """The value that a form in Optuna stands for."""
    domain = dimension.domain
    return domain.values[value] if isinstance(domain, ChoiceDomain) else domain.rounded(value)


@contextmanager
def quiet(optuna: Any) -> Iterator[None]:
    """Keeps Optuna from printing, and restores its verbosity."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
