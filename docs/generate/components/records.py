"""What the reference has a page of, apart from codes, commands and public names: layers, blocks, losses and others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonnx.core.components import Component
from jsonnx.core.system.documentation import FOLDERS, page_path
from jsonnx.frontend.foreign.foreign_names import NAMES_BY_KIND
from jsonnx.frontend.schema.schema import root_schema
from jsonnx.layers import LAYERS
from jsonnx.render.reference.component_reference import KINDS, accepted_names, registry_of, spec_name
from jsonnx.render.reference.library_reference import block_summaries

OPERATOR_PREFIX, BLOCK_PREFIX = "ops.", "std."

ALIASES_NOT_IN_KERAS = ("GroupedQueryAttention",)
"""Further names of layers that only files of Keras have."""


@dataclass(frozen=True)
class Record:
    """A layer, an operator, a block or another component: its kind, its names, its summary and its page."""

    kind: str
    name: str
    """The name as a spec has it: `LSTM`, `ops.softmax`, `std.MLP`, `adamw`."""
    names: tuple[str, ...]
    """All names, that one first."""
    summary: str
    component: type[Component] | None
    """The class; None for a block."""

    @property
    def page(self) -> str:
        """The path in docs/."""
        return f"{page_path(self.kind, self.name)}.md"


@cache
def records() -> tuple[Record, ...]:
    """All records in the order of the reference."""
    components = (_new_record(component) for registry in (LAYERS, *KINDS.values()) for component in registry)
    blocks = (Record("block", name, (name,), summary, None) for name, summary in block_summaries().items())
    return (*components, *blocks)


def _new_record(component: type[Component]) -> Record:
    name = spec_name(component)
    names = dict.fromkeys([name, *accepted_names(component)])
    return Record(_kind(component), name, tuple(names), component.summary(), component)


def _kind(component: type[Component]) -> str:
    return "operator" if component.type_name.startswith(OPERATOR_PREFIX) else registry_of(component).kind


def keras_names(record: Record) -> list[str]:
    """The name in Keras of a component, and for a layer or a function the aliases that Keras has, too."""
    name = record.component.keras_name if record.component else ""
    if not name:
        return []
    names = record.names[1:] if record.kind in ("layer", "operator") else ()
    aliases = (alias for alias in names if alias not in ALIASES_NOT_IN_KERAS)
    module = name.rpartition(".")[0]
    return [name, *(f"{module}.{alias.rpartition('.')[2]}" for alias in aliases)]


def record_of(component: type[Component]) -> Record:
    """The record of a component."""
    return find_record(_kind(component), component.type_name)


def records_of(kind: str) -> list[Record]:
    return [record for record in records() if record.kind == kind]


@cache
def _records_by_name() -> dict[tuple[str, str], Record]:
    return {(record.kind, name): record for record in records() for name in record.names}


def find_record(kind: str, name: str) -> Record:
    """The record with a name or alias. Raises KeyError."""
    return _records_by_name()[kind, name]


def index_page(kind: str) -> str:
    """The page with the list of a kind."""
    return f"reference/{FOLDERS[kind]}/index.md"


@cache
def linked_names() -> dict[str, Record]:
    """The record of each name that is no key or fixed value of a spec, and no alias that PyTorch has for another."""
    arguments = [
        {"properties": {name: schema for name, schema in component.schema()["properties"].items() if name != "type"}}
        for component in (*LAYERS, *(component for registry in KINDS.values() for component in registry))
    ]
    other_words = _words([root_schema(), *arguments])
    foreign_names = {name.lower() for names in NAMES_BY_KIND.values() for name in names}
    return {
        name: record
        for name, record in unambiguous_names().items()
        if name not in other_words and (name == record.name or name.lower() not in foreign_names)
    }


def _words(schema: Any) -> set[str]:
    """The keys of objects in a schema, and the fixed values; schemas of components are references in it."""
    if isinstance(schema, list):
        return set().union(*map(_words, schema))
    if not isinstance(schema, dict):
        return set()
    values = schema.get("enum", ())
    return set().union(*map(_words, schema.values()), schema.get("properties", {}), map(str, values))


def unambiguous_names() -> dict[str, Record]:
    """The record of each name that only one has as its name, or, of other names, only one as an alias."""
    return _of_one([1, None]) | _of_one([0, 1])


def _of_one(positions: list[int | None]) -> dict[str, Record]:
    """The records by the names at these positions, where one record only has the name."""
    pairs = [(name, record) for record in records() for name in record.names[slice(*positions)]]
    counts = Counter(name for name, _ in pairs)
    return {name: record for name, record in pairs if counts[name] == 1}
