"""What all recurrent layers share: a cell carried over a sequence; and RNN, which takes any cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from ...core.components import ArrayCodec, ComponentCodec, UnionCodec, attr, snake_case
from ...core.types import TensorType, require
from ..base import LAYERS, Layer, OutputTypes, inner_layer_scope, layer, require_real
from .cell import Cell, StackedRNNCells, check_states, require_cell

if TYPE_CHECKING:
    from ...ir import Builder, Value

STATEFUL = (
    "A state kept from batch to batch is not supported: take the last state out by return_state, and pass it as a "
    "further input, the initial state."
)
UNROLL = "Whether steps are unrolled. The compiler decides that by itself; with a mask, Keras' results depend on it."

MAX_UNROLLED_STEPS = 8
"""Steps up to which cells are unrolled. Of 48 the gradient of a Scan takes a third of the time: in it weights meet the
rows of all steps in one product. In inference both take the same time, but 1,700 nodes are compiled and loaded ten
times as slowly as 23."""

OutputAndStates = tuple["Value", list["Value"]]
"""The output, [time, batch, ...] in the order of the inputs or [batch, ...] of the last step; and the last states."""


class Recurrent(Layer):
    """Base of the layers that carry a state from step to step of a sequence [batch, time, ...]."""

    supports_masking = True
    reads_masks = True
    mask_argument = True

    return_sequences: bool = attr(False, doc="Whether to output the state of every step, not of the last one only.")
    return_state: bool = attr(False, doc="Whether to output the last state as well.")
    go_backwards: bool = attr(False, doc="Whether to go from the last step to the first, and to output in that order.")
    stateful: bool = attr(False, doc="Whether the last state starts the next batch.", unsupported=STATEFUL)
    unroll: bool = attr(False, doc=UNROLL)
    zero_output_for_mask: bool = attr(
        False, doc="Whether the output of a masked step is zero, not that of the step before."
    )

    @property
    def rnn_cell(self) -> Cell:
        """The cell; ShapeError where there is none."""
        raise NotImplementedError

    def run_time_major(self, g: Builder, x: Value, states: Sequence[Value], mask: Value | None) -> OutputAndStates:
        """The layer over [time, batch, ...], with a mask [time, batch]."""
        raise NotImplementedError

    def output_names(self) -> tuple[str, ...]:
        return self.rnn_cell.state_names if self.return_state else ()

    def infer(self, x: TensorType, *states_and_mask: TensorType) -> OutputTypes:
        cell, (states, mask) = self.rnn_cell, split_states_and_mask(states_and_mask)
        check_mask(x, mask, unroll=self.unroll)
        require(x.rank >= 3, f"needs a sequence [batch, time, features], got {x}")
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
        """The layer's outputs for [batch, time, ...], with a mask as `check_mask` wants it."""
        y, last = self.run_time_major(g, swap_batch_and_time(g, x), states, time_major_mask(g, mask))
        if self.return_sequences:
            y = to_batch_major(g, y, flip=self.go_backwards)
        return (y, *last) if self.return_state else y


TypeOrValue = TypeVar("TypeOrValue", "TensorType", "Value")


def split_states_and_mask(states_and_mask: Sequence[TypeOrValue]) -> tuple[Sequence[TypeOrValue], TypeOrValue | None]:
    """The inputs after the sequence: initial states, and the mask if there is one, which comes last and is bool."""
    return (
        (states_and_mask[:-1], states_and_mask[-1])
        if states_and_mask and states_and_mask[-1].dtype == "bool"
        else (states_and_mask, None)
    )


def effective_mask(inputs: Sequence[TypeOrValue], masks: Sequence[TypeOrValue | None]) -> TypeOrValue | None:
    """The mask that counts: the one that is an input goes before the one beside the sequence."""
    return split_states_and_mask(inputs[1:])[1] or masks[0]


def check_mask(x: TensorType, mask: TensorType | None, *, unroll: bool = False) -> None:
    """ShapeError unless a mask of a sequence says of every step whether it counts."""
    if mask is not None:
        wanted = "[batch, time]" if unroll else "[batch, time] or [batch, time, parts]"
        fits = mask.shape[:2] == x.shape[:2] and mask.rank in ((2,) if unroll else (2, 3))
        require(fits, f"needs a mask {wanted} beside its input {x}, got {mask}")


