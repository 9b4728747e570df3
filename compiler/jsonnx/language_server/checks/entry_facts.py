"""The facts about an entry of `layers`: the layers it stands for, their types and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.diagnostics import JsonPath, is_in_library
from ...core.types import TensorType
from ...frontend.network import Call

if TYPE_CHECKING:
    from ...ir.polynomial import Polynomial
    from ...lowering.cost import LayerCost
    from ...pipeline.check.check import CheckedSpec


@dataclass(frozen=True)
class Instance:
    """A layer or a use of a block that an entry stands for; an entry with `repeat`, or in a block, may have several."""

    name: str
    type: str
    inputs: Sequence[TensorType]
    outputs: Sequence[TensorType]
    parameters: int | None
    """None if unknown."""
    trainable: int | None
    macs: Polynomial | None


@dataclass(frozen=True)
class EntryFacts:
    """The instances of an entry, in the order of the network."""

    instances: Sequence[Instance]

    @property
    def parameters(self) -> int | None:
        counts = [instance.parameters for instance in self.instances]
        return None if None in counts else sum(count or 0 for count in counts)


def entry_facts(checked: CheckedSpec, costs: Mapping[str, LayerCost]) -> dict[JsonPath, EntryFacts]:
    """The facts about each entry with a type, by its path in the spec."""
    typed = checked.typed_network
    if typed is None:
        return {}
    groups: dict[JsonPath, dict[str, list[Call]]] = {}
    names: dict[JsonPath, dict[str, str]] = {}
    for call in typed.network.calls:
        location = checked.flat.source_map(call.path, False) if checked.flat is not None else None
        if location is None:
            continue
        if not is_in_library(location.path):
            groups.setdefault(location.path, {}).setdefault(call.name, []).append(call)
        uses = [path for path, _ in reversed(location.notes)]
        for path, (use, block) in zip(uses, call.block_uses, strict=False):
            if not is_in_library(path):
                groups.setdefault(path, {}).setdefault(use, []).append(call)
                names.setdefault(path, {})[use] = block
    facts = {}
    for path, calls_by_name in groups.items():
        instances = [
            _instance(name, names.get(path, {}).get(name), calls, typed.types, typed.network.block_outputs, costs)
            for name, calls in calls_by_name.items()
        ]
        known = [instance for instance in instances if instance is not None]
        if known:
            facts[path] = EntryFacts(known)
    return facts


def _instance(
    name: str,
    block: str | None,
    calls: Sequence[Call],
    types: Mapping[str, TensorType],
    block_outputs: Mapping[str, Mapping[str, str]],
    costs: Mapping[str, LayerCost],
) -> Instance | None:
    """A layer, or a use of a block with its layers; None if it has no type."""
    results = calls[0].results if block is None else [*block_outputs.get(name, {})]
    outputs = [types[result] for result in results if result in types]
    if not outputs:
        return None
    own = {result for call in calls for result in call.results}
    sources = dict.fromkeys(source for call in calls for source in call.sources if source not in own)
    rows = [costs[call.name] for call in calls if call.name in costs]
    is_known = len(rows) == len(calls)
    layer = calls[0].layer
    return Instance(
        name,
        block or (layer.type_name if layer is not None else "?"),
        [types[source] for source in sources if source in types],
        outputs,
        sum(row.parameters for row in rows) if is_known else None,
        sum(row.trainable for row in rows) if is_known else None,
        sum((row.macs for row in rows[1:]), rows[0].macs) if is_known else None,
    )
