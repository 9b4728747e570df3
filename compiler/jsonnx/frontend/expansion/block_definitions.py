"""The blocks that a document defines, and what is wrong with them before anything is made of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report
from ...layers import LAYERS
from ..schema.phrases import name_list, short_name
from ..schema.schema import ENTRY_KEYS
from .expressions import RESERVED_NAMES

MAX_BLOCK_DEPTH = 64
"""How many blocks may stand in one another."""


@dataclass(frozen=True, eq=False)
class BlockDefinition:
    """A definition as it is written."""

    name: str
    parameters: Mapping[str, Json]
    inputs: tuple[str, ...]
    layers: list[Json]
    outputs: Json
    has_own_names: bool = False
    """Whether a layer in it is called by its own name alone."""

    @property
    def path(self) -> JsonPath:
        return ("blocks", self.name)


def read_block_definitions(document: Mapping[str, Json], report: Report) -> dict[str, BlockDefinition | None]:
    """The blocks by name; None for one that is wrong in itself, which is reported."""
    written = document.get("blocks")
    found = {name: _read_block(name, of, report) for name, of in written.items()} if isinstance(written, dict) else {}
    used = {name: dict(_used_blocks(block, found)) if block else {} for name, block in found.items()}
    sound = _well_nested_blocks(used, report)
    return {name: block if name in sound else None for name, block in found.items()}


def _read_block(name: str, raw: Json, report: Report) -> BlockDefinition | None:
    path: JsonPath = ("blocks", name)
    if name in LAYERS.by_name:
        message, help = f"the block {short_name(name)} has the name of a layer type", "give it another name"
        report.add("invalid-name", path, message, help=help, at_key=True)
    if report.has_errors(path):
        return None
    inputs = tuple(raw.get("inputs", ["input"]))
    for index, input in enumerate(inputs):
        if input in inputs[:index]:
            report.add("duplicate-name", (*path, "inputs", index), f"the input {short_name(input)} is named twice")
    parameters = raw.get("parameters", {})
    check_parameters(parameters, (*path, "parameters"), ENTRY_KEYS, "in an entry", report)
    return BlockDefinition(name, parameters, inputs, raw["layers"], raw.get("outputs"), raw.get("names") == "own")


def check_parameters(
    names: Mapping[str, Json], path: JsonPath, reserved: Iterable[str], context: str, report: Report
) -> None:
    """Reports parameters with names that mean something else: in expressions, or `context`, where they would be given."""
    for name in names:
        if name in RESERVED_NAMES or name in reserved:
            where = "in expressions" if name in RESERVED_NAMES else context
            message, help = f"{short_name(name)} has a meaning of its own {where}", "give the parameter another name"
            report.add("invalid-name", (*path, name), message, help=help, at_key=True)


def _used_blocks(block: BlockDefinition, definitions: Mapping[str, object]) -> Iterator[tuple[str, int]]:
    """The blocks that a block uses, each with the number of the entry."""
    for index, entry in enumerate(block.layers):
        kind = entry.get("type") if isinstance(entry, dict) else None
        if isinstance(kind, str) and kind in definitions:
            yield kind, index


def _well_nested_blocks(uses_by_block: Mapping[str, Mapping[str, int]], report: Report) -> set[str]:
    """The blocks that are not in a circle, nor too deep, nor use one that is. The first circle is reported."""
    order = TopologicalSorter(uses_by_block)
    try:
        order.prepare()
    except CycleError as error:
        _report_cycle(error.args[1][::-1], uses_by_block, report)
    depths: dict[str, int] = {}
    while ready := order.get_ready():
        for name in ready:
            depths[name] = 1 + max((depths[other] for other in uses_by_block[name]), default=0)
            if depths[name] == MAX_BLOCK_DEPTH + 1:
                report.add(
                    "too-deep", ("blocks", name), f"blocks stand in one another deeper than {MAX_BLOCK_DEPTH} levels"
                )
        order.done(*ready)
    return {name for name, depth in depths.items() if depth <= MAX_BLOCK_DEPTH}


def _report_cycle(cycle: list[str], uses_by_block: Mapping[str, Mapping[str, int]], report: Report) -> None:
    cycle, ranks = cycle[:-1], {name: rank for rank, name in enumerate(uses_by_block)}
    first = min(range(len(cycle)), key=lambda at: ranks[cycle[at]])
    cycle = [*cycle[first:], *cycle[:first]]
    places: list[tuple[JsonPath, str]] = [
        (("blocks", name, "layers", uses_by_block[name][after]), f"{short_name(name)} uses {short_name(after)}")
        for name, after in zip(cycle, [*cycle[1:], cycle[0]], strict=True)
    ]
    message = f"the block {name_list([cycle[0]])} uses itself"
    if len(cycle) > 1:
        shown = [*cycle[:8], *(["..."] if len(cycle) > 8 else []), cycle[0]]
        message = f"the blocks {' -> '.join(shown)} use one another in a circle"
    report.add("cycle", places[0][0], message, help="a block cannot contain itself", notes=places[:8])
