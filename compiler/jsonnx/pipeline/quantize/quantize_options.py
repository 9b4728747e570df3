"""Options of `quantize`, and the variant that they select."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...core.diagnostics import UsageError, quoted_list, suggestion
from ...core.files.user_files import UserFiles
from ...core.providers.known_providers import PLAIN_TARGET
from ...frontend.network import Network
from ...frontend.networks.layer_patterns import quantized_layers
from ...frontend.schema.phrases import name_list
from ...frontend.weight_patterns import matching_names
from ...sections.quantization_section import (
    DEFAULT_VARIANT,
    QUANTIZATION_KEY,
    STATIC_PRECISION,
    Precision,
    QuantizationVariant,
)
from ..check.check import Spec, check_spec


@dataclass(frozen=True)
class QuantizeOptions:
    """How a model is quantized."""

    precision: Precision | None = None
    """None: that of the variant, or else int8."""
    variant: str | None = None
    """The name of a variant in the spec."""
    spec: Spec | None = None
    """The spec with the variant; None: the spec in the model."""
    tolerance: Mapping[str, float] = field(default_factory=dict)
    """Limits that replace those of the variant, by name."""
    data: UserFiles | None = None
    """Samples for calibration; None: the spec's training data."""
    validation_data: UserFiles | None = None
    """Samples to compare models on; None: the spec's test data, or else its validation data."""
    target: str = PLAIN_TARGET
    data_roots: tuple[str, ...] = ()
    verify: bool = True


DEFAULT_OPTIONS = QuantizeOptions()


def variant_of(network: Network | None, options: QuantizeOptions) -> QuantizationVariant:
    """The variant, with layers by their names in place of patterns. Raises UsageError `unknown-name`."""
    variant = DEFAULT_VARIANT.replaced(precision=options.precision or STATIC_PRECISION)
    if options.variant is None and options.precision is None and network is not None:
        variant = network.training_variant or variant
    if options.variant is not None:
        variants = _variants(network, options)
        if options.variant not in variants:
            message = f"the spec has no variant {options.variant!r}"
            known = suggestion(options.variant, variants) or f"its variants are {quoted_list(variants)}"
            help = known if variants else f"describe it in the section `{QUANTIZATION_KEY}`, or name a --precision"
            raise UsageError("unknown-name", message, help)
        variant = variants[options.variant]
    if network is None:
        return variant
    layers = [call.owner for call in network.inference_calls]
    unmatched = [pattern for pattern in variant.layers if not matching_names(pattern, layers)]
    if unmatched and options.spec is not None:  # patterns of the network's own spec are checked with it
        message = f"{unmatched[0]!r} of the variant {options.variant!r} matches the name of no layer of the model"
        raise UsageError(
            "unknown-name", message, suggestion(unmatched[0], layers) or f"known names: {name_list(layers)}"
        )
    return variant.replaced(layers=quantized_layers(variant, layers))


def _variants(network: Network | None, options: QuantizeOptions) -> Mapping[str, QuantizationVariant]:
    if options.spec is not None:
        return check_spec(options.spec).require().network.variants
    return network.variants if network is not None else {}
