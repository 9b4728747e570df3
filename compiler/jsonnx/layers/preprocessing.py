"""Layers that bring raw data to the range that training likes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ..bricks import Json, attr
from ..training.initializers import Ones, Zeros
from ..types import Dim, TensorType, broadcast, require, shape_text
from .axes import Axes, along, axes_of
from .base import Layer, layer

if TYPE_CHECKING:
    from ..graph import Builder, Value

EPSILON = 1e-7
"""The least standard deviation that Normalization divides by: Keras' `backend.epsilon()`."""


class NumbersForm:
    """A number, or a list of numbers nested at most three deep, every list of one level as long as the others."""

    def schema(self) -> dict[str, Json]:
        options: list[dict[str, Json]] = [{"type": "number"}]
        for _ in range(3):
            options.append({"type": "array", "items": options[-1], "minItems": 1})
        return {"anyOf": options}

    def read(self, value: Json) -> Any:
        return float(value) if isinstance(value, (int, float)) else tuple(map(self.read, value))

    def write(self, value: Any) -> Json:
        return value if isinstance(value, float) else list(map(self.write, value))


Numbers = Annotated[Any, NumbersForm()]


def shape_of(numbers: Any, name: str) -> tuple[int, ...]:
    """The shape of nested lists; ShapeError where they are not as long as each other."""
    if isinstance(numbers, float):
        return ()
    inner = {shape_of(item, name) for item in numbers}
    require(len(inner) == 1, f"has lists of different lengths in {name}")
    return (len(numbers), *inner.pop())


def as_real(x: TensorType) -> TensorType:
    """The type after a cast to real numbers; ShapeError where there is none."""
    require(x.dtype not in ("string", "bool"), f"needs numbers, got {x}")
    return x.with_dtype("float32")


@layer
class Rescaling(Layer):
    """`x * scale + offset`."""

    supports_masking = True

    scale: Numbers = attr(doc="Factor: a number, or a list along the last axis or axes.")
    offset: Numbers = attr(0.0, doc="Summand: a number, or a list along the last axis or axes.")

    def infer(self, x: TensorType) -> TensorType:
        for name in ("scale", "offset"):
            shape = shape_of(getattr(self, name), name)
            fits = broadcast(x.shape, shape) == x.shape
            require(fits, f"has a {name} of shape {shape_text(shape)}, which does not broadcast to {x}")
        return as_real(x)

    def lower(self, g: Builder, x: Value) -> Any:
        x = g.cast(x, g.real)
        x = x if self.scale == 1 else g.Mul(x, g.const(self.scale))
        return x if self.offset == 0 else g.Add(x, g.const(self.offset))


@layer
class Normalization(Layer):
    """`(x - mean) / max(sqrt(variance), 1e-7)`, with given statistics or with those of the training data.

    Where none are given, `mean`, `variance` and `count` are states that start at 0, 1 and 0, and are to be set from the
    data before training: the population's statistics over all axes but `axis`.
    """

    supports_masking = True

    adapted: ClassVar[tuple[str, ...]] = ("mean", "variance", "count")
    """The states that the data determines, see `adapts`."""

    axis: Axes | None = attr(-1, doc="Axis, or list of axes, along which the statistics differ; null for none.")
    mean: Numbers | None = attr(
        None, doc="The mean: a number, or a list along the axes; null to take it from the data."
    )
    variance: Numbers | None = attr(None, doc="The variance, of the same shape as the mean.")
    invert: bool = attr(False, doc="Whether to do the inverse: `x * max(sqrt(variance), 1e-7) + mean`.")

    @property
    def adapts(self) -> bool:
        """Whether the statistics are learned from the data."""
        return self.mean is None

    def kept_axes(self, x: TensorType) -> list[int]:
        """The axes that the statistics keep, counted from 0 for the batch; they are taken over all others."""
        return axes_of(x, () if self.axis is None else self.axis)

    def infer(self, x: TensorType) -> TensorType:
        axes = self.kept_axes(x)
        sizes: tuple[Dim, ...] = tuple(x.fixed(axis) for axis in axes)
        given = self.mean is not None
        require(given == (self.variance is not None), "needs both mean and variance, or neither")
        if given:
            mean, variance = shape_of(self.mean, "mean"), shape_of(self.variance, "variance")
            texts = shape_text(mean), shape_text(variance)
            require(mean == variance, f"has a mean of shape {texts[0]} and a variance of shape {texts[1]}")
            fits = len(mean) <= len(sizes) and broadcast(sizes, mean) == sizes
            require(fits, f"has a mean of shape {texts[0]}, the axes {axes} of {x} have {shape_text(sizes)}")
        return as_real(x)

    def lower(self, g: Builder, x: Value) -> Any:
        axes = self.kept_axes(x.type)
        shape = [x.shape[axis] for axis in axes]
        x = g.cast(x, g.real)
        mean: Value
        variance: Value
        if self.adapts:
            mean, variance = g.state("mean", shape, Zeros()), g.state("variance", shape, Ones())
            g.state("count", (), Zeros(), "int32")
        else:
            mean, variance = g.const(self.mean), g.const(self.variance)
            axes = axes[len(axes) - mean.rank :]
        mean, variance = along(g, mean, axes, x.rank), along(g, variance, axes, x.rank)
        deviation = g.Max(g.Sqrt(variance), EPSILON)
        return g.Add(g.Mul(x, deviation), mean) if self.invert else g.Div(g.Sub(x, mean), deviation)
