"""The layers in a report: norms of weights, gradients and updates, and units that are always the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Any

import numpy as np

from ...analysis.output_layer import activation_name, unwrapped
from ...data.samples.dataset import Dataset
from ...frontend.network import Call
from ...html_report.json_values import rounded
from ...ir import Builder, Graph
from ...lowering.lower import lower
from ...passes.canonicalize import canonicalize
from ...runtime.fit.trainer import PlanTrainer
from ..check.check import CheckedSpec
from ..train.weight_gradients import batch_gradients

MAX_UNIT_SAMPLES = 256
UNIT_BATCH_SIZE = 32
"""Samples whose values of all layers are in memory at a time."""

Arrays = Mapping[str, np.ndarray]


# -- norms -------------------------------------------------------------------------------------------------------------


def layer_norms(
    checked: CheckedSpec, trainer: PlanTrainer, batch: Dataset, initial: Arrays | None
) -> list[dict[str, Any]]:
    """The norms of the trainable weights of each layer, of their gradients and updates in a step on a batch.

    `initial` are the weights before training, None if they are not known. Trains the trainer by one step. Raises
    Diverged, and MissingRule as plans do.
    """
    before = trainer.weights()
    gradients = batch_gradients(checked, trainer, batch)
    trainer.step(batch)
    after = trainer.weights()
    rows: dict[str, dict[str, Any]] = {}
    for name, gradient in gradients.items():
        row = rows.setdefault(name.partition("/")[0], {"squares": dict.fromkeys(_NORMS, 0.0), "parameters": 0})
        values = {
            "weight": _squares(before[name]),
            "gradient": _squares(gradient),
            "update": _squares(after[name] - before[name]),
            "change": _squares(before[name] - initial[name]) if initial is not None else np.nan,
        }
        for norm, square in values.items():
            row["squares"][norm] += square
        row["parameters"] += before[name].size
    return rounded(
        [
            {
                "layer": layer,
                "parameters": row["parameters"],
                **{norm: sqrt(square) if square == square else None for norm, square in row["squares"].items()},
            }
            for layer, row in rows.items()
        ]
    )


_NORMS = ("weight", "gradient", "update", "change")


def _squares(array: np.ndarray) -> float:
    flat = array.astype(np.float64).ravel()
    return float(flat @ flat)


# -- units -------------------------------------------------------------------------------------------------------------


@dataclass
class _UnitValues:
    """Statistics of the units of a layer over samples and positions: [units]."""

    least: np.ndarray
    greatest: np.ndarray
    weighted_sums: dict[str, float] = field(default_factory=dict)
    sample_count: int = 0

    def add(self, least: np.ndarray, greatest: np.ndarray, means: Mapping[str, float], sample_count: int) -> None:
        self.least, self.greatest = np.minimum(self.least, least), np.maximum(self.greatest, greatest)
        for name, mean in means.items():
            self.weighted_sums[name] = self.weighted_sums.get(name, 0.0) + mean * sample_count
        self.sample_count += sample_count

    def mean(self, name: str) -> float:
        return self.weighted_sums[name] / self.sample_count


def unit_values(checked: CheckedSpec, trainer: PlanTrainer, samples: Dataset) -> list[dict[str, Any]]:
    """For each layer with weights or an activation: its units, those with one value for all samples, and the mean,
    the spread and the share of zeros of its values."""
    samples = samples.subset(slice(MAX_UNIT_SAMPLES))
    calls = {call.name: call for call in _calls_with_units(checked)}
    if not calls:
        return []
    graph = _statistics_graph(checked, calls.values())
    statistics: dict[str, _UnitValues] = {}
    starts = range(0, len(samples), UNIT_BATCH_SIZE)
    batches = [samples.subset(slice(start, start + UNIT_BATCH_SIZE)) for start in starts]
    for batch, results in zip(batches, trainer.run_graph(graph, batches), strict=True):
        for name in calls:
            least, greatest = results[f"{name} least"], results[f"{name} greatest"]
            layer = statistics.setdefault(name, _UnitValues(least, greatest))
            layer.add(least, greatest, {key: float(results[f"{name} {key}"]) for key in _MEANS}, len(batch))
    return rounded(
        [
            {
                "layer": name,
                "type": getattr(calls[name].layer, "type_name", ""),
                "units": len(layer.least),
                "dead": int((layer.least == layer.greatest).sum()),
                "zeros": layer.mean("zeros"),
                "mean": layer.mean("mean"),
                "deviation": sqrt(max(0.0, layer.mean("square") - layer.mean("mean") ** 2)),
            }
            for name, layer in statistics.items()
        ]
    )


_MEANS = ("mean", "square", "zeros")


def _calls_with_units(checked: CheckedSpec) -> Iterator[Call]:
    """The calls of layers that have trainable weights or are an activation, and whose result has units."""
    typed = checked.require()
    learnable = {name.partition("/")[0] for name, weight in _parameters(checked).items() if weight.trainable}
    for call in typed.network.calls:
        type = typed.types[call.name]
        has_units = type.rank > 1 and type.dtype.startswith("float") and isinstance(type.shape[-1], int)
        is_activation = activation_name(unwrapped(call.layer), type.rank) is not None
        if has_units and (call.owner in learnable or is_activation):
            yield call


def _parameters(checked: CheckedSpec) -> Mapping[str, Any]:
    return lower(checked.require()).parameters


def _statistics_graph(checked: CheckedSpec, calls: Iterable[Call]) -> Graph:
    """Computes for each call the least and the greatest value of each unit, and means over all values."""
    calls = list(calls)
    forward = lower(checked.require(), outputs=[call.name for call in calls])
    g = Builder.extending(forward)
    results = {}
    with g.scope("units"):
        for call in calls:
            value = g.cast(forward.outputs[call.name], "float32")
            channels_first = getattr(unwrapped(call.layer), "data_format", None) == "channels_first"
            units = 1 if channels_first else value.rank - 1
            axes = [axis for axis in range(value.rank) if axis != units]
            name = call.name
            results[f"{name} least"] = g.ReduceMin(value, axes, keepdims=0)
            results[f"{name} greatest"] = g.ReduceMax(value, axes, keepdims=0)
            results[f"{name} mean"] = g.ReduceMean(value, keepdims=0)
            results[f"{name} square"] = g.ReduceMean(g.Mul(value, value), keepdims=0)
            is_zero = g.cast(g.Equal(value, 0.0), "float32")
            results[f"{name} zeros"] = g.ReduceMean(is_zero, keepdims=0)
    return canonicalize(replace(g.graph(results), losses=(), masks={}))
