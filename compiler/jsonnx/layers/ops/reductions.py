"""Reductions in keras.ops: sums, means, extrema, norms."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar

from ...core.components import attr
from ...core.types import Dim, TensorType, require
from ..axes import Axes, axes_of, axis_of
from ..base import require_in_range
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

AXIS = "Axis or list of axes to reduce; null for all."
ONE_AXIS = "Axis to reduce; null flattens the tensor."
KEEPDIMS = "Whether to keep the reduced axes, with size 1."


def reduction_axes(x: TensorType, axis: int | tuple[int, ...] | None) -> list[int]:
    """The axes of a reduction; all axes for None."""
    require(axis != (), "has an empty list of axes", "leave axis out for all axes", "invalid-value")
    return list(range(x.rank)) if axis is None else axes_of(x, axis)


def reduced_shape(x: TensorType, axes: list[int], keepdims: bool) -> tuple[Dim, ...]:
    """The shape after reducing some axes."""
    return tuple(1 if axis in axes else size for axis, size in enumerate(x.shape) if keepdims or axis not in axes)


class Reduction(Operation):
    """Base class of reductions."""

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
        if axes:  # ONNX would take an empty list for all axes
            y = type(self).emit(g, y, axes, int(self._keepdims()))
        return as_dtype(g, y, result)


class KeepdimsReduction(Reduction):
    """Base class of reductions with the argument `keepdims`."""

    keepdims: bool = attr(False, doc=KEEPDIMS)


def register_reduction(
    name: str,
    doc: str,
    emit: Callable[..., Any],
    result_dtype: Callable[[str], str],
    *aliases: str,
    formula: str = "",
) -> None:
    """Registers a reduction, by default with the formula of NumPy's function."""
    body = {
        "__doc__": doc,
        "formula": formula or f"y = {name}(x, axis, keepdims=keepdims)",
        "__module__": __name__,
        "result_dtype": staticmethod(result_dtype),
        "emit": staticmethod(emit),
    }
    operation(name, *aliases)(type(name, (KeepdimsReduction,), body))


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


register_reduction("sum", "Sum.", reduction_operator("ReduceSum"), sum_dtype)
register_reduction("mean", "Mean.", reduction_operator("ReduceMean"), float_dtype)
register_reduction("prod", "Product.", reduction_operator("ReduceProd"), sum_dtype)
register_reduction(
    "var",
    "Variance: the mean of the squared deviations from the mean.",
    variance,
    float_dtype,
    formula="y = mean((x - mean(x, axis, keepdims=True)) ** 2, axis, keepdims=keepdims)",
)
register_reduction(
    "std",
    "Standard deviation.",
    lambda g, x, axes, keep: g.Sqrt(variance(g, x, axes, keep)),
    float_dtype,
    formula="y = sqrt(mean((x - mean(x, axis, keepdims=True)) ** 2, axis, keepdims=keepdims))",
)
register_reduction(
    "logsumexp",
    "Logarithm of the sum of exponentials.",
    log_sum_exp,
    float_dtype,
    formula="y = log(sum(exp(x), axis, keepdims=keepdims))",
)
register_reduction(
    "ptp",
    "Range: the maximum minus the minimum.",
    peak_to_peak,
    same_dtype,
    formula="y = max(x, axis, keepdims=keepdims) - min(x, axis, keepdims=keepdims)",
)
register_reduction("amax", "Maximum.", reduction_operator("ReduceMax"), same_dtype)
register_reduction("amin", "Minimum.", reduction_operator("ReduceMin"), same_dtype)
register_reduction("any", "Whether any element is true or nonzero.", bool_reduction("ReduceMax"), bool_dtype)
register_reduction("all", "Whether all elements are true or nonzero.", bool_reduction("ReduceMin"), bool_dtype)


