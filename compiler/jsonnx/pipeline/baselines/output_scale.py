"""The meaning of the numbers of an output and of its target: classes, probabilities, or other numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...analysis.decision import threshold_scale
from ...analysis.output_layer import output_layer
from ...analysis.shape_inference import TypedNetwork
from ...core.signature.thresholds import Threshold
from ...html_report.outputs import OutputKind
from ...training.losses.losses import Loss
from ...training.losses.margin_losses import MarginLoss
from ...training.losses.regression_losses import Quantile
from ...training.numerics import EPSILON
from ..compile.output_classes import UNNAMED_LABELS


@dataclass(frozen=True)
class OutputScale:
    """The meaning of the numbers of an output and of its target."""

    typed: TypedNetwork
    name: str
    loss: Loss
    threshold: Threshold
    """A class is predicted if its probability exceeds this."""

    @cached_property
    def activation(self) -> str | None:
        layer = output_layer(self.typed, self.name)
        return layer.activation if layer is not None and not layer.is_rescaled else None

    @property
    def is_margin(self) -> bool:
        return isinstance(self.loss, MarginLoss)

    @property
    def _has_exclusive_logits(self) -> bool:
        return getattr(self.loss, "from_logits", False) and self.activation != "softmax"

    @property
    def _has_logits(self) -> bool:
        return threshold_scale(self.typed, self.name, self.loss) == "logit"

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The quantiles on the last axis of the output, which the target lacks; none of other outputs."""
        return self.loss.quantiles if isinstance(self.loss, Quantile) else ()

    def kind(self, targets: np.ndarray) -> OutputKind:
        """The kind of prediction. A binary loss does not determine it: such losses also compare gray values."""
        type = self.typed.types[self.name]
        units = type.shape[-1] if type.rank > 1 else 1
        has_indices = targets.ndim == type.rank - 1 and targets.dtype.kind in "iu" and self.loss.has_class_targets
        is_exclusive = has_indices or "categorical" in self.loss.type_name or self.activation == "softmax"
        if is_exclusive and units != 1 and self.loss.has_class_targets:
            return OutputKind.EXCLUSIVE
        is_binary = threshold_scale(self.typed, self.name, self.loss) is not None and np.isin(targets, (0, 1)).all()
        if is_binary or self.is_margin:
            return OutputKind.BINARY if units == 1 else OutputKind.MULTI_LABEL
        return OutputKind.NUMBERS

    def scores(self, kind: OutputKind, predictions: np.ndarray) -> np.ndarray:
        """The predictions [samples, ..., units], with probabilities in place of logits; of quantiles, those next to the
        median."""
        numbers = np.asarray(predictions if predictions.ndim > 1 else predictions[:, None], np.float64)
        if kind is OutputKind.EXCLUSIVE and self._has_exclusive_logits:
            powers = np.exp(numbers - numbers.max(-1, keepdims=True))
            return powers / powers.sum(-1, keepdims=True)
        if kind in (OutputKind.BINARY, OutputKind.MULTI_LABEL) and not self.is_margin:
            return 1.0 / (1.0 + np.exp(-numbers)) if self._has_logits else numbers
        return numbers[..., [self.loss.middle]] if isinstance(self.loss, Quantile) else numbers

    def numbers(self, kind: OutputKind, scores: np.ndarray) -> np.ndarray:
        """The numbers of the output that have these probabilities, or that are these numbers."""
        if kind is OutputKind.NUMBERS:
            return scores
        if kind is OutputKind.EXCLUSIVE:
            return np.log(scores.clip(EPSILON)) if self._has_exclusive_logits else scores
        if self.is_margin:
            return 2.0 * scores - 1.0
        inner = scores.clip(EPSILON, 1.0 - EPSILON)
        return np.log(inner / (1.0 - inner)) if self._has_logits else scores

    def true_values(self, kind: OutputKind, targets: np.ndarray) -> np.ndarray:
        """Class indices [samples, ...] of EXCLUSIVE; otherwise a number or boolean for each unit."""
        has_units = targets.ndim == self.typed.types[self.name].rank and targets.ndim > 1
        if kind is OutputKind.EXCLUSIVE:
            return targets.argmax(-1) if has_units else targets
        values = targets if has_units else targets[..., None]
        if kind is OutputKind.NUMBERS:
            return values.astype(np.float64)
        return values > (0.0 if self.is_margin else 0.5)

    def labels(self, kind: OutputKind, unit_count: int) -> Sequence[str]:
        """The names of the classes, or of the units."""
        labels = self.typed.network.labels.get(self.name, ())
        if kind is OutputKind.BINARY:
            return labels if len(labels) == 2 else UNNAMED_LABELS
        if isinstance(self.loss, Quantile):
            return (f"{self.name}, quantile {self.quantiles[self.loss.middle]:g}",)
        if kind is OutputKind.NUMBERS and unit_count == 1:
            return (self.name,)
        if len(labels) == unit_count:
            return labels
        prefix = f"{self.name} " if kind is OutputKind.NUMBERS else ""
        return [f"{prefix}{index}" for index in range(unit_count)]

    def counted_positions(self, kind: OutputKind, true: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
        """The positions [samples, ...] without those that the loss ignores or that pad a sequence."""
        positions: tuple[int, ...] = true.shape if kind is OutputKind.EXCLUSIVE else true.shape[:-1]
        counted: np.ndarray = np.ones(positions, bool)
        ignored = getattr(self.loss, "ignore_class", None)
        if kind is OutputKind.EXCLUSIVE and ignored is not None:
            counted &= true != ignored
        if lengths is not None and counted.ndim > 1 and counted.shape[1] == lengths.max():
            is_step = np.arange(counted.shape[1]) < lengths[:, None]
            counted &= is_step.reshape(*is_step.shape, *[1] * (counted.ndim - 2))
        return counted
