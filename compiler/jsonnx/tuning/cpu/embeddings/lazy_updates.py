"""Updates large embeddings lazily, row by row, for the session of a step on the CPU.

A step reads a few rows of an embedding. The gradient of the others is zero, and what an optimizer does with a row in
many such steps has a closed form (`training.skipped_steps`). So the update of these rows is deferred: when a step reads
a row, it first applies the skipped updates, then the update by the gradient, and writes the row with the number of the
step. The time of a step then depends on the number of rows that it reads instead of the size of the table.

Rows are written in place, so a table and its slots exist once. Their old values are outputs of the step, so that the
step can be undone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ....core.numpy_types import BFLOAT16_NAME
from ....core.reserved_names import (
    OPTIMIZER_SCOPE,
    ROW_INDICES,
    STEP_COUNT,
    current_rows_name,
    rows_before_name,
    slot_scope,
    touched_rows_name,
)
from ....core.types import BATCH, DATA_DEPENDENT, Dim, Size, TensorType
from ....ir import Builder, Graph, Node, State, Value, WeightUpdate, topologically_sorted
from ....passes.canonicalize import canonicalize, with_replaced_inputs
from ....passes.rewrite import Match, RuleSet
from ....training.optimizers.skipped_steps import MAX_AGE, SkippedSteps
from ....training.optimizers.slot_storage import SlotStorage
from ....training.weights.initializers import Constant
from .segment_sum import arange_like, dense_ranks, gather, positions_where, segment_sum

MIN_TABLE_ELEMENTS = 1 << 18
"""Minimum size of a table, in elements. Updating all rows of a smaller one is faster than starting a lazy update."""
MIN_ROW_ELEMENTS = 16
"""Minimum length of a row, in elements. Finding a shorter one takes longer than updating it."""
MIN_TABLE_ROWS_PER_LOOKUP = 3
"""Minimum number of rows for each index that a step looks up. With fewer, updating all rows is as fast."""

ASSUMED_SEQUENCE_LENGTH = 256
"""The estimate of a symbolic sequence length."""

LAST_STEP, AGE_SUMS, ROW_POSITIONS = "renewed", "idle", "places"
"""The names of the states of a table: the last step that updated each row, the sums that the skipped updates need, and
the position of each row among the rows of a step. The positions are a state only to avoid writing zeros at every step:
a step reads just those that it has written."""


@dataclass(frozen=True, eq=False)
class LazyTable:
    """A weight and its slots, whose rows are updated together."""

    weight: str
    storages: Mapping[str, SlotStorage]
    """How the slots are stored, by their names without the scope."""
    skipped_steps: SkippedSteps

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the slots without the scope."""
        return tuple(self.storages)

    @property
    def scope(self) -> str:
        return slot_scope(self.weight)

    @property
    def value_names(self) -> tuple[str, ...]:
        """The names of the weight and its slots."""
        return (self.weight, *(f"{self.scope}/{slot}" for slot in self.slots))

    @property
    def variable_names(self) -> tuple[str, ...]:
        """The names of the weight, its slots and, if skipped updates depend on the age of a row, its last step."""
        return (*self.value_names, *([f"{self.scope}/{LAST_STEP}"] if self.skipped_steps.depends_on_age else []))


@dataclass(frozen=True, eq=False)
class TableRows:
    """Some rows of a table: as stored, and after the skipped updates."""

    stored: Mapping[str, Value]
    """The stored rows of every variable."""
    weight: Value
    slots: Mapping[str, Value]
    age: Value | None
    row_scalars: Mapping[str, Value]
    """The optimizer's scalars, repeated for every row: [n, 1]."""


