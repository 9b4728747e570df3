"""The pages of layers, operators, blocks of the library, losses, metrics, optimizers and other components."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from jsonnx.core.components import Component
from jsonnx.layers import Layer
from jsonnx.render.reference.component_reference import (
    Argument,
    arguments_of,
    behaviour_notes,
    description,
    example_shapes,
    plural,
    registry_of,
    snippets,
)
from jsonnx.render.reference.formula_notes import formula_notes

from ..guides import guide_section
from ..markdown import Lines, code_block, front_matter, link, page_text, section, spec_block, table
from .block_pages import block_lines
from .examples import component_spec, layer_spec, network_spec
from .indexes import component_indexes, group_page, kind_phrase
from .kin import kin
from .mentions import guides_that_name
from .pytorch_differences import DIFFERENCES
from .pytorch_names import pytorch_names
from .records import Record, index_page, keras_names, linked_names, records

NOT_IN_KERAS = "not in Keras"


def component_pages() -> dict[str, str]:
    """The Markdown of each page by its path in docs/: `reference/layers/LSTM.md`."""
    return {record.page: page_text(_page(record)) for record in records()} | component_indexes()


def component_names() -> dict[str, str]:
    """The page of each name that belongs to one component only."""
    return {name: record.page for name, record in linked_names().items()}


def _page(record: Record) -> Iterator[str]:
    yield from front_matter(search_words(record))
    yield from (f"# {record.name}", "")
    yield from block_lines(record) if record.component is None else _component_lines(record, record.component)
    yield from section("Other names", _other_names(record))
    yield from section("See also", _see_also(record))
    yield from guide_section(guides_that_name(record))


def search_words(record: Record) -> list[str]:
    """The names by which users of other programs search for a component."""
    words = [*record.names[1:], *keras_names(record), *pytorch_names(record)]
    words += [word.rpartition(".")[2] for word in words if "." in word]
    own_name = record.name.rpartition(".")[2].lower()
    return [word for word in words if word.lower() != own_name]


# -- parts of a page -------------------------------------------------------------------------------------------------


def _component_lines(record: Record, component: type[Component]) -> Iterator[str]:
    summary, _, rest = description(component).partition("\n\n")
    yield from (f"{kind_phrase(record)} {' '.join(summary.split())}", *(["", rest] if rest else []))
    is_layer = issubclass(component, Layer)
    spec = layer_spec(component) if is_layer else component_spec(component)
    yield from section("Example", spec_block(spec))
    further = network_spec(component) if is_layer else None
    if further and further != spec:
        yield from section("In a network", spec_block(further))
    yield from section("With an argument", _further_snippet(component))
    yield from section("Formula", _formula_lines(component))
    yield from section("Arguments", _argument_table(record, component))
    if is_layer:
        rows = [(_types(example.inputs), _types(example.outputs)) for example in example_shapes(component)]
        yield from section("Shapes", table(("inputs", "results"), rows))
        notes = [f"- {note[:1].upper()}{note[1:]}" for note in behaviour_notes(component)]
        yield from section("Results, weights, ONNX operators", ["", *notes] if notes else [])


def _types(types: tuple[object, ...]) -> str:
    return ", ".join(f"`{type}`" for type in types) or "none"


def _formula_lines(component: type[Component]) -> Lines:
    notes = formula_notes(component)
    code = code_block("python", component.formula) if component.formula else []
    return [*code, *(["", " ".join(notes)] if notes else [])]


def _further_snippet(component: type[Component]) -> Lines:
    """The part of a spec that gives an argument, if the example gives none."""
    parts = [] if issubclass(component, Layer) else snippets(component)[1:]
    if parts and registry_of(component).kind == "metric":  # with a loss that it suits
        loss = json.dumps(component_spec(component)["training"]["loss"])
        parts = [part.replace('"loss": "mse"', f'"loss": {loss}') for part in parts]
    return code_block("json", parts[0]) if parts else []


def _argument_table(record: Record, component: type[Component]) -> Lines:
    shared = Layer.attributes if issubclass(component, Layer) else {}
    arguments = [
        argument
        for argument in arguments_of(component)
        if component.attributes[argument.name] is not shared.get(argument.name)
    ]
    rows = [_argument_row(argument, record.page) for argument in arguments]
    lines = table(("argument", "default", "meaning"), rows)
    if record.kind == "layer":
        page = f"{index_page('layer')}#arguments-of-every-layer"
        lines += ["", f"It also takes the {link('arguments of every layer', page, record.page)}."]
    return lines if record.kind != "operator" else [*lines, "", "It also takes `name` and `from`."]


def _argument_row(argument: Argument, page: str) -> tuple[str, str, str]:
    type_ = argument.type
    for kind in argument.kinds:
        match = re.search(rf"\b({plural(kind)}|{kind})\b", type_)
        type_ = type_.replace(match[0], link(match[0], index_page(kind), page), 1) if match else type_
    default = "required" if argument.is_required else f"`{argument.default_text}`"
    return f"`{argument.name}`", default, f"{argument.meaning} *{type_[:1].upper()}{type_[1:]}.*"


def _other_names(record: Record) -> Lines:
    keras = [f"`{name}`" for name in keras_names(record)] or [NOT_IN_KERAS]
    rows = [("Keras", ", ".join(keras))] if record.component else []
    if others := pytorch_names(record):
        rows.append(("PyTorch", _with_differences(others)))
    if len(record.names) > 1:
        rows.append(("here, too", ", ".join(f"`{name}`" for name in record.names[1:])))
    return table(("where", "name"), rows)


def _with_differences(names: list[str]) -> str:
    """Names of PyTorch, each or those with the same difference followed by it."""
    by_difference: dict[str, list[str]] = {}
    for name in names:
        by_difference.setdefault(DIFFERENCES.get(name, ""), []).append(f"`{name}`")
    groups = [", ".join(group) + (f" ({text})" if text else "") for text, group in by_difference.items()]
    return ", ".join(groups)


def _see_also(record: Record) -> Lines:
    group = group_page(record)
    lines = [
        f"- {link(other.name, other.page, record.page)}{_kind_note(other, record)}: {other.summary}"
        for other in kin(record)
    ]
    return ["", *lines, f"- All: {link(group.title, group.page, record.page)}"]


def _kind_note(other: Record, record: Record) -> str:
    return f" ({other.kind.replace('_', ' ')})" if other.kind != record.kind else ""
