"""The importance of each parameter for the best trials, which Optuna computes."""

from __future__ import annotations

from collections.abc import Sequence

from .optuna_study import add_trial, create_study, quiet, require_optuna
from .space import Space
from .trials import FINISHED, Trial

MIN_TRIALS = 10
"""Minimum number of finished trials for importances."""


def importances(trials: Sequence[Trial], space: Space, is_maximized: bool) -> dict[str, float]:
    """The importance of each parameter by PED-ANOVA, the greatest first; their sum is 1.

    Empty if fewer than MIN_TRIALS trials have finished. Raises UsageError `missing-package`.
    """
    finished = [trial for trial in trials if trial.state == FINISHED]
    if len(finished) < MIN_TRIALS:
        return {}
    optuna = require_optuna("the importance of the parameters")
    study = create_study(optuna, None, is_maximized)
    with quiet(optuna):
        for trial in finished:
            add_trial(optuna, study, space, trial, optuna.trial.TrialState.COMPLETE)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))
