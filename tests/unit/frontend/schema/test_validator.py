"""Of a value that no alternative allows, the errors are those of the alternative that it is meant as."""

from __future__ import annotations

import time
from typing import Any

import pytest
from jsonnx.core.limits import MAX_JSON_DEPTH
from jsonnx.frontend.schema.schema import spec_schema
from jsonnx.frontend.schema.validator import VALIDATOR

NUMBERS = [{"type": "number"}, {"type": "array", "items": {"type": "number"}, "minItems": 2}]
LISTS = [*NUMBERS, {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}]
MAPS = [{"type": "object", "additionalProperties": {"type": kind}} for kind in ("number", "string")]
LOSSES = [{"$ref": "#/$defs/loss"}, {"type": "object", "additionalProperties": {"$ref": "#/$defs/loss"}}]
CONSTANTS = [{"$ref": "#/$defs/constant"}, {"type": "null"}]

WHOLE = [("anyOf", ())]
"""The errors if it is not clear which alternative is meant."""


@pytest.mark.parametrize(
    ("options", "value", "errors"),
    [
        (NUMBERS, "x", WHOLE),
        (NUMBERS, True, WHOLE),
        (NUMBERS, 1e39, [("type", ())]),
        (NUMBERS, [1], [("minItems", ())]),
        (NUMBERS, [1, "x"], [("type", (1,))]),
        (LISTS, [1, "x"], [("type", (1,))]),
        (LISTS, [[1], ["x"]], [("type", (1, 0))]),
        (LISTS, [["x", "y"], 1], [("type", (0,))]),
        (MAPS, {"a": 1, "b": "x", "c": 2}, [("type", ("b",))]),
        (MAPS, {"a": 1, "b": "x"}, WHOLE),
        (LOSSES, "bogus", [("enum", ())]),
        (LOSSES, {"type": "bogus"}, [("enum", ("type",))]),
        (LOSSES, {"type": "mse", "bogus": 1}, [("additionalProperties", ())]),
        (LOSSES, {"a": "mse", "b": "bogus"}, [("enum", ("b",))]),
        (CONSTANTS, [1, "x"], WHOLE),
        (CONSTANTS, 1e39, [("type", ())]),
        (CONSTANTS, [], [("minItems", ())]),
    ],
)
def test_the_errors_are_those_of_the_meant_alternative(
    options: list[Any], value: Any, errors: list[tuple[str, tuple[str | int, ...]]]
) -> None:
    validator = VALIDATOR({"anyOf": options, "$defs": spec_schema()["$defs"]})
    assert [(error.validator, tuple(error.absolute_path)) for error in validator.iter_errors(value)] == errors


def test_nested_lists_are_not_validated_once_for_each_level_and_alternative() -> None:
    value: Any = "x"
    for _ in range(MAX_JSON_DEPTH):
        value = [value]
    validator = VALIDATOR(spec_schema())
    start = time.process_time()
    (error,) = validator.evolve(schema={"$ref": "#/$defs/constant"}).iter_errors(value)
    assert tuple(error.absolute_path) == (0,) * MAX_JSON_DEPTH
    assert time.process_time() - start < 1
