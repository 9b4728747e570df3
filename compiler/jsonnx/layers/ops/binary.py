"""Functions of keras.ops that compute element by element from two tensors, or more."""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import TYPE_CHECKING, Any, ClassVar

from ...core.components import attr
from ...core.types import TensorType
from .base import (
    ConstantArgument,
    ConstantOperand,
    DTypeRule,
    MultiTensorOp,
    Operation,
    as_dtype,
    bool_dtype,
    broadcast_shape,
    compute_dtype,
    constant_argument,
    float_dtype,
    is_float_dtype,
    operation,
    promoted_dtype,
    require_numbers,
    same_dtype,
)

if TYPE_CHECKING:
    from ...ir import Builder, Value

# -- of two tensors --------------------------------------------------------------------------------------------------


class BinaryOp(MultiTensorOp):
    """Base of the functions of two numbers, either of which may be a constant."""

    arity = (2, 2)
    tensors = ("x1", "x2")
    result_dtype: ClassVar[DTypeRule]
    combine: ClassVar[Callable[[Any, Any, Any], Any]]

    x1: ConstantArgument | None = constant_argument("x1")
    x2: ConstantArgument | None = constant_argument("x2")

    def result_type(self, x1: Any, x2: Any) -> TensorType:
        return TensorType(type(self).result_dtype(promoted_dtype(x1, x2)), broadcast_shape(x1, x2))

    def emit(self, g: Builder, x1: Any, x2: Any) -> Any:
        found = promoted_dtype(x1, x2)
        result = type(self).result_dtype(found)
        inner = compute_dtype(found if result == "bool" else result)
        return as_dtype(g, type(self).combine(g, as_dtype(g, x1, inner), as_dtype(g, x2, inner)), result)


def register_binary(
    name: str, doc: str, combine: Callable[[Any, Any, Any], Any], result_dtype: DTypeRule = same_dtype, *aliases: str
) -> None:
    """Adds a function of two numbers: what it computes, and the operators."""
    body = {
        "__doc__": doc,
        "__module__": __name__,
        "result_dtype": staticmethod(result_dtype),
        "combine": staticmethod(combine),
    }
    operation(name, *aliases)(type(name, (BinaryOp,), body))


def floor_divide(g: Any, a: Any, b: Any) -> Any:
    """The quotient of what `mod` leaves: exact, where the quotient itself may be rounded up to the next integer."""
    with g.detached():
        quotient = g.Div(g.Sub(a, modulo(g, a, b)), b)
        return g.Round(quotient) if is_float_dtype(a.dtype) else quotient


def modulo(g: Any, a: Any, b: Any) -> Any:
    """The remainder with the sign of the divisor."""
    if not is_float_dtype(a.dtype):
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


def divide_no_nan(g: Any, a: Any, b: Any) -> Any:
    none, one = g.Equal(b, 0.0), g.const(1.0, b.dtype)
    return g.Where(none, g.const(0.0, b.dtype), g.Div(a, g.Where(none, one, b)))


def logical(operator: str) -> Callable[[Any, Any, Any], Any]:
    return lambda g, a, b: g.emit(operator, as_dtype(g, a, "bool"), as_dtype(g, b, "bool"))


