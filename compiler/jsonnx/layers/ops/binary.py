"""Element-wise functions of two or more tensors in keras.ops."""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import TYPE_CHECKING, Any, ClassVar

from ...core.components import attr
from ...core.types import TensorType, require
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

# -- two tensors -----------------------------------------------------------------------------------------------------


class BinaryOp(MultiTensorOp):
    """Base class of element-wise functions of two operands, either of which may be a constant."""

    merges_padding = True
    arity = (2, 2)
    tensors = ("x1", "x2")
    result_dtype: ClassVar[DTypeRule]
    combine: ClassVar[Callable[[Any, Any, Any], Any]]
    divides_integers: ClassVar[bool] = False
    """Whether integers are divided as integers, so that no constant divisor may be 0."""

    x1: ConstantArgument | None = constant_argument("x1")
    x2: ConstantArgument | None = constant_argument("x2")

    def result_type(self, x1: Any, x2: Any) -> TensorType:
        dtype = type(self).result_dtype(promoted_dtype(x1, x2))
        if self.divides_integers and isinstance(x2, ConstantOperand) and not is_float_dtype(dtype):
            help = "an integer has no quotient by 0; ops.cast before it makes real numbers"
            require(0 not in x2.flat_values(), "divides integers by 0", help, "out-of-range")
        return TensorType(dtype, broadcast_shape(x1, x2))

    def emit(self, g: Builder, x1: Any, x2: Any) -> Any:
        dtype = promoted_dtype(x1, x2)
        result = type(self).result_dtype(dtype)
        inner = compute_dtype(dtype if result == "bool" else result)
        return as_dtype(g, type(self).combine(g, as_dtype(g, x1, inner), as_dtype(g, x2, inner)), result)


def register_binary(
    name: str,
    doc: str,
    combine: Callable[[Any, Any, Any], Any],
    result_dtype: DTypeRule = same_dtype,
    *aliases: str,
    formula: str = "",
) -> None:
    """Registers an element-wise function of two operands, by default with the formula of NumPy's function."""
    body = {
        "__doc__": doc,
        "formula": formula or f"y = {name}(x1, x2)",
        "__module__": __name__,
        "result_dtype": staticmethod(result_dtype),
        "combine": staticmethod(combine),
    }
    body["divides_integers"] = combine in (floor_divide, modulo)
    if name in ("add", "subtract"):
        body["keeps_unbounded"] = True
    elif name in ("multiply", "divide"):  # a product of two tensors may be a square
        body["keeps_unbounded"] = property(lambda self: self.x2 is not None)
    operation(name, *aliases)(type(name, (BinaryOp,), body))


def floor_divide(g: Any, a: Any, b: Any) -> Any:
    """`(a - mod(a, b)) / b`, which is exact, whereas `a / b` may be rounded up to the next integer."""
    with g.detached():
        quotient = g.Div(g.Sub(a, modulo(g, a, b)), b)
        return g.Round(quotient) if is_float_dtype(a.dtype) else quotient


def modulo(g: Any, a: Any, b: Any) -> Any:
    """The remainder, with the sign of the divisor."""
    if not is_float_dtype(a.dtype):
        return g.Mod(a, b)
    remainder = g.Mod(a, b, fmod=1)
    with g.detached():
        differs = g.And(g.Not(g.Equal(remainder, 0.0)), g.Less(g.Mul(g.Sign(remainder), g.Sign(b)), 0.0))
        correction = g.cast(differs, a.dtype)
    return g.Add(remainder, g.Mul(correction, b))


def arctan2(g: Any, y: Any, x: Any) -> Any:
    """The angle between the positive x axis and the point (x, y), via atan(y / x), or atan(x / y) for steep angles."""
    with g.detached():
        x_is_zero = g.Equal(x, 0.0)
        x_is_negative = g.Less(x, 0.0)
        half_turn = g.Where(g.Less(y, 0.0), g.const(-pi, x.dtype), g.const(pi, x.dtype))
        offset = g.Where(x_is_negative, half_turn, g.const(0.0, x.dtype))
        right_angle = g.Mul(g.Sign(y), pi / 2)
        one = g.const(1.0, x.dtype)
    is_steep = g.Greater(g.Abs(y), g.Abs(x))
    numerator = g.Where(is_steep, g.const(0.0, x.dtype), y)
    flat = g.Add(g.Atan(g.Div(numerator, g.Where(g.Or(is_steep, x_is_zero), one, x))), offset)
    steep = g.Sub(right_angle, g.Atan(g.Div(x, g.Where(is_steep, y, one))))
    return g.Where(is_steep, steep, flat)


def log_add_exp(g: Any, a: Any, b: Any) -> Any:
    """`a + log(1 + exp(b - a))`."""
    return g.Add(a, g.Softplus(g.Sub(b, a)))


def heaviside(g: Any, a: Any, b: Any) -> Any:
    step = g.cast(g.Greater(a, 0.0), a.dtype)
    return g.Where(g.Equal(a, 0.0), b, step)


def divide_no_nan(g: Any, a: Any, b: Any) -> Any:
    is_zero, one = g.Equal(b, 0.0), g.const(1.0, b.dtype)
    return g.Where(is_zero, g.const(0.0, b.dtype), g.Div(a, g.Where(is_zero, one, b)))


def logical(operator: str) -> Callable[[Any, Any, Any], Any]:
    return lambda g, a, b: g.emit(operator, as_dtype(g, a, "bool"), as_dtype(g, b, "bool"))


