"""Search for a variant of the model that is within the tolerance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from ...core.quantities import count_text
from ...sections.quantization_section import (
    STATIC_PRECISION,
    CalibrationMethod,
    LayerQuantizationSection,
    QuantizationVariant,
)
from .comparison import Comparison
from .layer_noise import LayerNoise
from .quantizer import QuantizedFile, Quantizer
from .tolerance import Tolerance

MAX_FLOAT_SHARE = 0.5
"""Maximum share of the layers that the search leaves in floating point: with more, the model is hardly smaller."""
MAX_NAMED_LAYERS = 4


SENSITIVE_LAYER_SETTINGS = (
    (LayerQuantizationSection(bits=8), "with weights of 8 bits"),
    (None, "in floating point"),
)
"""Settings that the search tries for sensitive layers, and their descriptions."""

Changes = Iterator[tuple[str, QuantizationVariant]]


@dataclass(frozen=True)
class Attempt:
    """A quantized model, compared with the float model."""

    change: str
    """The difference from the best attempt before, as a phrase; empty for the first."""
    variant: QuantizationVariant
    model: QuantizedFile | None = None
    comparison: Comparison | None = None
    losses: Mapping[str, float] = field(default_factory=dict)
    """How much worse it is, by the names of the limits."""
    excess: float = 0.0
    """The largest loss relative to its limit: at most 1 within the tolerance."""

    @property
    def passes(self) -> bool:
        return self.excess <= 1


@dataclass
class VariantSearch:
    """Tries changes of a variant until the model is within the tolerance."""

    quantizer: Quantizer
    compare: Callable[[QuantizedFile], Comparison]
    tolerance: Tolerance
    sensitive_layers: Callable[[QuantizationVariant], Sequence[LayerNoise]]
    """Returns the layers, the most sensitive first. Called only if no other change suffices."""
    on_attempt: Callable[[Attempt], None]
    attempts: list[Attempt] = field(default_factory=list)

    def run(self, first: Attempt) -> Attempt:
        """The first attempt within the tolerance, or else the best one."""
        best = self._note(first)
        for changes_of in CHANGES:
            if best.passes:
                return best
            for change, variant in changes_of(best.variant):
                best = min(best, self._note(self.attempt(variant, change)), key=lambda each: each.excess)
        if not best.passes:
            for change, variant in self._with_kept_layers(first.variant, best.variant):
                best = min(best, self._note(self.attempt(variant, change)), key=lambda each: each.excess)
                if best.passes:
                    break
        return best

    def attempt(self, variant: QuantizationVariant, change: str = "") -> Attempt:
        """The model as a variant, compared with the float model."""
        model = self.quantizer.quantized(variant)
        return self.judged(variant, model, self.compare(model), change)

    def judged(
        self, variant: QuantizationVariant, model: QuantizedFile, comparison: Comparison, change: str = ""
    ) -> Attempt:
        """The attempt of a model that has been compared."""
        losses = self.tolerance.losses(comparison)
        return Attempt(change, variant, model, comparison, losses, self.tolerance.excess(losses))

    def _note(self, attempt: Attempt) -> Attempt:
        self.attempts.append(replace(attempt, model=None))  # only the best one stays in memory
        self.on_attempt(attempt)
        return attempt

    def _with_kept_layers(self, first: QuantizationVariant, best: QuantizationVariant) -> Changes:
        """Variants with 1, 2, 4... of the most sensitive layers in floating point, at most half of all; for weights of
        4 bits, first variants with 8 bits for these layers.

        The settings that were best with all layers quantized need not be best here, so both they and the first ones
        are tried.
        """
        first = first.replaced(per_channel=best.per_channel)
        layers = self.quantizer.layers(first)
        if len(layers) < 2:
            return
        worst = [each.layer for each in self.sensitive_layers(first)]
        settings = SENSITIVE_LAYER_SETTINGS if first.precision == "int4-weights" else SENSITIVE_LAYER_SETTINGS[1:]
        for section, description in settings:
            most = int(len(layers) * MAX_FLOAT_SHARE) if section is None else len(layers) - 1
            for count in _growing_counts(most):
                names = worst[:count]
                more = f" and {count - MAX_NAMED_LAYERS} more" if count > MAX_NAMED_LAYERS else ""
                change = f"{count_text(count, 'layer')} {description}: {', '.join(names[:MAX_NAMED_LAYERS])}{more}"
                kept = {**first.layers, **dict.fromkeys(names, section)}
                yield change, first.replaced(layers=kept)
                if further := _further_settings(first, best):
                    yield f"{change}; {further}", best.replaced(layers=kept)


def _further_settings(first: QuantizationVariant, best: QuantizationVariant) -> str:
    """The settings of the best variant that differ from those of the first, as a phrase; empty if none does."""
    parts = []
    if best.activations != first.activations:
        parts.append(f"activations of {best.activations}")
    if best.calibration != first.calibration:
        parts.append(f"calibration by {best.calibration.method}")
    return ", ".join(parts)


def _growing_counts(most: int) -> list[int]:
    """Powers of two below `most`, then `most`."""
    powers = (1 << power for power in range(most))
    return [*takewhile(lambda count: count < most, powers), most]


def _per_channel(variant: QuantizationVariant) -> Changes:
    if not variant.per_channel and variant.precision != "float16":
        yield "a scale for each channel of a weight", variant.replaced(per_channel=True)


def _other_activations(variant: QuantizationVariant) -> Changes:
    if variant.precision == STATIC_PRECISION:
        other = "int8" if variant.activations == "uint8" else "uint8"
        yield f"activations of {other}", variant.replaced(activations=other)


def _percentile(variant: QuantizationVariant) -> Changes:
    return _calibrated_by(variant, "percentile")


def _entropy(variant: QuantizationVariant) -> Changes:
    return _calibrated_by(variant, "entropy")


def _calibrated_by(variant: QuantizationVariant, method: CalibrationMethod) -> Changes:
    if variant.precision == STATIC_PRECISION and variant.calibration.method != method:
        yield f"calibration by {method}", variant.replaced(calibration=variant.calibration.replaced(method=method))


CHANGES: tuple[Callable[[QuantizationVariant], Changes], ...] = (
    _per_channel,
    _other_activations,
    _percentile,
    _entropy,
)
"""Functions that yield a change and the changed variant, or nothing if the variant has it."""
