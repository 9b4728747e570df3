"""Functions of keras.ops that compute element by element."""

from __future__ import annotations

from collections.abc import Callable
from math import log, pi
from typing import TYPE_CHECKING, Any, ClassVar

from ...core.components import attr
from ...core.types import TensorType
from ..activations import ACTIVATIONS, Activation_
from ..axes import Axes, axes_of
from .base import (
    DType,
    Operation,
    Rule,
    as_dtype,
    counted,
    is_real,
    operation,
    real,
    require_numbers,
    same,
    truth,
    wide,
)

if TYPE_CHECKING:
    from ...ir import Builder, Value

LARGEST = (2 - 2**-23) * 2.0**127
"""The greatest float32."""

# -- of one tensor ---------------------------------------------------------------------------------------------------


class Unary(Operation):
    """Base of the functions of one number."""

    result: ClassVar[Rule]
    emit: ClassVar[Callable[[Builder, Value], Value]]

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        return x.with_dtype(type(self).result(x.dtype))

    def lower(self, g: Builder, x: Value) -> Any:
        result = type(self).result(x.dtype)
        inner = x.dtype if type(self).result is truth else wide(result)
        return as_dtype(g, type(self).emit(g, as_dtype(g, x, inner)), result)


def unary(
    name: str, doc: str, emit: Callable[[Any, Any], Any], result: Rule = real, aliases: tuple[str, ...] = ()
) -> None:
    """Adds a function of one number: what it computes, and the operators."""
    body = {"__doc__": doc, "__module__": __name__, "result": staticmethod(result), "emit": staticmethod(emit)}
    operation(name, *aliases)(type(name, (Unary,), body))


def kept(g: Any, x: Any) -> Any:
    return x


def settled(g: Any, x: Any) -> Any:
    """A value that the gradient takes for a constant."""
    with g.detached():
        return g.Identity(x)


