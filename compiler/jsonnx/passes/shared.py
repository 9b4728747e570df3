"""Holds the calls of a shared layer against one another: all of them must want the same weights."""

from __future__ import annotations

from ..diagnostics import Report
from ..frontend.network import Call
from ..types import ShapeError
from .shapes import TypedNetwork


def check_shared(typed: TypedNetwork, report: Report) -> None:
    """Reports calls of a layer whose inputs want weights of other shapes than those of its first call.

    Which weights a layer has only its lowering says. So a sound spec that shares a layer pays for importing ONNX, and
    no other does.
    """
    calls: dict[str, list[Call]] = {}
    for call in typed.network.calls:
        calls.setdefault(call.owner, []).append(call)
    shared = [group for group in calls.values() if len(group) > 1]
    if shared and not report.errors():
        for group in shared:
            _check(typed, group, report)


def _check(typed: TypedNetwork, calls: list[Call], report: Report) -> None:
    from ..graph import Builder
    from .lower import lower_layer

    g = Builder()
    for call in calls:
        inputs = [g.input(f"{call.name}/{index}", typed.types[source]) for index, source in enumerate(call.sources)]
        with g.at(call.owner, call.path):
            try:
                if call.layer is not None:
                    lower_layer(g, call.layer, list(inputs))
            except ShapeError as error:
                others = [calls[0], call]
                notes = [(c.path, f"called with {', '.join(str(typed.types[s]) for s in c.sources)}") for c in others]
                message = f"{call.layer.type_name if call.layer else ''} {call.owner!r} {error.message}"
                report.add(error.code, call.path, message, help="give the calls inputs of the same size", notes=notes)