def implicit_mask(masks: Sequence[Value | None], states: Sequence[Value]) -> Value | None:
    """The sequence's mask, but none where initial states are given: there Keras passes it on and does not read it."""
    return None if states else masks[0]


def time_major_mask(g: Builder, mask: Value | None) -> Value | None:
    """A mask as [time, batch]. A step of several parts counts where one of them does."""
    if mask is None:
        return None
    if mask.rank == 3:
        mask = g.cast(g.ReduceMax(g.cast(mask, "int32"), [2], keepdims=0), "bool")
    return swap_batch_and_time(g, mask)


def timestep_type(x: TensorType) -> TensorType:
    """The type of one step of [batch, time, ...]."""
    return x.with_shape((x.shape[0], *x.shape[2:]))


def swap_batch_and_time(g: Builder, x: Value) -> Value:
    """A value with its first two axes exchanged."""
    return g.transpose(x, (1, 0, *range(2, x.rank)))


def to_batch_major(g: Builder, sequence: Value, *, flip: bool) -> Value:
    """A sequence [time, batch, ...] as [batch, time, ...], from its last step to its first where flipped."""
    ordered = g.Slice(sequence, [-1], [-(2**63)], [0], [-1]) if flip else sequence
    return swap_batch_and_time(g, g.refine(ordered, sequence.shape))


def loop_cell(
    g: Builder, layer: Recurrent, cell: Cell, x: Value, states: Sequence[Value], mask: Value | None = None
) -> OutputAndStates:
    """A cell carried over [time, batch, ...] by a loop.

    At a masked step the states stay, and the output is what it was after the step before; at first it is the initial
    state, or with `unroll` zeros, as Keras has it.
    """
    step_type = x.type.with_shape(x.shape[1:])
    made = cell.emit_loop_invariants(g, step_type)
    driven = cell.project_inputs(g, made, x)
    initial = list(states) or [zeros_of_type(g, state, driven) for state in cell.state_types(step_type)]
    place, count = cell.output_index, len(initial)
    kept = None if mask is None else g.Unsqueeze(mask, list(range(2, initial[0].rank + 1)))
    zero = layer.zero_output_for_mask and not layer.unroll
    from_zeros = layer.unroll and bool(states) and mask is not None

    def step(g: Builder, before: Sequence[Value], slices: Sequence[Value]) -> tuple[list[Value], list[Value]]:
        after = cell.step(g, made, slices[0], before[:count])
        y = after[place]
        if kept is not None:
            after = [g.Where(slices[1], new, old) for new, old in zip(after, before[:count], strict=True)]
            if from_zeros:
                y = g.Where(slices[1], y, before[count])
                after = [*after, y]
            else:
                y = g.Where(slices[1], y, g.const(0.0, y.dtype)) if zero else after[place]
        return after, [y] if layer.return_sequences else []

    start = [*initial, zeros_of_type(g, initial[place].type, driven)] if from_zeros else initial
    slices = [driven] if kept is None else [driven, kept]
    last, results = g.loop(step, start, slices, reverse=layer.go_backwards, max_unrolled_steps=MAX_UNROLLED_STEPS)
    if results:
        return results[0], last[:count]
    y = last[-1] if from_zeros else last[place]
    if zero and kept is not None:
        y = g.Where(g.Gather(kept, 0 if layer.go_backwards else -1, axis=0), y, g.const(0.0, y.dtype))
    return y, last[:count]


def zeros_of_type(g: Builder, type: TensorType, source: Value) -> Value:
    """Zeros of a type whose symbolic sizes a value has."""
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
    """A cell carried over a sequence [batch, time, features].

    Further inputs are the states to start from, in place of zeros, in the order in which `return_state` gives them. As
    in Keras, where they are given a mask beside the sequence goes on beside the output, and every step counts here. A
    last input [batch, time] of bool is a mask, in place of one beside the sequence, and always counts.
    """

    arity = (1, None)

    cell: CellOrCells = attr(
        doc="What is done at every step: a SimpleRNNCell, GRUCell, LSTMCell or StackedRNNCells; a list is a stack."
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
