"""The canonical format of a document: the order of keys and the layout.

The formatted text has the same JSON value as the `Source`. It depends only on that value and on the spelling of its
numbers. The document may be invalid as a spec. The components' codecs define the order of attributes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from ...core.components import (
    ArrayCodec,
    Codec,
    Component,
    ComponentCodec,
    DictCodec,
    NullableCodec,
    SectionCodec,
    UnionCodec,
)
from ...layers import LAYERS, Layer
from ...sections.budget_section import BudgetSection
from ...sections.lint_section import LintSection
from ...sections.quantization_section import QUANTIZATION_KEY, VARIANTS_CODEC
from ...sections.sweep_section import SweepSection
from ...sections.training_section import Training
from ..json.json_reader import Json, Source
from ..schema.schema import ENTRY_KEYS, PARAMETER_KEYS

LINE_WIDTH = 120
"""Columns of a line; only a single scalar may exceed it."""

TOP_KEY_ORDER = (
    *("$schema", "version", "name", "description", "parameters", "scales"),
    *("blocks", "inputs", "layers", "outputs", "labels", "training", "quantization", "sweep", "budget", "lint"),
)
BLOCK_KEY_ORDER = ("description", "parameters", "globals", "inputs", "names", "layers", "outputs")
INPUT_KEY_ORDER = ("shape", "dtype", "description", "repeat")
SIZE_ATTRIBUTES = ("units", "filters", "kernel_size", "pool_size", "strides", "padding")
WEIGHT_COMPONENT_KINDS = ("initializer", "regularizer", "constraint")


class NumberLiteral(NamedTuple):
    """A number as spelled in the source: `1e-3` remains `1e-3`."""

    text: str


class MultilineList(list[Any]):
    """A list that is written with one line per item, even if it would fit on one line."""


JsonNode = Any
"""A JSON value with `NumberLiteral`s for numbers."""


def format_source(source: Source) -> str:
    """The canonical text of a document, including the last line end."""
    return format_document(with_number_literals(source).value)


def with_number_literals(source: Source) -> Source:
    """The source with a `NumberLiteral` in place of each number, so that values can be replaced before it is
    formatted."""
    return replace(source, value=_with_number_literals(source.value, _number_literals(source.text)))


def format_document(document: JsonNode) -> str:
    """The canonical text of a value, including the last line end."""
    document = with_ordered_keys(document)
    is_filled_object = isinstance(document, dict) and bool(document)
    return (_on_many_lines(document, 0) if is_filled_object else _value_text(document, 0, 0)) + "\n"


def inserted_text(value: JsonNode, used_columns: int) -> str:
    """The text of a value that is written into a formatted document: on the rest of a line if it fits, else on
    several lines, whose indentation is relative to the first's."""
    return _value_text(value, 0, used_columns)


def without_nulls(document: JsonNode) -> JsonNode:
    """A document without the keys of objects whose value is null, at all depths.

    Language models with structured output write null for a key that is absent. Items of arrays stay.
    """
    if isinstance(document, dict):
        return {key: without_nulls(value) for key, value in document.items() if value is not None}
    return [*map(without_nulls, document)] if isinstance(document, list) else document


# -- numbers as spelled in the source ----------------------------------------------------------------------------------

_NUMBER_OR_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"|(-?[0-9][0-9.eE+-]*+)')


