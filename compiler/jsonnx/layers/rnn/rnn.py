"""Recurrent layers in general, i.e. a cell run over a sequence; and RNN, which takes any cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from ...core.components import ArrayCodec, ComponentCodec, UnionCodec, attr, snake_case
from ...core.types import TensorType, require
from ..axes import MIN_SLICE_BOUND
from ..base import LAYERS, Layer, OutputTypes, inner_layer_scope, layer, require_real
from .cell import Cell, StackedRNNCells, check_states, require_cell

if TYPE_CHECKING:
    from ...ir import Builder, Value

STATEFUL = (
    "Carrying the state over from batch to batch is not supported: output the last state with return_state and pass it "
    "as a further input, the initial state."
)
UNROLL = "Whether to unroll the loop. The compiler decides this itself; with a mask, the argument affects the results."

MAX_UNROLLED_STEPS = 8
"""Longest sequence whose steps are unrolled. Longer ones use a Scan: its weight gradients are one product over all
steps, and its graph is smaller to compile and load."""

OutputAndStates = tuple["Value", list["Value"]]
"""The output ([time, batch, ...] in the order of the inputs, or [batch, ...] of the last step), and last states."""


class Recurrent(Layer):
    """Base class of layers that carry a state along a sequence [batch, time, ...]."""

    supports_masking = True
    reads_masks = True
    mask_argument = True

    return_sequences: bool = attr(False, doc="Whether to return the output of every step rather than only of the last.")
    return_state: bool = attr(False, doc="Whether to also return the last states.")
    go_backwards: bool = attr(False, doc="Whether to process the sequence in reverse, and return it reversed.")
    stateful: bool = attr(
        False, doc="Whether a batch starts from the last states of the previous batch.", unsupported=STATEFUL
    )
    unroll: bool = attr(False, doc=UNROLL)
    zero_output_for_mask: bool = attr(
        False, doc="Whether the output at a masked step is zero rather than the previous step's output."
    )

    @property
    def rnn_cell(self) -> Cell:
        """The cell. Raises ShapeError if the argument is not a cell."""
        raise NotImplementedError

    def run_time_major(self, g: Builder, x: Value, states: Sequence[Value], mask: Value | None) -> OutputAndStates:
        """Runs the layer over an input [time, batch, ...] with a mask [time, batch]."""
        raise NotImplementedError

    def output_names(self) -> tuple[str, ...]:
        return self.rnn_cell.state_names if self.return_state else ()

    def infer(self, x: TensorType, *states_and_mask: TensorType) -> OutputTypes:
        cell, (states, mask) = self.rnn_cell, split_states_and_mask(states_and_mask)
        check_mask(x, mask, unroll=self.unroll)
        help = 'give the recurrent layer before it "return_sequences": true, or the input an axis for time'
        require(x.rank >= 3, f"needs a sequence [batch, time, features], got {x}", help)
        require_real(x)
        require(x.shape[1] != 0, f"needs at least one step, got {x}")
        require(not self.unroll or x.is_static(1), f"has unroll, which needs a fixed number of steps, got {x}")
        types = cell.state_types(timestep_type(x))
        if states:
            check_states(cell.state_names, types, states)
        y = types[cell.output_index]
        if self.return_sequences:
            y = y.with_shape((*x.shape[:2], *y.shape[1:]))
        return (y, *types) if self.return_state else y

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        check_mask(inputs[0], masks[0], unroll=self.unroll)
        return effective_mask(inputs, masks) if self.return_sequences else None

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value | None:
        return effective_mask(inputs, masks)

    def lower(self, g: Builder, x: Value, *states_and_mask: Value, masks: Sequence[Value | None] = (None,)) -> Any:
        states, mask = split_states_and_mask(states_and_mask)
        return self.run_batch_major(g, x, states, mask or implicit_mask(masks, states))

    def run_batch_major(self, g: Builder, x: Value, states: Sequence[Value], mask: Value | None) -> Any:
        """The outputs for an input [batch, time, ...] and a mask that `check_mask` accepts."""
        y, last = self.run_time_major(g, swap_batch_and_time(g, x), states, time_major_mask(g, mask))
        if self.return_sequences:
            y = to_batch_major(g, y, flip=self.go_backwards)
        return (y, *last) if self.return_state else y


TypeOrValue = TypeVar("TypeOrValue", "TensorType", "Value")


def split_states_and_mask(states_and_mask: Sequence[TypeOrValue]) -> tuple[Sequence[TypeOrValue], TypeOrValue | None]:
    """Splits the inputs after the sequence into initial states and the mask: a last input of dtype bool, if any."""
    return (
        (states_and_mask[:-1], states_and_mask[-1])
        if states_and_mask and states_and_mask[-1].dtype == "bool"
        else (states_and_mask, None)
    )


def effective_mask(inputs: Sequence[TypeOrValue], masks: Sequence[TypeOrValue | None]) -> TypeOrValue | None:
    """The mask that applies: the mask input if there is one, otherwise the sequence's own mask."""
    return split_states_and_mask(inputs[1:])[1] or masks[0]


def check_mask(x: TensorType, mask: TensorType | None, *, unroll: bool = False) -> None:
    """Raises ShapeError unless a mask covers the batch and time axes of x."""
    if mask is not None:
        expected = "[batch, time]" if unroll else "[batch, time] or [batch, time, parts]"
        fits = mask.shape[:2] == x.shape[:2] and mask.rank in ((2,) if unroll else (2, 3))
        require(fits, f"needs a mask {expected} beside its input {x}, got {mask}")


