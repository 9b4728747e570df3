"""Baselines that scikit-learn fits on the columns of samples: logistic or ridge regression, and gradient boosting."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np

from ...core.system.optional_packages import require_package
from ...data.samples.dataset import Dataset
from ...html_report.outputs import OutputKind
from .encoders import EXTRA, PURPOSE
from .feature_matrix import FeatureMatrix
from .target_change import TargetChange
from .training_targets import TrainingTargets, evenly_spaced

MAX_ROWS = 50_000
"""Maximum number of training samples of a fit."""
MIN_ROWS = 100
"""Minimum number of training samples of a fit, whatever the number of features."""
MAX_FEATURE_ROWS = 1 << 25
"""Features times samples, in memory."""
MAX_LINEAR_COST = 1e8
"""Samples times features times outputs of a linear model, which take about ten seconds."""
MAX_TREE_COST = 2e7
"""Samples times features times outputs of trees, likewise."""
MAX_LABELS = 50
"""Units of an output that have a linear model each."""
MAX_TREE_OUTPUTS = 24
"""Classes, or labels, that have trees of their own."""
RIDGE_ALPHAS = tuple(10.0**power for power in range(-2, 5))
MAX_ITERATIONS = 500
SEED = 0


@dataclass(frozen=True)
class FittedBaseline:
    """Models of scikit-learn: one for each label if several may hold, or for each quantile; else one."""

    title: str
    matrix: FeatureMatrix
    is_linear: bool
    kind: OutputKind
    models: list[Any]
    fitted_rows: int
    minimum: float = -inf
    """The least prediction: 0 if no target is negative."""
    change: TargetChange | None = None
    """What the models predict in place of the target."""

    def scores(self, samples: Dataset, shape: tuple[int, ...]) -> np.ndarray:
        features = self.matrix.linear(samples) if self.is_linear else self.matrix.trees(samples)
        with one_thread():
            if self.kind is OutputKind.NUMBERS:
                return self._numbers(features, int(np.prod(shape[1:]))).reshape(shape)
            if self.kind is OutputKind.EXCLUSIVE:
                scores = np.zeros(shape)
                scores[:, self.models[0].classes_.astype(np.int64)] = self.models[0].predict_proba(features)
                return scores
            return np.stack([_probability(model, features) for model in self.models], 1).reshape(shape)

    def _numbers(self, features: Any, units: int) -> np.ndarray:
        if len(self.models) > 1:  # of quantiles
            predicted = np.stack([model.predict(features) for model in self.models], 1)
        else:
            own = features if self.is_linear else features_by_unit(features, units)
            predicted = np.asarray(self.models[0].predict(own)).reshape(-1, units)
        return (predicted if self.change is None else self.change.restored(predicted)).clip(min=self.minimum)


def _probability(model: Any, features: Any) -> np.ndarray:
    """The probability that a label holds; a label that was the same in all training samples has a number as model."""
    if isinstance(model, float):
        return np.full(features.shape[0], model)
    return np.asarray(model.predict_proba(features)[:, 1])


def features_by_unit(features: np.ndarray, units: int) -> np.ndarray:
    """The features of each sample for each unit, whose number is a further feature if there are several: trees predict
    one number."""
    if units == 1:
        return features
    numbers = np.tile(np.arange(units, dtype=np.float64), len(features))
    return np.concatenate([features.repeat(units, 0), numbers[:, None]], 1)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of OpenMP: on a busy machine, threads that wait for each other take minutes for seconds of work."""
    threads = require_package("threadpoolctl", EXTRA, PURPOSE)
    with threads.threadpool_limits(1, user_api="openmp"):
        yield


def fitted_baselines(
    targets: TrainingTargets, matrix: FeatureMatrix, change: TargetChange | None = None
) -> Iterator[FittedBaseline | str]:
    """The models of an output with one position for each sample, or why there is none.

    `change` is what they predict in place of the target. Raises UsageError `missing-package` without scikit-learn.
    """
    rows = np.flatnonzero(targets.counted & (targets.weights > 0))
    kept = targets.subset(rows[evenly_spaced(len(rows), MAX_ROWS)])
    if kept.kind is not OutputKind.NUMBERS and len(np.unique(kept.true)) < 2:
        yield "the training samples have one class: there is nothing to fit"
        return
    if kept.scale.quantiles:
        yield "no ridge regression: the output has quantiles"
    elif kept.kind is not OutputKind.MULTI_LABEL or kept.true.shape[-1] <= MAX_LABELS:
        yield _fitted(kept, matrix, change, is_linear=True)
    else:
        yield f"no logistic regression: the output has over {MAX_LABELS} labels"
    if kept.kind is OutputKind.NUMBERS or _model_count(kept) <= MAX_TREE_OUTPUTS:
        yield _fitted(kept, matrix, change, is_linear=False)
    else:
        yield f"no gradient boosting: the output has over {MAX_TREE_OUTPUTS} classes"


