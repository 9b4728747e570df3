"""Changes of a spec from outside: one of its scales, and values given by name or path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..core.diagnostics import CompileError, JsonPath, UsageError, suggestion
from .json_reader import DEFAULT_LIMITS, Source, read_text
from .schema.schema import spec_schema


def with_overrides(source: Source, scale: str | None, overrides: Sequence[str]) -> tuple[Source, dict[JsonPath, str]]:
    """The source at a scale and with changes, and by what its values were changed.

    A change is a dotted path or the name of a parameter, `=`, and JSON (or a plain word, as a string).
    """
    changers: dict[JsonPath, str] = {}
    if scale is not None:
        values = scale_values(source, scale)
        source = _with_parameters(source, values)
        changers |= {("parameters", name): f"the scale {scale!r}" for name in values}
    for change in overrides:
        _, equals, text = change.partition("=")
        steps = _override_path(source, change) if equals else ()
        if not equals or "" in steps or len(steps) > DEFAULT_LIMITS.max_depth:
            help = "as in --set training.epochs=3"
            raise UsageError("bad-option", f"--set {change}: not of the form KEY=VALUE", help)
        try:
            value = read_text(text).value
        except CompileError:
            value = text
        source = replace(source, value=_with_value_at(source.value, steps, value, change))
        changers[steps] = f"--set {change}"
    return source, changers


def _override_path(source: Source, change: str) -> JsonPath:
    """The path that a change names."""
    key = change.partition("=")[0]
    top = spec_schema()["properties"]
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


def scale_values(source: Source, scale: str) -> dict[str, Any]:
    """The values of a scale by parameter. Raises UsageError where there is no such scale."""
    written: Any = source.value
    scales = written.get("scales") if isinstance(written, dict) else None
    scales = scales if isinstance(scales, dict) else {}
    if not isinstance(scales.get(scale), dict):
        help = suggestion(scale, scales) or (f"there are: {', '.join(scales)}" if scales else None)
        raise UsageError("bad-option", f"the spec has no scale {scale!r}", help)
    return dict(scales[scale])


def _with_value_at(container: Any, steps: JsonPath, value: Any, change: str) -> Any:
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(container, str):  # the short form of a brick, such as "adam"
        container = {"type": container}
    if isinstance(container, dict) and isinstance(step, str):
        return container | {step: _with_value_at(container.get(step, {}), rest, value, change)}
    if isinstance(container, list) and isinstance(step, int) and step < len(container):
        return [*container[:step], _with_value_at(container[step], rest, value, change), *container[step + 1 :]]
    there = f"a list of {len(container)}, counted from 0" if isinstance(container, list) else f"{container!r}"
    raise UsageError("bad-option", f"--set {change}: there is no {str(step)!r} in {there}")
