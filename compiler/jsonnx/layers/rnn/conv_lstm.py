"""ConvLSTM1D, ConvLSTM2D and ConvLSTM3D: an LSTM whose matrix products are convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from ...core.components import SpatialSizesCodec, attr
from ...core.types import TensorType, require
from ..activations import ActivationFunction, activated_type
from ..axes import merge_first_axes, split_first_axis
from ..base import inner_layer_scope, layer, require_real
from ..convolution.convolution import DILATION_RATE, FILTERS, KERNEL_SIZE, STRIDES, onnx_kernel
from ..sliding_window import (
    DATA_FORMAT,
    PADDING,
    SPATIAL_NAMES,
    DataFormat,
    Padding,
    SlidingWindows,
    channel_axis,
    spatial_axes,
)
from .cell import Cell
from .rnn import OutputAndStates, Recurrent, loop_cell
from .rnn_cells import LSTMArguments, RecurrentArguments, dropout_masks, lstm_bias_initializer, lstm_states, split_axis

if TYPE_CHECKING:
    from ...ir import Builder, Value


class ConvLSTMArguments(RecurrentArguments, LSTMArguments):
    """The arguments shared by the cell and the layers, except those that depend on the number of spatial axes."""

    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]

    filters: int = attr(doc=FILTERS, minimum=1)
    padding: Padding = attr("valid", doc=PADDING)
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)


class ConvLoopInvariants(NamedTuple):
    """The cell's kernels in ONNX' layout (one, or one per gate), biases and dropout masks."""

    kernels: list[Value]
    recurrent_kernels: list[Value]
    biases: list[Value | None]
    input_masks: list[Value]
    state_masks: list[Value]


class ConvLSTMCell(Cell, ConvLSTMArguments):
    """One step of a ConvLSTM with channels first. As in Keras, it is used only by the ConvLSTM layers."""

    state_names = ("state_h", "state_c")
    output_index = 0

    kernel_size: tuple[int, ...] = attr(doc=KERNEL_SIZE)
    strides: tuple[int, ...] = attr(doc=STRIDES)
    dilation_rate: tuple[int, ...] = attr(doc=DILATION_RATE)

    @property
    def windows(self) -> SlidingWindows:
        return SlidingWindows(self.kernel_size, self.strides, self.padding, self.dilation_rate)

    @property
    def state_windows(self) -> SlidingWindows:
        """The windows of the recurrent convolution, which keeps the size: no strides, no dilation."""
        ones = (1,) * len(self.kernel_size)
        return SlidingWindows(self.kernel_size, ones, "same", ones)

    def state_types(self, x: TensorType) -> tuple[TensorType, ...]:
        spatial = len(self.kernel_size)
        names = [*SPATIAL_NAMES[spatial]]
        names.insert(0 if self.data_format == "channels_first" else spatial, "channels")
        expected = f"needs an input of rank {spatial + 3}, [batch, time, {', '.join(names)}]"
        require(x.rank == spatial + 2, f"{expected}, got steps of {x}")
        require_real(x)
        for axis in (channel_axis(x.rank, self.data_format), *spatial_axes(x.rank, self.data_format)):
            x.static_size(axis)
        require(
            max(self.strides) == 1 or max(self.dilation_rate) == 1,
            f"cannot have both strides and dilation above 1, got strides {list(self.strides)} "
            f"and dilation_rate {list(self.dilation_rate)}",
        )
        state = self.windows.output_type(x, self.data_format, self.filters)
        for name in ("activation", "recurrent_activation"):
            result = activated_type(state, getattr(self, name))
            require(result == state, f"needs an {name} that keeps the shape of {state}, but its result is {result}")
        return state, state

    def emit_loop_invariants(self, g: Builder, x: TensorType) -> ConvLoopInvariants:
        (state, _), width = self.state_types(x), 4 * self.filters
        arguments = self.kernel_initializer, self.kernel_regularizer, self.kernel_constraint
        kernel = g.param("kernel", (*self.kernel_size, x.static_size(1), width), *arguments)
        arguments = self.recurrent_initializer, self.recurrent_regularizer, self.recurrent_constraint
        recurrent = g.param("recurrent_kernel", (*self.kernel_size, self.filters, width), *arguments)
        bias: Value | None = None
        if self.use_bias:
            initializer = lstm_bias_initializer(self.bias_initializer, ones=self.unit_forget_bias)
            bias = g.param("bias", (width,), initializer, self.bias_regularizer, self.bias_constraint)
        inputs, states = dropout_masks(g, self, 4, x.shape, state.shape)
        gate_sizes = [self.filters] * 4
        return ConvLoopInvariants(
            split_axis(g, onnx_kernel(g, kernel), gate_sizes if inputs else [width], axis=0),
            split_axis(g, onnx_kernel(g, recurrent), gate_sizes if states else [width], axis=0),
            [bias] if bias is None or not inputs else list(split_axis(g, bias, gate_sizes, axis=0)),
            inputs,
            states,
        )

    def project_inputs(self, g: Builder, invariants: ConvLoopInvariants, x: Value) -> Value:
        single_step = x.rank == len(self.kernel_size) + 2
        inputs = [x if single_step else merge_first_axes(g, x)]
        if invariants.input_masks:
            masked = (g.Mul(x, mask) for mask in invariants.input_masks)
            inputs = [y if single_step else merge_first_axes(g, y) for y in masked]
        y = convolve_and_concat(g, self.windows, inputs, invariants.kernels, invariants.biases)
        return y if single_step else split_first_axis(g, y, x)

    def step(
        self, g: Builder, invariants: ConvLoopInvariants, input_projection: Value, states: Sequence[Value]
    ) -> list[Value]:
        h, c = states
        masked_h = [g.Mul(h, mask) for mask in invariants.state_masks] or [h]
        gates = g.Add(
            input_projection, convolve_and_concat(g, self.state_windows, masked_h, invariants.recurrent_kernels, [None])
        )
        return lstm_states(g, self, split_axis(g, gates, [self.filters] * 4, axis=1), c)


def convolve_and_concat(
    g: Builder, windows: SlidingWindows, inputs: list[Value], kernels: list[Value], biases: Sequence[Value | None]
) -> Value:
    """Convolves each input with its kernel, and concatenates the results' channels."""
    if len(biases) < len(kernels):
        biases = [None] * len(kernels)
    results = []
    for x, kernel, bias in zip(inputs, kernels, biases, strict=True):
        operands = [x, kernel, *([] if bias is None else [bias])]
        shape = windows.output_type(x.type, "channels_first", kernel.shape[0]).shape
        results.append(g.refine(g.Conv(*operands, **windows.onnx_attributes(x.shape[2:])), shape))
    return results[0] if len(results) == 1 else g.Concat(*results, axis=1)


