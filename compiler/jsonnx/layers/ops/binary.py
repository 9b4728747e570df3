"""Functions of keras.ops that compute element by element from two tensors, or more."""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import TYPE_CHECKING, Any, ClassVar

from ...core.components import attr
from ...core.types import TensorType
from .base import (
    Constant,
    Fixed,
    Joint,
    Operation,
    Rule,
    as_dtype,
    broadcast_of,
    constant,
    is_real,
    operation,
    promoted,
    real,
    require_numbers,
    same,
    truth,
    wide,
)

if TYPE_CHECKING:
    from ...ir import Builder, Value

# -- of two tensors --------------------------------------------------------------------------------------------------


class Binary(Joint):
    """Base of the functions of two numbers, either of which may be a constant."""

    arity = (2, 2)
    tensors = ("x1", "x2")
    rule: ClassVar[Rule]
    meet: ClassVar[Callable[[Any, Any, Any], Any]]

    x1: Constant | None = constant("x1")
    x2: Constant | None = constant("x2")

    def result(self, x1: Any, x2: Any) -> TensorType:
        return TensorType(type(self).rule(promoted(x1, x2)), broadcast_of(x1, x2))

    def emit(self, g: Builder, x1: Any, x2: Any) -> Any:
        found = promoted(x1, x2)
        result = type(self).rule(found)
        inner = wide(found if result == "bool" else result)
        return as_dtype(g, type(self).meet(g, as_dtype(g, x1, inner), as_dtype(g, x2, inner)), result)


def binary(name: str, doc: str, meet: Callable[[Any, Any, Any], Any], rule: Rule = same, *aliases: str) -> None:
    """Adds a function of two numbers: what it computes, and the operators."""
    body = {"__doc__": doc, "__module__": __name__, "rule": staticmethod(rule), "meet": staticmethod(meet)}
    operation(name, *aliases)(type(name, (Binary,), body))


def floor_divided(g: Any, a: Any, b: Any) -> Any:
    """The quotient of what `mod` leaves: exact, where the quotient itself may be rounded up to the next integer."""
    with g.detached():
        quotient = g.Div(g.Sub(a, modulo(g, a, b)), b)
        return g.Round(quotient) if is_real(a.dtype) else quotient


def modulo(g: Any, a: Any, b: Any) -> Any:
    """The remainder with the sign of the divisor."""
    if not is_real(a.dtype):
        return g.Mod(a, b)
    rest = g.Mod(a, b, fmod=1)
    with g.detached():
        differs = g.And(g.Not(g.Equal(rest, 0.0)), g.Less(g.Mul(g.Sign(rest), g.Sign(b)), 0.0))
        times = g.cast(differs, a.dtype)
    return g.Add(rest, g.Mul(times, b))


def arctan2(g: Any, y: Any, x: Any) -> Any:
    """The angle from the half-line of positive x, by atan(y / x) and a half turn where x is below 0."""
    with g.detached():
        zero = g.Equal(x, 0.0)
        below = g.Less(x, 0.0)
        half = g.Where(g.Less(y, 0.0), g.const(-pi, x.dtype), g.const(pi, x.dtype))
        turn = g.Where(below, half, g.const(0.0, x.dtype))
        upright = g.Mul(g.Sign(y), pi / 2)
        one = g.const(1.0, x.dtype)
    steep = g.Greater(g.Abs(y), g.Abs(x))
    flat = g.Add(g.Atan(g.Div(g.Where(steep, g.const(0.0, x.dtype), y), g.Where(g.Or(steep, zero), one, x))), turn)
    tall = g.Sub(upright, g.Atan(g.Div(x, g.Where(steep, y, one))))
    return g.Where(steep, tall, flat)


def log_add_exp(g: Any, a: Any, b: Any) -> Any:
    """`a + log(1 + exp(b - a))`."""
    return g.Add(a, g.Softplus(g.Sub(b, a)))


def heaviside(g: Any, a: Any, b: Any) -> Any:
    step = g.cast(g.Greater(a, 0.0), a.dtype)
    return g.Where(g.Equal(a, 0.0), b, step)


def divided_or_zero(g: Any, a: Any, b: Any) -> Any:
    none, one = g.Equal(b, 0.0), g.const(1.0, b.dtype)
    return g.Where(none, g.const(0.0, b.dtype), g.Div(a, g.Where(none, one, b)))


def logical(operator: str) -> Callable[[Any, Any, Any], Any]:
    return lambda g, a, b: g.emit(operator, as_dtype(g, a, "bool"), as_dtype(g, b, "bool"))


