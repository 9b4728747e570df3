"""Cells: one step of a recurrent layer.

Cells are layers, as in Keras, so they are written inside RNN and StackedRNNCells like any layer. Used directly, a cell
takes one step's input [batch, features] and the states, and returns its output and the new states.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...core.components import attr
from ...core.types import TensorType, require
from ..base import Layer, OutputTypes, inner_layer_scope, layer, numbered_names

if TYPE_CHECKING:
    from ...ir import Builder, Value


class Cell(Layer):
    """Base class of cells.

    A loop calls `emit_loop_invariants` once, `project_inputs` once for the inputs of all steps, and `step` at every
    step, all in the cell's own scope. `emit_loop_invariants` creates the weights, in Keras' order, and the dropout
    masks.
    """

    @property
    def state_names(self) -> tuple[str, ...]:
        raise NotImplementedError

    @property
    def output_index(self) -> int:
        """The index of the state that is the output."""
        raise NotImplementedError

    def state_types(self, x: TensorType) -> tuple[TensorType, ...]:
        """The types of the states, given one step's input. Raises ShapeError if the input does not fit."""
        raise NotImplementedError

    def emit_loop_invariants(self, g: Builder, x: TensorType) -> Any:
        """Emits the values that are the same at every step: weights and dropout masks."""
        raise NotImplementedError

    def project_inputs(self, g: Builder, invariants: Any, x: Value) -> Value:
        """Emits the inputs' contribution to a step, for one step's input or for all steps, [time, batch, ...]."""
        raise NotImplementedError

    def step(self, g: Builder, invariants: Any, input_projection: Value, states: Sequence[Value]) -> list[Value]:
        """Emits the states after a step."""
        raise NotImplementedError

    def output_names(self) -> tuple[str, ...]:
        return self.state_names

    def infer(self, x: TensorType, *states: TensorType) -> OutputTypes:
        types = self.state_types(x)
        check_states(self.state_names, types, states, "needs")
        return (types[self.output_index], *types)

    def lower(self, g: Builder, x: Value, *states: Value) -> Any:
        invariants = self.emit_loop_invariants(g, x.type)
        new_states = self.step(g, invariants, self.project_inputs(g, invariants, x), states)
        return (new_states[self.output_index], *new_states)


def check_states(
    names: Sequence[str], types: Sequence[TensorType], states: Sequence[TensorType], need: str = "needs all its initial"
) -> None:
    """Raises ShapeError unless the states have these types."""
    text = f"{need} states ({', '.join(names)})" + (" or none" if need != "needs" else "")
    require(len(states) == len(types), f"{text}, got {len(states)}")
    for name, expected, actual in zip(names, types, states, strict=True):
        text = f"needs {expected} as its {'' if need == 'needs' else 'initial '}{name}, got {actual}"
        require(actual == expected, text)


@layer
class StackedRNNCells(Cell):
    """Stacks cells into one: each cell takes the output of the previous one.

    The states are the states of all cells, first to last. States and weights are named after the cells' types in snake
    case, with `_1` and so on for repeated types. Used directly as a layer, it takes x and all states.
    """

    arity = (2, None)

    cells: tuple[Layer, ...] = attr(doc="The cells, first to last.")

    def named_cells(self) -> list[tuple[str, Cell]]:
        """The cells by name. Raises ShapeError if there are none or one is not a cell."""
        require(bool(self.cells), "needs a cell, got an empty list")
        return list(zip(numbered_names(self.cells), map(require_cell, self.cells), strict=True))

    @property
    def state_names(self) -> tuple[str, ...]:
        return tuple(f"{name}_{state}" for name, cell in self.named_cells() for state in cell.state_names)

    @property
    def output_index(self) -> int:
        *lower, (_, top) = self.named_cells()
        return sum(len(cell.state_names) for _, cell in lower) + top.output_index

    def state_types(self, x: TensorType) -> tuple[TensorType, ...]:
        types: list[TensorType] = []
        for _, cell in self.named_cells():
            cell_types = cell.state_types(x)
            x = cell_types[cell.output_index]
            types += cell_types
        return tuple(types)

    def emit_loop_invariants(self, g: Builder, x: TensorType) -> list[Any]:
        invariants = []
        for name, cell in self.named_cells():
            with inner_layer_scope(g, name, cell):
                invariants.append(cell.emit_loop_invariants(g, x))
            x = cell.state_types(x)[cell.output_index]
        return invariants

    def project_inputs(self, g: Builder, invariants: list[Any], x: Value) -> Value:
        name, cell = self.named_cells()[0]
        with inner_layer_scope(g, name, cell):
            return cell.project_inputs(g, invariants[0], x)

    def step(self, g: Builder, invariants: list[Any], input_projection: Value, states: Sequence[Value]) -> list[Value]:
        new_states: list[Value] = []
        y = input_projection
        for index, (name, cell) in enumerate(self.named_cells()):
            with inner_layer_scope(g, name, cell):
                if index:
                    input_projection = cell.project_inputs(g, invariants[index], y)
                start = len(new_states)
                cell_states = states[start : start + len(cell.state_names)]
                cell_states = cell.step(g, invariants[index], input_projection, cell_states)
            y = cell_states[cell.output_index]
            new_states += cell_states
        return new_states


def require_cell(cell: Layer) -> Cell:
    """The layer as a cell. Raises ShapeError if it is not one."""
    help = "SimpleRNNCell, GRUCell, LSTMCell and StackedRNNCells are cells"
    if not isinstance(cell, Cell):
        require(False, f"has {cell.type_name} as a cell", help, "unsupported-argument")
    require(
        cell.activity_regularizer is None,
        "has an activity_regularizer on its cell",
        "give it to the layer around the cell",
        "unsupported-argument",
    )
    return cell  # type: ignore[return-value]
