"""Reads and checks the block definitions of a document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from ...core.components import Json
from ...core.diagnostics import LIBRARY, JsonPath, Report
from ...core.fixes import remove_key
from ...core.limits import MAX_BLOCK_DEPTH
from ...layers import LAYERS
from ..schema.phrases import known_names_help, short_name
from ..schema.schema import ENTRY_KEYS
from .expressions import RESERVED_NAMES
from .parameters import Parameter, read_parameters

MAX_NAMES_SHOWN = 8
"""Blocks of a cycle that a message names."""


@dataclass(frozen=True, eq=False, repr=False)
class BlockDefinition:
    """The definition of a block, as written."""

    name: str
    parameters: dict[str, Parameter]
    inputs: tuple[str, ...]
    layers: list[Json]
    outputs: Json
    has_own_names: bool = False
    """Whether its layers are named without the name of the use as a prefix (`"names": "own"`)."""
    globals: tuple[str, ...] = ()
    """The parameters of the network that it reads."""
    description: str = ""
    has_input_objects: bool = False
    """Whether its inputs are written as an object."""
    in_library: bool = False
    """Whether it is a block of the standard library."""
    input_shapes: Mapping[str, Json] = field(default_factory=dict)
    """The shapes that inputs must have, as written, by input; inputs of any shape are missing."""
    required_input_count: int = 0
    """The number of inputs before the first optional one."""

    @property
    def path(self) -> JsonPath:
        return (LIBRARY if self.in_library else "blocks", self.name)

    def input_path(self, number: int) -> JsonPath:
        """The path of an input."""
        return (*self.path, "inputs", self.inputs[number] if self.has_input_objects else number)


def read_block_definitions(
    document: Mapping[str, Json], library: Mapping[str, Json], report: Report
) -> dict[str, BlockDefinition | None]:
    """The blocks of a document and of the library by name, with None for invalid ones, which are reported."""
    section = document.get("blocks")
    section = section if isinstance(section, dict) else {}
    parameters = document.get("parameters")
    known = parameters if isinstance(parameters, dict) else {}
    blocks = {name: _read_block(name, definition, known, report) for name, definition in section.items()}
    blocks |= {name: _block(name, definition, LIBRARY) for name, definition in library.items()}
    uses_by_block = {name: dict(_used_blocks(block, blocks)) if block else {} for name, block in blocks.items()}
    valid_names = _well_nested_blocks(uses_by_block, report)
    return {name: block if name in valid_names else None for name, block in blocks.items()}


def _read_block(name: str, raw: Json, known: Mapping[str, Json], report: Report) -> BlockDefinition | None:
    """A block; `known` are the parameters of the network."""
    path: JsonPath = ("blocks", name)
    if name in LAYERS.by_name:
        message, help = f"the block {short_name(name)} has the name of a layer type", "rename the block"
        report.add("invalid-name", path, message, help=help, at_key=True)
    if report.has_errors(path):
        return None
    block = _block(name, raw)
    for index, input in enumerate(block.inputs):
        if input in block.inputs[:index]:
            report.add("duplicate-name", (*path, "inputs", index), f"the input {short_name(input)} is named twice")
    _check_optional_inputs(block, raw.get("inputs"), report)
    check_parameters(raw.get("parameters", {}), (*path, "parameters"), ENTRY_KEYS, report)
    _check_globals(block.globals, path, known, block.parameters, report)
    return block


def _check_optional_inputs(block: BlockDefinition, inputs: Json, report: Report) -> None:
    """Reports required inputs behind an optional one, and optional inputs that have the name of a parameter."""
    for number, name in enumerate(block.inputs[block.required_input_count :], block.required_input_count):
        if name in block.parameters or name in block.globals:
            message = f"{short_name(name)} is an optional input and a parameter, and both are names in expressions"
            report.add("duplicate-name", block.input_path(number), message, help="rename one of them", at_key=True)
        if not is_optional(inputs[name]):
            message = f"the input {short_name(name)} is required, and stands behind an optional one"
            help = "write the optional inputs last: a use leaves them out from the end"
            report.add("invalid-value", block.input_path(number), message, help=help, at_key=True)
    if not block.required_input_count:
        help = 'remove "optional": a block takes a value'
        report.add("invalid-value", block.input_path(0), "the first input is optional", help=help, at_key=True)


def is_optional(input: Json) -> bool:
    """Whether the entry of an input says that a use may leave it out."""
    return isinstance(input, dict) and bool(input.get("optional"))


def _block(name: str, raw: Mapping[str, Json], section: str = "blocks") -> BlockDefinition:
    """The block of a valid definition; `section` is the document's, or LIBRARY."""
    inputs = raw.get("inputs", ["input"])
    entries = inputs if isinstance(inputs, dict) else {}
    optional = [number for number, entry in enumerate(entries.values()) if is_optional(entry)]
    return BlockDefinition(
        name,
        read_parameters(raw.get("parameters", {}), (section, name, "parameters")),
        tuple(inputs),
        raw["layers"],
        raw.get("outputs"),
        has_own_names=raw.get("names") == "own",
        globals=tuple(raw.get("globals", ())),
        description=raw.get("description", ""),
        has_input_objects=isinstance(inputs, dict),
        in_library=section == LIBRARY,
        input_shapes={input: entry["shape"] for input, entry in entries.items() if "shape" in entry},
        required_input_count=min(optional, default=len(inputs)),
    )