@dataclass(frozen=True, eq=False)
class LazyTables:
    """A step with lazily updated tables, and the graphs that read these tables."""

    graph: Graph
    tables: tuple[LazyTable, ...]

    @property
    def variable_names(self) -> frozenset[str]:
        """The names of the variables that are written in place."""
        return frozenset(
            name for table in self.tables for name in (*table.variable_names, f"{table.scope}/{ROW_POSITIONS}")
        )

    @property
    def undo_outputs(self) -> list[str]:
        """The names of the outputs with the indices of the rows that a step wrote, and with their old values."""
        before = [rows_before_name(name) for table in self.tables for name in table.variable_names]
        return [*(touched_rows_name(table.weight) for table in self.tables), *before]

    @property
    def extra_states(self) -> dict[str, State]:
        """The states that lazy updates add to the step."""
        names = [f"{table.scope}/{state}" for table in self.tables for state in (LAST_STEP, AGE_SUMS, ROW_POSITIONS)]
        return {name: self.graph.states[name] for name in names if name in self.graph.states}

    def updated_by(self, step: Graph) -> LazyTables:
        """The same tables, updated by another step: one that does not look rows up, but takes their gradients."""
        for table in self.tables:
            step = _update_lazily(step, table)
        return LazyTables(canonicalize(step), self.tables)

    def with_current_rows(self, graph: Graph) -> Graph:
        """Another graph of the same network in which lookups apply the skipped updates of the rows they
        read."""
        weights = graph.parameters
        tables: dict[Value | None, LazyTable] = {weights[t.weight]: t for t in self.tables if t.weight in weights}
        lookups = RuleSet()

        @lookups("Gather")
        def catch_up(m: Match) -> Value | None:
            """Gather(table, indices) -> the current rows"""
            table = tables.get(m.node.inputs[0])
            if table is None:
                return None
            rows = self._current_rows(m.g, table, _flat_indices(m.g, m.node.inputs[1]))
            return _shaped_like_lookup(m.g, rows.weight, m.node)

        return lookups.apply(graph)

    def current_rows_graph(self, table: LazyTable, names: Iterable[str]) -> Graph:
        """The graph that computes the current rows of these values of the table, at indices that are an input.

        Slots are as they are stored, before they are rounded.
        """
        g = Builder()
        rows = self._current_rows(g, table, g.input(ROW_INDICES, TensorType("int64", (Size.named("rows"),))))
        slots = (storage.stored_number(g, rows.slots[name]) for name, storage in table.storages.items())
        values = dict(zip(table.value_names, (rows.weight, *slots), strict=True))
        return canonicalize(g.graph({current_rows_name(name): values[name] for name in names}))

    def _current_rows(self, g: Builder, table: LazyTable, indices: Value) -> TableRows:
        g.parameters.setdefault(table.weight, self.graph.parameters[table.weight])
        for name in (STEP_COUNT, *table.variable_names, f"{table.scope}/{AGE_SUMS}"):
            if name in self.graph.states:
                g.states.setdefault(name, self.graph.states[name])
        return current_rows(g, table, indices)


def current_rows(g: Builder, table: LazyTable, indices: Value, scalars: Mapping[str, Value] = {}) -> TableRows:
    """Emits the table's rows [n, ...] at these indices [n] after the skipped updates, from the builder's variables.

    The scalars are repeated for every row, if skipped updates depend on the age of a row.
    """
    variables: Mapping[str, Value] = {**g.parameters, **g.states}
    stored = {name: gather(g, variables[name], indices) for name in table.variable_names}
    weight, *slots = (stored[name] for name in table.value_names)
    by_name: Mapping[str, Any] = {
        name: storage.load(g, slot) for (name, storage), slot in zip(table.storages.items(), slots, strict=True)
    }
    if not table.skipped_steps.depends_on_age:
        return TableRows(stored, *table.skipped_steps.catch_up(g, weight, by_name, []), None, scalars)
    column = (indices.shape[0], 1)
    age = g.Sub(g.cast(variables[STEP_COUNT], "int32"), stored[f"{table.scope}/{LAST_STEP}"])
    valid_age = g.Clip(age, 0, MAX_AGE)  # a checkpoint may contain any number
    factors_by_age = table.skipped_steps.factors_by_age(g, variables.get(f"{table.scope}/{AGE_SUMS}"))
    factors = [g.reshape(gather(g, g.reshape(factor, [MAX_AGE + 1]), valid_age), column) for factor in factors_by_age]
    weight, by_name = table.skipped_steps.catch_up(g, weight, by_name, factors)
    row_scalars = {name: g.reshape(g.Expand(scalar, g.Shape(indices)), column) for name, scalar in scalars.items()}
    return TableRows(stored, weight, by_name, age, row_scalars)


