"""The output of `jsonnx layers`: lists and references of layers and other components as text."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill, indent

from ...core.components import Component
from ...layers import Layer
from ..text.terminal import TEXT_WIDTH, page_line
from .component_reference import (
    KINDS,
    accepted_names,
    address_of,
    arguments_of,
    behaviour_notes,
    description,
    example_json,
    example_shapes,
    kind_title,
    plural,
    registry_of,
    snippets,
)
from .formula_notes import formula_notes
from .layer_groups import grouped_layers
from .library_reference import TITLE as LIBRARY_TITLE
from .library_reference import block_summaries
from .reference_examples import FURTHER_EXAMPLES
from .reference_json import Section

MEANING_INDENT = " " * 6

# -- one component ---------------------------------------------------------------------------------------------------


def reference_text(component: type[Component]) -> str:
    """The reference of a layer or another component as text."""
    is_layer = issubclass(component, Layer)
    title = ", ".join(accepted_names(component))
    arguments = arguments_of(component)
    lines = [title if is_layer else f"{title} ({registry_of(component).kind})", "", description(component), ""]
    if component.formula:
        notes = [line for note in formula_notes(component) for line in fill(note, TEXT_WIDTH).splitlines()]
        formula = [*component.formula.splitlines(), *(["", *notes] if notes else [])]
        lines += ["Formula:", "", *(f"  {line}".rstrip() for line in formula), ""]
    for argument in arguments:
        default = "(required)" if argument.is_required else f"(default {argument.default_text})"
        lines.append(f"  {argument.name}: {argument.type} {default}")
        lines.append(indent(fill(argument.meaning, TEXT_WIDTH - len(MEANING_INDENT)), MEANING_INDENT))
    lines += ["", "Example:", "", *(f"  {line}" for line in _example_lines(component))]
    if is_layer:
        lines += ["", *(f"  {line}" for line in (*example_shapes(component), *behaviour_notes(component)))]
        further = FURTHER_EXAMPLES.get(component.type_name)
        lines += ["", "In a network:", "", *(f"  {line}" for line in further.lines())] if further else []
    for kind in dict.fromkeys(kind for argument in arguments for kind in argument.kinds):
        names = f"{kind_title(kind)}: {', '.join(KINDS[kind].members)}."
        lines += ["", fill(names, TEXT_WIDTH)]
    if address := address_of(component):
        lines += ["", page_line(address)]
    return "\n".join(lines).rstrip()


def _example_lines(component: type[Component]) -> list[str]:
    return [example_json(component)] if issubclass(component, Layer) else snippets(component)


# -- lists -----------------------------------------------------------------------------------------------------------


def layer_sections() -> list[Section]:
    """All layers, in groups."""
    return grouped_layers()


def kind_section(kind: str) -> Section:
    """All components of a kind that is not `layer`."""
    return kind_title(kind), list(KINDS[kind])


def found_sections(word: str) -> list[Section]:
    """The layers and other components whose names, arguments or descriptions contain a word, in any case."""
    sections = [*layer_sections(), *map(kind_section, KINDS)]
    found = [(title, [component for component in members if _contains(component, word)]) for title, members in sections]
    return [(title, members) for title, members in found if members]


def _contains(component: type[Component], word: str) -> bool:
    arguments = [argument.name for argument in arguments_of(component)]
    texts = [*accepted_names(component), *arguments, " ".join(description(component).split())]
    return any(word.casefold() in text.casefold() for text in texts)


def list_text(sections: list[Section], blocks: Mapping[str, str] = {}, line_width: int | None = None) -> str:
    """One line a component, below the headings of its section; then the library's blocks with their summaries.

    A line of more than `line_width` characters is wrapped.
    """
    lists = [
        (title, {component.type_name: component.summary() for component in members}) for title, members in sections
    ]
    lines = []
    for title, summaries in [*lists, *([(LIBRARY_TITLE, blocks)] if blocks else [])]:
        width = max(map(len, summaries))
        rows = [f"  {name:{width}}  {summary}" for name, summary in summaries.items()]
        if line_width:
            rows = [fill(row, line_width, subsequent_indent=" " * (width + 4)) for row in rows]
        lines += [title, *rows, ""]
    return "\n".join([*lines, "`jsonnx layers NAME` shows arguments, defaults and an example."])


def layers_text(line_width: int | None = None) -> str:
    """All layers in groups, the library's blocks, and the commands that list the other kinds."""
    width = max(map(len, map(plural, KINDS))) + 1
    kinds = [
        f"  jsonnx layers {plural(kind):{width}} {len(registry.members)} {kind_title(kind).lower()}"
        for kind, registry in KINDS.items()
    ]
    return "\n".join(
        [list_text(layer_sections(), block_summaries(), line_width), "", "Lists of what arguments refer to:", *kinds]
    )