def _check_globals(
    names: tuple[str, ...], block_path: JsonPath, known: Mapping[str, Json], own: Mapping[str, object], report: Report
) -> None:
    """Reports globals of a block that are not parameters of the network, or also parameters of the block."""
    for index, name in enumerate(names):
        path = (*block_path, "globals", index)
        if name in own or name in names[:index]:
            other = "a parameter of the block" if name in own else "named twice"
            message, fix = f"{short_name(name)} is {other}", remove_key(path)
            report.add("duplicate-name", path, message, help="remove one of them", fix=fix)
        elif name not in known:
            help = report.suggestion(name, known) or (known_names_help([*known]) if known else None)
            report.add("unknown-name", path, f"the network has no parameter {short_name(name)}", help=help)


def check_parameters(names: Mapping[str, Json], path: JsonPath, entry_keys: Iterable[str], report: Report) -> None:
    """Reports parameters whose names are reserved in expressions, or are keys of the entry in which they are given."""
    for name in names:
        if name in RESERVED_NAMES or name in entry_keys:
            where = "in expressions" if name in RESERVED_NAMES else "in an entry"
            message = f"the name {short_name(name)} is reserved {where}"
            report.add("invalid-name", (*path, name), message, help="rename the parameter", at_key=True)


def _used_blocks(block: BlockDefinition, definitions: Mapping[str, object]) -> Iterator[tuple[str, int]]:
    """Yields the name of each block that a block uses, and the index of the entry that uses it."""
    for index, entry in enumerate(block.layers):
        kind = entry.get("type") if isinstance(entry, dict) else None
        if isinstance(kind, str) and kind in definitions:
            yield kind, index


def _well_nested_blocks(uses_by_block: Mapping[str, Mapping[str, int]], report: Report) -> set[str]:
    """The blocks that are not on a cycle, not nested too deep, and use no such block. Reports the others.

    Of several cycles only the first is reported. `uses_by_block` has, for each block, the blocks that it uses and the
    index of an entry that does so.
    """
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
                report.add("too-deep", ("blocks", name), f"blocks nest deeper than {MAX_BLOCK_DEPTH} levels")
        order.done(*ready)
    return {name for name, depth in depths.items() if depth <= MAX_BLOCK_DEPTH}


def _report_cycle(cycle: list[str], uses_by_block: Mapping[str, Mapping[str, int]], report: Report) -> None:
    """Reports a cycle, beginning at the block that is defined first."""
    cycle, positions = cycle[:-1], {name: position for position, name in enumerate(uses_by_block)}
    first = min(range(len(cycle)), key=lambda index: positions[cycle[index]])
    cycle = [*cycle[first:], *cycle[:first]]
    uses: list[tuple[JsonPath, str]] = [
        (("blocks", name, "layers", uses_by_block[name][used]), f"{short_name(name)} uses {short_name(used)}")
        for name, used in zip(cycle, [*cycle[1:], cycle[0]], strict=True)
    ]
    message = f"the block {short_name(cycle[0])} uses itself"
    if len(cycle) > 1:
        shown = [*cycle[:MAX_NAMES_SHOWN], *(["..."] if len(cycle) > MAX_NAMES_SHOWN else []), cycle[0]]
        message = f"the blocks {' -> '.join(shown)} use one another in a cycle"
    report.add("cycle", uses[0][0], message, help="a block cannot contain itself", notes=uses[:MAX_NAMES_SHOWN])
