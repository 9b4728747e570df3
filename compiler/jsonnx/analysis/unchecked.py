"""A note that lists the checks that a network's errors prevented."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.diagnostics import JsonPath, Report
from ..frontend.schema.phrases import short_name
from .shape_inference import TypedNetwork

MAX_NAMES_SHOWN = 3


def report_unchecked(typed: TypedNetwork, report: Report) -> None:
    """Adds a note that names the layers and outputs whose shapes are unknown because of errors elsewhere, and why."""
    if not report.has_errors():
        return
    network = typed.network
    names = {path: name for name, path in reversed([*network.paths.items()])}
    layers = {path: name for path, name in names.items() if path[0] == "layers"}
    unknown = [path for path in sorted(layers) if layers[path] not in typed.types and not report.has_errors(path)]
    outputs = [name for name in network.outputs if name not in typed.types]
    parts = [network.not_checked] if network.not_checked is not None else []
    if outputs and network.training is not None:
        parts = [f"the loss and metrics of {_some_names(outputs)}", *parts]
    if unknown:
        causes = [names[path] for path in _causes(typed, set(unknown), report)]
        because = f", since {_shapes_of(causes)} {'is' if len(causes) == 1 else 'are'} unknown" if causes else ""
        parts = [f"{_shapes_of([layers[path] for path in unknown])}{because}", *parts]
    if parts:
        report.add("not-checked", ("layers",), f"not checked: {'; '.join(parts)}", severity="note")


def _shapes_of(names: Sequence[str]) -> str:
    return f"the shape{'' if len(names) == 1 else 's'} of {_some_names(names)}"


def _some_names(names: Sequence[str]) -> str:
    *first, last = map(short_name, names[:MAX_NAMES_SHOWN])
    if len(names) > MAX_NAMES_SHOWN:
        first, last = [*first, last], f"{len(names) - MAX_NAMES_SHOWN:,} more"
    return f"{', '.join(first)} and {last}" if first else last


def _causes(typed: TypedNetwork, unknown: set[JsonPath], report: Report) -> list[JsonPath]:
    """The layers and inputs with errors whose results layers of unknown shape take."""
    paths = typed.network.paths
    sources = [source for call in typed.network.calls if call.path in unknown for source in call.sources]
    used = [paths.get(source) or paths.get(source.partition(".")[0]) for source in sources if source not in typed.types]
    return sorted({path for path in used if path is not None and report.has_errors(path)})
