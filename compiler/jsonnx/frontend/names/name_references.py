"""The names that a spec defines, and all places that refer to them: the one list of where names may stand.

It reads the spec as written, with its blocks and repetitions, and accepts specs with errors. Names that contain
expressions are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ..default_names import default_name, free_name
from ..expansion.expressions import has_expressions
from ..expansion.output_keys import FILE_PATHS, OUTPUT_LIST_PATH, objects_by_output, value_below
from ..weight_patterns import WEIGHT_SEPARATOR

NETWORK: JsonPath = ()
"""The scope of the network; the scope of a block is its path."""

ReferenceKind = Literal["source", "use", "carried", "output", "input", "pattern", "weight-pattern", "figure", "type"]
"""The kind of a reference: `source`: values, in `from`, as a name, `name.output` or a pattern of these; `use`: a layer;
`carried`: an output of a block, which is its scope;
`output` and `input`: a value of the network; `pattern` and `weight-pattern`: layers, or their weights, that match;
`figure`: a metric or a loss, whose name may contain that of an output; `type`: a block."""


@dataclass(frozen=True)
class NameDefinition:
    """A name of an input, a layer, a use of a block, or a block."""

    name: str
    path: JsonPath
    """The path of the entry, or of the input's or the block's name."""
    scope: JsonPath
    name_path: JsonPath | None = None
    """The path of the string or the key that is the name; None if the name is a default."""
    is_key: bool = False
    is_repeated: bool = False
    """Whether it has repetitions, `name_1`, `name_2`, ..."""
    type: str | None = None
    """The type of an entry."""
    kind: Literal["input", "entry", "block"] = "entry"


@dataclass(frozen=True)
class NameReference:
    """A string, or with `is_key` a key, that refers to a name."""

    text: str
    path: JsonPath
    scope: JsonPath
    kind: ReferenceKind
    is_key: bool = False


def scopes(document: Json) -> Iterator[tuple[JsonPath, Mapping[str, Json]]]:
    """The network and the blocks of a spec, with their paths."""
    if isinstance(document, dict):
        yield NETWORK, document
        blocks = document.get("blocks")
        for name, block in blocks.items() if isinstance(blocks, dict) else ():
            if isinstance(block, dict):
                yield ("blocks", name), block


# -- definitions -----------------------------------------------------------------------------------------------------


def name_definitions(document: Json) -> list[NameDefinition]:
    """All names that a spec defines, scope by scope."""
    definitions = [
        NameDefinition(str(path[1]), path, NETWORK, path, is_key=True, kind="block")
        for path, _ in scopes(document)
        if path != NETWORK
    ]
    for scope, section in scopes(document):
        inputs = list(_input_definitions(section, scope))
        definitions += inputs
        definitions += _entry_definitions(section, scope, {item.name.lower() for item in inputs})
    return definitions


def _input_definitions(section: Mapping[str, Json], scope: JsonPath) -> Iterator[NameDefinition]:
    inputs, path = section.get("inputs"), (*scope, "inputs")
    if isinstance(inputs, dict):
        for name, entry in inputs.items():
            repeated, name_path = isinstance(entry, dict) and "repeat" in entry, (*path, name)
            yield NameDefinition(name, name_path, scope, name_path, is_key=True, is_repeated=repeated, kind="input")
    elif isinstance(inputs, list):
        for index, name in enumerate(inputs):
            if isinstance(name, str):
                yield NameDefinition(name, (*path, index), scope, (*path, index), kind="input")
    elif scope != NETWORK and inputs is None:
        yield NameDefinition("input", scope, scope, kind="input")


def _entry_definitions(section: Mapping[str, Json], scope: JsonPath, used: set[str]) -> Iterator[NameDefinition]:
    """The names of the entries of `layers`, default names included."""
    layers = section.get("layers")
    entries = [(index, entry) for index, entry in enumerate(layers if isinstance(layers, list) else [])]
    written = {index: name for index, entry in entries if isinstance(entry, dict) and (name := _fixed_name(entry))}
    used = used | {name.lower() for name in written.values()}
    last_numbers: dict[str, int] = {}
    for index, entry in entries:
        if not isinstance(entry, dict):
            continue
        path: JsonPath = (*scope, "layers", index)
        type_ = entry.get("type") if isinstance(entry.get("type"), str) else None
        if index in written:
            repeated = "repeat" in entry
            yield NameDefinition(written[index], path, scope, (*path, "name"), is_repeated=repeated, type=type_)
        elif "name" not in entry:
            use = entry.get("use")
            base = use if isinstance(use, str) else default_name(str(entry.get("type")))
            name = free_name(base, used, last_numbers, first=int(isinstance(use, str)))
            used.add(name.lower())
            yield NameDefinition(name, path, scope, type=type_)


def _fixed_name(entry: Mapping[str, Json]) -> str | None:
    name = entry.get("name")
    return name if isinstance(name, str) and not has_expressions(name) else None


# -- references ------------------------------------------------------------------------------------------------------


def name_references(document: Json) -> list[NameReference]:
    """All references of a spec to names, in the order of the text of each section."""
    references: list[NameReference] = []
    for scope, section in scopes(document):
        layers = section.get("layers")
        for index, entry in enumerate(layers if isinstance(layers, list) else []):
            if isinstance(entry, dict):
                references += _entry_references(entry, (*scope, "layers", index), scope)
        references += _strings_or_keys(section.get("outputs"), (*scope, "outputs"), scope, "source")
    if isinstance(document, dict):
        inputs = document.get("inputs")
        for path, value in objects_by_output(document):
            own = inputs if path in FILE_PATHS and isinstance(inputs, dict) else {}
            references += _keys({key: None for key in value if key in own}, path, "input")
            references += _keys({key: None for key in value if key not in own}, path, "output")
        references += _training_references(document.get("training"))
        references += _metrics(document.get("sweep"), ("sweep", "metric"))
        references += _silence_references(document.get("lint"))
    return [reference for reference in references if not has_expressions(reference.text)]


def _entry_references(entry: Mapping[str, Json], path: JsonPath, scope: JsonPath) -> Iterator[NameReference]:
    if isinstance(entry.get("type"), str):
        yield NameReference(str(entry["type"]), (*path, "type"), scope, "type")
    yield from _strings_or_keys(entry.get("use"), (*path, "use"), scope, "use")
    yield from _strings_or_keys(entry.get("from"), (*path, "from"), scope, "source")
    yield from _strings_or_keys(entry.get("carry"), (*path, "carry"), ("blocks", str(entry.get("type"))), "carried")


def _training_references(training: Json) -> Iterator[NameReference]:
    if not isinstance(training, dict):
        return
    path: JsonPath = ("training",)
    yield from _at(training, ("auxiliary_outputs",), path, "source")
    yield from _at(training, OUTPUT_LIST_PATH[1:], path, "output")
    yield from _keys(value_below(training, ("data", "x")), (*path, "data", "x"), "input")
    freeze = training.get("freeze")
    for index, pattern in enumerate(freeze if isinstance(freeze, list) else ()):
        if isinstance(pattern, str):
            kind: ReferenceKind = "weight-pattern" if WEIGHT_SEPARATOR in pattern else "pattern"
            yield NameReference(pattern, (*path, "freeze", index), NETWORK, kind)
    yield from _keys(training.get("learning_rates"), (*path, "learning_rates"), "pattern")
    yield from _at(training, ("weights", "layers"), path, "pattern")
    yield from _at(training, ("optimizer", "exclude_from_weight_decay"), path, "weight-pattern")
    for key in ("early_stopping", "reduce_on_plateau", "checkpoint"):
        yield from _metrics(training.get(key), (*path, key, "monitor"))


def _silence_references(lint: Json) -> Iterator[NameReference]:
    """The patterns of layers whose findings are silenced."""
    silences = lint.get("ignore") if isinstance(lint, dict) else None
    for index, silence in enumerate(silences if isinstance(silences, list) else []):
        layers = silence.get("layers") if isinstance(silence, dict) else None
        yield from _strings_or_keys(layers, ("lint", "ignore", index, "layers"), NETWORK, "pattern")


def _at(section: Json, steps: JsonPath, path: JsonPath, kind: ReferenceKind) -> Iterator[NameReference]:
    """The strings of a list at a path below a section."""
    value = value_below(section, steps)
    if isinstance(value, list):
        yield from _strings_or_keys(value, (*path, *steps), NETWORK, kind)


def _strings_or_keys(value: Json, path: JsonPath, scope: JsonPath, kind: ReferenceKind) -> Iterator[NameReference]:
    """One name, the names in a list, or the keys of an object."""
    if isinstance(value, str):
        yield NameReference(value, path, scope, kind)
    elif isinstance(value, dict):
        yield from (NameReference(key, (*path, key), scope, kind, is_key=True) for key in value)
    elif isinstance(value, list):
        items = enumerate(value)
        yield from (NameReference(text, (*path, i), scope, kind) for i, text in items if isinstance(text, str))


def _keys(value: Json, path: JsonPath, kind: ReferenceKind) -> Iterator[NameReference]:
    if isinstance(value, dict):
        yield from (NameReference(key, (*path, key), NETWORK, kind, is_key=True) for key in value)


def _metrics(section: Json, path: JsonPath) -> Iterator[NameReference]:
    value = section.get(str(path[-1])) if isinstance(section, dict) else None
    if isinstance(value, str):
        yield NameReference(value, path, NETWORK, "figure")
