"""The arguments of a use of a block."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report, suggested
from ..foreign.foreign_help import replaced_keys
from ..schema.phrases import short_name
from ..schema.schema import ENTRY_KEYS
from .block_definitions import BlockDefinition
from .template import Step


def block_arguments(
    step: Step, block: BlockDefinition, report: Report, notes: Sequence[tuple[JsonPath, str]]
) -> dict[str, Json]:
    """The valid arguments of a use of a block; reports unknown and missing ones."""
    arguments: dict[str, Json] = {}
    names, found = list(block.parameters), set(step.body)
    for key, value in step.body.items():
        path = (*step.path, key)
        if key in ENTRY_KEYS:
            continue
        if key not in block.parameters:
            known = [*names, *(entry_key for entry_key in ENTRY_KEYS if entry_key not in step.body)]
            similar = replaced_keys(key, known) or tuple(report.similar_words(key, known))
            found.update(similar)
            help = suggested(key, similar) or (
                f"its parameters: {', '.join(names)}" if names else "it has no parameters"
            )
            message = f"the block {short_name(block.name)} has no parameter {short_name(key)}"
            report.add("unknown-key", path, message, help=help, at_key=True, notes=notes)
        elif not any(invalid[: len(path)] == path for invalid in step.invalid_paths):
            arguments[key] = value
    for name, parameter in block.parameters.items():
        if not parameter.has_default and name not in found:
            message = f"the block {short_name(block.name)} needs the parameter {short_name(name)}"
            help = parameter.description or f'write "{name}": ... in the entry'
            report.add("missing-key", step.path, message, help=help, notes=notes)
    return arguments
