"""Changes of a spec from outside: one of its scales, and values given by name or path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..core.diagnostics import CompileError, JsonPath, UsageError, suggestion
from .json_reader import STANDARD, Source, read_text
from .schema.schema import schema


def altered(source: Source, scale: str | None, changes: Sequence[str]) -> tuple[Source, dict[JsonPath, str]]:
    """The source at a scale and with changes, and by what its values were changed.

    A change is a dotted path or the name of a parameter, `=`, and JSON (or a plain word, as a string).
    """
    changers: dict[JsonPath, str] = {}
    if scale is not None:
        values = of_scale(source, scale)
        source = _with_parameters(source, values)
        changers |= {("parameters", name): f"the scale {scale!r}" for name in values}
    for change in changes:
        _, equals, text = change.partition("=")
        steps = _steps(source, change) if equals else ()
        if not equals or "" in steps or len(steps) > STANDARD.depth:
            help = "as in --set training.epochs=3"
            raise UsageError("bad-option", f"--set {change}: not of the form KEY=VALUE", help)
        try:
            value = read_text(text).value
        except CompileError:
            value = text
        source = replace(source, value=_replaced(source.value, steps, value, change))
        changers[steps] = f"--set {change}"
    return source, changers


def _steps(source: Source, change: str) -> JsonPath:
    """The path that a change names."""
    key = change.partition("=")[0]
    top = schema()["properties"]
    if key and key not in top and "." not in key:
        known = _parameters(source)
        if key in known:
            return "parameters", key
        help = suggestion(key, [*known, *top]) or (f"there are: {', '.join(known)}" if known else None)
        raise UsageError("bad-option", f"--set {change}: there is no parameter {key!r}", help)
    return tuple(int(step[:9]) if step.isdecimal() else step for step in key.split("."))


def _with_parameters(source: Source, values: dict[str, Any]) -> Source:
    written: Any = source.value
    return replace(source, value=written | {"parameters": _parameters(source) | values})


def _parameters(source: Source) -> dict[str, Any]:
    written: Any = source.value
    known = written.get("parameters") if isinstance(written, dict) else None
    return known if isinstance(known, dict) else {}


def of_scale(source: Source, scale: str) -> dict[str, Any]:
    """The values of a scale by parameter. Raises UsageError where there is no such scale."""
    written: Any = source.value
    scales = written.get("scales") if isinstance(written, dict) else None
    scales = scales if isinstance(scales, dict) else {}
    if not isinstance(scales.get(scale), dict):
        help = suggestion(scale, scales) or (f"there are: {', '.join(scales)}" if scales else None)
        raise UsageError("bad-option", f"the spec has no scale {scale!r}", help)
    return dict(scales[scale])


def _replaced(inside: Any, steps: JsonPath, value: Any, change: str) -> Any:
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(inside, str):  # the short form of a brick, such as "adam"
        inside = {"type": inside}
    if isinstance(inside, dict) and isinstance(step, str):
        return inside | {step: _replaced(inside.get(step, {}), rest, value, change)}
    if isinstance(inside, list) and isinstance(step, int) and step < len(inside):
        return [*inside[:step], _replaced(inside[step], rest, value, change), *inside[step + 1 :]]
    there = f"a list of {len(inside)}, counted from 0" if isinstance(inside, list) else f"{inside!r}"
    raise UsageError("bad-option", f"--set {change}: there is no {str(step)!r} in {there}")
