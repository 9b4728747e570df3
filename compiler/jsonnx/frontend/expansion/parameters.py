"""Definitions of parameters, of a network or of a block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ..schema.schema import PARAMETER_KEYS


class Parameter(NamedTuple):
    """The definition of a parameter."""

    path: JsonPath
    default_path: JsonPath
    """The path of its default, or of the definition if there is none."""
    has_default: bool = True
    """Whether a value need not be given."""
    default: Json = None
    """The value unless another one is given; it may contain expressions."""
    description: str = ""


def is_parameter_object(value: Json) -> bool:
    """Whether a value is an object that defines a parameter, and not the default itself."""
    return isinstance(value, dict) and "type" not in value and any(key in value for key in PARAMETER_KEYS)


def read_parameters(section: Mapping[str, Json], path: JsonPath) -> dict[str, Parameter]:
    """The parameters of a section at a path, by name. The section is valid, or its errors are reported."""
    parameters = {}
    for name, value in section.items():
        parameter_path = (*path, name)
        if is_parameter_object(value):
            has_default, description = "default" in value, str(value.get("description", ""))
            default_path = (*parameter_path, "default") if has_default else parameter_path
            parameters[name] = Parameter(parameter_path, default_path, has_default, value.get("default"), description)
        else:
            parameters[name] = Parameter(parameter_path, parameter_path, default=value)
    return parameters


def with_value(definition: Json, value: Json) -> Json:
    """The definition of a parameter with another value, which keeps its description."""
    if not is_parameter_object(definition):
        return value
    return {"default": value} | {key: item for key, item in definition.items() if key == "description"}
