"""What a document defines and does not use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report
from ..schema.phrases import short_name
from .block_definitions import BlockDefinition
from .evaluator import Evaluator


def unused_blocks(layers: Json, blocks: Mapping[str, BlockDefinition | None], report: Report) -> list[BlockDefinition]:
    """The blocks that nothing uses, each with a warning."""
    used = _entry_types(layers) | {
        kind for block in blocks.values() if block for kind in _entry_types(block.layers) - {block.name}
    }
    found = [block for name, block in blocks.items() if block and name not in used]
    for block in found:
        message, help = (
            f"nothing uses the block {short_name(block.name)}",
            "use it as the type of an entry, or remove it",
        )
        report.add("unused-block", block.path, message, help=help, at_key=True, severity="warning")
    return found


def _entry_types(layers: Json) -> set[str]:
    entries = [entry for entry in layers if isinstance(entry, dict)] if isinstance(layers, list) else []
    return {entry["type"] for entry in entries if isinstance(entry.get("type"), str)}


def warn_unused_parameters(
    parameters: Mapping[str, Json], path: JsonPath, used_in: Iterable[Json], evaluator: Evaluator, report: Report
) -> None:
    """Warns of parameters that no expression names, and that are not complained of."""
    named = frozenset().union(*(evaluator.names(part) or () for part in (*used_in, *parameters.values())))
    for name in parameters:
        if name not in named and not report.has_errors((*path, name)):
            message, help = (
                f"nothing uses the parameter {short_name(name)}",
                f'write "${{{name}}}" somewhere, or remove it',
            )
            report.add("unused-parameter", (*path, name), message, help=help, at_key=True, severity="warning")


def check_block_inputs(blocks: Iterable[BlockDefinition], used_inputs: set[tuple[str, int]], report: Report) -> None:
    """Reports inputs of blocks, used at least once, that nothing in them takes, however they are used."""
    for block in blocks:
        for number, name in enumerate(block.inputs):
            if (block.name, number) not in used_inputs:
                path = (*block.path, "inputs", number)
                message = f"nothing in the block {short_name(block.name)} takes its input {short_name(name)}"
                report.add("unused-input", path, message, help="take it in a `from`, or remove it")
