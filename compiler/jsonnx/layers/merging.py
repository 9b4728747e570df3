"""Layers that make one tensor of several: element by element, side by side, or by a product."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ..core.components import SpatialSizesCodec, attr
from ..core.types import Dim, TensorType, broadcast, product, require, shape_text
from .base import Layer, layer, require_real

if TYPE_CHECKING:
    from ..ir import Builder, Value


def merged_type(inputs: tuple[TensorType, ...]) -> TensorType:
    """The type of an element-wise merge: NumPy's broadcasting on everything but the batch axis.

    So an input of lower rank gets its missing axes right after the batch, as in Keras.
    """
    require_one_dtype(inputs)
    require(inputs[0].dtype != "bool", f"merges numbers, got {inputs[0]}")
    shape = inputs[0].shape[1:]
    for x in inputs[1:]:
        both = broadcast(shape, x.shape[1:])
        if both is None:
            left, right, axis = _broadcast_conflict(shape, x.shape[1:])
            given = f"{shape_text(shape)} and {shape_text(x.shape[1:])}"
            require(False, f"cannot merge {given} (without the batch): {left} and {right} meet on axis {axis}")
        else:
            shape = both
    return inputs[0].with_shape((inputs[0].shape[0], *shape))


def _broadcast_conflict(left: tuple[Dim, ...], right: tuple[Dim, ...]) -> tuple[Dim, Dim, int]:
    """The last two sizes that do not go together, and their axis counted from the end."""
    pairs = zip(reversed(left), reversed(right), strict=False)
    return next((a, b, -place) for place, (a, b) in enumerate(pairs, 1) if broadcast(a, b) is None)


def require_one_dtype(inputs: tuple[TensorType, ...]) -> None:
    dtypes = {x.dtype: None for x in inputs}
    require(len(dtypes) == 1, f"needs inputs of one element type, got {' and '.join(dtypes)}")


def expand_to_same_rank(g: Builder, inputs: tuple[Value, ...]) -> list[Value]:
    """The inputs with axes of size one after the batch, up to the greatest rank."""
    rank = max(x.rank for x in inputs)
    return [g.Unsqueeze(x, list(range(1, rank - x.rank + 1))) if x.rank < rank else x for x in inputs]


class Merge(Layer):
    """Base of the layers that combine inputs element by element.

    A place of the result is masked where it is in every input; there is no mask where an input has none.
    """

    supports_masking = True
    arity: ClassVar[tuple[int, int | None]] = (2, None)

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        known = [mask for mask in masks if mask is not None]
        if len(known) < len(masks):
            return None
        one = all(mask.shape == known[0].shape for mask in known)
        require(one, f"merges inputs with masks of different shapes, {' and '.join(map(str, known))}")
        return known[0]

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value | None:
        return reduce(g.Or, masks)


def expand_mask(g: Builder, mask: Value | None, rank: int) -> Value | None:
    """The mask with axes of size one at its end, so that it broadcasts to the value that it goes with."""
    return None if mask is None else g.Unsqueeze(mask, list(range(mask.rank, rank)))


class ElementwiseMerge(Merge):
    """Base of the layers that combine inputs two at a time, masked or not."""

    operator: ClassVar[str]

    def infer(self, *inputs: TensorType) -> TensorType:
        return merged_type(inputs)

    def lower(self, g: Builder, *inputs: Value) -> Any:
        return reduce(lambda left, right: g.emit(self.operator, left, right), expand_to_same_rank(g, inputs))


@layer
class Add(ElementwiseMerge):
    """Sum of the inputs."""

    operator = "Add"


@layer
class Subtract(ElementwiseMerge):
    """The first input less the second."""

    arity = (2, 2)
    operator = "Sub"


@layer
class Multiply(Merge):
    """Product of the inputs, element by element. Masked factors count as 1; where all are masked the product is 0."""

    reads_masks = True

    def infer(self, *inputs: TensorType) -> TensorType:
        return merged_type(inputs)

    def lower(self, g: Builder, *inputs: Value, masks: Sequence[Value | None]) -> Any:
        factors, kept = [], []
        for whole, x, mask in zip(inputs, expand_to_same_rank(g, inputs), masks, strict=True):
            keep = expand_mask(g, mask, x.rank) if whole is x else None  # Keras drops the masks of inputs of lower rank
            factors.append(x if keep is None else g.Where(keep, x, g.const(1, x.dtype)))
            kept += [] if keep is None else [keep]
        product = reduce(g.Mul, factors)
        return product if len(kept) < len(inputs) else g.Where(reduce(g.Or, kept), product, g.const(0, product.dtype))


class ExtremumMerge(Merge):
    """Base of the layers that take the greatest or the least of the inputs that are not masked."""

    reads_masks = True
    operator: ClassVar[str]

    def infer(self, *inputs: TensorType) -> TensorType:
        return merged_type(inputs)

    def lower(self, g: Builder, *inputs: Value, masks: Sequence[Value | None]) -> Any:
        y: Value | None = None
        kept: Value | None = None
        for whole, x, mask in zip(inputs, expand_to_same_rank(g, inputs), masks, strict=True):
            keep = expand_mask(g, mask, x.rank) if whole is x else None  # Keras drops the masks of inputs of lower rank
            if y is None:
                y, kept = x, keep
                continue
            x = x if keep is None else g.Where(keep, x, y)
            y = y if kept is None else g.Where(kept, y, x)
            kept = None if kept is None or keep is None else g.Or(kept, keep)
            y = g.emit(self.operator, y, x)
        return y


@layer
class Maximum(ExtremumMerge):
    """The greatest of the inputs, element by element."""

    operator = "Max"


@layer
class Minimum(ExtremumMerge):
    """The least of the inputs, element by element."""

    operator = "Min"


@layer
class Average(Merge):
    """Mean of the inputs, element by element."""

    def infer(self, *inputs: TensorType) -> TensorType:
        require_real(*inputs)
        return merged_type(inputs)

    def lower(self, g: Builder, *inputs: Value) -> Any:
        return g.Mul(reduce(g.Add, expand_to_same_rank(g, inputs)), 1 / len(inputs))


@layer
class Concatenate(Layer):
    """The inputs one after the other along an axis.

    Where an input has a mask, places of the result are masked that would be with the masks side by side, and true for
    an input without one.
    """

    supports_masking = True
    arity = (2, None)
    axis: int = attr(-1, doc="Axis along which the inputs follow one another; the batch axis is 0.")

    def infer(self, *inputs: TensorType) -> TensorType:
        require_one_dtype(inputs)
        first, axis = inputs[0], self.axis
        require(-first.rank <= axis < first.rank, f"has no axis {axis} in {first}")
        axis %= first.rank
        require(axis != 0, "cannot concatenate along the batch axis")
        for x in inputs[1:]:
            require(x.rank == first.rank, f"needs inputs of one rank, got {first} and {x}")
            for place, (a, b) in enumerate(zip(first.shape, x.shape, strict=True)):
                require(place == axis or a == b, f"joins along axis {axis}, but {a} and {b} meet on axis {place}")
        total = sum((x.shape[axis] for x in inputs[1:]), start=first.shape[axis])
        return first.with_shape((*first.shape[:axis], total, *first.shape[axis + 1 :]))

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        if not any(masks):
            return None
        for x, mask in zip(inputs, masks, strict=True):
            fits = mask is None or mask.rank == x.rank - 1
            require(fits, f"needs masks over all axes but the last, got {mask} beside {x}")
        y = self.infer(*inputs)
        return y.with_shape(y.shape[:-1]).with_dtype("bool")

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value:
        import numpy as np

        rank = inputs[0].rank
        shape = self.infer(*(x.type for x in inputs)).shape[:-1]
        columns = []
        for x, mask in zip(inputs, masks, strict=True):
            # One column stands for all of the last axis, of which later only the greatest counts.
            if mask is None:
                columns.append(g.Expand(g.const(np.ones((1,) * rank), "int32"), g.sizes((*x.shape[:-1], 1), x)))
            else:
                columns.append(g.Unsqueeze(g.cast(mask, "int32"), [rank - 1]))
        joined = g.ReduceMax(g.Concat(*columns, axis=self.axis), [rank - 1], keepdims=0)
        return g.refine(g.cast(joined, "bool"), shape)

    def lower(self, g: Builder, *inputs: Value) -> Any:
        return g.refine(g.Concat(*inputs, axis=self.axis), self.infer(*(x.type for x in inputs)).shape)


@layer
class Dot(Layer):
    """Product of two inputs, summed along an axis of each, sample by sample. Masks end here."""

    supports_masking = True
    arity = (2, 2)
    axes: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr(
        doc="The axis of each input to sum over, or one for both."
    )
    normalize: bool = attr(False, doc="Whether to scale to length 1 along the axes first: the result is the cosine.")

    def infer(self, x: TensorType, y: TensorType) -> TensorType:
        require_one_dtype((x, y))
        require_real(x, y)
        a, b = self._axes(x, y)
        sizes = x.shape[a], y.shape[b]
        require(
            sizes[0] == sizes[1], f"sums over axes of one size, got {sizes[0]} on axis {a} and {sizes[1]} on axis {b}"
        )
        shape = (*x.shape[:a], *x.shape[a + 1 :], *y.shape[1:b], *y.shape[b + 1 :])
        return x.with_shape(shape if len(shape) > 1 else (*shape, 1))

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        return None

    def lower(self, g: Builder, x: Value, y: Value) -> Any:
        a, b = self._axes(x.type, y.type)
        shape, sources = self.infer(x.type, y.type).shape, (x, y)
        if self.normalize:
            x, y = l2_normalize(g, x, a), l2_normalize(g, y, b)
        x = to_batched_matrices(g, g.transpose(x, [*(axis for axis in range(x.rank) if axis != a), a]), keep_last=True)
        y = to_batched_matrices(
            g, g.transpose(y, [0, b, *(axis for axis in range(1, y.rank) if axis != b)]), keep_last=False
        )
        sums = g.MatMul(x, y)
        return sums if sums.shape == shape else g.refine(g.Reshape(sums, g.sizes(shape, *sources)), shape)

    def _axes(self, x: TensorType, y: TensorType) -> tuple[int, int]:
        found = []
        for axis, of in zip(self.axes, (x, y), strict=True):
            require(of.rank >= 2, f"needs inputs of rank 2 or more, got {of}")
            require(-of.rank <= axis < of.rank, f"has no axis {axis} in {of}")
            require(axis % of.rank != 0, "cannot sum over the batch axis")
            found.append(axis % of.rank)
        return found[0], found[1]


def l2_normalize(g: Builder, x: Value, axis: int) -> Any:
    """x scaled to length 1 along an axis; what is shorter than 1e-7 is divided by that."""
    squares = g.ReduceSum(g.Mul(x, x), [axis], keepdims=1)
    return g.Div(x, g.Sqrt(g.Max(squares, 1e-14)))


def to_batched_matrices(g: Builder, x: Value, *, keep_last: bool) -> Any:
    """Rank 3: the last axis kept, or the second one, and the others but the batch as one."""
    if x.rank == 3:
        return x
    if x.rank == 2:
        return g.Unsqueeze(x, [1 if keep_last else 2])
    batch, *others = x.shape
    shape = (batch, product(others[:-1]), others[-1]) if keep_last else (batch, others[0], product(others[1:]))
    return g.refine(g.Reshape(x, g.sizes(shape, x)), shape)
