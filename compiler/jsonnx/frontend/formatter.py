"""The canonical text of a document: layout and order of keys, of what was read, whether it makes sense or not.

Comes in: a `Source`. Goes out: a text with the same JSON value, which depends on that value and on how its numbers are
written alone. Imports the bricks' forms, for the order of their attributes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from ..core.components import ArrayCodec, Codec, Component, ComponentCodec, NullableCodec, SectionCodec, UnionCodec
from ..layers import LAYERS, Layer
from ..training.section import DictCodec, Training
from .json_reader import Json, Source

LINE_WIDTH = 120
"""Columns of a line, where what is on it can be broken at all."""

TOP_KEY_ORDER = (
    *("$schema", "version", "name", "description", "parameters", "scales"),
    *("blocks", "inputs", "layers", "outputs", "labels", "training"),
)
BLOCK_KEY_ORDER = ("description", "parameters", "inputs", "names", "layers", "outputs")
INPUT_KEY_ORDER = ("shape", "dtype")
ENTRY_KEY_ORDER = ("type", "use", "name", "from", "repeat")
SIZE_ATTRIBUTES = ("units", "filters", "kernel_size", "pool_size", "strides", "padding")
WEIGHT_COMPONENT_KINDS = ("initializer", "regularizer", "constraint")


class NumberLiteral(NamedTuple):
    """A number as it was written: `1e-3` stays `1e-3`."""

    text: str


class MultilineList(list[Any]):
    """A list with a line for each of its items, however short they are."""


JsonNode = Any
"""A JSON value with `NumberLiteral`s for numbers."""


def format_source(source: Source) -> str:
    """The canonical text of a document, its last line ended."""
    document = with_ordered_keys(_with_number_literals(source.value, _number_literals(source.text)))
    return (
        _on_many_lines(document, 0) if isinstance(document, dict) and document else _value_text(document, 0, 0)
    ) + "\n"


# -- numbers as written ------------------------------------------------------------------------------------------------

_NUMBER_OR_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"|(-?[0-9][0-9.eE+-]*+)')


def _number_literals(text: str) -> Iterator[str]:
    """The numbers of a JSON text in its order, which is that of the values read from it."""
    return (found[1] for found in _NUMBER_OR_STRING.finditer(text) if found[1])


def _with_number_literals(value: Json, numbers: Iterator[str]) -> JsonNode:
    if isinstance(value, dict):
        return {key: _with_number_literals(item, numbers) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_number_literals(item, numbers) for item in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return NumberLiteral(next(numbers, None) or json.dumps(value))
    return value


# -- order of keys -----------------------------------------------------------------------------------------------------


def with_ordered_keys(document: JsonNode) -> JsonNode:
    """The document with its keys in the language's order; those that it does not know come last, as they stand."""
    if not isinstance(document, dict):
        return document
    blocks = document.get("blocks")
    blocks = blocks if isinstance(blocks, dict) else {}

    def entries(layers: JsonNode) -> JsonNode:
        return MultilineList(_order_entry(entry, blocks) for entry in layers) if isinstance(layers, list) else layers

    parts: dict[str, Callable[[JsonNode], JsonNode]] = {
        "inputs": lambda inputs: _map_values(inputs, lambda entry: _order_keys(entry, INPUT_KEY_ORDER)),
        "blocks": lambda blocks: _map_values(
            blocks, lambda block: _map_by_key(_order_keys(block, BLOCK_KEY_ORDER), {"layers": entries})
        ),
        "layers": entries,
        "training": lambda training: _order_by_codec(training, NullableCodec(SectionCodec(Training))),
    }
    return _map_by_key(_order_keys(document, TOP_KEY_ORDER), parts)


def _order_keys(value: JsonNode, keys: Iterable[str]) -> JsonNode:
    return {key: value[key] for key in keys if key in value} | value if isinstance(value, dict) else value


def _map_values(value: JsonNode, change: Callable[[JsonNode], JsonNode]) -> JsonNode:
    return {key: change(item) for key, item in value.items()} if isinstance(value, dict) else value


def _map_by_key(value: JsonNode, parts: Mapping[str, Callable[[JsonNode], JsonNode]]) -> JsonNode:
    if not isinstance(value, dict):
        return value
    return {key: parts[key](item) if key in parts else item for key, item in value.items()}


def _order_entry(entry: JsonNode, blocks: Mapping[str, JsonNode]) -> JsonNode:
    """A layer, or the use of a block, whose arguments stand as its parameters do."""
    kind = entry.get("type") if isinstance(entry, dict) else None
    block = blocks.get(kind) if isinstance(kind, str) else None
    if isinstance(block, dict):
        parameters = block.get("parameters")
        return _order_keys(entry, (*ENTRY_KEY_ORDER, *(parameters if isinstance(parameters, dict) else ())))
    return _order_component(entry, ComponentCodec(LAYERS), ENTRY_KEY_ORDER)


def _order_by_codec(value: JsonNode, codec: Codec) -> JsonNode:
    if isinstance(codec, NullableCodec):
        return _order_by_codec(value, codec.codec)
    if isinstance(codec, UnionCodec):
        meant = next((form for fits, form in codec.codecs if fits(value)), None)
        return _order_by_codec(value, meant) if meant is not None else value
    if isinstance(codec, ArrayCodec):
        return [_order_by_codec(item, codec.codec) for item in value] if isinstance(value, list) else value
    if isinstance(codec, DictCodec):
        return _map_values(value, lambda item: _order_by_codec(item, codec.codec))
    if isinstance(codec, SectionCodec):
        return _order_attributes(value, codec.section, ())
    return _order_component(value, codec, ("type",)) if isinstance(codec, ComponentCodec) else value


