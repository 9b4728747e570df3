"""The pages of the blocks of the standard library."""

from __future__ import annotations

import json
from collections.abc import Iterator

from jsonnx import library
from jsonnx.render.reference.library_reference import block_example, block_json, several_values

from ..markdown import Lines, code_block, section, spec_block, table
from .records import Record


def block_lines(record: Record) -> Iterator[str]:
    """The lines of a page below its title, to the names elsewhere."""
    reference, example = block_json(record.name), block_example(record.name)
    yield f"Block of the standard library. {reference['description']}"
    yield from section("Example", spec_block(library.example(record.name)))
    yield from section("Arguments", _argument_table(reference["arguments"]))
    inputs, outputs = (", ".join(f"`{type}`" for type in types.values()) for types in (example.inputs, example.outputs))
    yield from section("Shapes", table(("inputs", "results"), [(inputs, outputs)]))
    notes = [
        f"- {title[:1].upper()}{title[1:]}: `{'`, `'.join(names)}`"
        for title, names in several_values(record.name).items()
    ]
    yield from ("", f"- Parameters of the example: {example.parameter_count:,}", *notes)
    definition = code_block("json", library.source_text(record.name))
    yield from section("Definition", ["", "As a spec to copy and change:", *definition])


def _argument_table(arguments: list[dict[str, object]]) -> Lines:
    rows = [
        (
            f"`{argument['name']}`",
            f"`{json.dumps(argument['default'])}`" if "default" in argument else "required",
            str(argument["meaning"]),
        )
        for argument in arguments
    ]
    return table(("argument", "default", "meaning"), rows)
