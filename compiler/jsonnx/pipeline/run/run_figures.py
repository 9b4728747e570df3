"""Figures from the files of a run, which may be damaged, or still be written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...core.figures import is_figure


def figure_lines(contents: bytes) -> list[dict[str, Any]]:
    """The figures of each line of JSON; a line that is damaged, or not yet complete, ends them."""
    found: list[dict[str, Any]] = []
    for line in contents.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(value, dict):
            break
        found.append(figures_in(value))
    return found


def figure_columns(lines: Sequence[Mapping[str, Any]], ignored: Sequence[str] = ()) -> dict[str, list[Any]]:
    """The figures of all lines by name; None where a line lacks one."""
    names = dict.fromkeys(name for line in lines for name in line if name not in ignored)
    return {name: [line.get(name) for line in lines] for name in names}


def figures_in(value: Any) -> dict[str, Any]:
    """The numbers, nested lists of numbers and nulls of an object."""
    entries = value.items() if isinstance(value, dict) else ()
    return {name: figure for name, figure in entries if is_figure(figure)}