def implicit_mask(masks: Sequence[Value | None], states: Sequence[Value]) -> Value | None:
    """The sequence's own mask, or None if initial states are given: in that case Keras ignores the mask."""
    return None if states else masks[0]


def time_major_mask(g: Builder, mask: Value | None) -> Value | None:
    """Transposes a mask to [time, batch]. With a third axis, a step counts if any of its elements does."""
    if mask is None:
        return None
    if mask.rank == 3:
        mask = g.cast(g.ReduceMax(g.cast(mask, "int32"), [2], keepdims=0), "bool")
    return swap_batch_and_time(g, mask)


def timestep_type(x: TensorType) -> TensorType:
    """The type of one step of [batch, time, ...]."""
    return x.with_shape((x.shape[0], *x.shape[2:]))


def swap_batch_and_time(g: Builder, x: Value) -> Value:
    """Swaps the first two axes."""
    return g.transpose(x, (1, 0, *range(2, x.rank)))


def to_batch_major(g: Builder, sequence: Value, *, flip: bool) -> Value:
    """Transposes a sequence [time, batch, ...] to [batch, time, ...]; `flip` reverses the steps."""
    ordered = g.Slice(sequence, [-1], [MIN_SLICE_BOUND], [0], [-1]) if flip else sequence
    return swap_batch_and_time(g, g.refine(ordered, sequence.shape))


def loop_cell(
    g: Builder, layer: Recurrent, cell: Cell, x: Value, states: Sequence[Value], mask: Value | None = None
) -> OutputAndStates:
    """Runs a cell over [time, batch, ...] in a loop.

    At a masked step, the states are kept and the output repeats the previous step's; before the first unmasked
    step it is the initial state, or zeros with `unroll`, as in Keras.
    """
    step_type = x.type.with_shape(x.shape[1:])
    invariants = cell.emit_loop_invariants(g, step_type)
    projections = cell.project_inputs(g, invariants, x)
    initial = list(states) or [zeros_of_type(g, state, projections) for state in cell.state_types(step_type)]
    output_index, count = cell.output_index, len(initial)
    keep = None if mask is None else g.Unsqueeze(mask, list(range(2, initial[0].rank + 1)))
    zero_masked = layer.zero_output_for_mask and not layer.unroll
    output_from_zeros = layer.unroll and bool(states) and mask is not None

    def step(g: Builder, carried: Sequence[Value], slices: Sequence[Value]) -> tuple[list[Value], list[Value]]:
        after = cell.step(g, invariants, slices[0], carried[:count])
        y = after[output_index]
        if keep is not None:
            after = [g.Where(slices[1], new, old) for new, old in zip(after, carried[:count], strict=True)]
            if output_from_zeros:
                y = g.Where(slices[1], y, carried[count])
                after = [*after, y]
            else:
                y = g.Where(slices[1], y, g.const(0.0, y.dtype)) if zero_masked else after[output_index]
        return after, [y] if layer.return_sequences else []

    start = [*initial, zeros_of_type(g, initial[output_index].type, projections)] if output_from_zeros else initial
    slices = [projections] if keep is None else [projections, keep]
    last, results = g.loop(step, start, slices, reverse=layer.go_backwards, max_unrolled_steps=MAX_UNROLLED_STEPS)
    if results:
        return results[0], last[:count]
    y = last[-1] if output_from_zeros else last[output_index]
    if zero_masked and keep is not None:
        y = g.Where(g.Gather(keep, 0 if layer.go_backwards else -1, axis=0), y, g.const(0.0, y.dtype))
    return y, last[:count]


def zeros_of_type(g: Builder, type: TensorType, source: Value) -> Value:
    """Emits zeros of a type; symbolic sizes are read from `source` at run time."""
    return g.refine(g.Expand(g.const(0.0, type.dtype), g.sizes(type.shape, source)), type.shape)


CellOrCells = Annotated[
    Layer | tuple[Layer, ...],
    UnionCodec(
        (lambda value: isinstance(value, (list, tuple)), ArrayCodec(ComponentCodec(LAYERS))),
        (lambda value: True, ComponentCodec(LAYERS)),
    ),
]


@layer
class RNN(Recurrent):
    """Runs a cell over a sequence [batch, time, features].

    Optional further inputs are the initial states, zeros by default, in the order of `return_state`. As in Keras, if
    they are given, the sequence's own mask is passed on to the output but ignored by the loop. A last input [batch,
    time] of bool is a mask that replaces the sequence's own and is always applied.
    """

    arity = (1, None)

    cell: CellOrCells = attr(
        doc="The cell: SimpleRNNCell, GRUCell, LSTMCell or StackedRNNCells; a list of cells is stacked."
    )

    @property
    def rnn_cell(self) -> Cell:
        if not isinstance(self.cell, tuple):
            return require_cell(self.cell)
        stack: dict[str, Any] = {"cells": self.cell}
        return StackedRNNCells(**stack)

    def run_time_major(self, g: Builder, x: Value, states: Sequence[Value], mask: Value | None) -> OutputAndStates:
        cell = self.rnn_cell
        with inner_layer_scope(g, snake_case(cell.type_name), cell):
            return loop_cell(g, self, cell, x, states, mask)