def make_tables_lazy(step: Graph, other_graphs: Iterable[Graph], expected_batch: int) -> LazyTables | None:
    """The step with lazy updates of the tables for which they are faster; None if there are none.

    `other_graphs` are the other graphs of the same network.
    """
    tables = [
        table for name in step.weight_updates if (table := _lazy_table(step, name, [*other_graphs], expected_batch))
    ]
    if not tables:
        return None
    return LazyTables(step, tuple(tables)).updated_by(step)


def _lazy_table(step: Graph, weight_name: str, other_graphs: Iterable[Graph], expected_batch: int) -> LazyTable | None:
    """The table, if it is large, few of its rows are read, and only a single Gather reads them in the step."""
    weight, update = step.parameters[weight_name], step.weight_updates[weight_name]
    gradient_info, skipped_steps = step.gradients.get(update.gradient), update.optimizer.skipped_steps()
    if gradient_info is None or gradient_info.op != "Gather" or skipped_steps is None:
        return None
    elements = weight.type.elements
    if weight.rank != 2 or weight.dtype != "float32" or not isinstance(elements, int):
        return None
    lookups = prod(_estimated_size(size, expected_batch) for size in gradient_info.x.shape)
    if elements < MIN_TABLE_ELEMENTS or weight.shape[1] < MIN_ROW_ELEMENTS:
        return None
    if lookups * MIN_TABLE_ROWS_PER_LOOKUP > weight.shape[0]:
        return None
    update_scope = slot_scope(weight_name)
    readers = [node for node in step.nodes if weight in node.inputs and node.scope != update_scope]
    if len(readers) != 1 or not _is_lookup(readers[0], weight):
        return None
    for graph in other_graphs:
        table = graph.parameters.get(weight_name)
        if table in graph.roots or not all(_is_lookup(node, table) for node in graph.nodes if table in node.inputs):
            return None
    storages = {name: update.optimizer.slot_storage(name, weight.shape) for name in update.optimizer.slots()}
    return LazyTable(weight_name, storages, skipped_steps)


def _estimated_size(size: Dim, expected_batch: int) -> int:
    """The size, with estimates for a symbolic one."""
    return size if isinstance(size, int) else expected_batch if size == BATCH else ASSUMED_SEQUENCE_LENGTH


def _is_lookup(node: Node, weight: Value | None) -> bool:
    return node.op == "Gather" and node.inputs[0] is weight and node.attribute("axis", 0) == 0


def _flat_indices(g: Builder, indices: Value | None) -> Value:
    assert indices is not None
    count = indices.type.elements
    return g.refine(g.Reshape(g.cast(indices, "int64"), [-1]), (count,))


def _shaped_like_lookup(g: Builder, rows: Value, lookup: Node) -> Value:
    """Reshapes rows, one for each index, to the result of the lookup that they replace."""
    indices, shape = lookup.inputs[1], lookup.outputs[0].shape
    assert indices is not None
    return g.refine(g.Reshape(rows, g.sizes(shape, indices)), shape)


