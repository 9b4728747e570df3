"""Checks the key `quantize` of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...core.diagnostics import Report
from ...sections.quantization_section import QUANTIZATION_KEY, STATIC_PRECISION, QuantizationVariant
from ...sections.training_section import Training
from ..network import Call, has_adapter
from ..schema.phrases import known_names_help, short_name


def check_training_variant(
    training: Training, variants: Mapping[str, QuantizationVariant], calls: Sequence[Call], report: Report
) -> None:
    """Reports a `quantize` that names no variant or one of another precision, and keys that exclude `quantize`."""
    name, path = training.quantize, ("training", "quantize")
    if name is None or report.has_errors((QUANTIZATION_KEY,)):
        return
    known = [*dict.fromkeys((STATIC_PRECISION, *variants))]
    if name not in known:
        help = report.suggestion(name, known) or known_names_help(known)
        report.add("unknown-name", path, f"{short_name(name)} is no variant in {QUANTIZATION_KEY!r}", help=help)
    elif name in variants and variants[name].precision != STATIC_PRECISION:
        message = (
            f"the variant {short_name(name)} has the precision {variants[name].precision!r}, which needs no training"
        )
        help = f"name a variant with the precision {STATIC_PRECISION!r}; `jsonnx quantize` makes the others"
        report.add("invalid-value", path, message, help=help)
    if training.precision != "float32":
        message = f"'quantize' needs float32, and the training has the precision {training.precision!r}"
        report.add("invalid-value", path, message, help="leave one of them out")
    if training.lora is not None or any(map(has_adapter, calls)):
        message = "'quantize' rounds the weights of the model, into which adapters are merged only at the end"
        report.add("invalid-value", path, message, help="leave out `quantize`, or `lora` and `lora_rank`")
    if training.distributed is not None:
        message = "'quantize' measures ranges over whole batches, which distributed training divides among workers"
        report.add("samples-interact", path, message, help="leave one of them out")
