"""The blocks that a document defines, and what is wrong with them before anything is made of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report
from ...layers import LAYERS
from ..schema.phrases import few, quoted
from ..schema.schema import ENTRY_KEYS
from .expressions import RESERVED

DEEPEST = 64
"""How many blocks may stand in one another."""


@dataclass(frozen=True, eq=False)
class Block:
    """A definition as it is written."""

    name: str
    parameters: Mapping[str, Json]
    inputs: tuple[str, ...]
    layers: list[Json]
    outputs: Json
    own_names: bool = False
    """Whether a layer in it is called by its own name alone."""

    @property
    def path(self) -> JsonPath:
        return ("blocks", self.name)


def blocks_of(document: Mapping[str, Json], report: Report) -> dict[str, Block | None]:
    """The blocks by name; None for one that is wrong in itself, which is reported."""
    written = document.get("blocks")
    found = {name: _block(name, of, report) for name, of in written.items()} if isinstance(written, dict) else {}
    used = {name: dict(_uses(block, found)) if block else {} for name, block in found.items()}
    sound = _nested(used, report)
    return {name: block if name in sound else None for name, block in found.items()}


def _block(name: str, written: Json, report: Report) -> Block | None:
    path: JsonPath = ("blocks", name)
    if name in LAYERS.names:
        message, help = f"the block {quoted(name)} has the name of a layer type", "give it another name"
        report.add("invalid-name", path, message, help=help, at_key=True)
    if report.errors(path):
        return None
    inputs = tuple(written.get("inputs", ["input"]))
    for index, input in enumerate(inputs):
        if input in inputs[:index]:
            report.add("duplicate-name", (*path, "inputs", index), f"the input {quoted(input)} is named twice")
    parameters = written.get("parameters", {})
    check_parameters(parameters, (*path, "parameters"), ENTRY_KEYS, "in an entry", report)
    return Block(name, parameters, inputs, written["layers"], written.get("outputs"), written.get("names") == "own")


def check_parameters(
    names: Mapping[str, Json], path: JsonPath, taken: Iterable[str], there: str, report: Report
) -> None:
    """Reports parameters with names that mean something else: in expressions, or `there`, where they would be given."""
    for name in names:
        if name in RESERVED or name in taken:
            where = "in expressions" if name in RESERVED else there
            message, help = f"{quoted(name)} has a meaning of its own {where}", "give the parameter another name"
            report.add("invalid-name", (*path, name), message, help=help, at_key=True)


def _uses(block: Block, known: Mapping[str, object]) -> Iterator[tuple[str, int]]:
    """The blocks that a block uses, each with the number of the entry."""
    for index, entry in enumerate(block.layers):
        kind = entry.get("type") if isinstance(entry, dict) else None
        if isinstance(kind, str) and kind in known:
            yield kind, index


def _nested(used: Mapping[str, Mapping[str, int]], report: Report) -> set[str]:
    """The blocks that are not in a circle, nor too deep, nor use one that is. The first circle is reported."""
    order = TopologicalSorter(used)
    try:
        order.prepare()
    except CycleError as error:
        _report_cycle(error.args[1][::-1], used, report)
    depths: dict[str, int] = {}
    while ready := order.get_ready():
        for name in ready:
            depths[name] = 1 + max((depths[other] for other in used[name]), default=0)
            if depths[name] == DEEPEST + 1:
                report.add("too-deep", ("blocks", name), f"blocks stand in one another deeper than {DEEPEST} levels")
        order.done(*ready)
    return {name for name, depth in depths.items() if depth <= DEEPEST}


def _report_cycle(ring: list[str], used: Mapping[str, Mapping[str, int]], report: Report) -> None:
    ring, ranks = ring[:-1], {name: rank for rank, name in enumerate(used)}
    first = min(range(len(ring)), key=lambda at: ranks[ring[at]])
    ring = [*ring[first:], *ring[:first]]
    places: list[tuple[JsonPath, str]] = [
        (("blocks", name, "layers", used[name][after]), f"{quoted(name)} uses {quoted(after)}")
        for name, after in zip(ring, [*ring[1:], ring[0]], strict=True)
    ]
    message = f"the block {few([ring[0]])} uses itself"
    if len(ring) > 1:
        shown = [*ring[:8], *(["..."] if len(ring) > 8 else []), ring[0]]
        message = f"the blocks {' -> '.join(shown)} use one another in a circle"
    report.add("cycle", places[0][0], message, help="a block cannot contain itself", notes=places[:8])