def _model_count(targets: TrainingTargets) -> int:
    """The classes, or units, that have trees of their own."""
    if targets.kind is OutputKind.EXCLUSIVE:
        return len(np.unique(targets.true))
    return int(np.prod(targets.true.shape[1:])) * (len(targets.scale.quantiles) or 1)


def _fitted(
    targets: TrainingTargets, matrix: FeatureMatrix, change: TargetChange | None, is_linear: bool
) -> FittedBaseline:
    encode = matrix.linear if is_linear else matrix.trees
    width = _numbers_per_row(encode(targets.samples.subset(targets.rows[:MIN_ROWS])))
    max_cost = MAX_LINEAR_COST if is_linear else MAX_TREE_COST
    max_rows = min(MAX_FEATURE_ROWS // width, int(max_cost / (width * _model_count(targets))))
    kept = targets.subset(evenly_spaced(len(targets.rows), max(MIN_ROWS, max_rows)))
    features = encode(kept.samples.subset(kept.rows))
    with warnings.catch_warnings(), one_thread():
        warnings.simplefilter("ignore")  # a fit that has not converged is a baseline, too
        changed = kept if change is None else replace(kept, true=change.changed(kept.true))
        models = [*_models(changed, features, is_linear, matrix.category_count)]
    title = "gradient boosting"
    if is_linear:
        title = "ridge regression" if kept.kind is OutputKind.NUMBERS else "logistic regression"
    minimum = 0.0 if kept.kind is OutputKind.NUMBERS and (kept.true >= 0).all() else -inf
    return FittedBaseline(title, matrix, is_linear, kept.kind, models, len(kept.rows), minimum, change)


def _numbers_per_row(features: Any) -> int:
    """The numbers that are stored for each sample."""
    return max(1, int(getattr(features, "nnz", features.size) / features.shape[0]))


def _models(targets: TrainingTargets, features: Any, is_linear: bool, category_count: int) -> Iterator[Any]:
    """The model, or the models of all labels."""
    weights = None if (targets.weights == 1).all() else targets.weights
    columns = targets.true.reshape(len(targets.true), -1)
    if targets.kind is OutputKind.EXCLUSIVE:
        yield _classifier(is_linear, category_count).fit(features, targets.true, sample_weight=weights)
    elif targets.scale.quantiles:
        for quantile in targets.scale.quantiles:
            trees = _tree_regressor(targets, category_count).set_params(loss="quantile", quantile=quantile)
            yield trees.fit(features, columns[:, 0], sample_weight=weights)
    elif targets.kind is OutputKind.NUMBERS and is_linear:
        ridge = require_package("sklearn.linear_model", EXTRA, PURPOSE).RidgeCV(alphas=RIDGE_ALPHAS)
        yield ridge.fit(features, columns, sample_weight=weights)
    elif targets.kind is OutputKind.NUMBERS:
        units = columns.shape[1]
        repeated = None if weights is None else weights.repeat(units)
        trees = _tree_regressor(targets, category_count)
        yield trees.fit(features_by_unit(features, units), columns.ravel(), sample_weight=repeated)
    else:
        for column in columns.T:
            if column.all() or not column.any():
                yield float(column[0])
            else:
                yield _classifier(is_linear, category_count).fit(features, column, sample_weight=weights)


def _classifier(is_linear: bool, category_count: int) -> Any:
    if is_linear:
        linear_model = require_package("sklearn.linear_model", EXTRA, PURPOSE)
        return linear_model.LogisticRegression(max_iter=MAX_ITERATIONS, random_state=SEED)
    ensemble = require_package("sklearn.ensemble", EXTRA, PURPOSE)
    return ensemble.HistGradientBoostingClassifier(
        categorical_features=[*range(category_count)] or None, random_state=SEED
    )


def _tree_regressor(targets: TrainingTargets, category_count: int) -> Any:
    ensemble = require_package("sklearn.ensemble", EXTRA, PURPOSE)
    return ensemble.HistGradientBoostingRegressor(
        loss="absolute_error" if targets.scale.loss.type_name == "mean_absolute_error" else "squared_error",
        categorical_features=[*range(category_count)] or None,
        random_state=SEED,
    )
