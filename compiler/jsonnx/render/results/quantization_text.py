"""The report on a quantized model as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...core.invisible_characters import escape_invisible
from ..text.text_table import TextTable

MAX_LISTED_LAYERS = 5
NOT_COMPARED_TEXT = "the models were not compared: there are no data for it; give some with --validation-data FILE"
NO_TOLERANCE_TEXT = "no tolerance was given; --tolerance max_difference=NUMBER limits the differences of the outputs"

Report = Mapping[str, Any]


def attempt_text(attempt: Report) -> str:
    """An attempt in a line, such as `int8, calibration by entropy: accuracy 0.91 (-0.007)  within the tolerance`."""
    change = f", {attempt['change']}" if attempt["change"] else ""
    figures = [_figure(attempt, name, loss) for name, loss in attempt["losses"].items()]
    outcome = "within the tolerance" if attempt["passes"] else "beyond the tolerance"
    return f"{attempt['variant']['precision']}{change}: {'  '.join(figures)}  {outcome}"


def _figure(attempt: Report, name: str, loss: float | None) -> str:
    """A metric and its change, or a difference of the outputs."""
    pair = attempt["metrics"].get(name)
    if pair is None:
        return f"{escape_invisible(name)} {_number(loss)}"
    return f"{escape_invisible(name)} {_number(pair['quantized'])} ({_signed(pair['difference'])})"


def quantization_text(report: Report, compared_on: str, color: bool = False, width: int | None = None) -> str:
    """A table of both models, then the tolerance, and the layers with the lowest signal-to-noise ratios."""
    table = TextTable(["", "float", "quantized", "difference"], right=(1, 2, 3))
    for row in _rows(report):
        table.add_row(*row)
    return "\n".join([*_head(report, compared_on), "", table.text(color, width), "", *_notes(report)])


def _head(report: Report, compared_on: str) -> Iterator[str]:
    variant, calibration = report["variant"], report["calibration"]
    yield f"{variant['precision']}{_settings_text(variant)}"
    if calibration is not None:
        named = ", ".join(map(escape_invisible, calibration["files"]))
        yield f"calibrated on {calibration['samples']:,} samples of {named}"
    elif variant["precision"] == "int8":
        yield "with the trained ranges of activations"
    yield f"compared on {escape_invisible(compared_on)}" if report["checked"] else NOT_COMPARED_TEXT


def _settings_text(variant: Report) -> str:
    """The settings of a variant that are not its defaults."""
    parts = []
    if "activations" in variant:
        parts.append(f"activations of {variant['activations']}")
    if not variant.get("per_channel", True):
        parts.append("one scale for each weight")
    if "method" in variant.get("calibration", {}):
        parts.append(f"calibration by {variant['calibration']['method']}")
    layers = variant.get("layers", {})
    if in_float := [escape_invisible(name) for name, section in layers.items() if section is None]:
        parts.append(f"in floating point: {', '.join(in_float)}")
    bits = {name: section["bits"] for name, section in layers.items() if section and "bits" in section}
    for count in sorted(set(bits.values())):
        names = [escape_invisible(name) for name, own in bits.items() if own == count]
        parts.append(f"weights of {count} bits: {', '.join(names)}")
    return "".join(f", {part}" for part in parts)


def _rows(report: Report) -> Iterator[list[str]]:
    for name, pair in report["metrics"].items():
        if not isinstance(pair["float"], list):
            yield [name, _number(pair["float"]), _number(pair["quantized"]), _signed(pair["difference"])]
    for name, each in report["outputs"].items():
        yield [f"largest difference of {name!r}", "", "", _number(each["max_difference"])]
        yield [f"mean difference of {name!r}", "", "", _number(each["mean_difference"])]
    size = report["bytes"]
    yield ["bytes", f"{size['float']:,}", f"{size['quantized']:,}", _change(size["float"], size["quantized"])]
    for batch, pair in report["latency_ms"].items():
        cells = [_number(pair["float"], 3), _number(pair["quantized"], 3), _change(pair["float"], pair["quantized"])]
        yield [f"ms, batch of {batch}", *cells]


def _notes(report: Report) -> Iterator[str]:
    tolerance = report["tolerance"]
    if tolerance is not None:
        limits = ", ".join(f"{escape_invisible(name)}={limit:.4g}" for name, limit in tolerance["limits"].items())
        default = " (1 % of the float model's, the default)" if tolerance["is_default"] else ""
        yield f"tolerance: {limits}{default}"
    elif report["checked"]:
        yield NO_TOLERANCE_TEXT
    if layers := report["layers"][:MAX_LISTED_LAYERS]:
        shown = ", ".join(f"{escape_invisible(each['layer'])} {_decibels(each)}" for each in layers)
        yield f"lowest signal-to-noise ratios: {shown}"
    yield from map(escape_invisible, report["notes"])


def _decibels(layer: Report) -> str:
    decibels = layer["signal_to_noise_db"]
    return "below any" if decibels is None else f"{decibels:.1f} dB"


def _number(value: float | None, digits: int = 6) -> str:
    return "not finite" if value is None else f"{value:.{digits}g}"


def _signed(value: float | None) -> str:
    return "not finite" if value is None else f"{value:+.3g}"


def _change(old: float, new: float) -> str:
    return f"{(new - old) / old:+.0%}" if old else ""
