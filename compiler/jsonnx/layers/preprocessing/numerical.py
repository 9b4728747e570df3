"""Layers that scale, discretize and encode numerical data."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from ...core.components import Json, attr
from ...core.types import Dim, TensorType, broadcast, require, shape_text
from ...training.numerics import EPSILON
from ...training.weights.initializers import Ones, Zeros
from ..axes import Axes, axes_of, broadcast_along
from ..base import Layer, layer, nested_shape
from .adaptable import Adaptable
from .category_encoding import NO_SPARSE, encode_categories, encoded_type

if TYPE_CHECKING:
    import numpy as np

    from ...ir import Builder, Value


class NumbersCodec:
    """Codec of a number, or of a list of numbers nested at most three deep, with equal lengths at each level."""

    def schema(self) -> dict[str, Json]:
        options: list[dict[str, Json]] = [{"type": "number"}]
        for _ in range(3):
            options.append({"type": "array", "items": options[-1], "minItems": 1})
        return {"anyOf": options}

    def read(self, value: Json) -> Any:
        return float(value) if isinstance(value, (int, float)) else tuple(map(self.read, value))

    def write(self, value: Any) -> Json:
        return value if isinstance(value, float) else list(map(self.write, value))


Numbers = Annotated[Any, NumbersCodec()]


def shape_of(numbers: Any, name: str) -> tuple[int, ...]:
    """The shape of an argument of nested lists. Raises ShapeError if lists of one level differ in length."""
    return nested_shape(numbers, f"has lists of different lengths in {name}")


def float_type(x: TensorType) -> TensorType:
    """The type after a cast to floating point. Raises ShapeError for strings and booleans."""
    require(x.dtype not in ("string", "bool"), f"needs numbers, got {x}")
    return x.with_dtype("float32")


def require_numbers(x: TensorType) -> None:
    """Raises ShapeError for strings."""
    help = "StringLookup and TextVectorization convert text to numbers"
    require(x.dtype != "string", f"needs numbers, got {x}", help)


@layer
class Rescaling(Layer):
    """Scales and shifts the input."""

    formula = "y = x * scale + offset"
    supports_masking = True

    scale: Numbers = attr(doc="Factor: a number, or a list (of lists) that broadcasts along the last axes.")
    offset: Numbers = attr(0.0, doc="Offset: a number, or a list (of lists) that broadcasts along the last axes.")

    def infer(self, x: TensorType) -> TensorType:
        for name in ("scale", "offset"):
            shape = shape_of(getattr(self, name), name)
            fits = broadcast(x.shape, shape) == x.shape
            require(fits, f"has a {name} of shape {shape_text(shape)}, which does not broadcast to {x}")
        return float_type(x)

    def lower(self, g: Builder, x: Value) -> Any:
        x = g.cast(x, g.float_dtype)
        x = x if self.scale == 1 else g.Mul(x, g.const(self.scale))
        return x if self.offset == 0 else g.Add(x, g.const(self.offset))


@layer
class Normalization(Adaptable):
    """Scales features to mean 0 and variance 1, with statistics that are given or computed from the training data.

    If they are not given, `mean`, `variance` and `count` are states, initially 0, 1 and 0, that are set from the data
    before training: the population statistics over all axes except `axis`.
    """

    formula = """
        deviation = maximum(sqrt(variance), 1e-7)
        y = x * deviation + mean if invert else (x - mean) / deviation
    """
    supports_masking = True

    axis: Axes | None = attr(
        -1, doc="Axis or list of axes with separate statistics; null for a single mean and variance."
    )
    mean: Numbers | None = attr(
        None, doc="The mean: a number, or a list along the axes; null to compute it from the data."
    )
    variance: Numbers | None = attr(None, doc="The variance, of the same shape as the mean.", minimum=0)
    invert: bool = attr(False, doc="Whether to apply the inverse: `x * max(sqrt(variance), 1e-7) + mean`.")

    @property
    def needs_adapt(self) -> bool:
        """Whether the statistics are computed from the data."""
        return self.mean is None

    def adapt_input(self, g: Builder, x: Value) -> Value:
        return g.cast(x, g.float_dtype)

    def adapt(self, batches: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        from ...core.array_statistics import mean_and_variance

        batches = iter(batches)
        first = next(batches)
        shape: tuple[Dim, ...] = (1, *first.shape[1:])
        mean, variance = mean_and_variance(chain([first], batches), self.statistics_axes(TensorType("float32", shape)))
        return {"mean": mean, "variance": variance}

    def statistics_axes(self, x: TensorType) -> list[int]:
        """The axes with separate statistics, counted from 0, the batch axis."""
        return axes_of(x, () if self.axis is None else self.axis)

    def infer(self, x: TensorType) -> TensorType:
        axes = self.statistics_axes(x)
        sizes: tuple[Dim, ...] = tuple(x.static_size(axis) for axis in axes)
        is_given = self.mean is not None
        require(is_given == (self.variance is not None), "needs both mean and variance, or neither")
        if is_given:
            mean, variance = shape_of(self.mean, "mean"), shape_of(self.variance, "variance")
            texts = shape_text(mean), shape_text(variance)
            require(mean == variance, f"has a mean of shape {texts[0]} and a variance of shape {texts[1]}")
            fits = len(mean) <= len(sizes) and broadcast(sizes, mean) == sizes
            require(fits, f"has a mean of shape {texts[0]}, the axes {axes} of {x} have {shape_text(sizes)}")
        return float_type(x)

    def lower(self, g: Builder, x: Value) -> Any:
        axes = self.statistics_axes(x.type)
        shape = [x.shape[axis] for axis in axes]
        x = g.cast(x, g.float_dtype)
        mean: Value
        variance: Value
        if self.needs_adapt:
            mean, variance = g.state("mean", shape, Zeros()), g.state("variance", shape, Ones())
            g.state("count", (), Zeros(), "int32")
        else:
            mean, variance = g.const(self.mean), g.const(self.variance)
            axes = axes[len(axes) - mean.rank :]
        mean, variance = broadcast_along(g, mean, axes, x.rank), broadcast_along(g, variance, axes, x.rank)
        deviation = g.Max(g.Sqrt(variance), EPSILON)
        return g.Add(g.Mul(x, deviation), mean) if self.invert else g.Div(g.Sub(x, mean), deviation)


@layer
class Discretization(Adaptable):
    """Maps each value to the index of its bin: the number of boundaries less than or equal to it.

    The boundaries are given, or chosen from the training data so that each of `num_bins` bins contains about equally
    many values. In that case they are the state `bin_boundaries`; with too few values, the last bins stay empty.
    """

    formula = """
        index = sum(x[..., None] >= array(bin_boundaries), axis=-1)
        y = index  # with the output mode int; the others are those of CategoryEncoding
    """
    bin_boundaries: tuple[float, ...] | None = attr(None, doc="Boundaries between the bins, in order.")
    num_bins: int | None = attr(None, doc="Number of bins, if the boundaries are chosen from the data.", minimum=2)
    epsilon: float = attr(
        0.01, doc="Error tolerance of the quantiles, as a fraction of the values.", above=0, maximum=1
    )
    output_mode: Literal["int", "one_hot", "multi_hot", "count"] = attr(
        "int",
        doc="`int` for bin indices, `one_hot` for a vector per value, `multi_hot` and `count` for a vector per sample.",
    )
    sparse: bool = attr(False, doc="Whether the result is a sparse tensor.", unsupported=NO_SPARSE)

    @property
    def needs_adapt(self) -> bool:
        """Whether the boundaries are chosen from the data."""
        return self.bin_boundaries is None

    def adapt_input(self, g: Builder, x: Value) -> Value:
        return g.cast(x, g.float_dtype)

    def adapt(self, batches: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        from .adapt_numpy import quantile_boundaries

        return {"bin_boundaries": quantile_boundaries(batches, self.num_bins or 1, self.epsilon)}

    @property
    def _depth(self) -> int:
        return len(self.bin_boundaries) + 1 if self.bin_boundaries is not None else self.num_bins or 0

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        exactly_one = (self.bin_boundaries is None) != (self.num_bins is None)
        require(exactly_one, "needs either bin_boundaries or num_bins")
        is_rising = {before < after for before, after in pairwise(self.bin_boundaries or ()) if before != after}
        require(len(is_rising) < 2, "has bin_boundaries that are not in order", "sort them")
        if self.output_mode == "int":
            return x.with_dtype("int32")
        return encoded_type(x, self.output_mode, self._depth)

    def lower(self, g: Builder, x: Value) -> Any:
        index = self._bin_index(g, g.cast(x, g.float_dtype))
        return index if self.output_mode == "int" else encode_categories(g, index, self.output_mode, self._depth)

    def _bin_index(self, g: Builder, x: Value) -> Value:
        """Emits the bin indices. NaN falls into the last bin, as in NumPy's sort order."""
        count = self._depth - 1
        if not count:  # a single bin; onnxruntime 1.27 cannot sum over an empty axis
            return g.cast(g.Less(x, x), "int32")
        boundaries = self.bin_boundaries
        bounds = g.state("bin_boundaries", (count,), Zeros()) if boundaries is None else g.const(boundaries)
        is_below = g.cast(g.Less(g.Unsqueeze(x, [-1]), bounds), "int32")
        bins_above = g.ReduceSum(is_below, [-1], keepdims=0)
        descending = boundaries is not None and boundaries[0] > boundaries[-1]
        return bins_above if descending else g.Sub(count, bins_above)