def _update_lazily(step: Graph, table: LazyTable) -> Graph:
    """The step with lazy updates of one table."""
    g, replacements = Builder.extending(step), dict[Value, Value]()
    g.nodes = []
    weight, update = g.parameters[table.weight], g.weight_updates.pop(table.weight)
    info, unique, rows = step.gradients[update.gradient], None, None
    with g.scope(table.scope):
        _add_states(g, table, weight)
    for node in step.nodes:
        node = with_replaced_inputs(node, replacements)
        if not _is_lookup(node, weight):
            g.nodes.append(node)
            continue
        with g.inherit(node):
            unique = _unique_rows(g, table, node.inputs[1])
            rows = current_rows(g, table, unique.indices, _row_scalars(update))
            result = g.Gather(rows.weight, g.Reshape(unique.inverse, g.Shape(node.inputs[1])))
            replacements[node.outputs[0]] = g.refine(result, node.outputs[0].shape)
    with g.scope(table.scope, ("training", OPTIMIZER_SCOPE)):
        if unique is None or rows is None:
            unique = _unique_rows(g, table, info.x)
            rows = current_rows(g, table, unique.indices, _row_scalars(update))
        dy, repeats = _without_expand(step, info.dy)
        gradient = _row_gradient(g, unique, replacements.get(dy, dy), repeats, rows.weight)
        _write_rows(g, table, rows, unique.indices, gradient, update.remapped(replacements))
    outputs = {touched_rows_name(table.weight): unique.indices}
    outputs |= {rows_before_name(name): _as_array_type(g, value) for name, value in rows.stored.items()}
    graph = g.graph({**step.outputs, **outputs})
    # The lookup may now read rates that the step computes later.
    return graph.with_nodes(topologically_sorted(graph.nodes), replacements)


def _as_array_type(g: Builder, rows: Value) -> Value:
    """The rows in a type of which onnxruntime makes arrays."""
    return g.cast(rows, "float32") if rows.dtype == BFLOAT16_NAME else rows


@dataclass(frozen=True, eq=False)
class UniqueRows:
    """The rows of a table that a step updates, without duplicates."""

    indices: Value
    """The rows' indices in the table, [rows]: first stale rows that the step does not look up, then the others."""
    inverse: Value
    """For each of the n indices that are looked up: the position of its row among `indices`."""
    first_positions: Value
    """For each row that is looked up: the position, among the n indices, of the one that represents it."""
    duplicate_positions: Value
    """Positions, among the n indices, of indices that are represented by another one."""
    unread_count: Value
    """The number of rows that are not looked up: [1]."""


def _unique_rows(g: Builder, table: LazyTable, requested: Value | None) -> UniqueRows:
    """Finds the rows without sorting: each index writes its position into a table, and the last one represents its
    row."""
    requested = _flat_indices(g, requested)
    stale_count = _refresh_count(g.parameters[table.weight]) if table.skipped_steps.depends_on_age else 0
    indices = _with_stale_rows(g, table, requested, stale_count)
    total = g.Shape(indices)
    position = arange_like(g, indices)
    name = f"{table.scope}/{ROW_POSITIONS}"
    g.updates[name] = last_positions = g.ScatterElements(g.states[name], indices, position, axis=0)
    representative = gather(g, last_positions, indices)
    is_unique = g.Equal(representative, position)
    size = Size.named(f"{DATA_DEPENDENT}{table.weight}")
    unique_positions = g.refine(positions_where(g, is_unique, position), (size,))
    inverse = gather(g, dense_ranks(g, is_unique), representative)
    lengths = g.Concat(g.const([stale_count], "int64"), g.Shape(requested), axis=0)
    is_unique_stale, is_unique_requested = g.Split(is_unique, lengths, axis=0, outputs=2)
    g.refine(is_unique_stale, (stale_count,))  # ONNX infers no axis for parts of a vector of a fixed size
    g.refine(is_unique_requested, requested.shape)
    unread_count = g.ReduceSum(g.cast(is_unique_stale, "int64"), keepdims=1)
    first = g.Sub(g.Slice(unique_positions, unread_count, g.Shape(unique_positions), [0]), stale_count)
    duplicates = positions_where(g, g.Not(is_unique_requested))
    inverse = g.refine(g.Slice(inverse, [stale_count], total, [0]), requested.shape)
    return UniqueRows(gather(g, indices, unique_positions), inverse, first, duplicates, unread_count)


def _with_stale_rows(g: Builder, table: LazyTable, requested: Value, count: int) -> Value:
    """The indices of `count` rows, which each step takes in turn, so that no row gets older than `MAX_AGE`, and then
    the requested indices."""
    if not count:
        return requested
    first = g.Mul(g.states[STEP_COUNT], count)
    stale = g.Mod(g.Add(first, g.const(np.arange(count), "int64")), g.parameters[table.weight].shape[0])
    return g.refine(g.Concat(stale, requested, axis=0), (requested.shape[0] + count,))


