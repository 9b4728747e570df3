"""The result of a quantization."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...core.files.loadable_model import LoadableModel
from ...core.metric_values import finite
from ...sections.quantization_section import QuantizationVariant
from .comparison import Comparison
from .layer_noise import LayerNoise
from .quantizer import QuantizedFile, variant_json
from .tolerance import Tolerance
from .variant_search import Attempt

if TYPE_CHECKING:
    from ...runtime.session.session import Session

MAX_LAYERS = 10
"""Maximum number of layers in a report."""


@dataclass(frozen=True)
class LatencyPair:
    """Median times of a run."""

    float_ms: float
    quantized_ms: float


@dataclass(frozen=True)
class QuantizedModel:
    """A quantized model, and how it compares with the float model.

    `comparison` is None if there were no samples to compare the models on.
    """

    model: QuantizedFile
    variant: QuantizationVariant
    float_bytes: int
    compared_on: Mapping[str, Any] | None = None
    """The part of the data, its files and the number of samples."""
    compared_text: str = ""
    calibrated_on: Mapping[str, Any] | None = None
    comparison: Comparison | None = None
    tolerance: Tolerance | None = None
    attempts: Sequence[Attempt] = ()
    latencies: Mapping[int, LatencyPair] = field(default_factory=dict)
    """By the number of samples in a batch."""
    layers: Sequence[LayerNoise] = ()
    """The layers with the lowest signal-to-noise ratios."""
    notes: Sequence[str] = ()
    """What could not be compared, and why."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the ONNX file, and labels and thresholds beside it, as `Model.save`. Raises UsageError."""
        self.model.save(path)

    def to_bytes(self) -> bytes:
        """The bytes of the ONNX file. Raises UsageError `too-large` beyond 2 GiB."""
        return self.model.to_bytes()

    def to_loadable(self) -> LoadableModel:
        """The model as onnxruntime loads it."""
        return self.model.to_loadable()

    def session(self, provider: str = "cpu", **options: Any) -> Session:
        """Opens the model in onnxruntime. Raises UsageError if the provider is not available."""
        from ...runtime.session.session import Session

        return Session(self.to_loadable(), provider=provider, **options)

    @property
    def report(self) -> dict[str, Any]:
        """The report as JSON, as `jsonnx quantize --format json` prints it."""
        comparison = self.comparison
        return {
            "variant": variant_json(self.variant),
            "checked": comparison is not None,
            "data": self.compared_on,
            "calibration": self.calibrated_on,
            "tolerance": None if self.tolerance is None else _tolerance_json(self.tolerance),
            "metrics": {} if comparison is None else metrics_json(comparison),
            "outputs": {} if comparison is None else differences_json(comparison),
            "bytes": {"float": self.float_bytes, "quantized": self.model.size_bytes},
            "latency_ms": {
                str(batch): {"float": pair.float_ms, "quantized": pair.quantized_ms}
                for batch, pair in self.latencies.items()
            },
            "layers": [
                {"layer": each.layer, "signal_to_noise_db": finite(each.decibels)} for each in self.layers[:MAX_LAYERS]
            ],
            "attempts": [attempt_json(attempt) for attempt in self.attempts],
            "notes": [*self.notes],
        }


def _tolerance_json(tolerance: Tolerance) -> dict[str, Any]:
    return {"limits": dict(tolerance.limits), "is_default": tolerance.is_default}


def attempt_json(attempt: Attempt) -> dict[str, Any]:
    """The attempt as JSON."""
    comparison = attempt.comparison
    return {
        "change": attempt.change or None,
        "variant": variant_json(attempt.variant),
        "passes": attempt.passes,
        "losses": {name: finite(loss) for name, loss in attempt.losses.items()},
        "metrics": {} if comparison is None else metrics_json(comparison),
        "outputs": {} if comparison is None else differences_json(comparison),
    }


def metrics_json(comparison: Comparison) -> dict[str, Any]:
    """Loss and metrics of both models; the difference is null for lists."""
    return {
        name: {
            "float": finite(value),
            "quantized": finite(comparison.metrics[name]),
            "difference": None if isinstance(value, list) else finite(comparison.difference(name)),
        }
        for name, value in comparison.float_metrics.items()
    }


def differences_json(comparison: Comparison) -> dict[str, Any]:
    """Largest and mean difference of each output."""
    return {
        name: {"max_difference": finite(each.maximum), "mean_difference": finite(each.mean)}
        for name, each in comparison.differences.items()
    }
