"""Cells: one step of a recurrent layer.

Cells are layers, as in Keras: so one form of the language writes them inside RNN and StackedRNNCells, and by itself a
cell is a layer that takes its input [batch, features] and its states, and gives its output and its new states.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...core.components import attr, snake_case
from ...core.types import TensorType, require
from ..base import Layer, OutputTypes, inner_layer_scope, layer

if TYPE_CHECKING:
    from ...ir import Builder, Value


class Cell(Layer):
    """Base of the cells.

    A loop asks for `emit_loop_invariants` once, for `project_inputs` once with the inputs of all steps, and for `step` at every step. All three
    happen in the cell's own scope, where `emit_loop_invariants` makes the weights in Keras' order and draws the dropout masks.
    """

    @property
    def state_names(self) -> tuple[str, ...]:
        raise NotImplementedError

    @property
    def output_index(self) -> int:
        """Which of the states is the output."""
        raise NotImplementedError

    def state_types(self, x: TensorType) -> tuple[TensorType, ...]:
        """The types of the states for inputs of one step; ShapeError where those do not fit."""
        raise NotImplementedError

    def emit_loop_invariants(self, g: Builder, x: TensorType) -> Any:
        """What is the same at every step: weights, masks."""
        raise NotImplementedError

    def project_inputs(self, g: Builder, invariants: Any, x: Value) -> Value:
        """What inputs contribute to a step by themselves, for those of one step or [time, batch, ...] of all steps."""
        raise NotImplementedError

    def step(self, g: Builder, invariants: Any, input_projection: Value, states: Sequence[Value]) -> list[Value]:
        """The states after a step."""
        raise NotImplementedError

    def output_names(self) -> tuple[str, ...]:
        return self.state_names

    def infer(self, x: TensorType, *states: TensorType) -> OutputTypes:
        types = self.state_types(x)
        check_states(self.state_names, types, states, "needs")
        return (types[self.output_index], *types)

    def lower(self, g: Builder, x: Value, *states: Value) -> Any:
        made = self.emit_loop_invariants(g, x.type)
        after = self.step(g, made, self.project_inputs(g, made, x), states)
        return (after[self.output_index], *after)


def check_states(
    names: Sequence[str], types: Sequence[TensorType], states: Sequence[TensorType], need: str = "needs all its initial"
) -> None:
    """ShapeError unless these are the states."""
    together = f"{need} states ({', '.join(names)})" + (" or none" if need != "needs" else "")
    require(len(states) == len(types), f"{together}, got {len(states)}")
    for name, wanted, found in zip(names, types, states, strict=True):
        require(found == wanted, f"needs {wanted} as its {'' if need == 'needs' else 'initial '}{name}, got {found}")


@layer
class StackedRNNCells(Cell):
    """Cells one upon the other, as one cell: each takes the output of the one below it.

    Its states are those of all cells, from the lowest to the highest; they and the weights bear the cells' names in
    snake case, the second of a type with `_1` and so on. As a layer by itself it takes x and all states.
    """

    arity = (2, None)

    cells: tuple[Layer, ...] = attr(doc="The cells, from the lowest to the highest.")

    def named_cells(self) -> list[tuple[str, Any]]:
        """The cells with their names; ShapeError where there are none or one is no cell."""
        require(bool(self.cells), "needs a cell, got an empty list")
        found: dict[str, Any] = {}
        counts: dict[str, int] = {}
        for cell in self.cells:
            stem = snake_case(cell.type_name)
            number = counts[stem] = counts.get(stem, -1) + 1
            found[f"{stem}_{number}" if number else stem] = require_cell(cell)
        return list(found.items())

    @property
    def state_names(self) -> tuple[str, ...]:
        cells = [(name, cell) for name, cell in self.named_cells()]
        return tuple(f"{name}_{state}" for name, cell in cells for state in cell.state_names)

    @property
    def output_index(self) -> int:
        *lower, (_, top) = self.named_cells()
        return sum(len(cell.state_names) for _, cell in lower) + int(top.output_index)

    def state_types(self, x: TensorType) -> tuple[TensorType, ...]:
        types: list[TensorType] = []
        for _, cell in self.named_cells():
            own = cell.state_types(x)
            x = own[cell.output_index]
            types += own
        return tuple(types)

    def emit_loop_invariants(self, g: Builder, x: TensorType) -> list[Any]:
        made = []
        for name, cell in self.named_cells():
            with inner_layer_scope(g, name, cell):
                made.append(cell.emit_loop_invariants(g, x))
            x = cell.state_types(x)[cell.output_index]
        return made

    def project_inputs(self, g: Builder, invariants: list[Any], x: Value) -> Value:
        name, cell = self.named_cells()[0]
        with inner_layer_scope(g, name, cell):
            driven: Value = cell.project_inputs(g, invariants[0], x)
        return driven

    def step(self, g: Builder, invariants: list[Any], input_projection: Value, states: Sequence[Value]) -> list[Value]:
        after: list[Value] = []
        below = input_projection
        for place, (name, cell) in enumerate(self.named_cells()):
            with inner_layer_scope(g, name, cell):
                if place:
                    input_projection = cell.project_inputs(g, invariants[place], below)
                start = len(after)
                own = cell.step(g, invariants[place], input_projection, states[start : start + len(cell.state_names)])
            below = own[cell.output_index]
            after += own
        return after


def require_cell(cell: Layer) -> Cell:
    """The cell; ShapeError where the layer is none."""
    known = "SimpleRNNCell, GRUCell, LSTMCell and StackedRNNCells are cells"
    if not isinstance(cell, Cell):
        require(False, f"has {cell.type_name} for a cell", known, "unsupported-argument")
    require(
        cell.activity_regularizer is None,
        "has an activity_regularizer on its cell",
        "give it to the layer around the cell",
        "unsupported-argument",
    )
    return cell  # type: ignore[return-value]
