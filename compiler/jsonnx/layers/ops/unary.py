"""Functions of keras.ops that compute element by element."""

from __future__ import annotations

from collections.abc import Callable
from math import log, pi
from typing import TYPE_CHECKING, Any, ClassVar

from ...core.components import attr
from ...core.types import TensorType
from ..activations import ACTIVATIONS, ActivationFunction
from ..axes import Axes, axes_of
from .base import (
    DType,
    DTypeRule,
    Operation,
    as_dtype,
    bool_dtype,
    compute_dtype,
    float_dtype,
    is_float_dtype,
    operation,
    require_numbers,
    same_dtype,
    sum_dtype,
)

if TYPE_CHECKING:
    from ...ir import Builder, Value

MAX_FLOAT32 = (2 - 2**-23) * 2.0**127
"""The greatest float32."""

# -- of one tensor ---------------------------------------------------------------------------------------------------


class UnaryOp(Operation):
    """Base of the functions of one number."""

    result_dtype: ClassVar[DTypeRule]
    emit: ClassVar[Callable[[Builder, Value], Value]]

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        return x.with_dtype(type(self).result_dtype(x.dtype))

    def lower(self, g: Builder, x: Value) -> Any:
        result = type(self).result_dtype(x.dtype)
        inner = x.dtype if type(self).result_dtype is bool_dtype else compute_dtype(result)
        return as_dtype(g, type(self).emit(g, as_dtype(g, x, inner)), result)


def register_unary(
    name: str,
    doc: str,
    emit: Callable[[Any, Any], Any],
    result_dtype: DTypeRule = float_dtype,
    aliases: tuple[str, ...] = (),
) -> None:
    """Adds a function of one number: what it computes, and the operators."""
    body = {
        "__doc__": doc,
        "__module__": __name__,
        "result_dtype": staticmethod(result_dtype),
        "emit": staticmethod(emit),
    }
    operation(name, *aliases)(type(name, (UnaryOp,), body))


def identity(g: Any, x: Any) -> Any:
    return x


def stop_gradient(g: Any, x: Any) -> Any:
    """A value that the gradient takes for a constant."""
    with g.detached():
        return g.Identity(x)


