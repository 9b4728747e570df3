"""Functions of keras.ops that make one number of many: sums, means, extrema, norms."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ...core.components import ArrayCodec, IntegerCodec, ScalarCodec, UnionCodec, attr
from ...core.types import Dim, TensorType, require
from ..axes import Axes, axes_of, axis_of
from .base import (
    ConstantArgument,
    MultiTensorOp,
    Operation,
    as_dtype,
    bool_dtype,
    compute_dtype,
    constant_argument,
    float_dtype,
    operation,
    promoted_dtype,
    require_numbers,
    same_dtype,
    sum_dtype,
)

if TYPE_CHECKING:
    from ...ir import Builder, Value

AXIS = "Axis, or list of axes, along which to go; null is all."
ONE_AXIS = "Axis along which to go; null takes all elements as one row."
KEEPDIMS = "Whether the axes stay, with size 1."


def reduction_axes(x: TensorType, axis: int | tuple[int, ...] | None) -> list[int]:
    """The axes of a reduction, all of them for None."""
    require(axis != (), "has an empty list of axes", "leave axis out for all axes", "invalid-value")
    return list(range(x.rank)) if axis is None else axes_of(x, axis)


def reduced_shape(x: TensorType, axes: list[int], keepdims: bool) -> tuple[Dim, ...]:
    """The shape without some axes."""
    return tuple(1 if axis in axes else size for axis, size in enumerate(x.shape) if keepdims or axis not in axes)


class Reduction(Operation):
    """Base of the functions that take axes away."""

    axis: Axes | None = attr(None, doc=AXIS)

    result_dtype: ClassVar[Callable[..., str]]
    emit: ClassVar[Callable[[Any, Any, list[int], int], Any]]

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        return TensorType(
            type(self).result_dtype(x.dtype), reduced_shape(x, reduction_axes(x, self.axis), self._keepdims())
        )

    def _keepdims(self) -> bool:
        return bool(getattr(self, "keepdims", False))

    def lower(self, g: Builder, x: Value) -> Any:
        axes, result = reduction_axes(x.type, self.axis), type(self).result_dtype(x.dtype)
        y = as_dtype(g, x, result if type(self).result_dtype is bool_dtype else compute_dtype(result))
        if axes:  # of a scalar there is nothing to reduce, and no axes would mean all
            y = type(self).emit(g, y, axes, int(self._keepdims()))
        return as_dtype(g, y, result)


class KeepdimsReduction(Reduction):
    """Base of those that can keep the axes, with size 1."""

    keepdims: bool = attr(False, doc=KEEPDIMS)


def register_reduction(
    name: str,
    doc: str,
    emit: Callable[..., Any],
    result_dtype: Callable[[str], str],
    *aliases: str,
    base: type = KeepdimsReduction,
) -> None:
    """Adds a reduction: what it computes, and the operators."""
    body = {
        "__doc__": doc,
        "__module__": __name__,
        "result_dtype": staticmethod(result_dtype),
        "emit": staticmethod(emit),
    }
    operation(name, *aliases)(type(name, (base,), body))


def variance(g: Any, x: Any, axes: list[int], keep: int) -> Any:
    centered = g.Sub(x, g.ReduceMean(x, axes, keepdims=1))
    return g.ReduceMean(g.Mul(centered, centered), axes, keepdims=keep)


def log_sum_exp(g: Any, x: Any, axes: list[int], keep: int) -> Any:
    return g.ReduceLogSumExp(x, axes, keepdims=keep)


def peak_to_peak(g: Any, x: Any, axes: list[int], keep: int) -> Any:
    return g.Sub(g.ReduceMax(x, axes, keepdims=keep), g.ReduceMin(x, axes, keepdims=keep))


def bool_reduction(operator: str) -> Callable[..., Any]:
    return lambda g, x, axes, keep: g.emit(operator, g.cast(x, "int32"), axes, keepdims=keep)


def count_nonzero(g: Any, x: Any, axes: list[int], keep: int) -> Any:
    return g.ReduceSum(g.cast(g.cast(x, "bool"), "int32"), axes, keepdims=keep)


def reduction_operator(operator: str) -> Callable[..., Any]:
    return lambda g, x, axes, keep: g.emit(operator, x, axes, keepdims=keep)


register_reduction("sum", "The sum.", reduction_operator("ReduceSum"), sum_dtype)
register_reduction("mean", "The mean.", reduction_operator("ReduceMean"), float_dtype)
register_reduction("prod", "The product.", reduction_operator("ReduceProd"), sum_dtype)
register_reduction("var", "The mean of the squares of what is left after taking the mean away.", variance, float_dtype)
register_reduction(
    "std", "The square root of the variance.", lambda g, x, axes, keep: g.Sqrt(variance(g, x, axes, keep)), float_dtype
)
register_reduction("logsumexp", "`log(sum(exp(x)))`.", log_sum_exp, float_dtype)
register_reduction("ptp", "The greatest element less the least.", peak_to_peak, same_dtype)
register_reduction("amax", "The greatest element.", reduction_operator("ReduceMax"), same_dtype)
register_reduction("amin", "The least element.", reduction_operator("ReduceMin"), same_dtype)
register_reduction("any", "Whether any element is true, or not 0.", bool_reduction("ReduceMax"), bool_dtype)
register_reduction("all", "Whether all elements are true, or not 0.", bool_reduction("ReduceMin"), bool_dtype)


@operation("median")
class Median(KeepdimsReduction):
    """The element in the middle of their order, the mean of two where there are two; the axes have fixed sizes."""

    result_dtype = staticmethod(float_dtype)

    def infer(self, x: TensorType) -> TensorType:
        found = super().infer(x)
        for axis in reduction_axes(x, self.axis):
            x.static_size(axis)
        return found

    def lower(self, g: Builder, x: Value) -> Any:
        axes = reduction_axes(x.type, self.axis)
        rest = [axis for axis in range(x.rank) if axis not in axes]
        count = prod(x.type.static_size(axis) for axis in axes)
        y = g.transpose(as_dtype(g, x, float_dtype(x.dtype)), [*rest, *axes])
        rows = g.reshape(y, (*y.shape[: len(rest)], count))
        upper, _ = g.TopK(rows, [count // 2 + 1], axis=-1, outputs=2)
        found = g.Slice(upper, [(count - 1) // 2], [count // 2 + 1], [-1])
        found = g.ReduceMean(found, [-1], keepdims=0)
        return g.Unsqueeze(found, axes) if self._keepdims() and axes else found


@operation("count_nonzero")
class CountNonzero(Operation):
    """How many elements are not 0."""

    axis: Axes | None = attr(None, doc=AXIS)

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        return TensorType("int32", reduced_shape(x, reduction_axes(x, self.axis), False))

    def lower(self, g: Builder, x: Value) -> Any:
        return count_nonzero(g, x, reduction_axes(x.type, self.axis), 0)


class Extremum(KeepdimsReduction):
    """Base of the greatest and the least element, which may start with a number."""

    initial: float | None = attr(None, doc="Number that counts as one more element; null is none.")
    operator: ClassVar[str]

    result_dtype = staticmethod(same_dtype)

    def lower(self, g: Builder, x: Value) -> Any:
        axes, keep = reduction_axes(x.type, self.axis), int(self._keepdims())
        y = as_dtype(g, x, compute_dtype(x.dtype))
        y = g.emit(f"Reduce{self.operator}", y, axes, keepdims=keep) if axes else y
        if self.initial is not None:
            y = g.emit(self.operator, y, g.const(self.initial, y.dtype))
        return as_dtype(g, y, x.dtype)


@operation("max")
class Max(Extremum):
    """The greatest element."""

    operator = "Max"


@operation("min")
class Min(Extremum):
    """The least element."""

    operator = "Min"


class ArgReduction(Operation):
    """Base of the functions that answer where an element stands, along one axis or among all elements."""

    axis: int | None = attr(None, doc=ONE_AXIS)
    keepdims: bool = attr(False, doc=KEEPDIMS)
    operator: ClassVar[str]

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        axes = list(range(x.rank)) if self.axis is None else [axis_of(x, self.axis)]
        return TensorType("int32", reduced_shape(x, axes, self.keepdims))

    def lower(self, g: Builder, x: Value) -> Any:
        y = as_dtype(g, x, compute_dtype(x.dtype))
        if self.axis is not None:
            y = g.emit(self.operator, y, axis=axis_of(x.type, self.axis), keepdims=int(self.keepdims))
        else:
            y = g.emit(self.operator, g.Reshape(y, [-1]), axis=0, keepdims=0)
            y = g.Reshape(y, g.const([1] * x.rank, "int64")) if self.keepdims else y
        return g.cast(y, "int32")


@operation("argmax")
class Argmax(ArgReduction):
    """Where the greatest element stands; of equal ones the first."""

    operator = "ArgMax"


@operation("argmin")
class Argmin(ArgReduction):
    """Where the least element stands; of equal ones the first."""

    operator = "ArgMin"


@operation("average")
class Average(MultiTensorOp):
    """The mean, each element counted by its weight: `sum(x * weights) / sum(weights)`."""

    arity = (1, 2)
    tensors = ("x", "weights")
    optional_count = 1

    axis: Axes | None = attr(None, doc=AXIS)
    x: ConstantArgument | None = constant_argument("x")
    weights: ConstantArgument | None = constant_argument("weights")

    def result_type(self, x: Any, weights: Any) -> TensorType:
        type = x if isinstance(x, TensorType) else x.type
        axes = reduction_axes(type, self.axis)
        if weights is not None:
            alike = weights.shape == type.shape or (len(axes) == 1 and weights.shape == (type.shape[axes[0]],))
            help = "weights have the shape of x, or are one row along the only axis"
            require(alike, f"has weights of shape {list(weights.shape)} for {type}", help)
        dtype = promoted_dtype(x) if weights is None else promoted_dtype(x, weights)
        return TensorType(float_dtype(dtype), reduced_shape(type, axes, False))

    def emit(self, g: Builder, x: Any, weights: Any) -> Any:
        dtype = float_dtype(promoted_dtype(x) if weights is None else promoted_dtype(x, weights))
        x = as_dtype(g, x, dtype)
        axes = reduction_axes(x.type, self.axis)
        if weights is None:
            return g.ReduceMean(x, axes, keepdims=0)
        weights = as_dtype(g, weights, dtype)
        if weights.rank < x.rank:
            weights = g.Unsqueeze(weights, [axis for axis in range(x.rank) if axis not in axes])
        sums = (g.ReduceSum(value, axes, keepdims=0) for value in (g.Mul(x, weights), g.Expand(weights, g.Shape(x))))
        return g.Div(*sums)


# -- norms -----------------------------------------------------------------------------------------------------------

ORDERS = ("fro", "inf", "-inf")
Order = Annotated[
    int | str,
    UnionCodec(
        (lambda value: isinstance(value, str), ScalarCodec(type="string", enum=list(ORDERS))),
        (lambda value: True, IntegerCodec()),
    ),
]


@operation("norm")
class Norm(Operation):
    """The length of vectors along one axis, or the norm of matrices along two, or of all elements.

    Of vectors `sum(abs(x)**ord) ** (1 / ord)`, the greatest or least size for inf and -inf, and how many are not 0 for
    0; of matrices the root of the sum of all squares, or the greatest or least sum of sizes along an axis.
    """

    ord: Order | None = attr(None, doc='Order of the norm; null is 2 for vectors and "fro" for matrices.')
    axis: Annotated[
        int | tuple[int, ...] | None,
        UnionCodec((lambda value: value is None, ScalarCodec(type="null")), (lambda value: isinstance(value, int), IntegerCodec()),
              (lambda value: True, ArrayCodec(IntegerCodec()))),
    ] = attr(None, doc="Axis of vectors, or the two axes of matrices; null is all axes.")  # fmt: skip
    keepdims: bool = attr(False, doc=KEEPDIMS)

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        axes = self._axes(x)
        few = self.ord is None or len(axes) in (1, 2)
        require(few, f"has a norm of order {self.ord} along {len(axes)} axes", "give one axis, or two")
        whole = self.axis is None or len(axes) in (1, 2)
        require(whole, f"has a norm along {len(axes)} axes", "give one axis, or two")
        if len(axes) == 1:
            require(self.ord != "fro", 'has a norm of order "fro" of vectors', "take 2", "invalid-value")
        elif len(axes) == 2:
            known = self.ord in (None, "fro", 1, -1, "inf", "-inf")
            help = 'of matrices there are "fro", 1, -1, "inf" and "-inf": the others need a decomposition'
            require(known, f"has a norm of order {self.ord} of matrices", help, "invalid-value")
        return TensorType(float_dtype(x.dtype), reduced_shape(x, axes, self.keepdims))

    def _axes(self, x: TensorType) -> list[int]:
        """In their order, which the sums along one of two depend on."""
        if self.axis is None:
            return list(range(x.rank))
        axes_of(x, self.axis)
        given = (self.axis,) if isinstance(self.axis, int) else self.axis
        return [axis_of(x, axis) for axis in given]

    def lower(self, g: Builder, x: Value) -> Any:
        axes, keep = self._axes(x.type), int(self.keepdims)
        y = as_dtype(g, x, float_dtype(x.dtype))
        if not axes:
            return g.Abs(y)
        if self.ord in (None, "fro") or (self.ord == 2 and len(axes) == 1):
            return g.Sqrt(g.ReduceSum(g.Mul(y, y), axes, keepdims=keep))
        y = g.Abs(y)
        if len(axes) == 2:
            rows, columns = axes
            along, over = (rows, columns) if self.ord in (1, -1) else (columns, rows)
            outer = "ReduceMax" if self.ord in (1, "inf") else "ReduceMin"
            found = g.emit(outer, g.ReduceSum(y, [along], keepdims=1), [over], keepdims=1)
            return found if keep else g.Squeeze(found, sorted(axes))
        return vector_norm(g, y, axes, self.ord, keep)


def vector_norm(g: Builder, magnitudes: Value, axes: list[int], order: Any, keep: int) -> Any:
    """The norm of vectors of these sizes."""
    if order in ("inf", "-inf"):
        return g.emit("ReduceMax" if order == "inf" else "ReduceMin", magnitudes, axes, keepdims=keep)
    if order == 0:
        return g.ReduceSum(g.cast(g.cast(magnitudes, "bool"), magnitudes.dtype), axes, keepdims=keep)
    if order == 1:
        return g.ReduceSum(magnitudes, axes, keepdims=keep)
    return g.Pow(g.ReduceSum(g.Pow(magnitudes, float(order)), axes, keepdims=keep), 1 / order)


@operation("normalize")
class Normalize(Operation):
    """The argument divided by its norm along axes, or by epsilon where that is greater."""

    axis: Axes = attr(-1, doc="Axis, or list of axes, of the norm.")
    order: int = attr(2, doc="Order of the norm.", minimum=1)
    epsilon: float | None = attr(None, doc="The least norm to divide by; null is 1e-7.", minimum=0)

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        axes = reduction_axes(x, self.axis)
        one = self.order == 2 or len(axes) == 1
        require(one, f"has a norm of order {self.order} along {len(axes)} axes", "give one axis, or order 2")
        return x.with_dtype(float_dtype(x.dtype))

    def lower(self, g: Builder, x: Value) -> Any:
        axes, least = reduction_axes(x.type, self.axis), 1e-7 if self.epsilon is None else self.epsilon
        x = as_dtype(g, x, float_dtype(x.dtype))
        if self.order == 2:
            squares = g.ReduceSum(g.Mul(x, x), axes, keepdims=1)
            return g.Div(x, g.Sqrt(g.Max(squares, least**2)))
        return g.Div(x, g.Max(vector_norm(g, g.Abs(x), axes, self.order, 1), least))


@operation("moments")
class Moments(Operation):
    """The mean and the variance along axes; the variance is the output `variance`."""

    axes: Axes = attr(doc="Axes along which to go.")
    keepdims: bool = attr(False, doc=KEEPDIMS)

    def output_names(self) -> tuple[str, ...]:
        return ("variance",)

    def infer(self, x: TensorType) -> tuple[TensorType, ...]:
        require_numbers(x)
        return (TensorType(float_dtype(x.dtype), reduced_shape(x, reduction_axes(x, self.axes), self.keepdims)),) * 2

    def lower(self, g: Builder, x: Value) -> Any:
        axes, keep = reduction_axes(x.type, self.axes), int(self.keepdims)
        x = as_dtype(g, x, float_dtype(x.dtype))
        return g.ReduceMean(x, axes, keepdims=keep), variance(g, x, axes, keep)
