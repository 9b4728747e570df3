"""The operators and functions of expressions, applied to JSON values."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

from ...core.components import Json
from ...core.limits import MAX_EXPRESSION_ITEMS, MAX_EXPRESSION_STEPS
from ..schema.phrases import short_name

INTEGER_LIMIT = 2**63
"""The absolute value of every integer is smaller."""

MAX_ROUNDING_DIGITS = 18


class ExpressionError(Exception):
    """An expression cannot be parsed or evaluated. `help` suggests a solution."""

    def __init__(self, message: str, help: str | None = None) -> None:
        self.message, self.help, self.place = message, help, ""

    def at(self, text: str, offset: int) -> Self:
        """The error with its place in an expression, unless it has one already."""
        self.place = self.place or f", at character {offset + 1} of {short_name(text)}"
        return self

    def __str__(self) -> str:
        return self.message + self.place


class TooManySteps(Exception):
    """The expressions of a spec take too many steps."""


class Workspace:
    """Counts the steps of all evaluations, and stores the arrays that they make."""

    def __init__(self, store: Callable[[list[Json]], Json] = lambda items: items) -> None:
        self.remaining_steps: int = MAX_EXPRESSION_STEPS
        self.store = store

    def spend(self, steps: int) -> None:
        """Counts steps. Raises TooManySteps."""
        self.remaining_steps -= steps
        if self.remaining_steps < 0:
            raise TooManySteps

    def array(self, items: list[Json]) -> Json:
        """An array of some items."""
        self.spend(len(items))
        return self.store(items)


# -- types -----------------------------------------------------------------------------------------------------------


def type_phrase(value: Json) -> str:
    phrases = {bool: "true or false", int: "an integer", float: "a float", str: "a string", list: "an array"}
    return phrases.get(type(value), "null" if value is None else "an object")


_NUMBER_HINTS: dict[type, str] = {
    bool: "choose a number by it: 1 if ... else 0",
    list: "take one of its items, such as x[0]",
    str: "write numbers without quotes",
}
"""Help for values of other types."""


def require_numbers(name: str, values: Sequence[Json]) -> None:
    """Raises ExpressionError unless all values are numbers; `name` is the operator or function that takes them."""
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ExpressionError(f"{name} needs numbers, got {type_phrase(value)}", _NUMBER_HINTS.get(type(value)))


def require_integers(name: str, values: Sequence[Json]) -> None:
    """Raises ExpressionError unless all values are integers."""
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int):
            help = "// divides integers; floor, ceil and round give integers" if isinstance(value, float) else None
            raise ExpressionError(f"{name} needs integers, got {type_phrase(value)}", help)


def require_condition(name: str, value: Json, place: tuple[str, int]) -> bool:
    """A condition. Raises ExpressionError if it is not true or false."""
    if not isinstance(value, bool):
        help = "compare it, as in x == 'same'" if isinstance(value, str) else "compare it, as in x != 0"
        raise ExpressionError(f"{name} needs true or false, got {type_phrase(value)}", help).at(*place)
    return value


def require_array(name: str, value: Json, place: tuple[str, int]) -> list[Json]:
    """An array. Raises ExpressionError if it is another value; `name` is the word that takes it."""
    if not isinstance(value, list):
        help = "range(n) gives the integers from 0 to n - 1" if isinstance(value, int) else None
        raise ExpressionError(f"{name} needs an array, got {type_phrase(value)}", help).at(*place)
    return value


def checked_range(value: Json, text: str) -> Json:
    """A value. Raises ExpressionError with the `text` of its computation if it is a number out of range."""
    if isinstance(value, int) and abs(value) < INTEGER_LIMIT:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, complex):
        raise ExpressionError(f"{text} is not a real number")
    if not isinstance(value, (int, float)):
        return value
    shown = text if len(text) <= 60 else f"{text[:40]}..."
    kind = "a 64-bit integer" if isinstance(value, int) else "a float"
    raise ExpressionError(f"{shown} is out of range for {kind}")


# -- operators -------------------------------------------------------------------------------------------------------


def _power(base: int | float, exponent: int | float) -> Json:
    """Base ** exponent. Raises ExpressionError before it computes a huge integer."""
    bits = abs(base).bit_length() if isinstance(base, int) else 0
    if bits > 1 and isinstance(exponent, int) and exponent * (bits - 1) > 64:
        raise ExpressionError(f"{base} ** {exponent} is out of range for a 64-bit integer")
    return base**exponent


_ARITHMETIC: dict[str, Callable[[int | float, int | float], Json]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": _power,
}


def arithmetic(sign: str, left: Json, right: Json) -> Json:
    """The result of an operator of numbers. Raises ExpressionError."""
    require_numbers(sign, (left, right))
    try:
        result = _ARITHMETIC[sign](left, right)
    except ZeroDivisionError:
        help = "divide by a number that cannot be 0, such as max(1, ...)"
        raise ExpressionError(f"{left} {sign} {right} divides by zero", help) from None
    except OverflowError:
        raise ExpressionError(f"{left} {sign} {right} is out of range") from None
    return checked_range(result, f"{left} {sign} {right}")


_ORDER: dict[str, Callable[[Json, Json], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compare(workspace: Workspace, sign: str, left: Json, right: Json) -> bool:
    """Whether a comparison holds. Any values may be equal; numbers and strings have an order.

    Raises ExpressionError.
    """
    if sign in ("==", "!="):
        return are_equal(workspace, left, right) == (sign == "==")
    if sign in ("in", "not in"):
        if not isinstance(right, list):
            raise ExpressionError(f"{sign} needs an array on its right, got {type_phrase(right)}")
        return any(are_equal(workspace, left, item) for item in right) == (sign == "in")
    if isinstance(left, str) and isinstance(right, str):
        workspace.spend(len(left) // 64)
    else:
        require_numbers(sign, (left, right))
    return _ORDER[sign](left, right)


def are_equal(workspace: Workspace, left: Json, right: Json) -> bool:
    """Whether two values are equal as JSON: 1 equals 1.0, but not true."""
    workspace.spend(1)
    if isinstance(left, list) and isinstance(right, list):
        pairs = zip(left, right, strict=False)
        return len(left) == len(right) and all(are_equal(workspace, *pair) for pair in pairs)
    if isinstance(left, dict) and isinstance(right, dict):
        workspace.spend(min(len(left), len(right)))
        return left.keys() == right.keys() and all(are_equal(workspace, left[key], right[key]) for key in left)
    if isinstance(left, str) and isinstance(right, str):
        workspace.spend(len(left) // 64)
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def item_at(array: Json, index: Json) -> Json:
    """An item of an array, counted from 0. Raises ExpressionError."""
    items, index = _indexed_array(array), _require_index(index)
    if not 0 <= index < len(items):
        help = "the last item of x is x[len(x) - 1]" if items else None
        message = f"there is no item {index}: the array has {len(items)} items, counted from 0"
        raise ExpressionError(message, help)
    return items[index]


def items_between(array: Json, start: Json, stop: Json) -> list[Json]:
    """The items of an array from `start` up to, but without `stop`; null is the start or the end of the array. Raises
    ExpressionError."""
    items = _indexed_array(array)
    first, end = 0 if start is None else _require_index(start), len(items) if stop is None else _require_index(stop)
    if first < 0 or end < 0:
        message = f"a slice begins and ends at 0 or more, got {min(first, end)}"
        raise ExpressionError(message, "the last item of x is x[len(x) - 1]")
    return items[first:end]


def _indexed_array(array: Json) -> list[Json]:
    if not isinstance(array, list):
        raise ExpressionError(f"[ ] needs an array, got {type_phrase(array)}", "write the name without [ ]")
    return array


def _require_index(index: Json) -> int:
    if isinstance(index, bool) or not isinstance(index, int):
        help = "// divides integers; floor, ceil and round give integers" if isinstance(index, float) else None
        raise ExpressionError(f"[ ] needs an integer as index, got {type_phrase(index)}", help)
    return index


# -- functions -------------------------------------------------------------------------------------------------------


class Function(NamedTuple):
    """A function: how it is called, its numbers of arguments, and its value for a workspace and arguments."""

    call: str
    min_arguments: int
    max_arguments: int | None
    value: Callable[..., Json]


def _extreme(name: str, choose: Callable[[Sequence[int | float]], int | float]) -> Callable[..., Json]:
    def value(workspace: Workspace, *arguments: Json) -> Json:
        numbers = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list) else arguments
        workspace.spend(len(numbers))
        require_numbers(name, numbers)
        if not numbers:
            raise ExpressionError(f"{name} needs at least one number, got an empty array")
        return choose(numbers)

    return value


def _round(workspace: Workspace, number: Json, digits: Json = None) -> Json:
    require_numbers("round", (number,))
    if digits is None:
        return round(number)
    require_integers("the digits of round", (digits,))
    if abs(digits) > MAX_ROUNDING_DIGITS:
        raise ExpressionError(f"round has at most {MAX_ROUNDING_DIGITS} digits, got {digits}")
    return round(number, digits)


def _of_number(name: str, compute: Callable[[int | float], int | float]) -> Callable[..., Json]:
    def value(workspace: Workspace, number: Json) -> Json:
        require_numbers(name, (number,))
        return compute(number)

    return value


def _positive(name: str, number: Json) -> int | float:
    require_numbers(name, (number,))
    if number <= 0:
        raise ExpressionError(f"{name} needs a positive number, got {number}")
    return number


def _log(workspace: Workspace, number: Json, base: Json = None) -> Json:
    """The natural logarithm, or that to a base, which is exact for powers of 2 and of 10."""
    number = _positive("log", number)
    if base is None:
        return math.log(number)
    if _positive("the base of log", base) == 1:
        raise ExpressionError("the base of log cannot be 1")
    exact = {2: math.log2, 10: math.log10}.get(base)
    return exact(number) if exact else math.log(number) / math.log(base)


def _exp(workspace: Workspace, number: Json) -> Json:
    require_numbers("exp", (number,))
    try:
        return math.exp(number)
    except OverflowError:
        raise ExpressionError(f"exp({number}) is out of range for a float") from None


def _sqrt(workspace: Workspace, number: Json) -> Json:
    require_numbers("sqrt", (number,))
    if number < 0:
        raise ExpressionError(f"sqrt needs a number of at least 0, got {number}")
    return math.sqrt(number)


def _exact_div(workspace: Workspace, dividend: Json, divisor: Json) -> Json:
    require_integers("exact_div", (dividend, divisor))
    if not divisor:
        raise ExpressionError(f"exact_div({dividend}, 0) divides by zero")
    if dividend % divisor:
        help = "change one of the two numbers"
        raise ExpressionError(f"{dividend} is not a multiple of {divisor}", help)
    return dividend // divisor


def _length(workspace: Workspace, value: Json) -> Json:
    if not isinstance(value, (list, str)):
        raise ExpressionError(f"len needs an array or a string, got {type_phrase(value)}")
    return len(value)


def _sum(workspace: Workspace, array: Json) -> Json:
    if not isinstance(array, list):
        raise ExpressionError(f"sum needs an array, got {type_phrase(array)}", "write sum([a, b]), or a + b")
    workspace.spend(len(array))
    require_numbers("sum", array)
    return sum(array)


def _range(workspace: Workspace, *bounds: Json) -> Json:
    require_integers("range", bounds)
    start, stop, step = (0, *bounds, 1) if len(bounds) == 1 else (*bounds, 1)[:3]
    if not step:
        raise ExpressionError("the step of range is 0")
    count = max(0, -((start - stop) // step))  # `len` refuses more than 64 bits
    if count > MAX_EXPRESSION_ITEMS:
        raise ExpressionError(f"range gives {count:,} integers, more than {MAX_EXPRESSION_ITEMS:,}")
    return workspace.array(list(range(start, stop, step)))


FUNCTIONS = {
    "abs": Function("abs(x)", 1, 1, _of_number("abs", abs)),
    "ceil": Function("ceil(x)", 1, 1, _of_number("ceil", math.ceil)),
    "exact_div": Function("exact_div(multiple, divisor)", 2, 2, _exact_div),
    "exp": Function("exp(x)", 1, 1, _exp),
    "floor": Function("floor(x)", 1, 1, _of_number("floor", math.floor)),
    "len": Function("len(array)", 1, 1, _length),
    "log": Function("log(x) or log(x, base)", 1, 2, _log),
    "max": Function("max(a, b, ...) or max(array)", 1, None, _extreme("max", max)),
    "min": Function("min(a, b, ...) or min(array)", 1, None, _extreme("min", min)),
    "range": Function("range(stop), range(start, stop) or range(start, stop, step)", 1, 3, _range),
    "round": Function("round(x) or round(x, digits)", 1, 2, _round),
    "sqrt": Function("sqrt(x)", 1, 1, _sqrt),
    "sum": Function("sum(array)", 1, 1, _sum),
}
