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

from ..core.components import Array, Brick, BrickForm, Form, OneOf, Optional_, SectionForm
from ..layers import LAYERS, Layer
from ..training.section import ByName, Training
from .json_reader import Json, Source

WIDTH = 120
"""Columns of a line, where what is on it can be broken at all."""

TOP = (
    *("$schema", "version", "name", "description", "parameters", "scales"),
    *("blocks", "inputs", "layers", "outputs", "labels", "training"),
)
BLOCK = ("description", "parameters", "inputs", "names", "layers", "outputs")
INPUT = ("shape", "dtype")
ENTRY = ("type", "use", "name", "from", "repeat")
SIZES = ("units", "filters", "kernel_size", "pool_size", "strides", "padding")
WEIGHTS = ("initializer", "regularizer", "constraint")


class Number(NamedTuple):
    """A number as it was written: `1e-3` stays `1e-3`."""

    text: str


class Lines(list[Any]):
    """A list with a line for each of its items, however short they are."""


Node = Any
"""A JSON value with `Number`s for numbers."""


def formatted(source: Source) -> str:
    """The canonical text of a document, its last line ended."""
    document = arranged(_literal(source.value, _numbers(source.text)))
    return (_broken(document, 0) if isinstance(document, dict) and document else _text(document, 0, 0)) + "\n"


# -- numbers as written ------------------------------------------------------------------------------------------------

_NUMBER_OR_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"|(-?[0-9][0-9.eE+-]*+)')


def _numbers(text: str) -> Iterator[str]:
    """The numbers of a JSON text in its order, which is that of the values read from it."""
    return (found[1] for found in _NUMBER_OR_STRING.finditer(text) if found[1])


def _literal(value: Json, numbers: Iterator[str]) -> Node:
    if isinstance(value, dict):
        return {key: _literal(item, numbers) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item, numbers) for item in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Number(next(numbers, None) or json.dumps(value))
    return value


# -- order of keys -----------------------------------------------------------------------------------------------------


def arranged(document: Node) -> Node:
    """The document with its keys in the language's order; those that it does not know come last, as they stand."""
    if not isinstance(document, dict):
        return document
    blocks = document.get("blocks")
    blocks = blocks if isinstance(blocks, dict) else {}

    def entries(layers: Node) -> Node:
        return Lines(_entry(entry, blocks) for entry in layers) if isinstance(layers, list) else layers

    parts: dict[str, Callable[[Node], Node]] = {
        "inputs": lambda inputs: _each(inputs, lambda entry: _ordered(entry, INPUT)),
        "blocks": lambda blocks: _each(blocks, lambda block: _with(_ordered(block, BLOCK), {"layers": entries})),
        "layers": entries,
        "training": lambda training: _in_form(training, Optional_(SectionForm(Training))),
    }
    return _with(_ordered(document, TOP), parts)


def _ordered(value: Node, keys: Iterable[str]) -> Node:
    return {key: value[key] for key in keys if key in value} | value if isinstance(value, dict) else value


def _each(value: Node, change: Callable[[Node], Node]) -> Node:
    return {key: change(item) for key, item in value.items()} if isinstance(value, dict) else value


def _with(value: Node, parts: Mapping[str, Callable[[Node], Node]]) -> Node:
    if not isinstance(value, dict):
        return value
    return {key: parts[key](item) if key in parts else item for key, item in value.items()}


def _entry(entry: Node, blocks: Mapping[str, Node]) -> Node:
    """A layer, or the use of a block, whose arguments stand as its parameters do."""
    kind = entry.get("type") if isinstance(entry, dict) else None
    block = blocks.get(kind) if isinstance(kind, str) else None
    if isinstance(block, dict):
        parameters = block.get("parameters")
        return _ordered(entry, (*ENTRY, *(parameters if isinstance(parameters, dict) else ())))
    return _brick(entry, BrickForm(LAYERS), ENTRY)


def _in_form(value: Node, form: Form) -> Node:
    if isinstance(form, Optional_):
        return _in_form(value, form.form)
    if isinstance(form, OneOf):
        meant = next((form for fits, form in form.forms if fits(value)), None)
        return _in_form(value, meant) if meant is not None else value
    if isinstance(form, Array):
        return [_in_form(item, form.form) for item in value] if isinstance(value, list) else value
    if isinstance(form, ByName):
        return _each(value, lambda item: _in_form(item, form.form))
    if isinstance(form, SectionForm):
        return _attributes(value, form.section, ())
    return _brick(value, form, ("type",)) if isinstance(form, BrickForm) else value


def _brick(value: Node, form: BrickForm, first: tuple[str, ...]) -> Node:
    kind = value.get("type") if isinstance(value, dict) else None
    brick = form.family.names.get(kind) if isinstance(kind, str) else None
    return _attributes(value, brick, first) if brick else _ordered(value, first)