def _order_component(value: JsonNode, codec: ComponentCodec, leading_keys: tuple[str, ...]) -> JsonNode:
    kind = value.get("type") if isinstance(value, dict) else None
    brick = codec.registry.by_name.get(kind) if isinstance(kind, str) else None
    return _order_attributes(value, brick, leading_keys) if brick else _order_keys(value, leading_keys)


def _order_attributes(value: JsonNode, component: type[Component], leading_keys: tuple[str, ...]) -> JsonNode:
    inside = {name: _orderer_for(form) for name, form in component.codecs().items()}
    return _map_by_key(_order_keys(value, (*leading_keys, *attribute_order(component))), inside)  # type: ignore[arg-type]


@cache
def attribute_order(component: type[Component]) -> list[str]:
    """The attributes of a brick as people read them: sizes, what must be there, what else decides the result, how
    weights begin and are held, and at last what all layers have. Within each the schema's order, as in sections."""
    forms = component.codecs()
    if not component.has_type_key:
        return list(component.attributes)

    def rank(name: str) -> int:
        if name in Layer.attributes:
            return len(SIZE_ATTRIBUTES) + 3
        if name in SIZE_ATTRIBUTES:
            return SIZE_ATTRIBUTES.index(name)
        about_weights = (
            isinstance(form := _unwrap_nullable(forms[name]), ComponentCodec)
            and form.registry.kind in WEIGHT_COMPONENT_KINDS
        )
        return len(SIZE_ATTRIBUTES) + (2 if about_weights else 0 if name in component.required_attributes() else 1)

    return sorted(component.attributes, key=rank)


def _unwrap_nullable(codec: Codec) -> Codec:
    return codec.codec if isinstance(codec, NullableCodec) else codec


def _orderer_for(codec: Codec) -> Callable[[JsonNode], JsonNode]:
    return lambda value: _order_by_codec(value, codec)


# -- layout ------------------------------------------------------------------------------------------------------------

_INVISIBLE_CHARACTERS = re.compile("[\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""What does not show, or reorders the line that it is on: it is written as an escape."""


_encode_string = json.JSONEncoder(ensure_ascii=False).encode


def json_string(text: str) -> str:
    """A string as JSON, with escapes only where they must be or nobody would see the character."""
    return _INVISIBLE_CHARACTERS.sub(lambda found: f"\\u{ord(found[0]):04x}", _encode_string(text))


def _scalar_text(value: JsonNode) -> str:
    if isinstance(value, NumberLiteral):
        return value.text
    return json_string(value) if isinstance(value, str) else json.dumps(value)


def _is_scalar(value: JsonNode) -> bool:
    return not isinstance(value, (dict, list))


def _on_one_line(node: JsonNode, max_columns: int) -> str | None:
    """The value on one line, where that has at most `max_columns` columns."""
    if isinstance(node, MultilineList) and node:
        return None
    if _is_scalar(node):
        scalar = _scalar_text(node)
        return scalar if len(scalar) <= max_columns else None
    items = [(f"{json_string(key)}: ", item) for key, item in node.items()] if isinstance(node, dict) else None
    parts: list[str] = []
    max_columns -= 2  # the brackets
    for key, item in items if items is not None else (("", item) for item in node):
        text = _on_one_line(item, max_columns - len(key))
        if text is None:
            return None
        parts.append(key + text)
        max_columns -= len(key) + len(text) + 2  # and a comma with its space
    inside = ", ".join(parts)
    return f"{{{inside}}}" if items is not None else f"[{inside}]"


def _value_text(node: JsonNode, indent: int, used_columns: int) -> str:
    """The value as lines, the first of which has `used_columns` columns already; a comma may follow the last."""
    if _is_scalar(node):
        return _scalar_text(node)
    flat = _on_one_line(node, LINE_WIDTH - used_columns - 1)
    return flat if flat is not None else _on_many_lines(node, indent)


def _on_many_lines(node: JsonNode, indent: int) -> str:
    inner = indent + 2
    space = " " * inner
    row = _component_rows(node, indent + 1) if isinstance(node, dict) and ("type" in node or "use" in node) else None
    if row is not None:
        return row
    if isinstance(node, dict):
        keys = {key: f"{space}{json_string(key)}: " for key in node}
        lines = [keys[key] + _value_text(item, inner, len(keys[key])) for key, item in node.items()]
    elif all(map(_is_scalar, node)):
        lines = _fill_lines([_scalar_text(item) for item in node], space)
    else:
        lines = [space + _value_text(item, inner, inner) for item in node]
    opened, closed = "{}" if isinstance(node, dict) else "[]"
    return "\n".join([opened, ",\n".join(lines), " " * indent + closed])


def _component_rows(node: dict[str, JsonNode], indent: int) -> str | None:
    """A layer, or another brick, as a row that goes on in further lines; None where an attribute needs several."""
    room = LINE_WIDTH - indent - 2  # a bracket and a comma may follow
    items = [(f"{json_string(key)}: ", item) for key, item in node.items()]
    texts = [(key, _on_one_line(item, room - len(key))) for key, item in items]
    if any(text is None for _, text in texts):
        return None
    attributes = [f"{key}{text}" for key, text in texts]
    attributes[-1] += "}"
    return "{" + ",\n".join(_fill_lines(attributes, " " * indent))[indent:]


def _fill_lines(items: list[str], indentation: str) -> list[str]:
    """Texts, as many to a line as go there."""
    lines: list[list[str]] = []
    used = LINE_WIDTH
    for item in items:
        if used + len(item) + 2 > LINE_WIDTH:
            lines.append([])
            used = len(indentation) - 1  # no space after the last comma
        lines[-1].append(item)
        used += len(item) + 2
    return [indentation + ", ".join(line) for line in lines]
