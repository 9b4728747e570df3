"""The texts about layers, other components and keys, as Markdown, from `jsonnx layers` and the schema."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from ... import library
from ...core.components import Component
from ...core.system.documentation import page_address
from ...frontend.schema.phrases import schema_phrase
from ...layers import LAYERS
from ...render.reference.component_reference import (
    KINDS,
    Argument,
    address_of,
    arguments_of,
    description,
    registry_of,
)
from ...render.reference.formula_notes import formula_notes
from ..documents.schema_lookup import Schema

TEXT_WIDTH_OF_DEFAULTS = 60


def component(kind: str, name: str) -> type[Component] | None:
    """The layer or other component of a kind with a name or an alias."""
    registry = LAYERS if kind == LAYERS.kind else KINDS.get(kind)
    return registry.by_name.get(name) if registry is not None else None


def component_text(kind: str, name: str) -> str | None:
    """The reference of a component, or of a block of the library, with a link to its page if the address of the site
    is set; None if there is none."""
    text, found = _reference(kind, name), component(kind, name)
    address = address_of(found) if found is not None else page_address("block", name)
    return f"{text}\n\n[Documentation]({address})" if text is not None and address else text


@cache
def _reference(kind: str, name: str) -> str | None:
    found = component(kind, name)
    if found is not None:
        rows = [_argument_line(argument) for argument in arguments_of(found)]
        formula = f"\n\n```python\n{found.formula}\n```\n{' '.join(formula_notes(found))}" if found.formula else ""
        return _text(found.type_name, registry_of(found).kind, description(found) + formula, rows)
    if kind == LAYERS.kind and name in library.block_types():
        block: dict[str, Any] = library.block_definitions(name)[name]
        parameters = block["parameters"].items()
        rows = [_line(key, "", parameter.get("description", ""), parameter) for key, parameter in parameters]
        return _text(name, "block of the library", block["description"], rows)
    return None


def _text(name: str, kind: str, text: str, rows: Iterable[str]) -> str:
    return "\n".join([f"**{name}** ({kind})", "", text, "", *rows]).rstrip()


def _argument_line(argument: Argument) -> str:
    default = {} if argument.is_required else {"default": argument.default}
    return _line(argument.name, argument.type, argument.meaning, default)


def _line(name: str, phrase: str, meaning: str, schema: Schema) -> str:
    default = f"default `{_short(schema['default'])}`" if "default" in schema else "required"
    return f"- `{name}`: {', '.join(filter(None, (phrase, default)))}. {meaning}"


def key_text(key: str, schema: Schema, argument: Argument | None = None) -> str:
    """The description of a key, the values that it allows and its default."""
    if argument is not None:
        meaning, phrase = argument.meaning, argument.type
        default = None if argument.is_required else _short(argument.default)
    else:
        meaning, phrase = str(schema.get("description", "")), _phrase(schema)
        default = _short(schema["default"]) if "default" in schema else None
    lines = [f"**{key}**" + (f": {phrase}" if phrase else ""), "", meaning]
    return "\n".join([*lines, *(["", f"Default: `{default}`"] if default is not None else [])]).rstrip()


def _phrase(schema: Schema) -> str:
    """The values that a schema allows in words; empty if it does not say."""
    try:
        return schema_phrase(dict(schema))
    except (KeyError, IndexError, TypeError, StopIteration):
        return ""


def argument_of(kind: str, name: str | None, key: str) -> Argument | None:
    """The argument of a component with a name; None if there is none."""
    found = component(kind, name) if name is not None else None
    if found is None:
        return None
    return next((argument for argument in arguments_of(found) if argument.name == key), None)


def summary(kind: str, name: str) -> str:
    """One line about a component, a layer or a block of the library."""
    found = component(kind, name)
    if found is not None:
        return found.summary()
    if name in library.block_types():
        return str(library.block_definitions(name)[name]["description"]).partition(". ")[0].rstrip(".") + "."
    return ""


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= TEXT_WIDTH_OF_DEFAULTS else f"{text[: TEXT_WIDTH_OF_DEFAULTS - 1]}…"
