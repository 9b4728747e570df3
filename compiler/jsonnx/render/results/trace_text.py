"""The trace of a network as text and JSON."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any

from ..networks.shape_text import keras_shape_text
from ..text.text_table import TextTable
from .placement_text import bytes_text

if TYPE_CHECKING:
    from ...runtime.profile.layer_trace import NetworkTrace, TracedLayer, ValueStatistics

TITLES = ("layer", "type", "shape", "memory", "min", "mean", "max", "std", "zeros", "gradient", "time", "operators")
STATISTICS_COLUMNS = range(3, 11)


def trace_text(trace: NetworkTrace, color: bool = False, width: int | None = None) -> str:
    """One row for each result of each layer, the loss, and where NaN or an infinity appears first."""
    table = TextTable(TITLES, right=STATISTICS_COLUMNS)
    for layer in trace.layers:
        for index, (name, result) in enumerate(layer.results.items()):
            is_first = index == 0
            gradient = _number(layer.gradient_norm) if is_first else ""
            time = "" if layer.seconds is None or not is_first else f"{layer.seconds * 1000:.3f} ms"
            operators = _operators_text(layer) if is_first else ""
            table.add_row(name, layer.type if is_first else "", *_cells(result), gradient, time, operators)
    samples = f"{trace.sample_count:,} sample{'' if trace.sample_count == 1 else 's'}"
    lines = [table.text(color, width), "", f"loss of {samples}: {_number(trace.loss)}"]
    first = trace.first_not_finite
    if first is not None:
        lines.append(f"first result that is not finite: {_not_finite_text(first)}")
    lines += [f"the gradient of {name!r} is not finite" for name in trace.gradients_not_finite]
    return "\n".join(lines)


def _cells(result: ValueStatistics) -> tuple[str, ...]:
    numbers = (result.minimum, result.mean, result.maximum, result.deviation)
    zeros = "" if result.zero_share is None else f"{result.zero_share:.0%}"
    memory = bytes_text(result.size_bytes) if result.size_bytes else ""
    return (keras_shape_text(result.shape), memory, *map(_number, numbers), zeros)


def _operators_text(layer: TracedLayer) -> str:
    return ", ".join(name if count == 1 else f"{count} {name}" for name, count in layer.operators.items())


def _not_finite_text(layer: TracedLayer) -> str:
    nan_count = sum(result.nan_count for result in layer.results.values())
    infinity_count = sum(result.infinity_count for result in layer.results.values())
    where = f" ({layer.path})" if layer.path else ""
    return f"{layer.name!r}{where}, with {nan_count:,} NaN and {infinity_count:,} infinite"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def trace_json(trace: NetworkTrace) -> dict[str, Any]:
    """Everything in the trace, for programs; numbers that are not finite are null."""
    first = trace.first_not_finite
    return {
        "samples": trace.sample_count,
        "loss": _json_number(trace.loss),
        "first_not_finite": first.name if first is not None else None,
        "layers": [
            {
                **asdict(layer),
                "weights": {
                    name: {"norm": _json_number(norms.weight), "gradient_norm": _json_number(norms.gradient)}
                    for name, norms in layer.weights.items()
                },
                "gradient_norm": _json_number(layer.gradient_norm),
            }
            for layer in trace.layers
        ],
    }


def _json_number(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None
