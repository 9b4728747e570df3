"""The samples that the spec of a training plan names."""

from __future__ import annotations

from ...data.files.dataset_files import from_part
from ...data.samples.dataset import Dataset
from ..training_plan import TrainingPlan


def from_spec(plan: TrainingPlan, part: str) -> Dataset | None:
    """The samples of the spec's `train`, `validation` or `test` data; None if the spec names none.

    Raises CompileError with every fault, UsageError if a file cannot be read.
    """
    data = plan.training.data
    if data is None or not data.has_part(part):
        return None
    return from_part(data, part, plan.data_spec, plan.source)