def _number_literals(text: str) -> Iterator[str]:
    """Yields the numbers of a JSON text in order, which is also the order of the values read from it."""
    return (match[1] for match in _NUMBER_OR_STRING.finditer(text) if match[1])


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
    """The document with its keys in canonical order; unknown keys come last, in their order."""
    if not isinstance(document, dict):
        return document
    blocks = document.get("blocks")
    blocks = blocks if isinstance(blocks, dict) else {}

    def order_layers(layers: JsonNode) -> JsonNode:
        return MultilineList(_order_entry(entry, blocks) for entry in layers) if isinstance(layers, list) else layers

    def order_parameters(parameters: JsonNode) -> JsonNode:
        return _map_values(parameters, lambda value: _order_keys(value, PARAMETER_KEYS))

    orderers: dict[str, Callable[[JsonNode], JsonNode]] = {
        "parameters": order_parameters,
        "inputs": lambda inputs: _map_values(inputs, lambda entry: _order_keys(entry, INPUT_KEY_ORDER)),
        "blocks": lambda blocks: _map_values(
            blocks,
            lambda block: _map_by_key(
                _order_keys(block, BLOCK_KEY_ORDER), {"parameters": order_parameters, "layers": order_layers}
            ),
        ),
        "layers": order_layers,
        "training": lambda training: _order_by_codec(training, NullableCodec(SectionCodec(Training))),
        QUANTIZATION_KEY: lambda variants: _order_by_codec(variants, VARIANTS_CODEC),
        "budget": lambda budget: _order_by_codec(budget, NullableCodec(SectionCodec(BudgetSection))),
        "sweep": lambda sweep: _order_by_codec(sweep, NullableCodec(SectionCodec(SweepSection))),
        "lint": lambda lint: _order_by_codec(lint, NullableCodec(SectionCodec(LintSection))),
    }
    return _map_by_key(_order_keys(document, TOP_KEY_ORDER), orderers)


def _order_keys(value: JsonNode, keys: Iterable[str]) -> JsonNode:
    return {key: value[key] for key in keys if key in value} | value if isinstance(value, dict) else value


def _map_values(value: JsonNode, function: Callable[[JsonNode], JsonNode]) -> JsonNode:
    """Applies a function to all values of an object."""
    return {key: function(item) for key, item in value.items()} if isinstance(value, dict) else value


def _map_by_key(value: JsonNode, functions: Mapping[str, Callable[[JsonNode], JsonNode]]) -> JsonNode:
    """Applies a function per key to the values of an object."""
    if not isinstance(value, dict):
        return value
    return {key: functions[key](item) if key in functions else item for key, item in value.items()}


def _order_entry(entry: JsonNode, blocks: Mapping[str, JsonNode]) -> JsonNode:
    """Orders the keys of a layer, or of a use of a block, whose arguments are ordered like the block's parameters."""
    kind = entry.get("type") if isinstance(entry, dict) else None
    block = blocks.get(kind) if isinstance(kind, str) else None
    if isinstance(block, dict):
        parameters = block.get("parameters")
        return _order_keys(entry, (*ENTRY_KEYS, *(parameters if isinstance(parameters, dict) else ())))
    return _order_component(entry, ComponentCodec(LAYERS), ENTRY_KEYS)


def _order_by_codec(value: JsonNode, codec: Codec) -> JsonNode:
    if isinstance(codec, NullableCodec):
        return _order_by_codec(value, codec.codec)
    if isinstance(codec, UnionCodec):
        alternative = next((alternative for accepts, alternative in codec.codecs if accepts(value)), None)
        return _order_by_codec(value, alternative) if alternative is not None else value
    if isinstance(codec, ArrayCodec):
        return [_order_by_codec(item, codec.codec) for item in value] if isinstance(value, list) else value
    if isinstance(codec, DictCodec):
        return _map_values(value, lambda item: _order_by_codec(item, codec.codec))
    if isinstance(codec, SectionCodec):
        return _order_attributes(value, codec.section, ())
    return _order_component(value, codec, ("type",)) if isinstance(codec, ComponentCodec) else value


def _order_component(value: JsonNode, codec: ComponentCodec, leading_keys: tuple[str, ...]) -> JsonNode:
    kind = value.get("type") if isinstance(value, dict) else None
    component = codec.registry.by_name.get(kind) if isinstance(kind, str) else None
    return _order_attributes(value, component, leading_keys) if component else _order_keys(value, leading_keys)


def _order_attributes(value: JsonNode, component: type[Component], leading_keys: tuple[str, ...]) -> JsonNode:
    orderers = {name: _orderer_for(codec) for name, codec in component.codecs().items()}
    return _map_by_key(_order_keys(value, (*leading_keys, *attribute_order(component))), orderers)  # type: ignore[arg-type]


