"""Unused blocks, parameters and inputs of blocks."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from ...core.components import Json
from ...core.diagnostics import Report
from ...core.fixes import remove_key
from ..schema.phrases import short_name
from .block_definitions import BlockDefinition
from .evaluator import Evaluator
from .parameters import Parameter


def warn_unused_blocks(layers: Json, blocks: Sequence[BlockDefinition], report: Report) -> list[BlockDefinition]:
    """Warns of the blocks that no entry uses, and returns them."""
    used_names = _entry_types(layers) | {kind for block in blocks for kind in _entry_types(block.layers) - {block.name}}
    unused = [block for block in blocks if block.name not in used_names]
    for block in unused:
        message = f"nothing uses the block {short_name(block.name)}"
        help = "use it as the type of an entry, or remove it"
        fix = remove_key(block.path, is_safe=False)
        report.add("unused-block", block.path, message, help=help, at_key=True, severity="warning", fix=fix)
    return unused


def _entry_types(layers: Json) -> set[str]:
    """The types of the entries of `layers`."""
    entries = [entry for entry in layers if isinstance(entry, dict)] if isinstance(layers, list) else []
    return {entry["type"] for entry in entries if isinstance(entry.get("type"), str)}


def warn_unused_parameters(
    parameters: Mapping[str, Parameter], used_names: frozenset[str], evaluator: Evaluator, report: Report
) -> None:
    """Warns of the parameters that are not among `used_names`, occur in no expression of another parameter, and are not
    meant by a misspelled name."""
    names_in_defaults = (evaluator.names(parameter.default) or () for parameter in parameters.values())
    used_names = used_names.union(evaluator.meant_names, *names_in_defaults)
    for name, parameter in parameters.items():
        if name not in used_names and not report.has_errors(parameter.path):
            message = f"nothing uses the parameter {short_name(name)}"
            help = f'write "${{{name}}}" somewhere, or remove it'
            report.add("unused-parameter", parameter.path, message, help=help, at_key=True, severity="warning")


def warn_unused_globals(
    blocks: Iterable[BlockDefinition],
    names_in_block: Mapping[str, Container[str]],
    meant: Container[str],
    report: Report,
) -> None:
    """Warns once of globals that no expression of their block reads, and are not meant by a misspelled name."""
    unused = [
        (block, name, (*block.path, "globals", index))
        for block in blocks
        for index, name in enumerate(block.globals)
        if name not in names_in_block[block.name] and name not in meant
    ]
    unused = [item for item in unused if not report.has_errors(item[2])]
    if unused:
        block, name, path = unused[0]
        message = f"no expression of the block {short_name(block.name)} reads the parameter {short_name(name)}"
        notes = [
            (path, f"nor does {short_name(block.name)} read {short_name(name)}") for block, name, path in unused[1:]
        ]
        help = (
            "remove it: `globals` is what the block's own expressions read, and a block inside it has its own `globals`"
        )
        report.add("unused-parameter", path, message, help=help, notes=notes, severity="warning")


def check_block_inputs(blocks: Iterable[BlockDefinition], used_inputs: set[tuple[str, int]], report: Report) -> None:
    """Reports the inputs of blocks that no layer takes in any use of the block; `used_inputs` are name and number."""
    for block in blocks:
        for number, name in enumerate(block.inputs):
            if (block.name, number) not in used_inputs:
                message = f"no layer in the block {short_name(block.name)} takes its input {short_name(name)}"
                help = "name it in a `from`, or remove it"
                path, at_key = block.input_path(number), block.has_input_objects
                report.add("unused-input", path, message, help=help, at_key=at_key)