register_binary("add", "Sum of two tensors.", lambda g, a, b: g.Add(a, b), formula="y = x1 + x2")
register_binary("subtract", "Difference of two tensors.", lambda g, a, b: g.Sub(a, b), formula="y = x1 - x2")
register_binary(
    "multiply", "Product of two tensors, element by element.", lambda g, a, b: g.Mul(a, b), formula="y = x1 * x2"
)
register_binary(
    "divide",
    "Quotient of two tensors, as floating point.",
    lambda g, a, b: g.Div(a, b),
    float_dtype,
    "true_divide",
    formula="y = x1 / x2",
)
register_binary(
    "divide_no_nan",
    "Quotient of two tensors; 0 where x2 is 0.",
    divide_no_nan,
    float_dtype,
    formula="y = where(x2 == 0, 0, x1 / where(x2 == 0, 1, x2))",
)
register_binary("floor_divide", "Quotient of two tensors, rounded down.", floor_divide, formula="y = floor(x1 / x2)")
register_binary(
    "mod",
    "Remainder of the quotient of two tensors, with the sign of x2.",
    modulo,
    formula="y = x1 - floor(x1 / x2) * x2",
)
register_binary("power", "Power of two tensors.", lambda g, a, b: g.Pow(a, b), formula="y = x1 ** x2")
register_binary("maximum", "Element-wise maximum.", lambda g, a, b: g.Max(a, b))
register_binary("minimum", "Element-wise minimum.", lambda g, a, b: g.Min(a, b))
register_binary("arctan2", "Angle of the point (x2, x1), between -pi and pi.", arctan2, float_dtype)
register_binary(
    "hypot",
    "Length of the hypotenuse.",
    lambda g, a, b: g.Sqrt(g.Add(g.Mul(a, a), g.Mul(b, b))),
    float_dtype,
    formula="y = sqrt(x1 ** 2 + x2 ** 2)",
)
register_binary(
    "logaddexp",
    "Logarithm of the sum of two exponentials.",
    log_add_exp,
    float_dtype,
    formula="y = log(exp(x1) + exp(x2))",
)
register_binary(
    "heaviside",
    "Step function: 0 for negative and 1 for positive x1, and x2 where x1 is 0.",
    heaviside,
    float_dtype,
    formula="y = where(x1 == 0, x2, x1 > 0)",
)
register_binary(
    "equal", "Whether two elements are equal.", lambda g, a, b: g.Equal(a, b), bool_dtype, formula="y = x1 == x2"
)
register_binary(
    "not_equal",
    "Whether two elements differ.",
    lambda g, a, b: g.Not(g.Equal(a, b)),
    bool_dtype,
    formula="y = x1 != x2",
)
register_binary(
    "greater", "Whether x1 is greater than x2.", lambda g, a, b: g.Greater(a, b), bool_dtype, formula="y = x1 > x2"
)
register_binary(
    "greater_equal",
    "Whether x1 is at least x2.",
    lambda g, a, b: g.GreaterOrEqual(a, b),
    bool_dtype,
    formula="y = x1 >= x2",
)
register_binary("less", "Whether x1 is less than x2.", lambda g, a, b: g.Less(a, b), bool_dtype, formula="y = x1 < x2")
register_binary(
    "less_equal", "Whether x1 is at most x2.", lambda g, a, b: g.LessOrEqual(a, b), bool_dtype, formula="y = x1 <= x2"
)
register_binary("logical_and", "Logical AND; nonzero numbers count as true.", logical("And"), bool_dtype)
register_binary("logical_or", "Logical OR; nonzero numbers count as true.", logical("Or"), bool_dtype)
register_binary("logical_xor", "Logical XOR; nonzero numbers count as true.", logical("Xor"), bool_dtype)


# -- three tensors ---------------------------------------------------------------------------------------------------


@operation("where")
class Where(MultiTensorOp):
    """x1 where the condition is true or nonzero, else x2."""

    formula = "y = where(condition, x1, x2)"
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
        branches = (as_dtype(g, x, compute_dtype(dtype)) for x in (x1, x2))
        return as_dtype(g, g.Where(as_dtype(g, condition, "bool"), *branches), dtype)


@operation("clip")
class Clip(Operation):
    """Limits a tensor to an interval."""

    formula = "y = clip(x, x_min, x_max)"
    keeps_padding = True

    x_min: ConstantArgument | None = attr(None, doc="Lower bound; null for none.")
    x_max: ConstantArgument | None = attr(None, doc="Upper bound; null for none.")

    def _bounds(self) -> list[ConstantOperand]:
        return [bound for bound in (self.x_min, self.x_max) if bound is not None]

    def infer(self, x: TensorType) -> TensorType:
        dtype = promoted_dtype(x, *self._bounds())
        return TensorType("int32" if dtype == "bool" else dtype, broadcast_shape(x, *self._bounds()))

    def lower(self, g: Builder, x: Value) -> Any:
        # Max and Min rather than Clip: at a bound, half of the gradient passes, as in JAX.
        dtype = self.infer(x.type).dtype
        y = as_dtype(g, x, compute_dtype(dtype))
        y = y if self.x_min is None else g.Max(y, as_dtype(g, self.x_min, compute_dtype(dtype)))
        y = y if self.x_max is None else g.Min(y, as_dtype(g, self.x_max, compute_dtype(dtype)))
        return as_dtype(g, y, dtype)
