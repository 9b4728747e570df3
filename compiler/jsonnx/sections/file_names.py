"""The names of files that hold one array or a few columns each, in an object such as `{"x": "x.npy", "y": "y.npy"}`.

A name is that of an input or a target, `x` or `y` for the values of all inputs or targets, or that of a column which
another key of `training.data` names, such as `sample_weight`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ..core.diagnostics import JsonPath, quoted_or_list, suggest
from .columns import SAMPLE_WEIGHT, ColumnError, assigned_columns, is_pattern, matching_columns, weight_columns
from .data_section import DATA_PARTS, DataSection
from .split_section import ROW_COLUMN_KEYS

WHOLE_NAMES = ("x", "y")
"""The names of the file of all inputs, and of the file of all targets."""


def file_owner(name: str, inputs: Collection[str], targets: Collection[str]) -> str | None:
    """The input or the target whose values a file of this name has; None for the name of a column."""
    if name in inputs or name in targets:
        return name
    for alias, names in zip(WHOLE_NAMES, (inputs, targets), strict=True):
        if name == alias and len(names) == 1:
            return next(iter(names))
    return None


def file_name_errors(data: DataSection, inputs: Collection[str], targets: Collection[str]) -> Iterator[ColumnError]:
    """The names of files in a spec that nothing in it reads."""
    for part in DATA_PARTS:
        files = getattr(data, part)
        if isinstance(files, Mapping):
            yield from unknown_names(files, data, inputs, targets, ("training", "data", part))


def unknown_names(
    names: Iterable[str],
    data: DataSection | None,
    inputs: Collection[str],
    targets: Collection[str],
    path: JsonPath = (),
) -> Iterator[ColumnError]:
    """Errors for the names of files that neither belong to an input or a target nor are those of columns."""
    aliases = [alias for alias in WHOLE_NAMES if alias not in (*inputs, *targets)]
    columns, patterns = _named_columns(data, inputs, targets)
    known = list(dict.fromkeys([*inputs, *targets, *columns]))
    for name in names:
        if name in known or name in aliases or matching_columns(patterns, [name], ()).names:
            continue
        message = f"no input, target or column is called {name!r}; the names are {quoted_or_list([*known, *aliases])}"
        proposed = suggest(name, known)
        help = proposed.text if proposed else "name it after an input or an output"
        if name == SAMPLE_WEIGHT and not patterns:
            help = 'write "sample_weight": "sample_weight" in `training.data`, too, so that the samples are weighted'
        fix = proposed.fix((*path, name), at_key=True) if proposed and path else None
        yield ColumnError("unknown-name", message, (*path, name), help, fix)


def _named_columns(
    data: DataSection | None, inputs: Collection[str], targets: Collection[str]
) -> tuple[list[str], list[str]]:
    """The columns that a spec names, and the patterns of columns."""
    if data is None:
        return [], []
    settings: list[tuple[Any, str, Collection[str]]] = [(data.x, "x", inputs), (data.y, "y", targets)]
    assigned = [
        column
        for setting, key, names in settings
        for columns in assigned_columns(setting, key, names).values()
        for column in (columns.names if columns.path is not None else ())
    ]
    weights = [name for columns in weight_columns(data.sample_weight, targets).values() for name in columns.names]
    rows = [
        column
        for section, keys in ROW_COLUMN_KEYS.items()
        for key in keys
        if (column := getattr(getattr(data, section), key, None)) is not None
    ]
    patterns = [name for name in assigned if is_pattern(name)]
    return [*(name for name in assigned if not is_pattern(name)), *weights, *rows], patterns
