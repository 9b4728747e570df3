"""Thresholds and temperatures: chosen on validation data, kept with the model, and applied in evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...analysis.decision import (
    Scale,
    calibrated_layers,
    has_exclusive_classes,
    spec_thresholds,
    threshold_in_numbers,
    threshold_outputs,
)
from ...backend import to_loadable, to_model_writer
from ...core.reserved_names import target_name
from ...core.signature.thresholds import Threshold
from ...data.samples.dataset import Dataset
from ...passes.canonicalize import canonicalize
from ...passes.constant_folding import bind_weights
from ...runtime.session.session import Session, concatenate_batches
from ...sections.decision_arithmetic import best_temperature, best_threshold
from ...sections.training_section import ThresholdSection
from ...training.losses.losses import Loss
from ...training.metrics.metrics import Metric
from ..check.check import CheckedSpec

if TYPE_CHECKING:
    from ...ir import Value
    from ...runtime.fit.trainer import PlanTrainer

BATCH_SIZE = 512


def calibrate(trainer: PlanTrainer, checked: CheckedSpec, validation: Dataset) -> dict[str, float]:
    """Divides the weights that give the logits of each output by its temperature. Returns the temperatures."""
    objective = checked.objective
    if objective is None:
        return {}
    typed, losses = checked.require(), objective.losses
    layers = calibrated_layers(typed, losses)
    logits = _logits(trainer, list(layers), validation)
    targets = validation.take(slice(None))
    temperatures = {}
    for name in layers:
        counted = _counted_samples(targets[target_name(name)], losses[name])
        is_exclusive = has_exclusive_classes(typed, name, losses[name])
        temperatures[name] = best_temperature(logits[name][counted], targets[target_name(name)][counted], is_exclusive)
    weights = trainer.current_weights()
    calibrated: dict[str, np.ndarray] = {}
    for name, layer in layers.items():
        for weight in (f"{layer}/kernel", f"{layer}/bias"):
            if weight in weights:
                array = calibrated.get(weight, weights[weight])
                calibrated[weight] = (array / temperatures[name]).astype(array.dtype)
    trainer.set_weights(calibrated, strict=False)
    return temperatures


def _counted_samples(target: np.ndarray, loss: Loss) -> np.ndarray | slice:
    """The samples whose class the loss does not ignore."""
    ignored_class = getattr(loss, "ignore_class", None)
    return slice(None) if ignored_class is None else target != ignored_class


def _logits(trainer: PlanTrainer, outputs: list[str], samples: Dataset) -> dict[str, np.ndarray]:
    """The values before the activations of the outputs."""
    graph = trainer.plan.predict
    values: dict[str, Value] = {}
    for name in outputs:
        value = graph.outputs[name]
        node = graph.producers.get(value)
        logits = node.inputs[0] if node is not None and node.op in ("Softmax", "Sigmoid") else None
        values[name] = value if logits is None else logits
    known = {**graph.parameters, **graph.states}
    weights = {name: array for name, array in trainer.current_weights().items() if name in known}
    bound = canonicalize(bind_weights(replace(graph, outputs=values), weights))
    session = Session(to_loadable(to_model_writer(bound)))
    batches = []
    for start in range(0, len(samples), BATCH_SIZE):
        feeds = samples.take(slice(start, start + BATCH_SIZE))
        batches.append(session.run({name: feeds[name] for name in session.inputs}))
    return concatenate_batches(batches)


def choose_thresholds(trainer: PlanTrainer, checked: CheckedSpec, validation: Dataset | None) -> dict[str, Threshold]:
    """The threshold of each output that has one, by its name."""
    objective, section = checked.objective, trainer.plan.training.threshold
    if objective is None:
        return {}
    scales = threshold_outputs(checked.require(), objective.losses)
    if not isinstance(section, ThresholdSection) or validation is None:
        return spec_thresholds(checked.require(), objective.losses)
    predicted = trainer.predict(validation, batch_size=BATCH_SIZE)
    results = predicted if isinstance(predicted, dict) else {next(iter(trainer.plan.predict.outputs)): predicted}
    targets = validation.take(slice(None))
    thresholds: dict[str, Threshold] = {}
    for name, scale in scales.items():
        thresholds[name] = chosen_threshold(results[name], targets[target_name(name)], scale, section)
    return thresholds


def chosen_threshold(numbers: np.ndarray, target: np.ndarray, scale: Scale, section: ThresholdSection) -> Threshold:
    """The best threshold for the numbers of an output, or that of each label."""
    if section.by_label and numbers.shape[-1] > 1:
        columns = range(numbers.shape[-1])
        return tuple(_best_threshold(numbers[:, i], target[:, i], scale, section) for i in columns)
    return _best_threshold(numbers, target, scale, section)


def _best_threshold(numbers: np.ndarray, target: np.ndarray, scale: Scale, section: ThresholdSection) -> float:
    numbers = np.asarray(numbers, np.float64)
    probabilities = 1.0 / (1.0 + np.exp(-numbers)) if scale == "logit" else numbers
    return best_threshold(probabilities, target, section)


def with_thresholds(checked: CheckedSpec, thresholds: Mapping[str, Threshold]) -> CheckedSpec:
    """The spec, with the threshold of each output in its metrics that have the default one."""
    objective = checked.objective
    if objective is None or not thresholds:
        return checked
    scales = threshold_outputs(checked.require(), objective.losses)
    cuts = {name: threshold_in_numbers(thresholds[name], scales[name]) for name in thresholds.keys() & scales.keys()}

    def with_cuts(metrics: Mapping[str, tuple[Metric, ...]]) -> dict[str, tuple[Metric, ...]]:
        return {
            name: tuple(metric.with_default_threshold(cuts[name]) for metric in own) if name in cuts else own
            for name, own in metrics.items()
        }

    metrics, weighted_metrics = with_cuts(objective.metrics), with_cuts(objective.weighted_metrics)
    return checked._replace(objective=objective._replace(metrics=metrics, weighted_metrics=weighted_metrics))
