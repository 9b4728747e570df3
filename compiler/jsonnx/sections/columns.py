"""The columns of a data file that `x`, `y` and `sample_weight` of a spec assign to inputs, targets and outputs.

A name or a list of names belongs to the only input (or target); an object assigns columns by input name; an input that
is not mentioned takes the column of its own name. A `sample_weight` belongs to all outputs; in an object, outputs that
are not mentioned have no weights.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from ..core.diagnostics import JsonPath, quoted_or_list, suggest
from ..core.fixes import Fix

SAMPLE_WEIGHT = "sample_weight"
"""The key of `training.data` that names columns of weights."""


class AssignedColumns(NamedTuple):
    """The columns of an input or a target, and the path in the spec that names them; None if it does not."""

    names: tuple[str, ...]
    path: JsonPath | None


class ColumnError(NamedTuple):
    """An error in an `x`, `y` or `sample_weight` of a spec."""

    code: str
    message: str
    path: JsonPath
    help: str
    fix: Fix | None = None


EXCLUSION = "!"
"""The prefix of a pattern whose matches are left out."""


def is_pattern(name: str) -> bool:
    """Whether a name is a pattern of column names: `*`, `sensor_?`, or `!id` to leave columns out."""
    return name.startswith(EXCLUSION) or "*" in name or "?" in name


def has_patterns(names: Collection[str], columns: Collection[str]) -> bool:
    """Whether one of the names is a pattern, and not the name of a column."""
    return any(is_pattern(name) and name not in columns for name in names)


class MatchingColumns(NamedTuple):
    """The columns that names and patterns stand for, and the patterns without a match."""

    names: tuple[str, ...]
    unmatched: tuple[str, ...]


def matching_columns(patterns: Collection[str], columns: Collection[str], taken: Collection[str]) -> MatchingColumns:
    """The columns of a file that names and patterns stand for: each once, in the order of the patterns, and for one
    pattern in the order of the file. Patterns do not match columns that are `taken`; a name stands for itself."""
    found: dict[str, None] = {}
    unmatched, excluded = [], set()
    for pattern in patterns:
        is_exclusion = pattern.startswith(EXCLUSION) and pattern not in columns
        own = pattern.removeprefix(EXCLUSION) if is_exclusion else pattern
        is_name = own in columns or not is_pattern(own)
        matched = [own] if is_name else [name for name in columns if _matches(name, own)]
        if not matched or (is_exclusion and is_name and own not in columns):
            unmatched.append(pattern)
        elif is_exclusion:
            excluded.update(matched)
        else:
            found |= dict.fromkeys(name for name in matched if is_name or name not in taken)
    return MatchingColumns(tuple(name for name in found if name not in excluded), tuple(unmatched))


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def assigned_columns(setting: Any, key: str, names: Collection[str]) -> dict[str, AssignedColumns]:
    """The columns of each input or target, as a setting without errors assigns them; `key` is `x` or `y`."""
    path = ("training", "data", key)
    by_name = setting if isinstance(setting, Mapping) else {} if setting is None else dict.fromkeys(names, setting)
    columns: dict[str, AssignedColumns] = {}
    for name in names:
        assigned = by_name.get(name, name)
        own_path = (*path, name) if isinstance(setting, Mapping) else path
        column_names = (assigned,) if isinstance(assigned, str) else tuple(assigned)
        columns[name] = AssignedColumns(column_names, own_path if name in by_name else None)
    return columns


def weight_columns(setting: Any, outputs: Collection[str]) -> dict[str, AssignedColumns]:
    """The columns of the sample weights of each output that has some, as a setting without errors assigns them."""
    if setting is None:
        return {}
    weighted = [name for name in outputs if not isinstance(setting, Mapping) or name in setting]
    return assigned_columns(setting, SAMPLE_WEIGHT, weighted)


def column_errors(setting: Any, key: str, names: Collection[str]) -> Iterator[ColumnError]:
    """The first error in an `x`, `y` or `sample_weight`; `names` are the names of the inputs or of the outputs with a
    target."""
    path = ("training", "data", key)
    if isinstance(setting, Mapping):
        for name in setting:
            if name not in names:
                message = f"{key!r} maps {name!r}; the names are {quoted_or_list(names)}"
                proposed = suggest(name, names)
                help = proposed.text if proposed else "remove the entry"
                fix = proposed.fix((*path, name), at_key=True) if proposed else None
                yield ColumnError("unknown-name", message, (*path, name), help, fix)
    elif setting is not None and len(names) > 1 and key != SAMPLE_WEIGHT:
        message = f"{key!r} names columns without saying for which of {quoted_or_list(names)}"
        yield ColumnError("ambiguous-columns", message, path, "give an object of columns by name")
        return
    columns_by_name = weight_columns(setting, names) if key == SAMPLE_WEIGHT else assigned_columns(setting, key, names)
    for name, (columns, own_path) in columns_by_name.items():
        if not columns and own_path is not None:
            message = f"the list of columns for {name!r} is empty"
            yield ColumnError("missing-column", message, own_path, "name at least one column")
