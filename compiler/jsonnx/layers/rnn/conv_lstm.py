"""ConvLSTM1D, ConvLSTM2D and ConvLSTM3D: an LSTM whose products are convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from ...core.components import Sizes, attr
from ...core.types import TensorType, require
from ..activations import Activation_, activated
from ..axes import folded, unfolded
from ..base import layer, nested, require_real
from ..convolution.convolution import DILATION_RATE, FILTERS, KERNEL_SIZE, STRIDES, weight_of
from ..convolution.sliding_window import (
    DATA_FORMAT,
    PADDING,
    SPATIAL_NAMES,
    DataFormat,
    Padding,
    Windows,
    channel_axis,
    spatial_axes,
)
from .cell import Cell
from .rnn import Recurrent, Result, looped
from .rnn_cells import LSTMGates, Weighted, drawn_masks, forget_bias, remember, split

if TYPE_CHECKING:
    from ...ir import Builder, Value


class ConvGates(Weighted, LSTMGates):
    """The arguments that the cell and the layers share, beside those whose form depends on the number of axes."""

    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]

    filters: int = attr(doc=FILTERS, minimum=1)
    padding: Padding = attr("valid", doc=PADDING)
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)


class Prepared(NamedTuple):
    """Of the cell in a loop: its kernels as ONNX wants them, one or one a gate, and the masks of input and state."""

    kernels: list[Value]
    recurrent: list[Value]
    biases: list[Value | None]
    input_masks: list[Value]
    state_masks: list[Value]


class ConvLSTMCell(Cell, ConvGates):
    """One step of a ConvLSTM. Keras has it only inside those layers. It computes with its channels first."""

    state_names = ("state_h", "state_c")
    output_place = 0

    kernel_size: tuple[int, ...] = attr(doc=KERNEL_SIZE)
    strides: tuple[int, ...] = attr(doc=STRIDES)
    dilation_rate: tuple[int, ...] = attr(doc=DILATION_RATE)

    @property
    def windows(self) -> Windows:
        return Windows(self.kernel_size, self.strides, self.padding, self.dilation_rate)

    @property
    def state_windows(self) -> Windows:
        """Of the state, which keeps its size: neither strides nor dilation."""
        ones = (1,) * len(self.kernel_size)
        return Windows(self.kernel_size, ones, "same", ones)

    def state_types(self, x: TensorType) -> tuple[TensorType, ...]:
        spatial = len(self.kernel_size)
        names = [*SPATIAL_NAMES[spatial]]
        names.insert(0 if self.data_format == "channels_first" else spatial, "channels")
        wanted = f"needs an input of rank {spatial + 3}, [batch, time, {', '.join(names)}]"
        require(x.rank == spatial + 2, f"{wanted}, got steps of {x}")
        require_real(x)
        for axis in (channel_axis(x.rank, self.data_format), *spatial_axes(x.rank, self.data_format)):
            x.fixed(axis)
        require(
            max(self.strides) == 1 or max(self.dilation_rate) == 1,
            f"cannot have both strides and dilation above 1, got strides {list(self.strides)} "
            f"and dilation_rate {list(self.dilation_rate)}",
        )
        state = self.windows.output(x, self.data_format, self.filters)
        for name in ("activation", "recurrent_activation"):
            made = activated(state, getattr(self, name))
            require(made == state, f"has {state} become {made} by its {name}, and needs the same size")
        return state, state

    def begin(self, g: Builder, x: TensorType) -> Prepared:
        (state, _), width = self.state_types(x), 4 * self.filters
        own = self.kernel_initializer, self.kernel_regularizer, self.kernel_constraint
        kernel = g.param("kernel", (*self.kernel_size, x.fixed(1), width), *own)
        own = self.recurrent_initializer, self.recurrent_regularizer, self.recurrent_constraint
        recurrent = g.param("recurrent_kernel", (*self.kernel_size, self.filters, width), *own)
        bias: Value | None = None
        if self.use_bias:
            first = forget_bias(self.bias_initializer, ones=self.unit_forget_bias)
            bias = g.param("bias", (width,), first, self.bias_regularizer, self.bias_constraint)
        inputs, states = drawn_masks(g, self, 4, x.shape, state.shape)
        each = [self.filters] * 4
        return Prepared(
            split(g, weight_of(g, kernel), each if inputs else [width], axis=0),
            split(g, weight_of(g, recurrent), each if states else [width], axis=0),
            [bias] if bias is None or not inputs else list(split(g, bias, each, axis=0)),
            inputs,
            states,
        )

    def drive(self, g: Builder, made: Prepared, x: Value) -> Value:
        one = x.rank == len(self.kernel_size) + 2
        rows = [x if one else folded(g, x)]
        if made.input_masks:
            rows = [g.Mul(x, mask) if one else folded(g, g.Mul(x, mask)) for mask in made.input_masks]
        y = convolved(g, self.windows, rows, made.kernels, made.biases)
        return y if one else unfolded(g, y, x)

    def step(self, g: Builder, made: Prepared, driven: Value, states: Sequence[Value]) -> list[Value]:
        h, c = states
        seen = [g.Mul(h, mask) for mask in made.state_masks] or [h]
        gates = g.Add(driven, convolved(g, self.state_windows, seen, made.recurrent, [None]))
        return remember(g, self, split(g, gates, [self.filters] * 4, axis=1), c)


def convolved(
    g: Builder, windows: Windows, inputs: list[Value], kernels: list[Value], biases: Sequence[Value | None]
) -> Value:
    """The convolutions of inputs with kernels, one after the other, their channels joined."""
    if len(biases) < len(kernels):
        biases = [None] * len(kernels)
    results = []
    for x, kernel, bias in zip(inputs, kernels, biases, strict=True):
        operands = [x, kernel, *([] if bias is None else [bias])]
        shape = windows.output(x.type, "channels_first", kernel.shape[0]).shape
        results.append(g.refine(g.Conv(*operands, **windows.attributes(x.shape[2:])), shape))
    return results[0] if len(results) == 1 else g.Concat(*results, axis=1)


class ConvLSTM(Recurrent, ConvGates):
    """Base of the layers."""

    arity = (1, 4)

    @property
    def inner(self) -> Cell:
        return ConvLSTMCell(**self.shared())

    def shared(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ConvLSTMCell.attributes if name != "activity_regularizer"}

    def run(self, g: Builder, x: Value, states: Sequence[Value], mask: Value | None) -> Result:
        if self.data_format == "channels_first":
            return self.looped(g, self.inner, x, states, mask)
        rank = x.rank - 1
        changed = {name: moved_axis(getattr(self, name), rank) for name in ("activation", "recurrent_activation")}
        cell = self.inner.but(data_format="channels_first", **changed)
        y, last = self.looped(g, cell, channels_first(g, x, 2), [channels_first(g, s, 1) for s in states], mask)
        return channels_last(g, y, 2 if self.return_sequences else 1), [channels_last(g, state, 1) for state in last]

    def looped(self, g: Builder, cell: Cell, x: Value, states: Sequence[Value], mask: Value | None) -> Result:
        with nested(g, "conv_lstm_cell", cell):
            return looped(g, self, cell, x, states, mask)


def moved_axis(activation: Activation_ | None, rank: int) -> Activation_ | None:
    """An activation along an axis of a value with its channels last, for the same value with its channels first."""
    axis = getattr(activation, "axis", None)
    if activation is None or axis is None:
        return activation
    axis %= rank
    return activation.but(axis=0 if axis == 0 else 1 if axis == rank - 1 else axis + 1)


def channels_first(g: Builder, x: Value, before: int) -> Value:
    """A value with its last axis behind some first ones."""
    return g.transpose(x, [*range(before), x.rank - 1, *range(before, x.rank - 1)])


def channels_last(g: Builder, x: Value, before: int) -> Value:
    """Undoes `channels_first`."""
    return g.transpose(x, [*range(before), *range(before + 1, x.rank), before])


@layer
class ConvLSTM1D(ConvLSTM):
    """LSTM over time whose products are convolutions of sequences (Shi et al., 2015).

    The input is [batch, time, ...]. The convolution of the state keeps its size: `same`, without strides or dilation.
    Two more inputs are the states h and c to start from, in place of zeros.
    """

    kernel_size: Annotated[tuple[int, ...], Sizes(1)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], Sizes(1)] = attr(1, doc=STRIDES, minimum=1)
    dilation_rate: Annotated[tuple[int, ...], Sizes(1)] = attr(1, doc=DILATION_RATE, minimum=1)


@layer
class ConvLSTM2D(ConvLSTM):
    """LSTM over time whose products are convolutions of images (Shi et al., 2015).

    The input is [batch, time, ...]. The convolution of the state keeps its size: `same`, without strides or dilation.
    Two more inputs are the states h and c to start from, in place of zeros.
    """

    kernel_size: Annotated[tuple[int, ...], Sizes(2)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], Sizes(2)] = attr((1, 1), doc=STRIDES, minimum=1)
    dilation_rate: Annotated[tuple[int, ...], Sizes(2)] = attr((1, 1), doc=DILATION_RATE, minimum=1)


@layer
class ConvLSTM3D(ConvLSTM):
    """LSTM over time whose products are convolutions of volumes (Shi et al., 2015).

    The input is [batch, time, ...]. The convolution of the state keeps its size: `same`, without strides or dilation.
    Two more inputs are the states h and c to start from, in place of zeros.
    """

    kernel_size: Annotated[tuple[int, ...], Sizes(3)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], Sizes(3)] = attr((1, 1, 1), doc=STRIDES, minimum=1)
    dilation_rate: Annotated[tuple[int, ...], Sizes(3)] = attr((1, 1, 1), doc=DILATION_RATE, minimum=1)
