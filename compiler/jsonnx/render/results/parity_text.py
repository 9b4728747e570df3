"""The comparison of providers as text and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any

from ..text.text_table import TextTable
from .placement_text import alike_nodes

if TYPE_CHECKING:
    from ...runtime.parity.parity_report import ParityReport, ProviderParity

MAX_LISTED_REASONS = 10


def parity_text(report: ParityReport, color: bool = False, width: int | None = None) -> str:
    """A table with a row for each provider, and lines for what differs, fails or falls back to the CPU."""
    options = report.options
    is_exact = report.float64_error is not None
    no_error = "not compared with float64: the CPU lacks kernels, or the weights are too large"
    error = f"{_number(report.float64_error)} from float64" if is_exact else no_error
    head = (
        f"{report.model}, onnxruntime {report.runtime_version}, {options.batch_size} samples, seed {options.seed}\n"
        f"reference: cpu without optimizations; {error}"
    )
    table = TextTable(["provider", "result", "output error", "from float64", "loss error", "ms a run"], (2, 3, 4, 5))
    for provider in report.providers:
        table.add_row(*_row(provider))
    notes = [line for provider in report.providers for line in _notes(provider)]
    if report.training_message:
        notes.append(f"no training was compared: {report.training_message}")
    else:
        steps = f"losses of {len(report.losses)} steps on the reference"
        notes.append(f"{steps}: {', '.join(f'{loss:.6g}' for loss in report.losses)}")
    tolerance = f"errors are relative to the largest element; the tolerance is {options.tolerance:g}"
    return "\n".join([head, "", table.text(color, width), "", *notes, tolerance])


def _row(provider: ProviderParity) -> list[str]:
    if not provider.compared:
        return [provider.provider, "failed" if provider.failed else "not here", "", "", "", ""]
    errors = [output.relative for output in provider.outputs]
    return [
        provider.provider,
        "differs" if provider.failed else "agrees",
        _number(max(errors, default=0.0)),
        _number(provider.float64_error),
        _number(provider.loss_error),
        "" if provider.latency_ms is None else f"{provider.latency_ms:.3g}",
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"


def _notes(provider: ProviderParity) -> list[str]:
    name = provider.provider
    lines = [f"{name}: {provider.message}"] if provider.message else []
    if provider.worst_node is not None:
        node = provider.worst_node
        place = f" ({node.path})" if node.path else ""
        lines.append(f"{name}: first differs at {node.name}{place}, {node.op}, by {_number(node.relative)}")
    for output in provider.outputs if provider.failed else ():
        lines.append(f"{name}: output {output.name!r} differs by {output.absolute:.3g}, relative {output.relative:.2g}")
    on_cpu = alike_nodes(provider.on_cpu or ())
    for missing, others in on_cpu[:MAX_LISTED_REASONS]:
        layer = f" ({missing.path})" if missing.path else ""
        lines.append(f"{name}: {missing.name}{layer} runs on the CPU: {missing.reason}{others}")
    if len(on_cpu) > MAX_LISTED_REASONS:
        lines.append(f"{name}: more nodes run on the CPU, for {len(on_cpu) - MAX_LISTED_REASONS:,} other reasons")
    return lines


def parity_json(report: ParityReport) -> str:
    """The whole report. Infinite differences are null."""
    return json.dumps({**_finite(asdict(report)), "failed": report.failed}, indent=2)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _finite(value._asdict())
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
