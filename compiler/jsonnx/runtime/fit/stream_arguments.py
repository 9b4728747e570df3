"""The arguments of a fit on an iterable of batches: which are allowed, and the weights that each batch gets."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ...core.diagnostics import quoted_or_list
from ...data.samples.batch_stream import RETURNS_HELP, BatchStream
from ...data.samples.dataset import Dataset
from ..fit_arguments import FitSettings
from ..training_plan import TrainingPlan
from .class_weights import WeightsByClass, with_class_weights


def check_stream(stream: BatchStream, plan: TrainingPlan, settings: FitSettings, *, is_resumed: bool) -> None:
    """Raises ValueError if a fit cannot run on an iterable of batches."""
    stream.max_pass_batches = settings.steps_per_epoch
    if not stream.is_one_shot:
        return
    if settings.steps_per_epoch is None and settings.epochs - settings.initial_epoch > 1:
        message = "an iterator allows a single pass, so several epochs need steps_per_epoch"
        raise ValueError(f"{message}; or {RETURNS_HELP}")
    if is_resumed:
        raise ValueError(f"an iterator cannot go on where the checkpoint was saved: {RETURNS_HELP}")
    if plan.adapt_tasks:
        layers = quoted_or_list([task.layer for task in plan.adapt_tasks])
        message = f"the layer {layers} learns from the data before the first step, and an iterator has one pass"
        raise ValueError(f"{message}: {RETURNS_HELP}")


def weighted_batches(
    weights: WeightsByClass, outputs: Collection[str], plan: TrainingPlan
) -> Callable[[Dataset], Dataset]:
    """A function that multiplies the weights of a batch by the weights of its classes. Steps take weights for
    `outputs`."""

    def weighted(batch: Dataset) -> Dataset:
        samples = with_class_weights(batch, weights, plan)
        if not samples.weights.keys() <= set(outputs):
            raise TypeError("a batch has sample weights, and the first batch had none")
        return samples.for_graphs(plan.data_spec)

    return weighted
