"""Errors of models that cannot be quantized, or exceed the tolerance."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.diagnostics import Diagnostic
from ...core.quantities import count_text
from ...sections.quantization_section import DIFFERENCES, STATIC_PRECISION, QuantizationVariant
from .tolerance import Tolerance
from .variant_search import Attempt

TRAIN_HELP = '`"training": {"quantize": "int8"}` trains the network for it'
OTHER_HELP = "use another --precision (float16 and int8-weights have smaller errors), or a larger --tolerance"


def quantization_loss(file: str, attempts: Sequence[Attempt], best: Attempt, tolerance: Tolerance) -> Diagnostic:
    """The error, with the figures of the best attempt."""
    assert best.comparison is not None
    losses = best.losses
    texts = []
    for name, limit in tolerance.limits.items():
        if losses[name] <= limit:
            continue
        if name in DIFFERENCES:
            texts.append(f"{name} is {losses[name]:.4g}, the limit is {limit:.4g}")
        else:
            pair = best.comparison.metrics[name], best.comparison.float_metrics[name]
            texts.append(f"{name} is {pair[0]:.6g}, that of the float model {pair[1]:.6g}, it may be {limit:.4g} worse")
    tried = "" if len(attempts) == 1 else f" in the best of {count_text(len(attempts), 'attempt')}"
    message = f"{best.variant.precision} exceeds the tolerance{tried}: {'; '.join(texts)}"
    help = f"{TRAIN_HELP}; or {OTHER_HELP}" if best.variant.precision == STATIC_PRECISION else OTHER_HELP
    return Diagnostic("quantization-loss", message, file=file, help=help)


def nothing_to_quantize(file: str, variant: QuantizationVariant) -> Diagnostic:
    """The error of a model in which a variant quantizes nothing."""
    message = f"{variant.precision} changes nothing: no operator that it applies to has large weights"
    help = "the variant keeps layers in floating point" if variant.layers else "leave the model as it is"
    return Diagnostic("not-quantizable", message, file=file, help=help)
