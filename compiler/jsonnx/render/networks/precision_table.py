"""The estimated cost of a quantized model, and that of the float model, as text and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...ir.polynomial import Polynomial
from ..text.text_table import TextTable

if TYPE_CHECKING:
    from ...lowering.precision_cost import ElementCost, LayerPrecision, PrecisionCost


def precision_text(cost: PrecisionCost, color: bool = False, width: int | None = None) -> str:
    """A table of the float model and the variant, and the multiply-adds of the variant by element type."""
    title = cost.variant.precision if cost.name is None else f"{cost.name} ({cost.variant.precision})"
    table = TextTable(("estimated", "float32 MB", f"{title} MB", "ratio"), right=(1, 2, 3))
    for name, before, after in _sizes(cost):
        cells = [f"{size / 1e6:,.3f}" if size is not None else "" for size in (before, after)]
        table.add_row(name, *cells, f"{after / before:.1%}" if before and after is not None else "")
    macs = ", ".join(f"{_count_text(count)} {dtype}" for dtype, count in cost.cost.macs.items())
    lines = ["", f"multiply-adds   {macs or 'none'}"]
    if cost.peak is not None:
        lines.append(f"activations     {cost.peak.total / 1e6:,.2f} MB a sample at most, at {cost.peak.layer}")
    return "\n".join([table.text(color, width), *lines])


def _sizes(cost: PrecisionCost) -> list[tuple[str, int | None, int | None]]:
    """Sizes in bytes, of the float model and of the variant."""
    float_peak, peak = (each.total if each is not None else None for each in (cost.float_peak, cost.peak))
    return [
        ("weights", cost.float_cost.weight_bytes, cost.cost.weight_bytes),
        ("model file", cost.float_model_bytes, cost.model_bytes),
        ("activations", float_peak, peak),
    ]


def _count_text(count: Polynomial) -> str:
    return str(count) if count.constant is None else f"{count.constant:,}"


def precision_json(cost: PrecisionCost) -> dict[str, Any]:
    """The estimate as JSON values, with each layer. Multiply-adds with a symbolic size are formulas."""
    return {
        "precision": cost.variant.precision,
        **({"variant": cost.name} if cost.name is not None else {}),
        "float32": _model_json(cost.float_cost, *(before for _, before, _ in _sizes(cost)[1:])),
        "quantized": _model_json(cost.cost, *(after for _, _, after in _sizes(cost)[1:])),
        "layers": [_layer_json(layer) for layer in cost.layers],
    }


def _model_json(cost: ElementCost, model_bytes: int | None, activation_bytes: int | None) -> dict[str, Any]:
    return {
        "weight_bytes": cost.weight_bytes,
        "model_bytes": model_bytes,
        "activation_bytes": activation_bytes,
        "multiply_adds": _macs_json(cost.macs),
    }


def _layer_json(layer: LayerPrecision) -> dict[str, Any]:
    return {
        "name": layer.name,
        "type": layer.type,
        "float32_weight_bytes": layer.float_cost.weight_bytes,
        "weight_bytes": layer.cost.weight_bytes,
        "multiply_adds": _macs_json(layer.cost.macs),
        "output_dtype": layer.result_type,
    }


def _macs_json(macs: Mapping[str, Polynomial]) -> dict[str, int | str]:
    return {dtype: str(count) if count.constant is None else count.constant for dtype, count in macs.items()}