@operation("median")
class Median(KeepdimsReduction):
    """Median: the middle element in sorted order, or the mean of the middle two. The axes need fixed sizes."""

    formula = "y = median(x, axis, keepdims=keepdims)"
    result_dtype = staticmethod(float_dtype)

    def infer(self, x: TensorType) -> TensorType:
        result = super().infer(x)
        for axis in reduction_axes(x, self.axis):
            x.static_size(axis)
        return result

    def lower(self, g: Builder, x: Value) -> Any:
        axes = reduction_axes(x.type, self.axis)
        remaining = [axis for axis in range(x.rank) if axis not in axes]
        count = prod(x.type.static_size(axis) for axis in axes)
        y = g.transpose(as_dtype(g, x, float_dtype(x.dtype)), [*remaining, *axes])
        rows = g.reshape(y, (*y.shape[: len(remaining)], count))
        upper, _ = g.TopK(rows, [count // 2 + 1], axis=-1, outputs=2)
        middle = g.Slice(upper, [(count - 1) // 2], [count // 2 + 1], [-1])
        median = g.ReduceMean(middle, [-1], keepdims=0)
        return g.Unsqueeze(median, axes) if self._keepdims() and axes else median


@operation("count_nonzero")
class CountNonzero(Operation):
    """Number of nonzero elements."""

    formula = "y = sum(x != 0, axis)"
    axis: Axes | None = attr(None, doc=AXIS)

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        return TensorType("int32", reduced_shape(x, reduction_axes(x, self.axis), False))

    def lower(self, g: Builder, x: Value) -> Any:
        return count_nonzero(g, x, reduction_axes(x.type, self.axis), 0)


class Extremum(KeepdimsReduction):
    """Base class of maximum and minimum, with an optional initial value."""

    initial: float | None = attr(None, doc="Number to treat as an additional element; null for none.")
    operator: ClassVar[str]

    result_dtype = staticmethod(same_dtype)

    def infer(self, x: TensorType) -> TensorType:
        if self.initial is not None:
            require_in_range(self.initial, compute_dtype(x.dtype), "initial")
        return super().infer(x)

    def lower(self, g: Builder, x: Value) -> Any:
        axes, keep = reduction_axes(x.type, self.axis), int(self._keepdims())
        y = as_dtype(g, x, compute_dtype(x.dtype))
        y = g.emit(f"Reduce{self.operator}", y, axes, keepdims=keep) if axes else y
        if self.initial is not None:
            y = g.emit(self.operator, y, g.const(self.initial, y.dtype))
        return as_dtype(g, y, x.dtype)


@operation("max")
class Max(Extremum):
    """Maximum."""

    formula = "y = max(x, axis, keepdims=keepdims, initial=initial)"
    operator = "Max"


@operation("min")
class Min(Extremum):
    """Minimum."""

    formula = "y = min(x, axis, keepdims=keepdims, initial=initial)"
    operator = "Min"


class ArgReduction(Operation):
    """Base class of argmax and argmin, along one axis or of the flattened tensor."""

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
    """Index of the maximum; of several equal elements, the first."""

    formula = "y = argmax(x, axis, keepdims=keepdims)"
    operator = "ArgMax"


@operation("argmin")
class Argmin(ArgReduction):
    """Index of the minimum; of several equal elements, the first."""

    formula = "y = argmin(x, axis, keepdims=keepdims)"
    operator = "ArgMin"


@operation("average")
class Average(MultiTensorOp):
    """Weighted mean; without weights, the mean."""

    formula = "y = sum(x * weights, axis) / sum(weights * ones_like(x), axis)"
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
            fits = weights.shape == type.shape or (len(axes) == 1 and weights.shape == (type.shape[axes[0]],))
            help = "weights have the shape of x, or are a vector along a single axis"
            require(fits, f"has weights of shape {list(weights.shape)} for {type}", help)
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


@operation("moments")
class Moments(Operation):
    """Mean and variance along axes; the variance is the output `variance`."""

    formula = """
        y = mean(x, axes, keepdims=keepdims)
        variance = mean((x - mean(x, axes, keepdims=True)) ** 2, axes, keepdims=keepdims)
    """
    axes: Axes = attr(doc="Axes to reduce.")
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
