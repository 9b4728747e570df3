"""Rotary position embedding."""

from __future__ import annotations

from math import ceil, floor, log, pi, sqrt
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ...core.components import Component, Json, SectionCodec, attr
from ...core.types import TensorType, require
from ..axes import axis_of, broadcast_along, position_indices
from ..base import Layer, layer, require_real
from .positions import MAX_WAVELENGTH, WAVELENGTH, check_positions, sine_table, start_index

if TYPE_CHECKING:
    from ...ir import Builder, Value

MIN_RAMP = 0.001
"""Minimum width of the ramp between the frequencies that YaRN keeps and the ones that it scales."""


class RotaryAngles(Component):
    """How fast each pair of features rotates from position to position."""

    max_wavelength: float = attr(MAX_WAVELENGTH, doc=WAVELENGTH, minimum=1, maximum=1e12)
    scaling_factor: float = attr(
        1.0, doc="Factor by which positions are scaled down, for long sequences.", minimum=1e-6, maximum=1e6
    )
    rope_type: Literal["linear", "dynamic", "yarn", "llama3", "longrope"] = attr(
        "linear", doc="How the scaling factor enters: for all pairs of features alike, or depending on the wavelength."
    )
    attention_factor: float | None = attr(
        None, doc="Factor on the rotated features; null for that of the `rope_type`.", above=0, maximum=1e6
    )
    beta_fast: float = attr(
        32.0,
        doc="YaRN: rotations above which a pair of features is not scaled.",
        minimum=1e-6,
        maximum=1e6,
    )
    beta_slow: float = attr(
        1.0,
        doc="YaRN: rotations below which a pair of features is scaled fully.",
        minimum=1e-6,
        maximum=1e6,
    )
    original_max_position_embeddings: int = attr(
        4096, doc="YaRN, llama3, longrope: length of the sequences that the unscaled angles are meant for.", minimum=1
    )
    low_freq_factor: float = attr(
        1.0, doc="llama3: rotations in that length below which a pair is scaled fully.", minimum=1e-6, maximum=1e6
    )
    high_freq_factor: float = attr(
        4.0, doc="llama3: rotations in that length above which a pair is not scaled.", minimum=1e-6, maximum=1e6
    )
    short_factor: tuple[float, ...] | None = attr(
        None, doc="longrope: the divisor of each pair's angle, for sequences up to that length.", above=0
    )
    long_factor: tuple[float, ...] | None = attr(
        None, doc="longrope: the divisor of each pair's angle, for longer sequences.", above=0
    )
    truncate: bool = attr(True, doc="YaRN: whether the bounds of the scaled features are whole numbers.")
    denominator_dim: int | None = attr(
        None, doc="Number of features that sets the wavelengths; null for that of the input.", minimum=1
    )

    def frequencies(self, features: int, *, is_long: bool = False) -> list[float]:
        """The angle between two positions, in radians, for every pair of features.

        `is_long` is for sequences longer than `original_max_position_embeddings`, which matters for longrope only.
        """
        if self.rope_type == "yarn":
            return self._yarn_frequencies(features)
        width = self.denominator_dim or features
        unscaled = [self.max_wavelength ** -(2 * pair / width) for pair in range(features // 2)]
        if self.rope_type == "llama3":
            return [frequency * self._llama3_factor(frequency) for frequency in unscaled]
        if self.rope_type == "longrope":
            factors = (self.long_factor if is_long else self.short_factor) or ()
            return [frequency / factor for frequency, factor in zip(unscaled, factors, strict=True)]
        divisor = self.scaling_factor
        if self.rope_type == "dynamic":
            divisor **= features / max(1, features - 2)
        return [frequency / divisor for frequency in unscaled]

    def _llama3_factor(self, frequency: float) -> float:
        rotations = self.original_max_position_embeddings * frequency / (2 * pi)
        kept = (rotations - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor)
        kept = min(max(kept, 0), 1)
        return kept + (1 - kept) / self.scaling_factor

    def _yarn_frequencies(self, features: int) -> list[float]:
        def pair_with_rotations(count: float) -> float:
            length = self.original_max_position_embeddings
            return features * log(length / (count * 2 * pi)) / (2 * log(self.max_wavelength))

        low, high = pair_with_rotations(self.beta_fast), pair_with_rotations(self.beta_slow)
        if self.truncate:
            low, high = floor(low), ceil(high)
        low, high = max(low, 0), min(high, features - 1)
        frequencies = []
        for pair in range(features // 2):
            frequency = self.max_wavelength ** -(2 * pair / features)
            scaled = min(max((pair - low) / max(high - low, MIN_RAMP), 0), 1)
            frequencies.append(frequency / self.scaling_factor * scaled + frequency * (1 - scaled))
        return frequencies

    @property
    def amplitude(self) -> float:
        """The factor on the rotated features."""
        if self.attention_factor is not None:
            return self.attention_factor
        if self.rope_type == "longrope" and self.scaling_factor > 1:
            return sqrt(1 + log(self.scaling_factor) / log(self.original_max_position_embeddings))
        return 0.1 * log(self.scaling_factor) + 1 if self.rope_type == "yarn" else 1.0

    def check(self, features: int) -> None:
        """Raises ShapeError unless vectors of this many features can be rotated."""
        require(features % 2 == 0, f"rotates pairs of features, and needs an even number of them, got {features}")
        fits = self.rope_type != "yarn" or self.max_wavelength != 1
        require(fits, "has the max_wavelength 1, of which YaRN divides by the logarithm", code="out-of-range")
        fits = self.rope_type != "llama3" or self.low_freq_factor < self.high_freq_factor
        require(fits, "needs a low_freq_factor less than its high_freq_factor", code="out-of-range")
        if self.rope_type == "longrope":
            fits = self.original_max_position_embeddings > 1
            require(
                fits, "needs original_max_position_embeddings of 2 or more, for their logarithm", code="out-of-range"
            )
            for name in ("short_factor", "long_factor"):
                count = len(getattr(self, name) or ())
                message = f"needs a {name} of {features // 2} numbers, one for each pair of features, got {count}"
                require(count == features // 2, message, code="invalid-value")

    def rotate(
        self, g: Builder, x: Value, sequence_axis: int, feature_axis: int, first: int = 0, positions: Any = None
    ) -> Value:
        """Rotates the features of x, of which feature i and feature `i + features / 2` are a pair.

        `first` is the first position; `positions` replace the positions counted from it.
        """

        features = x.type.static_size(feature_axis)

        def table(sign: int, phase: float, is_long: bool) -> Value:
            options = {"amplitude": self.amplitude, "first": first, "positions": positions}
            frequencies = self.frequencies(features, is_long=is_long)
            frequencies = [*(sign * frequency for frequency in frequencies), *frequencies]
            waves = sine_table(g, x, sequence_axis, frequencies, [phase] * len(frequencies), **options)
            axes = [0, sequence_axis, feature_axis][-waves.rank :]
            waves = g.transpose(waves, sorted(range(waves.rank), key=lambda axis: axes[axis]))
            return broadcast_along(g, waves, sorted(axes), x.rank)

        def waves(sign: int, phase: float) -> Value:
            if isinstance(is_long, bool):
                return table(sign, phase, is_long)
            return g.Where(is_long, table(sign, phase, True), table(sign, phase, False))

        is_long = self._is_long(g, x, sequence_axis, first, positions)
        cosines = waves(1, pi / 2)  # a cosine is a sine, a quarter of a turn later
        sines = waves(-1, 0.0)
        first_half, second_half = g.Split(x, axis=feature_axis, num_outputs=2, outputs=2)
        return g.Add(g.Mul(x, cosines), g.Mul(g.Concat(second_half, first_half, axis=feature_axis), sines))

    def _is_long(self, g: Builder, x: Value, sequence_axis: int, first: int, positions: Value | None) -> Value | bool:
        """Whether the last position is beyond the length that the unscaled angles are meant for."""
        size, length = x.shape[sequence_axis], self.original_max_position_embeddings
        if self.rope_type != "longrope":
            return False
        if positions is None and isinstance(size, int):
            return first + size > length
        indices = position_indices(g, x, sequence_axis, first=first) if positions is None else positions
        return g.GreaterOrEqual(g.ReduceMax(g.cast(indices, "int64"), keepdims=0), length)


class RotaryOptions(RotaryAngles):
    """The rotary position embedding inside another layer."""

    has_type_key = False


class RotaryCodec(SectionCodec):
    """true stands for the rotary position embedding with its default options, false and null for none."""

    def schema(self) -> dict[str, Json]:
        return {"anyOf": [{"type": ["boolean", "null"]}, super().schema()]}

    def read(self, value: Json) -> Any:
        if value is None or value is False:
            return None
        return super().read({} if value is True else value)

    def write(self, value: Any) -> Json:
        return None if value is None else super().write(value) or True


Rotary = Annotated[RotaryOptions | None, RotaryCodec(RotaryOptions)]


@layer
class RotaryEmbedding(Layer, RotaryAngles):
    """Rotary position embedding (Su et al., 2021): rotates pairs of features by angles that grow with the position.

    Feature i and feature `i + features / 2` are a pair. The optional second input gives the positions, [time] or
    [batch, time], in place of `start_index`, `start_index + 1`, ... A layer of KerasHub. Attention layers have it as an
    option, `rotary`.
    """

    formula = """
        x = moveaxis(x, (sequence_axis, feature_axis), (-2, -1))
        positions = xs[1] if len(xs) > 1 else start_index + arange(x.shape[-2])
        exponent = 2 * arange(x.shape[-1] // 2) / (denominator_dim or x.shape[-1])
        length, divisor, amplitude = original_max_position_embeddings, scaling_factor, attention_factor or 1
        if rope_type == "llama3":
            rotations = length / (2 * pi * max_wavelength ** exponent)
            kept = clip((rotations - low_freq_factor) / (high_freq_factor - low_freq_factor), 0, 1)
            divisor = 1 / (kept + (1 - kept) / scaling_factor)
        if rope_type == "longrope":
            divisor = array(short_factor if max(positions) < length else long_factor)
            amplitude = attention_factor or sqrt(1 + log(max([1, scaling_factor])) / log(length))
        angles = positions[..., None] / (divisor * max_wavelength ** exponent)
        a, b = split(x, 2, axis=-1)
        sine, cosine = amplitude * sin(angles), amplitude * cos(angles)
        y = concatenate([a * cosine - b * sine, b * cosine + a * sine], axis=-1)
        y = moveaxis(y, (-2, -1), (sequence_axis, feature_axis))
    """
    keras_name = "keras_hub.layers.RotaryEmbedding"
    arity = (1, 2)

    start_index: int = start_index()
    sequence_axis: int = attr(1, doc="Axis of the sequence.")
    feature_axis: int = attr(-1, doc="Axis of the features.")

    def _axes(self, x: TensorType) -> tuple[int, int]:
        sequence_axis, feature_axis = axis_of(x, self.sequence_axis), axis_of(x, self.feature_axis)
        fits = 0 < sequence_axis != feature_axis > 0
        message = f"needs an axis of the sequence and one of the features, got {self.sequence_axis} and "
        require(fits, f"{message}{self.feature_axis} of {x}", "axis 0 is the batch")
        return sequence_axis, feature_axis

    def infer(self, x: TensorType, positions: TensorType | None = None) -> TensorType:
        require(x.rank >= 3, f"needs a sequence of vectors, [batch, time, ..., features], got {x}")
        require_real(x)
        sequence_axis, feature_axis = self._axes(x)
        self.check(x.static_size(feature_axis))
        check_positions(x, sequence_axis, positions)
        return x

    def lower(self, g: Builder, x: Value, positions: Value | None = None) -> Any:
        return self.rotate(g, x, *self._axes(x.type), first=self.start_index, positions=positions)