register_binary("add", "`x1 + x2`.", lambda g, a, b: g.Add(a, b))
register_binary("subtract", "`x1 - x2`.", lambda g, a, b: g.Sub(a, b))
register_binary("multiply", "`x1 * x2`.", lambda g, a, b: g.Mul(a, b))
register_binary("divide", "`x1 / x2`, a real number.", lambda g, a, b: g.Div(a, b), float_dtype, "true_divide")
register_binary("divide_no_nan", "`x1 / x2`, and 0 where x2 is 0.", divide_no_nan, float_dtype)
register_binary("floor_divide", "The greatest integer that is not above `x1 / x2`.", floor_divide)
register_binary("mod", "The remainder of `x1 / x2`, with the sign of x2.", modulo)
register_binary("power", "`x1 ** x2`.", lambda g, a, b: g.Pow(a, b))
register_binary("maximum", "The greater of both.", lambda g, a, b: g.Max(a, b))
register_binary("minimum", "The lesser of both.", lambda g, a, b: g.Min(a, b))
register_binary("arctan2", "The angle of the point x2, x1, between -pi and pi.", arctan2, float_dtype)
register_binary("hypot", "`sqrt(x1**2 + x2**2)`.", lambda g, a, b: g.Sqrt(g.Add(g.Mul(a, a), g.Mul(b, b))), float_dtype)
register_binary("logaddexp", "`log(exp(x1) + exp(x2))`.", log_add_exp, float_dtype)
register_binary(
    "heaviside", "0 where x1 is below 0, 1 where it is above, and x2 where it is 0.", heaviside, float_dtype
)
register_binary("equal", "Whether both are equal.", lambda g, a, b: g.Equal(a, b), bool_dtype)
register_binary("not_equal", "Whether both differ.", lambda g, a, b: g.Not(g.Equal(a, b)), bool_dtype)
register_binary("greater", "Whether x1 is greater.", lambda g, a, b: g.Greater(a, b), bool_dtype)
register_binary("greater_equal", "Whether x1 is not less.", lambda g, a, b: g.GreaterOrEqual(a, b), bool_dtype)
register_binary("less", "Whether x1 is less.", lambda g, a, b: g.Less(a, b), bool_dtype)
register_binary("less_equal", "Whether x1 is not greater.", lambda g, a, b: g.LessOrEqual(a, b), bool_dtype)
register_binary("logical_and", "Whether both are true, or not 0.", logical("And"), bool_dtype)
register_binary("logical_or", "Whether one of both is true, or not 0.", logical("Or"), bool_dtype)
register_binary("logical_xor", "Whether just one of both is true, or not 0.", logical("Xor"), bool_dtype)


# -- of three --------------------------------------------------------------------------------------------------------


@operation("where")
class Where(MultiTensorOp):
    """x1 where the condition is true, or not 0, else x2."""

    arity = (3, 3)
    tensors = ("condition", "x1", "x2")

    condition: ConstantArgument | None = constant_argument("condition")
    x1: ConstantArgument | None = constant_argument("x1")
    x2: ConstantArgument | None = constant_argument("x2")

    def result_type(self, condition: Any, x1: Any, x2: Any) -> TensorType:
        require_numbers(condition)
        return TensorType(promoted_dtype(x1, x2), broadcast_shape(condition, x1, x2))

    def emit(self, g: Builder, condition: Any, x1: Any, x2: Any) -> Any:
        dtype = promoted_dtype(x1, x2)
        picked = (as_dtype(g, x, compute_dtype(dtype)) for x in (x1, x2))
        return as_dtype(g, g.Where(as_dtype(g, condition, "bool"), *picked), dtype)


@operation("clip")
class Clip(Operation):
    """`min(max(x, x_min), x_max)`."""

    x_min: ConstantArgument | None = attr(None, doc="Least value of the result; null is none.")
    x_max: ConstantArgument | None = attr(None, doc="Greatest value of the result; null is none.")

    def _bounds(self) -> list[ConstantOperand]:
        return [bound for bound in (self.x_min, self.x_max) if bound is not None]

    def infer(self, x: TensorType) -> TensorType:
        dtype = promoted_dtype(x, *self._bounds())
        return TensorType("int32" if dtype == "bool" else dtype, broadcast_shape(x, *self._bounds()))

    def lower(self, g: Builder, x: Value) -> Any:
        # Not Clip: of an element that equals a bound both get half of the gradient, as JAX has it.
        dtype = self.infer(x.type).dtype
        y = as_dtype(g, x, compute_dtype(dtype))
        y = y if self.x_min is None else g.Max(y, as_dtype(g, self.x_min, compute_dtype(dtype)))
        y = y if self.x_max is None else g.Min(y, as_dtype(g, self.x_max, compute_dtype(dtype)))
        return as_dtype(g, y, dtype)
