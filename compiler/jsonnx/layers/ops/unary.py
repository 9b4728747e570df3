"""Element-wise functions of one tensor in keras.ops."""

from __future__ import annotations

from collections.abc import Callable
from math import log, pi
from typing import TYPE_CHECKING, Any, ClassVar

from ...core.components import attr
from ...core.types import TensorType
from ..activations import ACTIVATIONS, ActivationFunction
from ..axes import Axes, axes_of
from ..base import require_in_range
from ..normalization.moments import stop_gradient
from .base import (
    DType,
    DTypeRule,
    Operation,
    as_dtype,
    bool_dtype,
    compute_dtype,
    float_dtype,
    graph_dtype,
    is_float_dtype,
    operation,
    require_numbers,
    same_dtype,
    sum_dtype,
)

if TYPE_CHECKING:
    from ...ir import Builder, Value

MAX_FLOAT32 = (2 - 2**-23) * 2.0**127
"""The largest float32."""

# -- functions without arguments -------------------------------------------------------------------------------------


class UnaryOp(Operation):
    """Base class of element-wise functions of one tensor."""

    keeps_padding = True

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
    *,
    formula: str = "",
    blocks_gradient: bool = False,
) -> None:
    """Registers an element-wise function of one tensor, by default with the formula of NumPy's function."""
    body = {
        "__doc__": doc,
        "formula": formula or f"y = {name}(x)",
        "__module__": __name__,
        "result_dtype": staticmethod(result_dtype),
        "emit": staticmethod(emit),
        "blocks_gradient": blocks_gradient,
    }
    operation(name, *aliases)(type(name, (UnaryOp,), body))


def identity(g: Any, x: Any) -> Any:
    return x


