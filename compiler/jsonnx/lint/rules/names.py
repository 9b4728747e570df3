"""Rules on names in a spec."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ...core.diagnostics import JsonPath
from ..linted_network import LintedNetwork
from ..rule import Finding, rule

CAMEL_CASE, SNAKE_CASE = re.compile(r"[a-z]+[0-9]*[A-Z]"), re.compile(r"[a-z0-9]_[a-z0-9]")


@rule("names-differ-by-case")
def names_differ_by_case(network: LintedNetwork) -> Iterator[Finding]:
    for what, names in _name_groups(network.document):
        known: dict[str, tuple[str, JsonPath]] = {}
        for name, path, at_key in names:
            other, where = known.setdefault(name.lower(), (name, path))
            if other != name:
                notes = ((where, f"{other!r} is here"),)
                yield Finding(
                    path, f"the {what} {name!r} and {other!r} differ only in case", "rename one", notes, at_key
                )


def _name_groups(document: Any) -> Iterator[tuple[str, Iterable[tuple[str, JsonPath, bool]]]]:
    """Names of one kind, with their paths, and whether these lead to keys."""
    if not isinstance(document, dict):
        return
    for key, what in (("parameters", "parameters"), ("scales", "scales"), ("blocks", "blocks")):
        section = document.get(key)
        if isinstance(section, dict):
            yield what, [(name, (key, name), True) for name in section]
    blocks = document.get("blocks")
    for block_name, block in blocks.items() if isinstance(blocks, dict) else ():
        parameters = block.get("parameters") if isinstance(block, dict) else None
        if isinstance(parameters, dict):
            yield "parameters", [(name, ("blocks", block_name, "parameters", name), True) for name in parameters]
    labels = document.get("labels")
    lists = labels.items() if isinstance(labels, dict) else [(None, labels)]
    for output, items in lists:
        path: JsonPath = ("labels",) if output is None else ("labels", output)
        if isinstance(items, list):
            yield "labels", [(str(label), (*path, index), False) for index, label in enumerate(items)]


@rule("mixed-name-styles", default=False)
def mixed_name_styles(network: LintedNetwork) -> Iterator[Finding]:
    written = [call for call in network.calls if network.is_written((*call.path, "name")) and not call.block_uses]
    camel = [call for call in written if CAMEL_CASE.search(call.name)]
    snake = [call for call in written if SNAKE_CASE.search(call.name)]
    if camel and snake:
        call, other = (camel[0], snake[0]) if len(camel) <= len(snake) else (snake[0], camel[0])
        notes = ((other.path, f"{other.name!r} is here"),)
        yield Finding((*call.path, "name"), f"{call.name!r} is written in another style", "choose one style", notes)


@rule("repeated-label")
def repeated_label(network: LintedNetwork) -> Iterator[Finding]:
    for what, names in _name_groups(network.document):
        first: dict[str, JsonPath] = {}
        for name, path, _ in names if what == "labels" else ():
            where = first.setdefault(name.strip(), path)
            if where != path:
                notes = ((where, "it is here already"),)
                yield Finding(path, f"the label {name!r} is listed twice", "name each class once", notes)
