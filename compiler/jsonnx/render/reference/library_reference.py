"""The reference of the blocks of the standard library."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from textwrap import fill, indent
from typing import Any

from ... import library
from ...analysis.shape_inference import infer_shapes
from ...core.diagnostics import Report
from ...core.system.documentation import page_address
from ...core.types import TensorType
from ...frontend.expansion.expand import expand
from ...frontend.networks.build_network import build_network
from ..text.terminal import TEXT_WIDTH, page_line

TITLE = "Blocks of the standard library"


@dataclass(frozen=True)
class BlockExample:
    """A use of a block, the types of its inputs and outputs by name, and the number of its parameters."""

    entry: dict[str, Any]
    inputs: dict[str, TensorType]
    outputs: dict[str, TensorType]
    parameter_count: int

    def __str__(self) -> str:
        inputs, outputs = (", ".join(map(str, types.values())) for types in (self.inputs, self.outputs))
        return f"{inputs} → {outputs}"


def block_summaries(word: str | None = None) -> dict[str, str]:
    """The first sentence of each block's description, by its type; only of blocks whose reference contains a word."""
    return {type_: _summary(type_) for type_ in library.block_types() if word is None or _contains(type_, word)}


def _summary(type_: str) -> str:
    return _block(type_)["description"].partition(". ")[0].rstrip(".") + "."


def _contains(type_: str, word: str) -> bool:
    block = _block(type_)
    return any(word.casefold() in text.casefold() for text in (type_, block["description"], *block["parameters"]))


def entry_json(type_: str) -> dict[str, Any]:
    """A block in a list, as JSON values."""
    return {"kind": "block", "name": type_, "names": [type_], "summary": _summary(type_)}


def block_json(type_: str) -> dict[str, Any]:
    """The reference of a block as JSON values. A required parameter has no default."""
    example = block_example(type_)
    arguments = [
        {
            "name": name,
            "required": "default" not in parameter,
            **({"default": parameter["default"]} if "default" in parameter else {}),
            "meaning": parameter["description"],
        }
        for name, parameter in _block(type_)["parameters"].items()
    ]
    shapes, definition = [str(example)], library.library_spec(type_)["blocks"]
    return {
        **entry_json(type_),
        "description": _block(type_)["description"],
        "arguments": arguments,
        "example": example.entry,
        "shapes": shapes,
        "blocks": definition,
        **({"page": address} if (address := page_address("block", type_)) else {}),
    }


def block_text(type_: str) -> str:
    """The reference of a block as text, with the spec that defines it."""
    example = block_example(type_)
    lines = [type_, "", fill(_block(type_)["description"], TEXT_WIDTH), ""]
    for title, names in several_values(type_).items():
        lines += [f"  {title}: {', '.join(names)}", ""]
    for name, parameter in _block(type_)["parameters"].items():
        default = _default_text(parameter)
        lines.append(f"  {name}{f' (default {default})' if default else ' (required)'}")
        lines.append(indent(fill(parameter["description"], TEXT_WIDTH - 6), "      "))
    lines += ["", "Example:", "", f"  {json.dumps(example.entry)}", "", f"  {example}"]
    lines += [f"  {example.parameter_count:,} parameters", ""]
    if address := page_address("block", type_):
        lines += [page_line(address), ""]
    lines += ["Definition, as a spec to copy and change:", ""]
    return "\n".join([*lines, library.source_text(type_).rstrip()])


def block_example(type_: str) -> BlockExample:
    """The example of a block; imports onnx."""
    from ...lowering.lower import lower

    spec, report = library.example(type_), Report()
    flat = expand(spec, report)
    assert flat is not None
    network = build_network(flat.document, report)
    assert network is not None
    typed = infer_shapes(network, report)
    report.raise_errors()
    graph = lower(typed)
    weights = [*graph.parameters.values(), *graph.states.values()]
    count = sum(prod(weight.shape) for weight in weights)
    return BlockExample(spec["layers"][-1], dict(typed.inputs), dict(typed.outputs), count)


def _block(type_: str) -> dict[str, Any]:
    return library.block_definitions(type_)[type_]


def several_values(type_: str) -> dict[str, list[str]]:
    """The names of the inputs, and of the outputs, of a block that has more than one, by a title."""
    block = _block(type_)
    inputs, outputs = block.get("inputs"), block.get("outputs")
    if isinstance(inputs, dict):
        inputs = [f"{name} (optional)" if entry.get("optional") else name for name, entry in inputs.items()]
    values = {"inputs, in the order of `from`": inputs, "outputs, the first by default": outputs}
    return {title: [*names] for title, names in values.items() if isinstance(names, (list, dict)) and len(names) > 1}


def _default_text(parameter: dict[str, Any]) -> str:
    """The default of a parameter as JSON; empty if it is required."""
    return json.dumps(parameter["default"]) if "default" in parameter else ""
