"""The targets of the training data that baselines are fitted on: few of many rows, with their weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from ...core.reserved_names import sample_weight_name, target_name
from ...data.samples.dataset import Dataset
from ...html_report.outputs import OutputKind
from ...runtime.fit.class_weights import weights_by_class, with_class_weights
from ...runtime.training_plan import TrainingPlan
from .output_scale import OutputScale

MAX_TARGET_ROWS = 200_000
MAX_TARGET_VALUES = 1 << 24
"""Numbers of the targets of all rows."""


@dataclass(frozen=True)
class TrainingTargets:
    """The targets of an output for some of the training samples."""

    scale: OutputScale
    kind: OutputKind
    samples: Dataset
    rows: np.ndarray
    """The indices of the samples, in ascending order."""
    true: np.ndarray
    """Class indices [rows, ...] of EXCLUSIVE; otherwise a number or boolean for each unit."""
    counted: np.ndarray
    """Whether a position counts, in the shape of `true` without its units."""
    weights: np.ndarray
    """The weight of each position: of its sample, times that of its class."""

    @staticmethod
    def of(scale: OutputScale, samples: Dataset, rows: np.ndarray) -> TrainingTargets:
        """The targets of some samples, which `weighted_samples` has weighted."""
        part = samples.subset(rows).with_common_width()
        targets = part.samples_of(target_name(scale.name), slice(None))
        kind = scale.kind(targets)
        true = scale.true_values(kind, targets)
        counted = scale.counted_positions(kind, true, part.lengths)
        weights = np.ones(counted.shape)
        if scale.name in part.weights:
            own = part.samples_of(sample_weight_name(scale.name), slice(None))
            own = own.reshape(own.shape[: counted.ndim])
            weights = weights * own.reshape(*own.shape, *[1] * (counted.ndim - own.ndim))
        return TrainingTargets(scale, kind, samples, rows, true, counted, weights)

    @property
    def is_flat(self) -> bool:
        """Whether a sample has one position."""
        return self.counted.ndim == 1

    def subset(self, indices: np.ndarray) -> TrainingTargets:
        """The targets of some of the rows."""
        return replace(
            self,
            rows=self.rows[indices],
            true=self.true[indices],
            counted=self.counted[indices],
            weights=self.weights[indices],
        )


def weighted_samples(samples: Dataset, plan: TrainingPlan) -> Dataset:
    """The training samples with the weights that training gives them: their own, times those of their classes."""
    setting = plan.training.class_weight
    weighted = with_class_weights(samples, weights_by_class(setting, samples, plan), plan) if setting else samples
    return samples_for_graphs(weighted, plan)


def samples_for_graphs(samples: Dataset, plan: TrainingPlan) -> Dataset:
    """The samples with their own weights."""
    return samples.for_graphs(plan.data_spec_weighting(plan.weighted_outputs.union(samples.weights)))


def target_rows(samples: Dataset, output: str) -> np.ndarray:
    """Evenly spaced samples, as many as their targets fit in memory."""
    values = max(1, prod(samples.sample_shape(target_name(output))))
    return evenly_spaced(len(samples), min(MAX_TARGET_ROWS, max(1, MAX_TARGET_VALUES // values)))


def evenly_spaced(total: int, count: int) -> np.ndarray:
    """At most `count` indices of `total`, in ascending order."""
    kept = min(count, total)
    return np.arange(kept, dtype=np.int64) * total // max(1, kept)