class ConvLSTM(Recurrent, ConvLSTMArguments):
    """Base class of the ConvLSTM layers."""

    formula = """
        h, c = xs[1:] if len(xs) > 1 else (None, None)
        results = []
        for step in swapaxes(x[:, ::-1] if go_backwards else x, 0, 1):
            w = windows(step, kernel_size, strides, padding, dilation_rate)
            gates = tensordot(w, kernel, kernel.ndim - 1) + bias
            if h is None:  # the initial states are zeros
                h = c = zeros_like(gates[..., :filters])
            w = windows(h, kernel_size, 1, "same")
            gates = gates + tensordot(w, recurrent_kernel, kernel.ndim - 1)
            i, f, g, o = split(gates, 4, axis=-1)
            c = recurrent_activation(f) * c + recurrent_activation(i) * activation(g)
            h = recurrent_activation(o) * activation(c)
            results.append(h)
        y, state_h, state_c = stack(results, axis=1) if return_sequences else h, h, c
    """
    arity = (1, 4)

    @property
    def rnn_cell(self) -> Cell:
        return ConvLSTMCell(**self.cell_arguments())

    def cell_arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ConvLSTMCell.attributes if name != "activity_regularizer"}

    def run_time_major(self, g: Builder, x: Value, states: Sequence[Value], mask: Value | None) -> OutputAndStates:
        if self.data_format == "channels_first":
            return self.loop_conv_cell(g, self.rnn_cell, x, states, mask)
        rank = x.rank - 1
        activations = {
            name: channels_first_activation(getattr(self, name), rank)
            for name in ("activation", "recurrent_activation")
        }
        cell = self.rnn_cell.replace(data_format="channels_first", **activations)
        y, last = self.loop_conv_cell(
            g, cell, to_channels_first(g, x, 2), [to_channels_first(g, s, 1) for s in states], mask
        )
        return to_channels_last(g, y, 2 if self.return_sequences else 1), [
            to_channels_last(g, state, 1) for state in last
        ]

    def loop_conv_cell(
        self, g: Builder, cell: Cell, x: Value, states: Sequence[Value], mask: Value | None
    ) -> OutputAndStates:
        with inner_layer_scope(g, "conv_lstm_cell", cell):
            return loop_cell(g, self, cell, x, states, mask)


def channels_first_activation(activation: ActivationFunction | None, rank: int) -> ActivationFunction | None:
    """Adapts an activation with an `axis` from a channels-last value to the same value with channels first."""
    axis = getattr(activation, "axis", None)
    if activation is None or axis is None:
        return activation
    axis %= rank
    return activation.replace(axis=0 if axis == 0 else 1 if axis == rank - 1 else axis + 1)


def to_channels_first(g: Builder, x: Value, leading_axes: int) -> Value:
    """Moves the last axis behind the first `leading_axes` axes."""
    return g.transpose(x, [*range(leading_axes), x.rank - 1, *range(leading_axes, x.rank - 1)])


def to_channels_last(g: Builder, x: Value, leading_axes: int) -> Value:
    """Inverse of `to_channels_first`."""
    return g.transpose(x, [*range(leading_axes), *range(leading_axes + 1, x.rank), leading_axes])


@layer
class ConvLSTM1D(ConvLSTM):
    """LSTM over time whose matrix products are 1D convolutions (Shi et al., 2015).

    The input is [batch, time, ...]. The recurrent convolution has padding `same` and neither strides nor dilation. Two
    optional further inputs are the initial states h and c, zeros by default.
    """

    kernel_size: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(1, doc=STRIDES, minimum=1)
    dilation_rate: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(1, doc=DILATION_RATE, minimum=1)


@layer
class ConvLSTM2D(ConvLSTM):
    """LSTM over time whose matrix products are 2D convolutions (Shi et al., 2015).

    The input is [batch, time, ...]. The recurrent convolution has padding `same` and neither strides nor dilation. Two
    optional further inputs are the initial states h and c, zeros by default.
    """

    kernel_size: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr((1, 1), doc=STRIDES, minimum=1)
    dilation_rate: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr((1, 1), doc=DILATION_RATE, minimum=1)


@layer
class ConvLSTM3D(ConvLSTM):
    """LSTM over time whose matrix products are 3D convolutions (Shi et al., 2015).

    The input is [batch, time, ...]. The recurrent convolution has padding `same` and neither strides nor dilation. Two
    optional further inputs are the initial states h and c, zeros by default.
    """

    kernel_size: Annotated[tuple[int, ...], SpatialSizesCodec(3)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(3)] = attr((1, 1, 1), doc=STRIDES, minimum=1)
    dilation_rate: Annotated[tuple[int, ...], SpatialSizesCodec(3)] = attr((1, 1, 1), doc=DILATION_RATE, minimum=1)