def _attributes(value: Node, brick: type[Brick], first: tuple[str, ...]) -> Node:
    inside = {name: _into(form) for name, form in brick.forms().items()}
    return _with(_ordered(value, (*first, *reading_order(brick))), inside)  # type: ignore[arg-type]


@cache
def reading_order(brick: type[Brick]) -> list[str]:
    """The attributes of a brick as people read them: sizes, what must be there, what else decides the result, how
    weights begin and are held, and at last what all layers have. Within each the schema's order, as in sections."""
    forms = brick.forms()
    if not brick.tagged:
        return list(brick.attributes)

    def rank(name: str) -> int:
        if name in Layer.attributes:
            return len(SIZES) + 3
        if name in SIZES:
            return SIZES.index(name)
        about_weights = isinstance(form := _inner(forms[name]), BrickForm) and form.family.kind in WEIGHTS
        return len(SIZES) + (2 if about_weights else 0 if name in brick.required() else 1)

    return sorted(brick.attributes, key=rank)


def _inner(form: Form) -> Form:
    return form.form if isinstance(form, Optional_) else form


def _into(form: Form) -> Callable[[Node], Node]:
    return lambda value: _in_form(value, form)


# -- layout ------------------------------------------------------------------------------------------------------------

_HIDDEN = re.compile("[\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""What does not show, or reorders the line that it is on: it is written as an escape."""


_ENCODED = json.JSONEncoder(ensure_ascii=False).encode


def quoted(text: str) -> str:
    """A string as JSON, with escapes only where they must be or nobody would see the character."""
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", _ENCODED(text))


def _scalar(value: Node) -> str:
    if isinstance(value, Number):
        return value.text
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def _is_scalar(value: Node) -> bool:
    return not isinstance(value, (dict, list))


def _flat(node: Node, room: int) -> str | None:
    """The value on one line, where that has at most `room` columns."""
    if isinstance(node, Lines) and node:
        return None
    if _is_scalar(node):
        scalar = _scalar(node)
        return scalar if len(scalar) <= room else None
    items = [(f"{quoted(key)}: ", item) for key, item in node.items()] if isinstance(node, dict) else None
    parts: list[str] = []
    room -= 2  # the brackets
    for key, item in items if items is not None else (("", item) for item in node):
        text = _flat(item, room - len(key))
        if text is None:
            return None
        parts.append(key + text)
        room -= len(key) + len(text) + 2  # and a comma with its space
    inside = ", ".join(parts)
    return f"{{{inside}}}" if items is not None else f"[{inside}]"


def _text(node: Node, indent: int, before: int) -> str:
    """The value as lines, the first of which has `before` columns already; a comma may follow the last."""
    if _is_scalar(node):
        return _scalar(node)
    flat = _flat(node, WIDTH - before - 1)
    return flat if flat is not None else _broken(node, indent)


def _broken(node: Node, indent: int) -> str:
    inner = indent + 2
    space = " " * inner
    row = _row(node, indent + 1) if isinstance(node, dict) and ("type" in node or "use" in node) else None
    if row is not None:
        return row
    if isinstance(node, dict):
        keys = {key: f"{space}{quoted(key)}: " for key in node}
        lines = [keys[key] + _text(item, inner, len(keys[key])) for key, item in node.items()]
    elif all(map(_is_scalar, node)):
        lines = _filled([_scalar(item) for item in node], space)
    else:
        lines = [space + _text(item, inner, inner) for item in node]
    opened, closed = "{}" if isinstance(node, dict) else "[]"
    return "\n".join([opened, ",\n".join(lines), " " * indent + closed])


def _row(node: dict[str, Node], indent: int) -> str | None:
    """A layer, or another brick, as a row that goes on in further lines; None where an attribute needs several."""
    room = WIDTH - indent - 2  # a bracket and a comma may follow
    items = [(f"{quoted(key)}: ", item) for key, item in node.items()]
    texts = [(key, _flat(item, room - len(key))) for key, item in items]
    if any(text is None for _, text in texts):
        return None
    attributes = [f"{key}{text}" for key, text in texts]
    attributes[-1] += "}"
    return "{" + ",\n".join(_filled(attributes, " " * indent))[indent:]


def _filled(items: list[str], space: str) -> list[str]:
    """Texts, as many to a line as go there."""
    lines: list[list[str]] = []
    used = WIDTH
    for item in items:
        if used + len(item) + 2 > WIDTH:
            lines.append([])
            used = len(space) - 1  # no space after the last comma
        lines[-1].append(item)
        used += len(item) + 2
    return [space + ", ".join(line) for line in lines]
