"""The values of the parts of an expression, as functions of the values of its names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ...core.components import Json
from ...core.limits import MAX_EXPRESSION_ITEMS
from .operations import (
    ExpressionError,
    Function,
    Workspace,
    arithmetic,
    checked_range,
    compare,
    item_at,
    items_between,
    require_array,
    require_condition,
)

Values = Mapping[str, Json]

ValueFn = Callable[[Values, Workspace], Json]
"""The value of a part of an expression, for values of its names."""

Place = tuple[str, int]
"""An expression and the offset of a token in it."""

VALUES_PER_STEP = 16
"""The values of names that are copied in the time of one step."""

Operation = tuple[str, Place, ValueFn]
"""A binary operator, its place, and its right operand."""


def constant(value: Json) -> ValueFn:
    return lambda values, workspace: value


def number(text: str, place: Place) -> Json:
    try:
        return checked_range(int(text) if text.isdecimal() else float(text), text)
    except ExpressionError as error:
        raise error.at(*place) from None


def array(items: Sequence[ValueFn]) -> ValueFn:
    return lambda values, workspace: workspace.array([item(values, workspace) for item in items])


def indexing(place: Place, array_fn: ValueFn, index_fn: ValueFn) -> ValueFn:
    def item(values: Values, workspace: Workspace) -> Json:
        array, index = array_fn(values, workspace), index_fn(values, workspace)
        try:
            return item_at(array, index)
        except ExpressionError as error:
            raise error.at(*place) from None

    return item


def slicing(place: Place, array_fn: ValueFn, start_fn: ValueFn, stop_fn: ValueFn) -> ValueFn:
    def items(values: Values, workspace: Workspace) -> Json:
        array, start, stop = (part(values, workspace) for part in (array_fn, start_fn, stop_fn))
        try:
            return workspace.array(items_between(array, start, stop))
        except ExpressionError as error:
            raise error.at(*place) from None

    return items


def call(place: Place, function: Function, arguments: Sequence[ValueFn]) -> ValueFn:
    def result(values: Values, workspace: Workspace) -> Json:
        inputs = [argument(values, workspace) for argument in arguments]
        try:
            return checked_range(function.value(workspace, *inputs), "the result")
        except ExpressionError as error:
            raise error.at(*place) from None

    return result


def arithmetic_chain(first: ValueFn, rest: Sequence[Operation]) -> ValueFn:
    def result(values: Values, workspace: Workspace) -> Json:
        left = first(values, workspace)
        for operator, place, part in rest:
            right = part(values, workspace)
            try:
                left = arithmetic(operator, left, right)
            except ExpressionError as error:
                raise error.at(*place) from None
        return left

    return result


def comparison_chain(first: ValueFn, rest: Sequence[Operation]) -> ValueFn:
    """Of `a < b < c`: whether all comparisons hold, up to the first that does not."""

    def holds(values: Values, workspace: Workspace) -> bool:
        left = first(values, workspace)
        for operator, place, part in rest:
            right = part(values, workspace)
            try:
                if not compare(workspace, operator, left, right):
                    return False
            except ExpressionError as error:
                raise error.at(*place) from None
            left = right
        return True

    return holds


def condition_chain(first: ValueFn, rest: Sequence[Operation]) -> ValueFn:
    """Of `a or b or c`, or of `a and b and c`: conditions up to the first that decides."""
    parts = [(rest[0][0], rest[0][1], first), *rest]

    def holds(values: Values, workspace: Workspace) -> bool:
        for operator, place, part in parts:
            condition = require_condition(operator, part(values, workspace), place)
            if condition == (operator == "or"):
                break
        return condition

    return holds


def negation(place: Place, condition: ValueFn) -> ValueFn:
    return lambda values, workspace: not require_condition("not", condition(values, workspace), place)


def choice(cases: Sequence[tuple[Place, ValueFn, ValueFn]], otherwise: ValueFn) -> ValueFn:
    def chosen(values: Values, workspace: Workspace) -> Json:
        for place, condition, value in cases:
            if require_condition("if", condition(values, workspace), place):
                return value(values, workspace)
        return otherwise(values, workspace)

    return chosen


class ForClause(NamedTuple):
    """`for name in array if condition if condition`, in a comprehension."""

    name: str
    place: Place
    array: ValueFn
    conditions: Sequence[tuple[Place, ValueFn]]


def comprehension(item: ValueFn, clauses: Sequence[ForClause], token_count: int) -> ValueFn:
    """The array of the values of an item in each round of the clauses, which costs `token_count` steps."""

    def items(values: Values, workspace: Workspace) -> Json:
        result: list[Json] = []

        def add_items(values: Values, depth: int) -> None:
            if depth == len(clauses):
                result.append(item(values, workspace))
                return
            clause = clauses[depth]
            for value in require_array("for", clause.array(values, workspace), clause.place):
                workspace.spend(token_count + len(values) // VALUES_PER_STEP)
                inner = {**values, clause.name: value}
                if all(require_condition("if", holds(inner, workspace), place) for place, holds in clause.conditions):
                    add_items(inner, depth + 1)
                if len(result) > MAX_EXPRESSION_ITEMS:
                    message = f"the comprehension gives more than {MAX_EXPRESSION_ITEMS:,} items"
                    raise ExpressionError(message).at(*clauses[0].place)

        add_items(values, 0)
        return workspace.array(result)

    return items
