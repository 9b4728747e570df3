"""Windows that slide over the spatial axes: what convolution and pooling share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import gt
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ...core.types import Dim, TensorType, require

if TYPE_CHECKING:
    from ...ir import Builder, Value

Padding = Literal["valid", "same"]
PaddingOrCausal = Literal["valid", "same", "causal"]
DataFormat = Literal["channels_last", "channels_first"]

DATA_FORMAT = "Where the channels stand: last (also for null) or first, before the spatial axes."
PADDING = "`valid` keeps windows inside the input; `same` pads so that stride 1 keeps the size."
CAUSAL = f"{PADDING[:-1]}; `causal` pads in front only, so that no step sees a later one."

SPATIAL_NAMES = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def spatial_axes(rank: int, data_format: DataFormat | None) -> list[int]:
    first = 2 if data_format == "channels_first" else 1
    return list(range(first, first + rank - 2))


def channel_axis(rank: int, data_format: DataFormat | None) -> int:
    return 1 if data_format == "channels_first" else rank - 1


def require_spatial(x: TensorType, spatial: int, data_format: DataFormat | None) -> None:
    """ShapeError unless x has this many axes beside batch and channels."""
    names = [*SPATIAL_NAMES[spatial]]
    names.insert(0 if data_format == "channels_first" else spatial, "channels")
    require(x.rank == spatial + 2, f"needs an input of rank {spatial + 2}, [batch, {', '.join(names)}], got {x}")


def with_channels_first(g: Builder, x: Value, data_format: DataFormat | None, emit: Callable[[Value], Value]) -> Value:
    """What `emit` makes of x with its channels first, the channels put back where they stood."""
    if data_format == "channels_first":
        return emit(x)
    last = x.rank - 1
    y = emit(g.transpose(x, [0, last, *range(1, last)]))
    return g.transpose(y, [0, *range(2, x.rank), 1])


MAX_WINDOW_SPAN = 2**31 - 1
"""How far a window may reach: the sums of onnxruntime's sizes stay within 64 bits."""


class SlidingWindows(NamedTuple):
    """Windows of one size, laid over the spatial axes at regular distances."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: PaddingOrCausal
    dilations: tuple[int, ...]
    window_name: str = "kernel"

    @property
    def spans(self) -> list[int]:
        """How far a window reaches along every spatial axis, its gaps included."""
        return [(size - 1) * dilation + 1 for size, dilation in zip(self.size, self.dilations, strict=True)]

    def output_type(self, x: TensorType, data_format: DataFormat | None, channels: Dim) -> TensorType:
        """The type of one result a window; ShapeError where no window fits."""
        shape = list(x.shape)
        shape[channel_axis(x.rank, data_format)] = channels
        apart = any(map(gt, self.strides, self.spans))
        for index, axis in enumerate(spatial_axes(x.rank, data_format)):
            if self._total_padding(index, x.shape[axis]) is None and (apart or max(self.dilations) > 1):
                x.static_size(axis)  # onnxruntime's SAME_UPPER pads by less than nothing there, and refuses dilations
            shape[axis] = self._output_size(index, axis, x)
        return x.with_shape(shape)

    def _output_size(self, index: int, axis: int, x: TensorType) -> Dim:
        """The windows along an axis: (n - span) // stride + 1, or where it is padded ceil(n / stride)."""
        n, span, stride = x.shape[axis], self.spans[index], self.strides[index]
        far = f"has a {self.window_name} that spans {span} on axis {axis}, more than {MAX_WINDOW_SPAN}"
        require(span <= MAX_WINDOW_SPAN, far, code="out-of-range")
        if self.padding != "valid":
            count = (n - 1) // stride + 1
            require(count != 0, f"needs an input of at least 1 on axis {axis}, got {x}")
            return count
        count = (n - span) // stride + 1
        require(
            not isinstance(count, int) or count > 0,
            f"finds no place for its {self.window_name} on axis {axis}: it spans {self._span_text(index)} of {n} in {x}, "
            f"and ({n} - {span}) // {stride} + 1 = {count}",
            help=f"use padding 'same', a smaller {self.window_name}_size or a larger input",
        )
        return count

    def _span_text(self, index: int) -> str:
        size, dilation, span = self.size[index], self.dilations[index], self.spans[index]
        return str(span) if dilation == 1 else f"({size} - 1) * {dilation} + 1 = {span}"

    def onnx_attributes(self, sizes: Sequence[Dim]) -> dict[str, Any]:
        """The attributes of an ONNX operator over an input with these spatial sizes.

        `same` pads by `max((ceil(n / stride) - 1) * stride + span - n, 0)`, the smaller half in front, as TensorFlow
        does. Where that depends on a symbolic n, the operator itself works it out. `causal` pads by span - 1, all of it
        in front.
        """
        common: dict[str, Any] = {"kernel_shape": self.size, "strides": self.strides}
        if any(dilation > 1 for dilation in self.dilations):
            common["dilations"] = self.dilations
        totals = [self._total_padding(index, n) for index, n in enumerate(sizes)]
        known = [total for total in totals if total is not None]
        if len(known) < len(totals):
            return {**common, "auto_pad": "SAME_UPPER"}
        front = known if self.padding == "causal" else [total // 2 for total in known]
        pads = [*front, *(total - before for total, before in zip(known, front, strict=True))]
        return {**common, "pads": pads} if any(pads) else common

    def _total_padding(self, index: int, n: Dim) -> int | None:
        """Before and behind together; None where it depends on a symbolic size."""
        stride, span = self.strides[index], self.spans[index]
        if self.padding == "valid" or span == 1:
            return 0
        if stride == 1 or self.padding == "causal":
            return span - 1
        return max((-(-n // stride) - 1) * stride + span - n, 0) if isinstance(n, int) else None