def floats_only(emit: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Leaves integers as they are."""
    return lambda g, x: emit(g, x) if is_float_dtype(x.dtype) else x


def infinity_test(positive: bool, negative: bool) -> Callable[[Any, Any], Any]:
    return lambda g, x: g.IsInf(
        as_dtype(g, x, float_dtype(x.dtype)), detect_positive=int(positive), detect_negative=int(negative)
    )


def is_nan(g: Any, x: Any) -> Any:
    return g.IsNaN(as_dtype(g, x, float_dtype(x.dtype)))


def truncate(g: Any, x: Any) -> Any:
    return g.Mul(g.Sign(x), g.Floor(g.Abs(x)))


def sinc(g: Any, x: Any) -> Any:
    """At 0 both the value and the slope are those of the limit."""
    zero, one = g.Equal(x, 0.0), g.const(1.0, x.dtype)
    angle = g.Mul(g.Where(zero, one, x), pi)
    return g.Where(zero, one, g.Div(g.Sin(angle), angle))


def cube_root(g: Any, x: Any) -> Any:
    return g.Mul(g.Sign(x), g.Pow(g.Abs(x), g.const(1 / 3, x.dtype)))


register_unary("abs", "The absolute value.", lambda g, x: g.Abs(x), same_dtype, ("absolute",))
register_unary("fabs", "The absolute value, as a real number.", lambda g, x: g.Abs(x))
register_unary("negative", "`-x`.", lambda g, x: g.Neg(x), same_dtype)
register_unary("sign", "-1, 0 or 1.", lambda g, x: g.Sign(x), same_dtype)
register_unary("square", "`x * x`.", lambda g, x: g.Mul(x, x), sum_dtype)
register_unary("sqrt", "The square root.", lambda g, x: g.Sqrt(x))
register_unary("rsqrt", "`1 / sqrt(x)`.", lambda g, x: g.Reciprocal(g.Sqrt(x)))
register_unary("cbrt", "The cube root.", cube_root)
register_unary("reciprocal", "`1 / x`.", lambda g, x: g.Reciprocal(x))
register_unary("exp", "`e ** x`.", lambda g, x: g.Exp(x))
register_unary("exp2", "`2 ** x`.", lambda g, x: g.Exp(g.Mul(x, log(2))))
register_unary("expm1", "`e ** x - 1`.", lambda g, x: g.Sub(g.Exp(x), 1.0))
register_unary("log", "The natural logarithm.", lambda g, x: g.Log(x))
register_unary("log1p", "`log(1 + x)`.", lambda g, x: g.Log(g.Add(x, 1.0)))
register_unary("log2", "The logarithm to the base 2.", lambda g, x: g.Mul(g.Log(x), 1 / log(2)))
register_unary("log10", "The logarithm to the base 10.", lambda g, x: g.Mul(g.Log(x), 1 / log(10)))
register_unary("sin", "The sine.", lambda g, x: g.Sin(x))
register_unary("cos", "The cosine.", lambda g, x: g.Cos(x))
register_unary("tan", "The tangent.", lambda g, x: g.Tan(x))
register_unary("arcsin", "The inverse of the sine.", lambda g, x: g.Asin(x))
register_unary("arccos", "The inverse of the cosine.", lambda g, x: g.Acos(x))
register_unary("arctan", "The inverse of the tangent.", lambda g, x: g.Atan(x))
register_unary("sinh", "The hyperbolic sine.", lambda g, x: g.Sinh(x))
register_unary("cosh", "The hyperbolic cosine.", lambda g, x: g.Cosh(x))
register_unary("arcsinh", "The inverse of the hyperbolic sine.", lambda g, x: g.Asinh(x))
register_unary("arccosh", "The inverse of the hyperbolic cosine.", lambda g, x: g.Acosh(x))
register_unary("arctanh", "The inverse of the hyperbolic tangent.", lambda g, x: g.Atanh(x))
register_unary("sinc", "`sin(pi * x) / (pi * x)`, and 1 at 0.", sinc)
register_unary("deg2rad", "Degrees as radians.", lambda g, x: g.Mul(x, pi / 180))
register_unary("rad2deg", "Radians as degrees.", lambda g, x: g.Mul(x, 180 / pi))
register_unary("erf", "The error function.", lambda g, x: g.Erf(x))
register_unary("erfc", "`1 - erf(x)`.", lambda g, x: g.Sub(1.0, g.Erf(x)))
register_unary("floor", "The greatest integer that is not above.", lambda g, x: g.Floor(x))
register_unary("ceil", "The least integer that is not below.", lambda g, x: g.Ceil(x))
register_unary("trunc", "The integer next to it on the way to 0.", floats_only(truncate), same_dtype)
register_unary("copy", "The argument as it is.", identity, same_dtype)
register_unary("real", "The real part: the argument, whose numbers are real.", identity, same_dtype)
register_unary(
    "conjugate", "The complex conjugate: the argument, whose numbers are real.", identity, same_dtype, ("conj",)
)
register_unary("stop_gradient", "The argument, as a constant to the gradient.", stop_gradient, same_dtype)
register_unary("isnan", "Whether it is no number.", is_nan, bool_dtype)
register_unary("isinf", "Whether it is infinite.", infinity_test(True, True), bool_dtype)
register_unary("isposinf", "Whether it is infinite and above 0.", infinity_test(True, False), bool_dtype)
register_unary("isneginf", "Whether it is infinite and below 0.", infinity_test(False, True), bool_dtype)
register_unary(
    "isfinite",
    "Whether it is a number, and not infinite.",
    lambda g, x: g.Not(g.Or(is_nan(g, x), infinity_test(True, True)(g, x))),
    bool_dtype,
)
register_unary("logical_not", "Whether it is 0, or false.", lambda g, x: g.Not(as_dtype(g, x, "bool")), bool_dtype)


# -- activations -----------------------------------------------------------------------------------------------------


class ActivationOp(Operation):
    """Base of the functions that are activations too."""

    function_type: ClassVar[type[ActivationFunction]]

    def _function(self) -> ActivationFunction:
        return self.function_type(**{name: getattr(self, name) for name in self.attributes})

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        return self._function().infer(x.with_dtype(float_dtype(x.dtype)))

    def lower(self, g: Builder, x: Value) -> Any:
        return self._function().apply(g, as_dtype(g, x, float_dtype(x.dtype)))


def register_activation(name: str, *arguments: str, **defaults: Any) -> None:
    """Adds an activation with those of its arguments that the function has, and the defaults that differ."""
    brick = ACTIVATIONS.members[name]
    hints = vars(brick).get("__annotations__", {})
    own = {argument: brick.attributes[argument] for argument in arguments}
    own = {argument: one._replace(default=defaults.get(argument, one.default)) for argument, one in own.items()}
    body = {"__doc__": brick.__doc__, "__module__": __name__, "function_type": brick, **own}
    operation(name, *(("swish",) if name == "silu" else ("hard_swish",) if name == "hard_silu" else ()))(
        type(name, (ActivationOp,), body | {"__annotations__": {argument: hints[argument] for argument in arguments}})
    )


for plain in (
    *("relu", "relu6", "sigmoid", "log_sigmoid", "hard_sigmoid", "sparse_sigmoid", "tanh", "hard_tanh", "tanh_shrink"),
    *("softplus", "sparse_plus", "softsign", "silu", "hard_silu", "selu"),
):
    register_activation(plain)
register_activation("leaky_relu", "negative_slope")
register_activation("elu", "alpha")
register_activation("celu", "alpha")
register_activation("gelu", "approximate", approximate=True)
register_activation("squareplus", "b")
register_activation("hard_shrink", "threshold")
register_activation("soft_shrink", "threshold")
register_activation("threshold", "threshold", "default_value")
register_activation("glu", "axis")
register_activation("sparsemax", "axis")
register_activation("log_softmax", "axis")


@operation("softmax")
class Softmax(Operation):
    """`exp(x) / sum(exp(x))` along one axis or several."""

    axis: Axes | None = attr(-1, doc="Axis, or list of axes, along which the result sums to one; null is all.")

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        self._axes(x)
        return x.with_dtype(float_dtype(x.dtype))

    def _axes(self, x: TensorType) -> list[int]:
        return list(range(x.rank)) if self.axis is None else axes_of(x, self.axis)

    def lower(self, g: Builder, x: Value) -> Any:
        axes, x = self._axes(x.type), as_dtype(g, x, float_dtype(x.dtype))
        if len(axes) == 1:
            return g.Softmax(x, axis=axes[0])
        return g.Exp(g.Sub(x, g.ReduceLogSumExp(x, axes, keepdims=1)))


# -- of one tensor, with arguments -----------------------------------------------------------------------------------


@operation("cast")
class Cast(Operation):
    """The same numbers in another element type; real ones lose what is behind the point, of truth values 1 is true."""

    dtype: DType = attr(doc="Element type of the result.")

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        return x.with_dtype(self.dtype)

    def lower(self, g: Builder, x: Value) -> Any:
        return as_dtype(g, x, self.dtype)


@operation("round")
class Round(Operation):
    """The nearest number of so many decimals, of two the even one."""

    decimals: int = attr(0, doc="Digits behind the point.", minimum=0, maximum=38)

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        if not is_float_dtype(x.dtype):
            return x
        factor = 10.0**self.decimals
        return g.Round(x) if factor == 1 else g.Div(g.Round(g.Mul(x, factor)), factor)


@operation("nan_to_num")
class NanToNum(Operation):
    """The argument with numbers in place of what is none, or infinite."""

    nan: float = attr(0.0, doc="What takes the place of no number.")
    posinf: float | None = attr(None, doc="What takes the place of infinity; null is the greatest number.")
    neginf: float | None = attr(None, doc="What takes the place of minus infinity; null is the least number.")

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        if not is_float_dtype(x.dtype):
            return x
        great = MAX_FLOAT32 if self.posinf is None else self.posinf
        least = -MAX_FLOAT32 if self.neginf is None else self.neginf
        y = g.Where(g.IsNaN(x), g.const(self.nan, x.dtype), x)
        y = g.Where(g.IsInf(x, detect_negative=0), g.const(great, x.dtype), y)
        return g.Where(g.IsInf(x, detect_positive=0), g.const(least, x.dtype), y)


class FilledLike(Operation):
    """Base of the functions that make a tensor of one value in the shape of another."""

    dtype: DType | None = attr(None, doc="Element type of the result; null is that of the argument.")
    value: ClassVar[float] = 0

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        return x.with_dtype(self.dtype or x.dtype)

    def lower(self, g: Builder, x: Value) -> Any:
        with g.detached():
            dtype = g.float_dtype if is_float_dtype(self.dtype or x.dtype) else self.dtype or x.dtype
            return g.refine(g.Expand(g.const(self.value, dtype), g.sizes(x.shape, x)), x.shape)


@operation("zeros_like", "empty_like")
class ZerosLike(FilledLike):
    """Zeros in the shape of the argument."""


@operation("ones_like")
class OnesLike(FilledLike):
    """Ones in the shape of the argument."""

    value = 1


@operation("full_like")
class FullLike(FilledLike):
    """One value in the shape of the argument."""

    fill_value: float = attr(doc="The value.")

    @property
    def value(self) -> float:  # type: ignore[override]
        return self.fill_value
