"""Keeps the columns of data files when inputs and outputs are renamed: without an assignment, names are columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from lsprotocol import types

from ...core.files.data_formats import DATA_FILE_SUFFIXES
from ...frontend.json.syntax_tree import Node
from ...frontend.text.formatter import json_string
from ..checks.checks import SpecCheck


def column_edits(check: SpecCheck, names: Mapping[str, str]) -> Iterator[types.TextEdit]:
    """The edits that assign the columns of the old names to the renamed inputs and targets, in `x` and `y`."""
    root = check.document.tree
    data = root.at(("training", "data")) if root is not None else None
    checked = check.checked
    if data is None or checked is None or checked.typed_network is None or not _names_tables(data):
        return
    targets = checked.objective.targets if checked.objective is not None else {}
    for key, columns in (("x", checked.typed_network.inputs), ("y", targets)):
        yield from _assignments(check, data, key, {name: names[name] for name in columns if name in names})


def _names_tables(data: Node) -> bool:
    """Whether the training data are tables or arrays, and no folder of images."""
    train = data.get("train")
    files = [train, *train.items] if train is not None else []
    return any(isinstance(file.scalar, str) and file.scalar.lower().endswith(DATA_FILE_SUFFIXES) for file in files)


def _assignments(check: SpecCheck, data: Node, key: str, names: Mapping[str, str]) -> Iterator[types.TextEdit]:
    """Assigns columns to the inputs or targets that have the column of their name."""
    section = data.member(key)
    value = section.value if section is not None else None
    positions = check.document.positions
    if section is None and names and data.members and (last := data.members[-1].value) is not None:
        text = f", {json_string(key)}: {{{_pairs(names.items())}}}"
        yield types.TextEdit(positions.range(last.end, last.end), text)
    elif value is not None and value.kind == "object" and value.members:
        implied = [(old, new) for old, new in names.items() if value.member(old) is None]
        start = value.members[0].start
        if implied:
            yield types.TextEdit(positions.range(start, start), f"{_pairs(implied)}, ")


def _pairs(names: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{json_string(new)}: {json_string(old)}" for old, new in names)