def of_reals(emit: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Leaves integers as they are."""
    return lambda g, x: emit(g, x) if is_real(x.dtype) else x


def finite_test(above: bool, below: bool) -> Callable[[Any, Any], Any]:
    return lambda g, x: g.IsInf(as_dtype(g, x, real(x.dtype)), detect_positive=int(above), detect_negative=int(below))


def is_nan(g: Any, x: Any) -> Any:
    return g.IsNaN(as_dtype(g, x, real(x.dtype)))


def truncated(g: Any, x: Any) -> Any:
    return g.Mul(g.Sign(x), g.Floor(g.Abs(x)))


def sinc(g: Any, x: Any) -> Any:
    """At 0 both the value and the slope are those of the limit."""
    zero, one = g.Equal(x, 0.0), g.const(1.0, x.dtype)
    angle = g.Mul(g.Where(zero, one, x), pi)
    return g.Where(zero, one, g.Div(g.Sin(angle), angle))


def cube_root(g: Any, x: Any) -> Any:
    return g.Mul(g.Sign(x), g.Pow(g.Abs(x), g.const(1 / 3, x.dtype)))


unary("abs", "The absolute value.", lambda g, x: g.Abs(x), same, ("absolute",))
unary("fabs", "The absolute value, as a real number.", lambda g, x: g.Abs(x))
unary("negative", "`-x`.", lambda g, x: g.Neg(x), same)
unary("sign", "-1, 0 or 1.", lambda g, x: g.Sign(x), same)
unary("square", "`x * x`.", lambda g, x: g.Mul(x, x), counted)
unary("sqrt", "The square root.", lambda g, x: g.Sqrt(x))
unary("rsqrt", "`1 / sqrt(x)`.", lambda g, x: g.Reciprocal(g.Sqrt(x)))
unary("cbrt", "The cube root.", cube_root)
unary("reciprocal", "`1 / x`.", lambda g, x: g.Reciprocal(x))
unary("exp", "`e ** x`.", lambda g, x: g.Exp(x))
unary("exp2", "`2 ** x`.", lambda g, x: g.Exp(g.Mul(x, log(2))))
unary("expm1", "`e ** x - 1`.", lambda g, x: g.Sub(g.Exp(x), 1.0))
unary("log", "The natural logarithm.", lambda g, x: g.Log(x))
unary("log1p", "`log(1 + x)`.", lambda g, x: g.Log(g.Add(x, 1.0)))
unary("log2", "The logarithm to the base 2.", lambda g, x: g.Mul(g.Log(x), 1 / log(2)))
unary("log10", "The logarithm to the base 10.", lambda g, x: g.Mul(g.Log(x), 1 / log(10)))
unary("sin", "The sine.", lambda g, x: g.Sin(x))
unary("cos", "The cosine.", lambda g, x: g.Cos(x))
unary("tan", "The tangent.", lambda g, x: g.Tan(x))
unary("arcsin", "The inverse of the sine.", lambda g, x: g.Asin(x))
unary("arccos", "The inverse of the cosine.", lambda g, x: g.Acos(x))
unary("arctan", "The inverse of the tangent.", lambda g, x: g.Atan(x))
unary("sinh", "The hyperbolic sine.", lambda g, x: g.Sinh(x))
unary("cosh", "The hyperbolic cosine.", lambda g, x: g.Cosh(x))
unary("arcsinh", "The inverse of the hyperbolic sine.", lambda g, x: g.Asinh(x))
unary("arccosh", "The inverse of the hyperbolic cosine.", lambda g, x: g.Acosh(x))
unary("arctanh", "The inverse of the hyperbolic tangent.", lambda g, x: g.Atanh(x))
unary("sinc", "`sin(pi * x) / (pi * x)`, and 1 at 0.", sinc)
unary("deg2rad", "Degrees as radians.", lambda g, x: g.Mul(x, pi / 180))
unary("rad2deg", "Radians as degrees.", lambda g, x: g.Mul(x, 180 / pi))
unary("erf", "The error function.", lambda g, x: g.Erf(x))
unary("erfc", "`1 - erf(x)`.", lambda g, x: g.Sub(1.0, g.Erf(x)))
unary("floor", "The greatest integer that is not above.", lambda g, x: g.Floor(x))
unary("ceil", "The least integer that is not below.", lambda g, x: g.Ceil(x))
unary("trunc", "The integer next to it on the way to 0.", of_reals(truncated), same)
unary("copy", "The argument as it is.", kept, same)
unary("real", "The real part: the argument, whose numbers are real.", kept, same)
unary("conjugate", "The complex conjugate: the argument, whose numbers are real.", kept, same, ("conj",))
unary("stop_gradient", "The argument, as a constant to the gradient.", settled, same)
unary("isnan", "Whether it is no number.", is_nan, truth)
unary("isinf", "Whether it is infinite.", finite_test(True, True), truth)
unary("isposinf", "Whether it is infinite and above 0.", finite_test(True, False), truth)
unary("isneginf", "Whether it is infinite and below 0.", finite_test(False, True), truth)
unary(
    "isfinite",
    "Whether it is a number, and not infinite.",
    lambda g, x: g.Not(g.Or(is_nan(g, x), finite_test(True, True)(g, x))),
    truth,
)
unary("logical_not", "Whether it is 0, or false.", lambda g, x: g.Not(as_dtype(g, x, "bool")), truth)


# -- activations -----------------------------------------------------------------------------------------------------


class Activated(Operation):
    """Base of the functions that are activations too."""

    brick: ClassVar[type[Activation_]]

    def _function(self) -> Activation_:
        return self.brick(**{name: getattr(self, name) for name in self.attributes})

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        return self._function().infer(x.with_dtype(real(x.dtype)))

    def lower(self, g: Builder, x: Value) -> Any:
        return self._function().apply(g, as_dtype(g, x, real(x.dtype)))


def activation(name: str, *arguments: str, **defaults: Any) -> None:
    """Adds an activation with those of its arguments that the function has, and the defaults that differ."""
    brick = ACTIVATIONS.members[name]
    hints = vars(brick).get("__annotations__", {})
    own = {argument: brick.attributes[argument] for argument in arguments}
    own = {argument: one._replace(default=defaults.get(argument, one.default)) for argument, one in own.items()}
    body = {"__doc__": brick.__doc__, "__module__": __name__, "brick": brick, **own}
    operation(name, *(("swish",) if name == "silu" else ("hard_swish",) if name == "hard_silu" else ()))(
        type(name, (Activated,), body | {"__annotations__": {argument: hints[argument] for argument in arguments}})
    )


for plain in (
    *("relu", "relu6", "sigmoid", "log_sigmoid", "hard_sigmoid", "sparse_sigmoid", "tanh", "hard_tanh", "tanh_shrink"),
    *("softplus", "sparse_plus", "softsign", "silu", "hard_silu", "selu"),
):
    activation(plain)
activation("leaky_relu", "negative_slope")
activation("elu", "alpha")
activation("celu", "alpha")
activation("gelu", "approximate", approximate=True)
activation("squareplus", "b")
activation("hard_shrink", "threshold")
activation("soft_shrink", "threshold")
activation("threshold", "threshold", "default_value")
activation("glu", "axis")
activation("sparsemax", "axis")
activation("log_softmax", "axis")


@operation("softmax")
class Softmax(Operation):
    """`exp(x) / sum(exp(x))` along one axis or several."""

    axis: Axes | None = attr(-1, doc="Axis, or list of axes, along which the result sums to one; null is all.")

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        self._axes(x)
        return x.with_dtype(real(x.dtype))

    def _axes(self, x: TensorType) -> list[int]:
        return list(range(x.rank)) if self.axis is None else axes_of(x, self.axis)

    def lower(self, g: Builder, x: Value) -> Any:
        axes, x = self._axes(x.type), as_dtype(g, x, real(x.dtype))
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
        if not is_real(x.dtype):
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
        if not is_real(x.dtype):
            return x
        great = LARGEST if self.posinf is None else self.posinf
        least = -LARGEST if self.neginf is None else self.neginf
        y = g.Where(g.IsNaN(x), g.const(self.nan, x.dtype), x)
        y = g.Where(g.IsInf(x, detect_negative=0), g.const(great, x.dtype), y)
        return g.Where(g.IsInf(x, detect_positive=0), g.const(least, x.dtype), y)


class Filled(Operation):
    """Base of the functions that make a tensor of one value in the shape of another."""

    dtype: DType | None = attr(None, doc="Element type of the result; null is that of the argument.")
    value: ClassVar[float] = 0

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        return x.with_dtype(self.dtype or x.dtype)

    def lower(self, g: Builder, x: Value) -> Any:
        with g.detached():
            dtype = g.real if is_real(self.dtype or x.dtype) else self.dtype or x.dtype
            return g.refine(g.Expand(g.const(self.value, dtype), g.sizes(x.shape, x)), x.shape)


@operation("zeros_like", "empty_like")
class ZerosLike(Filled):
    """Zeros in the shape of the argument."""


@operation("ones_like")
class OnesLike(Filled):
    """Ones in the shape of the argument."""

    value = 1


@operation("full_like")
class FullLike(Filled):
    """One value in the shape of the argument."""

    fill_value: float = attr(doc="The value.")

    @property
    def value(self) -> float:  # type: ignore[override]
        return self.fill_value
