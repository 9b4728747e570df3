"""Splits the updates of large weights into updates of slices of their rows.

An optimizer's update consists of about a dozen element-wise operators. Their results on a whole large weight, such as
an embedding table, would take the memory of several such weights. The weight and its slots are one tensor each, whose
slices are further inputs and outputs of the step; the forward and backward pass read the whole weight.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from math import prod
from typing import NamedTuple

from ....core.types import TensorType
from ....ir import Builder, Graph, Parameter, State, Value
from .elementwise_updates import ElementwiseUpdate, elementwise_updates

SLICE_ELEMENTS = 1 << 24
"""The elements of a slice, in whole rows; a row may be longer. More slices would cost more time for copies of the
gradient."""


class RowSlice(NamedTuple):
    """Some rows of a variable, after all its axes but the last were merged into rows."""

    variable: str
    weight: str
    """The weight that the variable belongs to: itself, or that of an optimizer slot."""
    start: int
    end: int


Slices = Mapping[str, RowSlice]
"""By the name of an input of the step: the rows of the variable that it is."""


def split_updates(graph: Graph, names: Collection[str]) -> tuple[Graph, Slices]:
    """The step with the updates of these weights split, and its slices of variables."""

    def is_large(weight: Parameter) -> bool:
        return weight.name in names and _row_count(weight) > _slice_rows(weight)

    updates = list(elementwise_updates(graph, is_large))
    if not updates:
        return graph, {}
    replaced = {node.outputs[0] for update in updates for node in update.nodes}
    g = Builder.extending(graph)
    g.nodes = [node for node in graph.nodes if node.outputs[0] not in replaced]
    slices: dict[str, RowSlice] = {}
    for update in updates:
        _split(g, update, slices)
    return g.graph(dict(graph.outputs)), slices


def _split(g: Builder, update: ElementwiseUpdate, slices: dict[str, RowSlice]) -> None:
    """Replaces the update of a weight by updates of its slices."""
    weight, length = update.weight, update.weight.shape[-1]
    variables: list[Parameter | State] = [weight, *update.slots.values()]
    results: dict[str, Value] = {weight.name: g.updates.pop(weight.name)}
    for slot in update.slots.values():
        results[slot.name] = g.updates.pop(slot.name)
        del g.states[slot.name]
    with g.inherit(update.nodes[0]):
        gradients = {x: g.reshape(x, (_row_count(weight), length)) for x in update.gradients}
    for start, end in _row_ranges(weight):
        type = TensorType(weight.dtype, (end - start, length))
        values: dict[Value | None, Value] = {}
        with g.inherit(update.nodes[0]):
            values |= {x: g.Slice(rows, [start], [end], [0]) for x, rows in gradients.items()}
        for variable in variables:
            rows = RowSlice(variable.name, weight.name, start, end)
            values[variable] = _add_slice(g, variable, rows, type.with_dtype(variable.dtype), slices)
        for node in update.nodes:
            result = Value(type.with_dtype(node.outputs[0].dtype))
            inputs = tuple(values.get(x, x) for x in node.inputs)
            g.nodes.append(replace(node, inputs=inputs, outputs=(result,)))
            values[node.outputs[0]] = result
        g.updates |= {slice_name(name, start, end): values[result] for name, result in results.items()}


def _add_slice(
    g: Builder, variable: Parameter | State, rows: RowSlice, type: TensorType, slices: dict[str, RowSlice]
) -> Value:
    """A slice of a variable as a variable of the step."""
    name = slice_name(rows.variable, rows.start, rows.end)
    slices[name] = rows
    if isinstance(variable, Parameter):
        g.parameters[name] = Parameter(name, type, None)
        return g.parameters[name]
    g.states[name] = State(name, type, None)
    return g.states[name]


def slice_name(variable: str, start: int, end: int) -> str:
    """The name of a slice, which no other variable has, since names of variables have no brackets."""
    return f"{variable}[{start}:{end}]"


def _row_ranges(weight: Parameter) -> Iterator[tuple[int, int]]:
    count, size = _row_count(weight), _slice_rows(weight)
    return ((start, min(start + size, count)) for start in range(0, count, size))


def _row_count(weight: Parameter) -> int:
    """The rows of a weight."""
    return prod(weight.shape[:-1])


def _slice_rows(weight: Parameter) -> int:
    """The rows of a slice of a weight."""
    return max(1, SLICE_ELEMENTS // int(weight.shape[-1]))
