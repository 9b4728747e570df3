"""Carries types through the network: from the inputs' shapes to every edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..diagnostics import Report
from ..frontend.network import Call, Network
from ..types import ShapeError, TensorType


@dataclass(frozen=True)
class TypedNetwork:
    """A network with the type of every value by name."""

    network: Network
    types: Mapping[str, TensorType]

    @property
    def inputs(self) -> dict[str, TensorType]:
        return dict(self.network.inputs)

    @property
    def outputs(self) -> dict[str, TensorType]:
        return {name: self.types[name] for name in self.network.outputs}


def infer_shapes(network: Network, report: Report) -> TypedNetwork:
    """Types on every edge that can have one; what cannot is reported once, where it first goes wrong."""
    types: dict[str, TensorType] = dict(network.inputs)
    for call in network.calls:
        if call.layer is None or any(source not in types for source in call.sources):
            continue  # the cause is reported already
        try:
            found = call.layer.infer(*(types[source] for source in call.sources))
        except ShapeError as error:
            _report(network, call, types, error, report)
            continue
        results = found if isinstance(found, tuple) else (found,)
        types |= zip(call.results, results, strict=True)
    return TypedNetwork(network, types)


def _report(network: Network, call: Call, types: Mapping[str, TensorType], error: ShapeError, report: Report) -> None:
    what = f"{call.layer.type_name} {call.name!r}" if call.layer else repr(call.name)
    notes = [(network.paths[source], f"{source!r} is {types[source]}") for source in call.sources]
    report.add(error.code, call.path, f"{what} {error.message}", help=error.help, notes=notes)
