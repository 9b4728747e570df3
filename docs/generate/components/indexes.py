"""The pages that list components: the groups of layers and of operators, and the other kinds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from jsonnx.layers import Layer
from jsonnx.render.reference.component_reference import KINDS, arguments_of, kind_title, snippets
from jsonnx.render.reference.layer_groups import grouped_layers

from ..markdown import Lines, code_block, link, page_text, section, slug, table, toctree
from .records import OPERATOR_PREFIX, Record, index_page, record_of, records_of

OPERATORS_TITLE, BLOCKS_TITLE = "Operators (keras.ops)", "Blocks of the library"


class Group(NamedTuple):
    """A page that lists records."""

    title: str
    page: str
    members: tuple[Record, ...]


@cache
def layer_groups(kind: str) -> list[Group]:
    """The groups of layers, or of operators."""
    groups = []
    for title, layers in grouped_layers():
        members = tuple(record for record in map(record_of, layers) if record.kind == kind)
        if members:
            title = title.removeprefix("keras.ops: ")
            title = f"{title[:1].upper()}{title[1:]}" if kind == "operator" else title
            groups.append(Group(title, index_page(kind).replace("index", slug(title)), members))
    return groups


def kind_group(kind: str) -> Group:
    """All records of a kind that has no groups."""
    title = BLOCKS_TITLE if kind == "block" else kind_title(kind)
    return Group(title, index_page(kind), tuple(records_of(kind)))


def group_page(record: Record) -> Group:
    """The page that lists a record."""
    groups = layer_groups(record.kind) if record.kind in ("layer", "operator") else [kind_group(record.kind)]
    return next(group for group in groups if record in group.members)


def kind_phrase(record: Record) -> str:
    """The kind of a record as the first sentence of its page: `Metric.`"""
    group = group_page(record)
    if record.kind == "layer":
        return f"Layer ({link(group.title, group.page, record.page)})."
    if record.kind == "operator":
        return f"Function of keras.ops ({link(group.title, group.page, record.page)})."
    return f"{record.kind.replace('_', ' ').capitalize()}."


def component_indexes() -> dict[str, str]:
    """The Markdown of the pages that list components, by their paths in docs/."""
    groups = [*layer_groups("layer"), *layer_groups("operator")]
    pages = {group.page: page_text(_group_lines(group)) for group in groups}
    pages[index_page("layer")] = page_text(_layers_index())
    pages[index_page("operator")] = page_text(_operators_index())
    pages[index_page("block")] = page_text(_blocks_index())
    return pages | {index_page(kind): page_text(_kind_index(kind)) for kind in KINDS}


def _group_lines(group: Group) -> Iterator[str]:
    yield f"# {group.title}"
    yield from _members(group)


def _members(group: Group) -> Lines:
    rows = [(link(record.name, record.page, group.page), record.summary) for record in group.members]
    return [*table(("name", "is"), rows), *toctree((record.page for record in group.members), group.page)]


def _groups(groups: Iterable[Group], page: str) -> Lines:
    groups = list(groups)
    lines: Lines = []
    for group in groups:
        names = ", ".join(
            link(record.name.removeprefix(OPERATOR_PREFIX), record.page, page) for record in group.members
        )
        lines += ["", f"**{link(group.title, group.page, page)}**: {names}"]
    return [*lines, *toctree((group.page for group in groups), page)]


def _layers_index() -> Iterator[str]:
    page = index_page("layer")
    yield from (
        "# Layers",
        "",
        "Types, arguments and defaults are those of Keras 3. The functions of keras.ops are layers, too: see the",
        f"{link('operators', index_page('operator'), page)}. `jsonnx layers NAME` prints the reference of a layer.",
        *_groups(layer_groups("layer"), page),
        "",
        "## Arguments of every layer",
        "",
        "Besides its own arguments, a layer takes `name`, `from` ([the language](../../language/index.md)) and:",
    )
    rows = [(f"`{argument.name}`", f"`{argument.default_text}`", argument.meaning) for argument in arguments_of(Layer)]
    yield from table(("argument", "default", "meaning"), rows)
    yield from section(
        "Shapes",
        [
            "",
            "The pages show the types of the results for example inputs: the element type, and the sizes of the axes.",
            "A name such as `time` stands for a size of any value. `batch` is the number of samples.",
        ],
    )


def _operators_index() -> Iterator[str]:
    page = index_page("operator")
    yield from (
        f"# {OPERATORS_TITLE}",
        "",
        "The functions of keras.ops are layers without weights, whose types begin with `ops.`:",
        *code_block("json", '{"type": "ops.mean", "axis": -1}'),
        "",
        "They take `name` and `from` besides their own arguments. Axes refer to the whole tensor: axis 0 is the batch.",
        "[The language](../../language/index.md) says more about them.",
        *_groups(layer_groups("operator"), page),
    )


def _blocks_index() -> Iterator[str]:
    yield from (
        f"# {BLOCKS_TITLE}",
        "",
        "A block is written in the language of specs and used like a layer. Besides its own arguments, a use takes",
        "`name`, `from`, `if`, `repeat`, `chain` and `carry`. [The library](../../language/library.md) says more.",
        *_members(kind_group("block")),
    )


def _kind_index(kind: str) -> Iterator[str]:
    registry = KINDS[kind]
    example = max(registry, key=lambda component: len(snippets(component)))
    yield from (f"# {kind_title(kind)}", "", registry.doc)
    yield from code_block("json", "\n".join(snippets(example)))
    yield from _members(kind_group(kind))