@cache
def attribute_order(component: type[Component]) -> list[str]:
    """The attributes of a component in canonical order.

    Sizes come first, then required attributes, others, initializers, regularizers and constraints, and the attributes
    of all layers; within each group in the order of the schema. Sections are in the order of the schema.
    """
    codecs = component.codecs()
    if not component.has_type_key:
        return list(component.attributes)

    def rank(name: str) -> int:
        if name in Layer.attributes:
            return len(SIZE_ATTRIBUTES) + 3
        if name in SIZE_ATTRIBUTES:
            return SIZE_ATTRIBUTES.index(name)
        concerns_weights = (
            isinstance(codec := _unwrap_nullable(codecs[name]), ComponentCodec)
            and codec.registry.kind in WEIGHT_COMPONENT_KINDS
        )
        return len(SIZE_ATTRIBUTES) + (2 if concerns_weights else 0 if name in component.required_attributes() else 1)

    return sorted(component.attributes, key=rank)


def _unwrap_nullable(codec: Codec) -> Codec:
    return codec.codec if isinstance(codec, NullableCodec) else codec


def _orderer_for(codec: Codec) -> Callable[[JsonNode], JsonNode]:
    return lambda value: _order_by_codec(value, codec)


# -- layout ------------------------------------------------------------------------------------------------------------

_INVISIBLE_CHARACTERS = re.compile("[\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Invisible characters, and characters that change the direction of text. They are written as escapes."""

_encode_string = json.JSONEncoder(ensure_ascii=False).encode


def json_string(text: str) -> str:
    """A string as JSON, with escapes only where JSON requires them and for invisible characters."""
    return _INVISIBLE_CHARACTERS.sub(lambda match: f"\\u{ord(match[0]):04x}", _encode_string(text))


def _scalar_text(value: JsonNode) -> str:
    if isinstance(value, NumberLiteral):
        return value.text
    return json_string(value) if isinstance(value, str) else json.dumps(value)


def _is_scalar(value: JsonNode) -> bool:
    return not isinstance(value, (dict, list))


def _on_one_line(node: JsonNode, max_columns: int) -> str | None:
    """The value on one line, or None if that has more than `max_columns` columns."""
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
    content = ", ".join(parts)
    return f"{{{content}}}" if items is not None else f"[{content}]"


def _value_text(node: JsonNode, indent: int, used_columns: int) -> str:
    """The value as lines. The first line has `used_columns` columns already; a comma may follow the last."""
    if _is_scalar(node):
        return _scalar_text(node)
    line = _on_one_line(node, LINE_WIDTH - used_columns - 1)
    return line if line is not None else _on_many_lines(node, indent)


def _on_many_lines(node: JsonNode, indent: int) -> str:
    """An object or a list on several lines, the last indented by `indent` columns."""
    inner_indent = indent + 2
    space = " " * inner_indent
    rows = _component_rows(node, indent + 1) if isinstance(node, dict) and ("type" in node or "use" in node) else None
    if rows is not None:
        return rows
    if isinstance(node, dict):
        keys = {key: f"{space}{json_string(key)}: " for key in node}
        lines = [keys[key] + _value_text(item, inner_indent, len(keys[key])) for key, item in node.items()]
    elif all(map(_is_scalar, node)):
        lines = _fill_lines([_scalar_text(item) for item in node], space)
    else:
        lines = [space + _value_text(item, inner_indent, inner_indent) for item in node]
    opened, closed = "{}" if isinstance(node, dict) else "[]"
    return "\n".join([opened, ",\n".join(lines), " " * indent + closed])


def _component_rows(node: dict[str, JsonNode], indent: int) -> str | None:
    """A component with as many attributes per line as fit, or None if an attribute needs several lines."""
    max_columns = LINE_WIDTH - indent - 2  # a bracket and a comma may follow
    items = [(f"{json_string(key)}: ", item) for key, item in node.items()]
    texts = [(key, _on_one_line(item, max_columns - len(key))) for key, item in items]
    if any(text is None for _, text in texts):
        return None
    attributes = [f"{key}{text}" for key, text in texts]
    attributes[-1] += "}"
    return "{" + ",\n".join(_fill_lines(attributes, " " * indent))[indent:]


def _fill_lines(items: list[str], indentation: str) -> list[str]:
    """Lines with as many items each as fit."""
    lines: list[list[str]] = []
    used_columns = LINE_WIDTH
    for item in items:
        if used_columns + len(item) + 2 > LINE_WIDTH:
            lines.append([])
            used_columns = len(indentation) - 1  # no space after the last comma
        lines[-1].append(item)
        used_columns += len(item) + 2
    return [indentation + ", ".join(line) for line in lines]
