"""The blocks of the standard library in the published schema."""

from __future__ import annotations

from ... import library
from ...core.components import Json
from .schema import ENTRY_KEYS

BLOCK_KIND = "block"
"""Begins the names of the definitions of blocks: `block.MLP`."""


def library_definitions() -> dict[str, dict[str, Json]]:
    """The schema of a use of each block, by the name of the definition."""
    return {_definition_name(type_): _use_schema(type_) for type_ in library.block_types()}


def with_library(layer_call: dict[str, Json]) -> dict[str, Json]:
    """The schema of an entry with the blocks as further values of `type`, each of which allows its keys."""
    properties = layer_call["properties"]
    known_types, *others = properties["type"]["anyOf"]
    types = known_types | {"enum": [*known_types["enum"], *library.block_types()]}
    rules = [
        {
            "if": {"type": "object", "required": ["type"], "properties": {"type": {"enum": [type_]}}},
            "then": {"$ref": f"#/$defs/{_definition_name(type_)}"},
        }
        for type_ in library.block_types()
    ]
    type_schema = properties["type"] | {"anyOf": [types, *others]}
    return layer_call | {"properties": properties | {"type": type_schema}, "allOf": [*layer_call["allOf"], *rules]}


def _definition_name(type_: str) -> str:
    return f"{BLOCK_KIND}.{type_.removeprefix(library.PREFIX)}"


def _use_schema(type_: str) -> dict[str, Json]:
    block = library.block_definitions(type_)[type_]
    parameters = block["parameters"]
    return {
        "type": "object",
        "description": block["description"],
        "properties": {
            **{key: True for key in ENTRY_KEYS if key not in ("type", "use")},
            **{name: _parameter_schema(parameter) for name, parameter in parameters.items()},
            "type": {"enum": [type_]},
        },
        "required": [name for name, parameter in parameters.items() if parameter.get("required")],
        "additionalProperties": False,
    }


def _parameter_schema(parameter: dict[str, Json]) -> dict[str, Json]:
    """The description and the default of a parameter; its value may have any type."""
    return {key: parameter[key] for key in ("description", "default") if key in parameter}
