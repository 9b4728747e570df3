"""Sliding windows over the spatial axes: sizes, padding and layout, shared by convolution and pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import gt
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..core.limits import MAX_WINDOW_SPAN
from ..core.types import Dim, PaddingMask, TensorType, rank_help, require
from .axes import MAX_SLICE_BOUND

if TYPE_CHECKING:
    from ..ir import Builder, Value

Padding = Literal["valid", "same"]
PaddingOrCausal = Literal["valid", "same", "causal"]
DataFormat = Literal["channels_last", "channels_first"]

DATA_FORMAT = "Position of the channel axis: `channels_last` (also for null) or `channels_first`."
PADDING = "`valid` for no padding; `same` pads so that stride 1 keeps the size."
CAUSAL = f"{PADDING[:-1]}; `causal` pads at the start only, so that no step depends on later ones."

SPATIAL_NAMES = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def spatial_axes(rank: int, data_format: DataFormat | None) -> list[int]:
    first = 2 if data_format == "channels_first" else 1
    return list(range(first, first + rank - 2))


def channel_axis(rank: int, data_format: DataFormat | None) -> int:
    return 1 if data_format == "channels_first" else rank - 1


def require_spatial(x: TensorType, spatial: int, data_format: DataFormat | None) -> None:
    """Raises ShapeError unless x has this many axes besides batch and channels."""
    names = [*SPATIAL_NAMES[spatial]]
    names.insert(0 if data_format == "channels_first" else spatial, "channels")
    expected = f"needs an input of rank {spatial + 2}, [batch, {', '.join(names)}]"
    require(x.rank == spatial + 2, f"{expected}, got {x}", rank_help(x, spatial + 2))


def with_channels_first(g: Builder, x: Value, data_format: DataFormat | None, emit: Callable[[Value], Value]) -> Value:
    """Applies `emit` to x with its channels moved to axis 1, and moves the channels of the result back."""
    if data_format == "channels_first":
        return emit(x)
    last = x.rank - 1
    y = emit(g.transpose(x, [0, last, *range(1, last)]))
    return g.transpose(y, [0, *range(2, x.rank), 1])


class SlidingWindows(NamedTuple):
    """Windows of one size at regular distances along the spatial axes."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: PaddingOrCausal
    dilations: tuple[int, ...]
    window_name: str = "kernel"

    @property
    def spans(self) -> list[int]:
        """The extent of a window along each spatial axis, dilation included."""
        return [(size - 1) * dilation + 1 for size, dilation in zip(self.size, self.dilations, strict=True)]

    def output_type(self, x: TensorType, data_format: DataFormat | None, channels: Dim) -> TensorType:
        """The type with one element per window. Raises ShapeError if no window fits."""
        shape = list(x.shape)
        shape[channel_axis(x.rank, data_format)] = channels
        has_gaps = any(map(gt, self.strides, self.spans))
        for index, axis in enumerate(spatial_axes(x.rank, data_format)):
            if self._total_padding(index, x.shape[axis]) is None and (has_gaps or max(self.dilations) > 1):
                x.static_size(axis)  # onnxruntime's SAME_UPPER would pad negatively, and refuses dilations
            shape[axis] = self._output_size(index, axis, x)
        return x.with_shape(shape)

    def _output_size(self, index: int, axis: int, x: TensorType) -> Dim:
        """The number of windows along an axis: (n - span) // stride + 1, or ceil(n / stride) with padding."""
        n, span, stride = x.shape[axis], self.spans[index], self.strides[index]
        text = f"has a {self.window_name} that spans {span} on axis {axis}, more than {MAX_WINDOW_SPAN}"
        require(span <= MAX_WINDOW_SPAN, text, code="out-of-range")
        if self.padding != "valid":
            count = (n - 1) // stride + 1
            require(count != 0, f"needs an input of at least 1 on axis {axis}, got {x}")
            return count
        count = (n - span) // stride + 1
        require(
            not isinstance(count, int) or count > 0,
            f"has a {self.window_name} larger than its input on axis {axis}: "
            f"it spans {self._span_text(index)} of {n} in {x}, "
            f"and ({n} - {span}) // {stride} + 1 = {count}",
            help=f"use padding 'same', a smaller {self.window_name}_size or a larger input",
        )
        return count

    def _span_text(self, index: int) -> str:
        size, dilation, span = self.size[index], self.dilations[index], self.spans[index]
        return str(span) if dilation == 1 else f"({size} - 1) * {dilation} + 1 = {span}"

    def output_mask(self, mask: TensorType | None, x: TensorType, data_format: DataFormat | None) -> PaddingMask | None:
        """The mask of the windows, where x has a padding mask along its first spatial axis.

        Any other mask ends here, as in Keras: a window has no position in a sequence with gaps.
        """
        axis = spatial_axes(x.rank, data_format)[0]
        if not isinstance(mask, PaddingMask) or mask.axis != axis:
            return None
        return mask.with_steps(self.output_type(x, data_format, 1).shape[axis])

    def lower_mask(self, g: Builder, mask: Value) -> Value:
        """Emits that mask: a window counts if the sequence alone, without padding, would have it."""
        last = self.spans[0] - 1 if self.padding == "valid" else 0
        return g.Slice(mask, [last], [MAX_SLICE_BOUND], [1], [self.strides[0]])

    def onnx_attributes(self, sizes: Sequence[Dim]) -> dict[str, Any]:
        """The attributes of an ONNX operator over an input with these spatial sizes.

        `same` pads by `max((ceil(n / stride) - 1) * stride + span - n, 0)`, the smaller half at the start, as in
        TensorFlow. If that depends on a symbolic n, the operator computes it at run time. `causal` pads by span - 1 at
        the start.
        """
        common: dict[str, Any] = {"kernel_shape": self.size, "strides": self.strides}
        if any(dilation > 1 for dilation in self.dilations):
            common["dilations"] = self.dilations
        totals = [self._total_padding(index, n) for index, n in enumerate(sizes)]
        static = [total for total in totals if total is not None]
        if len(static) < len(totals):
            return {**common, "auto_pad": "SAME_UPPER"}
        front = static if self.padding == "causal" else [total // 2 for total in static]
        pads = [*front, *(total - before for total, before in zip(static, front, strict=True))]
        return {**common, "pads": pads} if any(pads) else common

    def _total_padding(self, index: int, n: Dim) -> int | None:
        """Padding at both ends together; None if it depends on a symbolic size."""
        stride, span = self.strides[index], self.spans[index]
        if self.padding == "valid" or span == 1:
            return 0
        if stride == 1 or self.padding == "causal":
            return span - 1
        return max((-(-n // stride) - 1) * stride + span - n, 0) if isinstance(n, int) else None