def floats_only(emit: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Applies a function to floating-point tensors only; integers are returned unchanged."""
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
    """`sin(pi * x) / (pi * x)`, with the limits of value and gradient at 0."""
    is_zero, one = g.Equal(x, 0.0), g.const(1.0, x.dtype)
    angle = g.Mul(g.Where(is_zero, one, x), pi)
    return g.Where(is_zero, one, g.Div(g.Sin(angle), angle))


def cube_root(g: Any, x: Any) -> Any:
    return g.Mul(g.Sign(x), g.Pow(g.Abs(x), g.const(1 / 3, x.dtype)))


register_unary("abs", "Absolute value.", lambda g, x: g.Abs(x), same_dtype, ("absolute",))
register_unary("fabs", "Absolute value, as floating point.", lambda g, x: g.Abs(x))
register_unary("negative", "Negative.", lambda g, x: g.Neg(x), same_dtype, formula="y = -x")
register_unary("sign", "Sign: -1, 0 or 1.", lambda g, x: g.Sign(x), same_dtype, blocks_gradient=True)
register_unary("square", "Square.", lambda g, x: g.Mul(x, x), sum_dtype, formula="y = x * x")
register_unary("sqrt", "Square root.", lambda g, x: g.Sqrt(x))
register_unary(
    "rsqrt", "Reciprocal of the square root.", lambda g, x: g.Reciprocal(g.Sqrt(x)), formula="y = 1 / sqrt(x)"
)
register_unary("cbrt", "Cube root.", cube_root)
register_unary("reciprocal", "Reciprocal.", lambda g, x: g.Reciprocal(x), formula="y = 1 / x")
register_unary("exp", "Exponential function.", lambda g, x: g.Exp(x))
register_unary("exp2", "Power of 2.", lambda g, x: g.Exp(g.Mul(x, log(2))), formula="y = 2 ** x")
register_unary("expm1", "Exponential function minus 1.", lambda g, x: g.Sub(g.Exp(x), 1.0), formula="y = exp(x) - 1")
register_unary("log", "Natural logarithm.", lambda g, x: g.Log(x))
register_unary(
    "log1p", "Logarithm of one more than the argument.", lambda g, x: g.Log(g.Add(x, 1.0)), formula="y = log(1 + x)"
)
register_unary("log2", "Logarithm to base 2.", lambda g, x: g.Mul(g.Log(x), 1 / log(2)), formula="y = log(x) / log(2)")
register_unary(
    "log10", "Logarithm to base 10.", lambda g, x: g.Mul(g.Log(x), 1 / log(10)), formula="y = log(x) / log(10)"
)
register_unary("sin", "Sine.", lambda g, x: g.Sin(x))
register_unary("cos", "Cosine.", lambda g, x: g.Cos(x))
register_unary("tan", "Tangent.", lambda g, x: g.Tan(x))
register_unary("arcsin", "Inverse sine.", lambda g, x: g.Asin(x))
register_unary("arccos", "Inverse cosine.", lambda g, x: g.Acos(x))
register_unary("arctan", "Inverse tangent.", lambda g, x: g.Atan(x))
register_unary("sinh", "Hyperbolic sine.", lambda g, x: g.Sinh(x))
register_unary("cosh", "Hyperbolic cosine.", lambda g, x: g.Cosh(x))
register_unary("arcsinh", "Inverse hyperbolic sine.", lambda g, x: g.Asinh(x))
register_unary("arccosh", "Inverse hyperbolic cosine.", lambda g, x: g.Acosh(x))
register_unary("arctanh", "Inverse hyperbolic tangent.", lambda g, x: g.Atanh(x))
register_unary(
    "sinc",
    "Sine of `pi * x`, divided by `pi * x`; 1 at 0.",
    sinc,
    formula="y = where(x == 0, 1, sin(pi * x) / (pi * where(x == 0, 1, x)))",
)
register_unary("deg2rad", "Converts degrees to radians.", lambda g, x: g.Mul(x, pi / 180), formula="y = x * pi / 180")
register_unary("rad2deg", "Converts radians to degrees.", lambda g, x: g.Mul(x, 180 / pi), formula="y = x * 180 / pi")
register_unary("erf", "Error function.", lambda g, x: g.Erf(x))
register_unary("erfc", "Complementary error function.", lambda g, x: g.Sub(1.0, g.Erf(x)), formula="y = 1 - erf(x)")
register_unary("floor", "Rounds down to an integer.", lambda g, x: g.Floor(x), blocks_gradient=True)
register_unary("ceil", "Rounds up to an integer.", lambda g, x: g.Ceil(x), blocks_gradient=True)
register_unary("trunc", "Rounds towards 0 to an integer.", floats_only(truncate), same_dtype, blocks_gradient=True)
register_unary("copy", "Returns the argument unchanged.", identity, same_dtype)
register_unary("real", "Real part: the argument itself, which is real.", identity, same_dtype)
register_unary("conjugate", "Complex conjugate: the argument itself, which is real.", identity, same_dtype, ("conj",))
register_unary(
    "stop_gradient",
    "Returns the argument and blocks its gradient.",
    stop_gradient,
    same_dtype,
    formula="y = x",
    blocks_gradient=True,
)
register_unary("isnan", "Whether an element is NaN.", is_nan, bool_dtype)
register_unary("isinf", "Whether an element is infinite.", infinity_test(True, True), bool_dtype)
register_unary("isposinf", "Whether an element is positive infinity.", infinity_test(True, False), bool_dtype)
register_unary("isneginf", "Whether an element is negative infinity.", infinity_test(False, True), bool_dtype)
register_unary(
    "isfinite",
    "Whether an element is neither NaN nor infinite.",
    lambda g, x: g.Not(g.Or(is_nan(g, x), infinity_test(True, True)(g, x))),
    bool_dtype,
)
register_unary(
    "logical_not",
    "Whether an element is 0 or false.",
    lambda g, x: g.Not(as_dtype(g, x, "bool")),
    bool_dtype,
    formula="y = x == 0",
)


# -- activations -----------------------------------------------------------------------------------------------------


class ActivationOp(Operation):
    """Base class of functions that are also activations."""

    keeps_padding = True

    function_type: ClassVar[type[ActivationFunction]]

    def _function(self) -> ActivationFunction:
        return self.function_type(**{name: getattr(self, name) for name in self.attributes})

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        return self._function().infer(x.with_dtype(float_dtype(x.dtype)))

    def lower(self, g: Builder, x: Value) -> Any:
        return self._function().apply(g, as_dtype(g, x, float_dtype(x.dtype)))


def register_activation(name: str, *arguments: str, formula: str = "", **defaults: Any) -> None:
    """Registers an activation as a function, with the given arguments and changed defaults."""
    function = ACTIVATIONS.members[name]
    hints = vars(function).get("__annotations__", {})
    attributes = {argument: function.attributes[argument] for argument in arguments}
    attributes = {
        argument: attribute._replace(default=defaults.get(argument, attribute.default))
        for argument, attribute in attributes.items()
    }
    annotations = {argument: hints[argument] for argument in arguments}
    body: dict[str, Any] = {
        "__doc__": function.__doc__,
        "__module__": __name__,
        "formula": formula or function.formula,
        "function_type": function,
        **attributes,
    }
    aliases = {"silu": ("swish",), "hard_silu": ("hard_swish",)}.get(name, ())
    operation(name, *aliases)(type(name, (ActivationOp,), body | {"__annotations__": annotations}))


for activation_name in (
    *("relu6", "sigmoid", "log_sigmoid", "sparse_sigmoid", "tanh", "hard_tanh", "tanh_shrink"),
    *("softplus", "sparse_plus", "softsign", "silu", "hard_silu", "selu"),
):
    register_activation(activation_name)
register_activation("relu", formula="y = maximum(x, 0)")
register_activation("hard_sigmoid", formula="y = clip(x / 6 + 0.5, 0, 1)")
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
    """Shares of classes along one or more axes: positive numbers with the sum 1."""

    formula = "y = exp(x) / sum(exp(x), axis, keepdims=True)"
    axis: Axes | None = attr(-1, doc="Axis or list of axes along which the result sums to one; null for all.")

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


# -- functions with arguments ----------------------------------------------------------------------------------------


@operation("cast")
class Cast(Operation):
    """Converts a tensor to another element type. Floats are truncated to integers; true becomes 1."""

    formula = "y = x.astype(dtype)"
    keeps_padding = True

    dtype: DType = attr(doc="Element type of the result.")

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        return x.with_dtype(self.dtype)

    def lower(self, g: Builder, x: Value) -> Any:
        return as_dtype(g, x, self.dtype)


@operation("round")
class Round(Operation):
    """Rounds to a number of decimals; halves are rounded to even."""

    formula = "y = round(x, decimals)"
    blocks_gradient = True
    decimals: int = attr(0, doc="Number of decimals.", minimum=0, maximum=38)

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
    """Replaces NaN and infinities by numbers."""

    formula = "y = nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)"
    nan: float = attr(0.0, doc="Replacement for NaN.")
    posinf: float | None = attr(None, doc="Replacement for infinity; null for the largest number.")
    neginf: float | None = attr(None, doc="Replacement for negative infinity; null for the smallest number.")

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        if not is_float_dtype(x.dtype):
            return x
        largest = MAX_FLOAT32 if self.posinf is None else self.posinf
        smallest = -MAX_FLOAT32 if self.neginf is None else self.neginf
        y = g.Where(g.IsNaN(x), g.const(self.nan, x.dtype), x)
        y = g.Where(g.IsInf(x, detect_negative=0), g.const(largest, x.dtype), y)
        return g.Where(g.IsInf(x, detect_positive=0), g.const(smallest, x.dtype), y)


class EqualElements(Operation):
    """Base class of functions that return a tensor of equal elements."""

    reads_only_shapes = True
    value: ClassVar[float] = 0

    def checked(self, type: TensorType) -> TensorType:
        """The type of the result. Raises ShapeError if it cannot hold the value."""
        require_in_range(self.value, type.dtype, "fill_value")
        return type

    def expand(self, g: Builder, x: Value, type: TensorType) -> Value:
        """Emits the tensor, whose symbolic sizes are the sizes of x."""
        value = g.const(self.value, graph_dtype(g, type.dtype))
        return g.refine(g.Expand(value, g.sizes(type.shape, x)), type.shape)


class FillValue(EqualElements):
    """Base class of functions that take the value of all elements as an argument."""

    fill_value: float = attr(doc="Value of all elements.")

    @property
    def value(self) -> float:  # type: ignore[override]
        return self.fill_value


class FilledLike(EqualElements):
    """Base class of functions that return a constant tensor with the argument's shape."""

    dtype: DType | None = attr(None, doc="Element type of the result; null for the argument's.")

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        return self.checked(x.with_dtype(self.dtype or x.dtype))

    def lower(self, g: Builder, x: Value) -> Any:
        with g.detached():
            return self.expand(g, x, self.infer(x.type))


@operation("zeros_like", "empty_like")
class ZerosLike(FilledLike):
    """Zeros with the argument's shape."""

    formula = "y = zeros_like(x)"


@operation("ones_like")
class OnesLike(FilledLike):
    """Ones with the argument's shape."""

    formula = "y = ones_like(x)"
    value = 1


@operation("full_like")
class FullLike(FillValue, FilledLike):
    """A constant tensor with the argument's shape."""

    formula = "y = full_like(x, fill_value)"
