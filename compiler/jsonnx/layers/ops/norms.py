"""Norms of vectors and matrices in keras.ops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from ...core.components import ArrayCodec, IntegerCodec, ScalarCodec, UnionCodec, attr
from ...core.types import TensorType, require
from ...training.numerics import EPSILON
from ..axes import Axes, axes_of, axis_of
from .base import Operation, as_dtype, float_dtype, operation, require_numbers
from .reductions import KEEPDIMS, reduced_shape, reduction_axes

if TYPE_CHECKING:
    from ...ir import Builder, Value

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
    """Norm of vectors along one axis, of matrices along two, or of all elements.

    For vectors it is `sum(abs(x)**ord) ** (1 / ord)`, the largest or smallest absolute value for inf and -inf, and the
    number of nonzero elements for 0. For matrices it is the square root of the sum of squares ("fro"), or the largest
    or smallest sum of absolute values along an axis.
    """

    formula = """
        order = {"inf": inf, "-inf": -inf}.get(ord, ord)
        # of vectors: sum(abs(x) ** order) ** (1 / order)
        y = linalg.norm(x, order, axis, keepdims)
    """
    ord: Order | None = attr(None, doc='Order of the norm; null for 2 (vectors) or "fro" (matrices).')
    axis: Annotated[
        int | tuple[int, ...] | None,
        UnionCodec(
            (lambda value: value is None, ScalarCodec(type="null")),
            (lambda value: isinstance(value, (int, float)), IntegerCodec()),
            (lambda value: True, ArrayCodec(IntegerCodec())),
        ),
    ] = attr(None, doc="Axis of vectors, or two axes of matrices; null for all axes.")
    keepdims: bool = attr(False, doc=KEEPDIMS)

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        axes = self._axes(x)
        fits = self.ord is None or len(axes) in (1, 2)
        require(fits, f"has a norm of order {self.ord} along {len(axes)} axes", "give one axis, or two")
        fits = self.axis is None or len(axes) in (1, 2)
        require(fits, f"has a norm along {len(axes)} axes", "give one axis, or two")
        if len(axes) == 1:
            require(self.ord != "fro", 'has a norm of order "fro" of vectors', "use 2", "invalid-value")
        elif len(axes) == 2:
            supported = self.ord in (None, "fro", 1, -1, "inf", "-inf")
            help = 'matrix norms are "fro", 1, -1, "inf" and "-inf"; other orders need a decomposition'
            require(supported, f"has a norm of order {self.ord} of matrices", help, "invalid-value")
        return TensorType(float_dtype(x.dtype), reduced_shape(x, axes, self.keepdims))

    def _axes(self, x: TensorType) -> list[int]:
        """The axes in the order given, which the order of the sums depends on."""
        if self.axis is None:
            return list(range(x.rank))
        axes_of(x, self.axis)
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        return [axis_of(x, axis) for axis in axes]

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
            result = g.emit(outer, g.ReduceSum(y, [along], keepdims=1), [over], keepdims=1)
            return result if keep else g.Squeeze(result, sorted(axes))
        return vector_norm(g, y, axes, self.ord, keep)


def vector_norm(g: Builder, magnitudes: Value, axes: list[int], order: Any, keep: int) -> Any:
    """Emits the norm of vectors with these absolute values."""
    if order in ("inf", "-inf"):
        return g.emit("ReduceMax" if order == "inf" else "ReduceMin", magnitudes, axes, keepdims=keep)
    if order == 0:
        return g.ReduceSum(g.cast(g.cast(magnitudes, "bool"), magnitudes.dtype), axes, keepdims=keep)
    if order == 1:
        return g.ReduceSum(magnitudes, axes, keepdims=keep)
    return g.Pow(g.ReduceSum(g.Pow(magnitudes, float(order)), axes, keepdims=keep), 1 / order)


@operation("normalize")
class Normalize(Operation):
    """Divides a tensor by its norm along axes, or by epsilon if that is larger."""

    formula = """
        norm = sum(abs(x) ** order, axis, keepdims=True) ** (1 / order)
        y = x / maximum(norm, epsilon)
    """
    axis: Axes = attr(-1, doc="Axis or list of axes of the norm.")
    order: int = attr(2, doc="Order of the norm.", minimum=1)
    epsilon: float | None = attr(None, doc="Smallest norm to divide by; null for 1e-7.", minimum=0)

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        axes = reduction_axes(x, self.axis)
        fits = self.order == 2 or len(axes) == 1
        require(fits, f"has a norm of order {self.order} along {len(axes)} axes", "give one axis, or order 2")
        return x.with_dtype(float_dtype(x.dtype))

    def lower(self, g: Builder, x: Value) -> Any:
        axes, epsilon = reduction_axes(x.type, self.axis), EPSILON if self.epsilon is None else self.epsilon
        x = as_dtype(g, x, float_dtype(x.dtype))
        if self.order == 2:
            squares = g.ReduceSum(g.Mul(x, x), axes, keepdims=1)
            return g.Div(x, g.Sqrt(g.Max(squares, epsilon**2)))
        return g.Div(x, g.Max(vector_norm(g, g.Abs(x), axes, self.order, 1), epsilon))