@layer
class CategoryEncoding(Layer):
    """Encodes category indices as vectors. Indices outside of 0 to `num_tokens - 1` are ignored.

    An optional second input has a weight for each index, in mode `count`.
    """

    formula = """
        codes = one_hot(x, num_tokens)
        if output_mode == "one_hot":
            y = squeeze(codes, -2) if x.ndim > 1 and x.shape[-1] == 1 else codes
        elif output_mode == "count":
            y = sum(codes * count_weights[..., None], axis=1)
        else:
            y = max(codes, axis=1)
    """
    arity: ClassVar[tuple[int, int | None]] = (1, 2)

    num_tokens: int = attr(doc="Number of categories.", minimum=1)
    output_mode: Literal["one_hot", "multi_hot", "count", "binary"] = attr(
        "multi_hot",
        doc="`one_hot` for a vector per index, `multi_hot` (or `binary`) and `count` for a vector per sample.",
    )
    sparse: bool = attr(False, doc="Whether the result is a sparse tensor.", unsupported=NO_SPARSE)

    @property
    def _mode(self) -> str:
        return "multi_hot" if self.output_mode == "binary" else self.output_mode

    def infer(self, x: TensorType, count_weights: TensorType | None = None) -> TensorType:
        require_numbers(x)
        if count_weights is not None:
            help = 'set it to "count", or leave the second input out'
            require(self._mode == "count", f"takes no weights with the output_mode {self.output_mode!r}", help)
            require_numbers(count_weights)
            fits = count_weights.shape == x.shape
            require(fits, f"needs a weight for each number, got {x} and weights {count_weights}")
        return encoded_type(x, self._mode, self.num_tokens)

    def lower(self, g: Builder, x: Value, count_weights: Value | None = None) -> Any:
        x = g.cast(x, "int32") if x.dtype in ("bool", "uint8") else x
        weights = None if count_weights is None else g.cast(count_weights, g.float_dtype)
        return encode_categories(g, x, self._mode, self.num_tokens, weights)
