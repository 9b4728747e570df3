"""Overrides of a spec: `--scale NAME` and `--set KEY=VALUE`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ...core.diagnostics import CompileError, JsonPath, UsageError, quoted_or_list, suggestion
from ...core.limits import MAX_JSON_DEPTH
from ...core.spelling import similar_words
from ...training.optimizers.optimizer import OPTIMIZERS
from ..json.json_reader import Json, Source, read_text
from ..schema.phrases import known_names_help
from ..schema.schema import spec_schema
from .parameters import with_value

FORM_HELP = "write it as in --set training.epochs=3"


class Override(NamedTuple):
    """The option that changed a value of a spec."""

    text: str
    path: JsonPath | None = None
    """Where the new value stands in the spec; None if an option gave it."""


def with_overrides(
    source: Source, scale: str | None, overrides: Sequence[str]
) -> tuple[Source, dict[JsonPath, Override]]:
    """The source with a scale and overrides applied, and what changed each changed path.

    An override is the name of a parameter or a dotted path, `=`, and a JSON value (or a plain word, as a string).
    Raises UsageError `bad-option`.
    """
    changes: dict[JsonPath, Override] = {}
    if scale is not None:
        values = scale_values(source, scale)
        source = _with_parameters(source, values)
        text = f"the scale {scale!r}"
        changes |= {("parameters", name): Override(text, ("scales", scale, name)) for name in values}
    for override in [overrides] if isinstance(overrides, str) else overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise UsageError("bad-option", f"--set {override}: not of the form KEY=VALUE", FORM_HELP)
        try:
            value = read_text(text).value
        except CompileError:
            value = text
        try:
            source, path = with_value_at(source, key, value)
        except OverrideError as error:
            raise UsageError("bad-option", f"--set {override}: {error}", error.help) from error
        changes[path] = Override(f"--set {override}")
    return source, changes


class OverrideError(ValueError):
    """A key names no parameter and no place in a spec."""

    def __init__(self, message: str, help: str | None = None) -> None:
        self.help = help
        super().__init__(message)


def with_value_at(source: Source, key: str, value: Json) -> tuple[Source, JsonPath]:
    """The source with the value of a parameter, or that at a dotted path, replaced, and the path of the value.

    Raises OverrideError.
    """
    path = override_path(source, key)
    if path[:1] == ("parameters",) and len(path) == 2 and path[1] in _parameters(source):
        return _with_parameters(source, {str(path[1]): value}), path
    return replace(source, value=_overridden_at(source.value, path, value)), path


def override_path(source: Source, key: str) -> JsonPath:
    """The path of the value that a key of an override stands for. Raises OverrideError."""
    root_keys, parameters = spec_schema()["properties"], _parameters(source)
    if key in parameters:
        return "parameters", key
    if key and key not in root_keys and "." not in key:
        help = _path_suggestion(source, key) or suggestion(key, [*parameters, *root_keys])
        help = help or (known_names_help([*parameters]) if parameters else None)
        raise OverrideError(f"there is no parameter {key!r}", help)
    path = tuple(int(step[:9]) if step.isdecimal() else step for step in key.split("."))
    if "" in path or len(path) > MAX_JSON_DEPTH:
        raise OverrideError("not of the form KEY=VALUE", FORM_HELP)
    return path


def _path_suggestion(source: Source, key: str) -> str | None:
    """A suggestion of the dotted paths within `training` that end in a key, or in one that is spelled similarly."""
    paths: dict[str, list[str]] = {}
    for path in _training_paths(source):
        paths.setdefault(path.rpartition(".")[2], []).append(path)
    if key in paths:
        return f"did you mean {quoted_or_list(paths[key])}?"
    similar = [path for name in similar_words(key, paths) for path in paths[name]]
    return f"did you mean {quoted_or_list(similar)}?" if len(similar) == 1 else None


def _training_paths(source: Source) -> Iterator[str]:
    """The dotted paths of the settings of `training`, with the paths of the spec's optimizer."""
    for key, schema in spec_schema()["properties"]["training"]["properties"].items():
        yield f"training.{key}"
        yield from (f"training.{key}.{inner}" for inner in schema.get("properties", ()))
    document: Any = source.value
    training = document.get("training") if isinstance(document, dict) else None
    optimizer = training.get("optimizer") if isinstance(training, dict) else None
    name = optimizer.get("type") if isinstance(optimizer, dict) else optimizer
    component = OPTIMIZERS.by_name.get(name) if isinstance(name, str) else None
    yield from (f"training.optimizer.{key}" for key in (component.attributes if component else ["learning_rate"]))


def _with_parameters(source: Source, values: dict[str, Any]) -> Source:
    document: Any = source.value
    parameters = _parameters(source)
    changed = {name: with_value(parameters.get(name), value) for name, value in values.items()}
    return replace(source, value=document | {"parameters": parameters | changed})


def _parameters(source: Source) -> dict[str, Any]:
    document: Any = source.value
    parameters = document.get("parameters") if isinstance(document, dict) else None
    return parameters if isinstance(parameters, dict) else {}


def scale_values(source: Source, scale: str) -> dict[str, Any]:
    """The parameter values of a scale. Raises UsageError `bad-option` if there is no such scale."""
    document: Any = source.value
    scales = document.get("scales") if isinstance(document, dict) else None
    scales = scales if isinstance(scales, dict) else {}
    if not isinstance(scales.get(scale), dict):
        help = suggestion(scale, scales) or (known_names_help([*scales]) if scales else None)
        raise UsageError("bad-option", f"the spec has no scale {scale!r}", help)
    return dict(scales[scale])


def _overridden_at(container: Any, path: JsonPath, value: Any) -> Any:
    """A copy of a container with a value set at a path; missing keys of objects are added."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(container, str):  # the short form of a component, such as "adam"
        container = {"type": container}
    if isinstance(container, dict) and isinstance(step, str):
        return container | {step: _overridden_at(container.get(step, {}), rest, value)}
    if isinstance(container, list) and isinstance(step, int) and step < len(container):
        return [*container[:step], _overridden_at(container[step], rest, value), *container[step + 1 :]]
    description = f"a list of {len(container)}, counted from 0" if isinstance(container, list) else f"{container!r}"
    raise OverrideError(f"there is no {str(step)!r} in {description}")
