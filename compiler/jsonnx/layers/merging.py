"""Layers that merge several tensors into one: element-wise, by concatenation, or by a dot product."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ..core.components import SpatialSizesCodec, attr
from ..core.types import Dim, ShapeError, TensorType, broadcast, product, require, shape_text
from .base import Layer, layer, require_real

if TYPE_CHECKING:
    from ..ir import Builder, Value


def merged_type(inputs: tuple[TensorType, ...]) -> TensorType:
    """The type of an element-wise merge: NumPy broadcasting of all axes but the batch.

    An input of lower rank gets its missing axes directly after the batch axis, as in Keras.
    """
    require_one_dtype(inputs)
    require(inputs[0].dtype not in ("bool", "string"), f"merges numbers, got {inputs[0]}")
    batch, shape = merged_batch_axis(inputs), inputs[0].shape[1:]
    for x in inputs[1:]:
        merged = broadcast(shape, x.shape[1:])
        if merged is None:
            left, right, axis = _broadcast_conflict(shape, x.shape[1:])
            shapes = f"{shape_text(shape)} and {shape_text(x.shape[1:])}"
            require(
                False,
                f"cannot merge {shapes} (without the batch): sizes {left} and {right} on axis {axis} do not broadcast",
            )
        else:
            shape = merged
    return inputs[0].with_shape((batch, *shape))


def merged_batch_axis(inputs: tuple[TensorType, ...]) -> Dim:
    """The size of the first axis of a merge. Raises ShapeError if the inputs disagree on it."""
    size = inputs[0].shape[0]
    for x in inputs[1:]:
        merged = broadcast(size, x.shape[0])
        if merged is None:
            raise ShapeError(f"merges inputs with the same first axis, the batch, got {inputs[0]} and {x}")
        size = merged
    return size


def _broadcast_conflict(left: tuple[Dim, ...], right: tuple[Dim, ...]) -> tuple[Dim, Dim, int]:
    """The last pair of sizes that cannot be broadcast, and their axis counted from the end."""
    pairs = zip(reversed(left), reversed(right), strict=False)
    return next((a, b, -offset) for offset, (a, b) in enumerate(pairs, 1) if broadcast(a, b) is None)


def require_one_dtype(inputs: tuple[TensorType, ...]) -> None:
    dtypes = {x.dtype: None for x in inputs}
    require(len(dtypes) == 1, f"needs inputs of the same element type, got {' and '.join(dtypes)}")


def expand_to_same_rank(g: Builder, inputs: tuple[Value, ...]) -> list[Value]:
    """Unsqueezes inputs of lower rank after the batch axis, up to the highest rank."""
    rank = max(x.rank for x in inputs)
    return [g.Unsqueeze(x, list(range(1, rank - x.rank + 1))) if x.rank < rank else x for x in inputs]


class Merge(Layer):
    """Base class of element-wise merges.

    A position of the result is masked if it is masked in every input. If any input has no mask, neither has the result,
    unless the masks are padding masks.
    """

    supports_masking = True
    merges_padding = True
    needs_all_masks = True
    arity: ClassVar[tuple[int, int | None]] = (2, None)
    keeps_single_input = True

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        present = [mask for mask in masks if mask is not None]
        if len(present) < len(masks):
            return None
        same_shape = all(mask.shape == present[0].shape for mask in present)
        require(same_shape, f"merges inputs with masks of different shapes, {' and '.join(map(str, present))}")
        return present[0]

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value | None:
        return reduce(g.Or, masks)


def expand_mask(g: Builder, mask: Value | None, rank: int) -> Value | None:
    """Appends axes of size 1 to a mask, so that it broadcasts against a value of this rank."""
    return None if mask is None else g.Unsqueeze(mask, list(range(mask.rank, rank)))


class ElementwiseMerge(Merge):
    """Base class of merges that fold the inputs with a binary operator, regardless of masks."""

    operator: ClassVar[str]

    def infer(self, *inputs: TensorType) -> TensorType:
        return merged_type(inputs)

    def lower(self, g: Builder, *inputs: Value) -> Any:
        return reduce(lambda left, right: g.emit(self.operator, left, right), expand_to_same_rank(g, inputs))


@layer
class Add(ElementwiseMerge):
    """Sum of the inputs, element by element."""

    formula = "y = sum(broadcast_arrays(*xs), axis=0)"
    keeps_unbounded = True
    operator = "Add"


@layer
class Subtract(ElementwiseMerge):
    """Difference of two inputs, element by element."""

    formula = "y = x1 - x2"
    keeps_unbounded = True
    arity = (2, 2)
    keeps_single_input = False
    operator = "Sub"


@layer
class Multiply(Merge):
    """Product of the inputs, element by element. Masked elements count as 1; where all are masked, the product is 0."""

    formula = "y = prod(broadcast_arrays(*xs), axis=0)"
    reads_masks = True

    def infer(self, *inputs: TensorType) -> TensorType:
        return merged_type(inputs)

    def lower(self, g: Builder, *inputs: Value, masks: Sequence[Value | None]) -> Any:
        factors, keeps = [], []
        for original, x, mask in zip(inputs, expand_to_same_rank(g, inputs), masks, strict=True):
            keep = expand_mask(g, mask, x.rank) if original is x else None  # Keras ignores masks of lower-rank inputs
            factors.append(x if keep is None else g.Where(keep, x, g.const(1, x.dtype)))
            keeps += [] if keep is None else [keep]
        product = reduce(g.Mul, factors)
        return product if len(keeps) < len(inputs) else g.Where(reduce(g.Or, keeps), product, g.const(0, product.dtype))


class ExtremumMerge(Merge):
    """Base class of the element-wise maximum and minimum over unmasked inputs."""

    reads_masks = True
    operator: ClassVar[str]

    def infer(self, *inputs: TensorType) -> TensorType:
        return merged_type(inputs)

    def lower(self, g: Builder, *inputs: Value, masks: Sequence[Value | None]) -> Any:
        y: Value | None = None
        y_keep: Value | None = None
        for original, x, mask in zip(inputs, expand_to_same_rank(g, inputs), masks, strict=True):
            keep = expand_mask(g, mask, x.rank) if original is x else None  # Keras ignores masks of lower-rank inputs
            if y is None:
                y, y_keep = x, keep
                continue
            x = x if keep is None else g.Where(keep, x, y)
            y = y if y_keep is None else g.Where(y_keep, y, x)
            y_keep = None if y_keep is None or keep is None else g.Or(y_keep, keep)
            y = g.emit(self.operator, y, x)
        return y


@layer
class Maximum(ExtremumMerge):
    """Maximum of the inputs, element by element."""

    formula = "y = max(broadcast_arrays(*xs), axis=0)"
    operator = "Max"


@layer
class Minimum(ExtremumMerge):
    """Minimum of the inputs, element by element."""

    formula = "y = min(broadcast_arrays(*xs), axis=0)"
    operator = "Min"


@layer
class Average(Merge):
    """Mean of the inputs, element by element."""

    formula = "y = mean(broadcast_arrays(*xs), axis=0)"
    keeps_unbounded = True

    def infer(self, *inputs: TensorType) -> TensorType:
        require_real(*inputs)
        return merged_type(inputs)

    def lower(self, g: Builder, *inputs: Value) -> Any:
        return g.Mul(reduce(g.Add, expand_to_same_rank(g, inputs)), 1 / len(inputs))


@layer
class Concatenate(Layer):
    """Concatenates the inputs along an axis.

    If any input has a mask, the masks are concatenated, too; an input without a mask counts as unmasked everywhere.
    """

    formula = "y = concatenate(xs, axis)"
    supports_masking = True
    merges_padding = True
    arity = (2, None)
    keeps_single_input = True
    axis: int = attr(-1, doc="Axis along which to concatenate; the batch axis is 0.")

    def infer(self, *inputs: TensorType) -> TensorType:
        require_one_dtype(inputs)
        first, axis = inputs[0], self.axis
        require(-first.rank <= axis < first.rank, f"has no axis {axis} in {first}")
        axis %= first.rank
        require(axis != 0, "cannot concatenate along the batch axis")
        for x in inputs[1:]:
            require(x.rank == first.rank, f"needs inputs of equal rank, got {first} and {x}")
            for index, (a, b) in enumerate(zip(first.shape, x.shape, strict=True)):
                require(
                    index == axis or a == b,
                    f"concatenates along axis {axis}, but the inputs have sizes {a} and {b} on axis {index}",
                )
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
            # One column represents the whole last axis, which the maximum below reduces anyway.
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
    """Dot product of two inputs along one axis of each, per sample. The result has no mask."""

    formula = """
        if normalize:
            x1 = x1 / maximum(sqrt(sum(x1 ** 2, axes[0], keepdims=True)), 1e-7)
            x2 = x2 / maximum(sqrt(sum(x2 ** 2, axes[1], keepdims=True)), 1e-7)
        of_sample = [axis - 1 if axis > 0 else axis for axis in axes]
        y = stack([tensordot(a, b, of_sample) for a, b in zip(x1, x2)])
        y = y[:, None] if y.ndim == 1 else y
    """
    supports_masking = True
    arity = (2, 2)
    axes: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr(
        doc="The axis of each input to sum over, or one axis for both."
    )
    normalize: bool = attr(False, doc="Whether to L2-normalize the inputs first, which gives cosine similarity.")

    @property
    def keeps_unbounded(self) -> bool:  # type: ignore[override]
        return not self.normalize

    def infer(self, x: TensorType, y: TensorType) -> TensorType:
        require_one_dtype((x, y))
        require_real(x, y)
        a, b = self._axes(x, y)
        batch = merged_batch_axis((x, y))
        sizes = x.shape[a], y.shape[b]
        require(
            sizes[0] == sizes[1],
            f"needs axes of equal size to sum over, got {sizes[0]} on axis {a} and {sizes[1]} on axis {b}",
        )
        shape = (batch, *x.shape[1:a], *x.shape[a + 1 :], *y.shape[1:b], *y.shape[b + 1 :])
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
        axes = []
        for axis, input_type in zip(self.axes, (x, y), strict=True):
            rank = input_type.rank
            require(rank >= 2, f"needs inputs of rank 2 or more, got {input_type}")
            require(-rank <= axis < rank, f"has no axis {axis} in {input_type}")
            require(axis % rank != 0, "cannot sum over the batch axis")
            axes.append(axis % rank)
        return axes[0], axes[1]


def l2_normalize(g: Builder, x: Value, axis: int) -> Any:
    """Scales x to L2 norm 1 along an axis; norms below 1e-7 are replaced by 1e-7."""
    squares = g.ReduceSum(g.Mul(x, x), [axis], keepdims=1)
    return g.Div(x, g.Sqrt(g.Max(squares, 1e-14)))


def to_batched_matrices(g: Builder, x: Value, *, keep_last: bool) -> Any:
    """Reshapes x to rank 3 by merging all axes except the batch and the last (`keep_last`) or the second axis."""
    if x.rank == 3:
        return x
    if x.rank == 2:
        return g.Unsqueeze(x, [1 if keep_last else 2])
    batch, *others = x.shape
    shape = (batch, product(others[:-1]), others[-1]) if keep_last else (batch, others[0], product(others[1:]))
    return g.refine(g.Reshape(x, g.sizes(shape, x)), shape)
