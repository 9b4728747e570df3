"""The `quantization` section of a spec: named variants of its model with smaller element types."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from ..core.components import DictCodec, Json, NullableCodec, NumberCodec, ScalarCodec, SectionCodec, attr
from .section_base import Section

QUANTIZATION_KEY = "quantization"
"""The key of the section in a spec."""

Precision = Literal["int8", "int8-dynamic", "float16", "int8-weights", "int4-weights"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
STATIC_PRECISION: Precision = "int8"
"""The precision with fixed ranges of activations, from calibration or training."""

ActivationType = Literal["int8", "uint8"]
CalibrationMethod = Literal["minmax", "percentile", "entropy"]

MAX_DIFFERENCE, MEAN_DIFFERENCE = "max_difference", "mean_difference"
DIFFERENCES = (MAX_DIFFERENCE, MEAN_DIFFERENCE)
"""The keys of a tolerance that limit differences of the outputs."""

MAX_CALIBRATION_SAMPLES = 1_000_000


class CalibrationSection(Section):
    """Measurement of the ranges of activations on training data."""

    samples: int = attr(512, doc="Number of training samples.", minimum=1, maximum=MAX_CALIBRATION_SAMPLES)
    method: CalibrationMethod = attr(
        "minmax",
        doc="Range of an activation: from its smallest to its largest value (`minmax`), the range that contains "
        "`percentile` percent of its values, or the one whose quantized histogram has the lowest relative entropy "
        "(`entropy`).",
    )
    percentile: float = attr(99.99, doc="Percent of the values in the range, for `percentile`.", above=50, maximum=100)


BITS_CODEC = ScalarCodec(type="integer", enum=[4, 8])

NO_KEYS: dict[str, Json] = {}
DEFAULT_CALIBRATION = CalibrationSection(**NO_KEYS)


class LayerQuantizationSection(Section):
    """Settings of a layer."""

    bits: Annotated[int, BITS_CODEC] = attr(8, doc="Bits of a weight.")


class QuantizationVariant(Section):
    """A variant of the model with smaller element types, which `jsonnx quantize` writes."""

    precision: Precision = attr(
        STATIC_PRECISION,
        doc="Element types: 8-bit weights and activations with fixed ranges (`int8`) or with ranges measured in each "
        "run (`int8-dynamic`), 16-bit floats (`float16`), or only weights of 8 or 4 bits.",
    )
    calibration: CalibrationSection = attr(
        DEFAULT_CALIBRATION, doc="Measurement of the ranges of activations, for `int8`."
    )
    activations: ActivationType = attr("uint8", doc="Element type of quantized activations, for `int8`.")
    per_channel: bool = attr(True, doc="Whether each output channel of a weight has its own scale.")
    layers: Annotated[
        dict[str, LayerQuantizationSection | None], DictCodec(NullableCodec(SectionCodec(LayerQuantizationSection)))
    ] = attr(
        {},
        doc="Settings of single layers, by patterns for their names: the bits of their weights, or null for "
        "layers that stay in floating point. The first pattern that matches a name applies.",
    )
    tolerance: Annotated[dict[str, float], DictCodec(NumberCodec())] = attr(
        {},
        doc="How much worse than the float model the quantized one may be: by metric of the spec, such as "
        f'`{{"accuracy": 0.01}}`, or `{MAX_DIFFERENCE}` and `{MEAN_DIFFERENCE}` of the outputs.',
        minimum=0,
    )


UNTRAINED_KEYS = ("calibration", "tolerance")
"""The keys of a variant that have no effect on training."""
DEFAULT_VARIANT = QuantizationVariant(**NO_KEYS)
"""The variant `int8` of a spec that defines none of that name."""

VARIANTS_CODEC = NullableCodec(DictCodec(SectionCodec(QuantizationVariant)))
"""Variants by name."""