binary("add", "`x1 + x2`.", lambda g, a, b: g.Add(a, b))
binary("subtract", "`x1 - x2`.", lambda g, a, b: g.Sub(a, b))
binary("multiply", "`x1 * x2`.", lambda g, a, b: g.Mul(a, b))
binary("divide", "`x1 / x2`, a real number.", lambda g, a, b: g.Div(a, b), real, "true_divide")
binary("divide_no_nan", "`x1 / x2`, and 0 where x2 is 0.", divided_or_zero, real)
binary("floor_divide", "The greatest integer that is not above `x1 / x2`.", floor_divided)
binary("mod", "The remainder of `x1 / x2`, with the sign of x2.", modulo)
binary("power", "`x1 ** x2`.", lambda g, a, b: g.Pow(a, b))
binary("maximum", "The greater of both.", lambda g, a, b: g.Max(a, b))
binary("minimum", "The lesser of both.", lambda g, a, b: g.Min(a, b))
binary("arctan2", "The angle of the point x2, x1, between -pi and pi.", arctan2, real)
binary("hypot", "`sqrt(x1**2 + x2**2)`.", lambda g, a, b: g.Sqrt(g.Add(g.Mul(a, a), g.Mul(b, b))), real)
binary("logaddexp", "`log(exp(x1) + exp(x2))`.", log_add_exp, real)
binary("heaviside", "0 where x1 is below 0, 1 where it is above, and x2 where it is 0.", heaviside, real)
binary("equal", "Whether both are equal.", lambda g, a, b: g.Equal(a, b), truth)
binary("not_equal", "Whether both differ.", lambda g, a, b: g.Not(g.Equal(a, b)), truth)
binary("greater", "Whether x1 is greater.", lambda g, a, b: g.Greater(a, b), truth)
binary("greater_equal", "Whether x1 is not less.", lambda g, a, b: g.GreaterOrEqual(a, b), truth)
binary("less", "Whether x1 is less.", lambda g, a, b: g.Less(a, b), truth)
binary("less_equal", "Whether x1 is not greater.", lambda g, a, b: g.LessOrEqual(a, b), truth)
binary("logical_and", "Whether both are true, or not 0.", logical("And"), truth)
binary("logical_or", "Whether one of both is true, or not 0.", logical("Or"), truth)
binary("logical_xor", "Whether just one of both is true, or not 0.", logical("Xor"), truth)


# -- of three --------------------------------------------------------------------------------------------------------


@operation("where")
class Where(Joint):
    """x1 where the condition is true, or not 0, else x2."""

    arity = (3, 3)
    tensors = ("condition", "x1", "x2")

    condition: Constant | None = constant("condition")
    x1: Constant | None = constant("x1")
    x2: Constant | None = constant("x2")

    def result(self, condition: Any, x1: Any, x2: Any) -> TensorType:
        require_numbers(condition)
        return TensorType(promoted(x1, x2), broadcast_of(condition, x1, x2))

    def emit(self, g: Builder, condition: Any, x1: Any, x2: Any) -> Any:
        dtype = promoted(x1, x2)
        picked = (as_dtype(g, x, wide(dtype)) for x in (x1, x2))
        return as_dtype(g, g.Where(as_dtype(g, condition, "bool"), *picked), dtype)


@operation("clip")
class Clip(Operation):
    """`min(max(x, x_min), x_max)`."""

    x_min: Constant | None = attr(None, doc="Least value of the result; null is none.")
    x_max: Constant | None = attr(None, doc="Greatest value of the result; null is none.")

    def _bounds(self) -> list[Fixed]:
        return [bound for bound in (self.x_min, self.x_max) if bound is not None]

    def infer(self, x: TensorType) -> TensorType:
        dtype = promoted(x, *self._bounds())
        return TensorType("int32" if dtype == "bool" else dtype, broadcast_of(x, *self._bounds()))

    def lower(self, g: Builder, x: Value) -> Any:
        # Not Clip: of an element that equals a bound both get half of the gradient, as JAX has it.
        dtype = self.infer(x.type).dtype
        y = as_dtype(g, x, wide(dtype))
        y = y if self.x_min is None else g.Max(y, as_dtype(g, self.x_min, wide(dtype)))
        y = y if self.x_max is None else g.Min(y, as_dtype(g, self.x_max, wide(dtype)))
        return as_dtype(g, y, dtype)
