"""The shapes that a block requires of its inputs."""

from __future__ import annotations

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ..network import InputShape
from ..schema.phrases import short_repr
from .block_definitions import BlockDefinition
from .evaluator import EvaluationScope, Evaluator
from .expression_values import Values
from .expressions import sole_name


def read_input_shapes(
    block: BlockDefinition, values: Values, scope: EvaluationScope, evaluator: Evaluator, input_count: int
) -> dict[int, InputShape]:
    """The shapes of a block's first inputs for values of its parameters, by the number of the input.

    Sizes other than positive integers are reported.
    """
    shapes = {}
    for number, name in enumerate(block.inputs[:input_count]):
        if name in block.input_shapes:
            written, path = block.input_shapes[name], (*block.input_path(number), "shape")
            sizes = evaluator.evaluate(written, values, path, [], scope)
            valid = tuple(_size(size, (*path, axis), scope, evaluator) for axis, size in enumerate(sizes))
            parameters = tuple(sole_name(size) for size in written)
            shapes[number] = InputShape(name, valid, parameters)
    return shapes


def _size(size: Json, path: JsonPath, scope: EvaluationScope, evaluator: Evaluator) -> int | None:
    """A size; None for one that may be any: null, a name, or an invalid one, which is reported."""
    if size is None or isinstance(size, str):  # an expression stays a string if it has no value
        return None
    if isinstance(size, (int, float)) and not isinstance(size, bool) and size == int(size) and size >= 1:
        return int(size)
    if not evaluator.report.has_errors(path):
        message = f"a size is a positive integer, or null for any, got {short_repr(size)}"
        evaluator.report.add("wrong-type", path, message, notes=scope.notes)
    return None
