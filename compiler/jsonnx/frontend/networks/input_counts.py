"""The number of inputs that a layer takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.components import Json
from ...core.diagnostics import Report
from ..network import Call
from ..schema.phrases import name_list


def has_valid_input_count(call: Call, document: Mapping[str, Json], report: Report) -> bool:
    """Whether a call of a flat document has as many inputs as its layer takes; reports an error if not."""
    if call.layer is None:
        return False
    least, most = call.layer.input_count_range()
    if least <= len(call.sources) and (most is None or len(call.sources) <= most):
        return True
    expected = f"{least} to {most} inputs"
    if most is None:
        expected = f"{least} inputs or more"
    elif least in (0, most):
        expected = f"{'at most ' if least < most else ''}{most} input{'' if most == 1 else 's'}"
    got = f"{len(call.sources)} ({name_list(call.sources)})"
    help = "merge them before, such as by Concatenate or Add" if most == 1 else None
    help = 'name all of them: "from": ["a", "b"]' if len(call.sources) < least else help
    message = f"{call.layer.type_name} {call.name!r} takes {expected}, got {got}"
    entry: Any = document["layers"][int(call.path[1])]
    report.add("wrong-inputs", (*call.path, "from") if "from" in entry else call.path, message, help=help)
    return False