def _without_expand(step: Graph, dy: Value) -> tuple[Value, int]:
    """The cotangents before an Expand along a sequence, and the number of copies that the Expand makes of each.

    The gradient of a mean or sum over a sequence is equal at all of its positions. Copying it would take as long as
    reading as many rows. Without such an Expand: the cotangents themselves and 1.
    """
    node = step.producers.get(dy)
    if node is not None and node.op == "Reshape" and node.inputs[0] is not None:
        node = step.producers.get(node.inputs[0])
    if node is None or node.op != "Expand" or node.inputs[0] is None or node.outputs[0].rank != 3:
        return dy, 1
    x, (samples, length, width) = node.inputs[0], node.outputs[0].shape
    return (x, length) if isinstance(length, int) and x.shape == (samples, 1, width) else (dy, 1)


def _row_gradient(g: Builder, unique: UniqueRows, dy: Value, repeats: int, rows: Value) -> Value:
    """The gradient of the unique rows, by the cotangents [n / repeats, width] of the n indices that are looked up."""
    dy = g.Reshape(dy, [-1, rows.type.static_size(1)])
    first, duplicates = (
        g.Div(positions, repeats) if repeats > 1 else positions
        for positions in (unique.first_positions, unique.duplicate_positions)
    )
    zero_row = g.Expand(g.cast(g.Shape(dy, start=0, end=1), first.dtype), unique.unread_count)
    first = g.Concat(zero_row, first, axis=0)
    sums = segment_sum(g, dy, first, gather(g, unique.inverse, unique.duplicate_positions), duplicates)
    return g.refine(g.Gather(sums.rows, sums.positions), rows.shape)


def _row_scalars(update: WeightUpdate) -> dict[str, Value]:
    """The scalars by which an optimizer multiplies whole rows."""
    return dict(update.shared) or {"": update.rate}


def _refresh_count(weight: Value) -> int:
    """The number of stale rows that a step has to update so that no row gets older than `MAX_AGE`."""
    return -(-int(weight.shape[0]) // MAX_AGE)


def _add_states(g: Builder, table: LazyTable, weight: Value) -> None:
    """Adds the states of a lazy table to the step."""
    g.state(ROW_POSITIONS, weight.shape[:1], Constant(value=0), "int32")
    if table.skipped_steps.depends_on_age:
        g.state(LAST_STEP, weight.shape[:1], Constant(value=0), "int32")
    if table.skipped_steps.sum_count:
        g.state(AGE_SUMS, (table.skipped_steps.sum_count, MAX_AGE + 1), Constant(value=0))


def _write_rows(
    g: Builder, table: LazyTable, rows: TableRows, indices: Value, gradient: Value, update: WeightUpdate
) -> None:
    """Updates the rows by their gradient and writes them."""
    rate, shared = rows.row_scalars.get("", update.rate), {name: rows.row_scalars[name] for name in update.shared}
    weight, slots = update.optimizer.decay_and_update(g, rows.weight, gradient, rows.slots, rate, shared)
    row_indices = g.Reshape(indices, [-1, 1])
    variables: Mapping[str, Value] = {**g.parameters, **g.states}
    number = g.Add(g.states[STEP_COUNT], 1)
    changed = {name: slots.get(name, rows.slots[name]) for name in table.slots}
    values = (weight, *(storage.store(g, changed[name], number) for name, storage in table.storages.items()))
    for name, value in zip(table.value_names, values, strict=True):
        g.updates[name] = g.ScatterND(variables[name], row_indices, value)
    if rows.age is not None:
        name = f"{table.scope}/{LAST_STEP}"
        # The current step, as the sum of last step and age: so the write depends on the read and cannot precede it.
        step = g.Add(g.Add(rows.stored[name], rows.age), 1)
        g.updates[name] = g.ScatterElements(variables[name], indices, step, axis=0)
    if table.skipped_steps.sum_count:
        name = f"{table.scope}/{AGE_SUMS}"
        g.updates[name] = table.skipped_steps.advance_sums(g, variables[name], update.rate, update.shared)
