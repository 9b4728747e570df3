"""Large tables that are read and renewed row by row, for the session of a step on the CPU.

A step reads a few rows of an embedding, and what an optimizer does with the others, whose gradient is zero, can be told
for many steps at once (`training.skipped_steps`). So they wait: a row is brought up to the step at hand when it is
read, it gets
its gradient, and it is written with the step's number beside it. A step then costs what it reads, not what there is,
and computes the same: for 4,096 rows of 400,000, an Adam step takes a twelfth of the time.

Rows are written in place, so there is one copy of such a table and its slots. What was there before is an output of the
step, for whoever has to take the step back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

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
from ....passes.canonicalize import canonicalize
from ....passes.rewrite import Match, RuleSet
from ....training.initializers import Constant
from ....training.skipped_steps import MAX_AGE, SkippedSteps
from .segment_sum import arange_like, dense_ranks, gather, positions_where, segment_sum

MIN_TABLE_ELEMENTS = 1 << 18
"""Elements of a table from which on this is faster: otherwise its operators take no longer than to start others."""
MIN_ROW_ELEMENTS = 16
"""Elements of a row below which to find a row takes longer than to renew it."""
MIN_TABLE_ROWS_PER_LOOKUP = 3
"""How many times as many rows a table has to have as a step reads: with two and a half times it takes as long."""

ASSUMED_SEQUENCE_LENGTH = 256
"""What is taken for the length of a sequence that the data decide."""

LAST_STEP, AGE_SUMS, ROW_POSITIONS = "renewed", "idle", "places"
"""What the states are called that say at which step a row was renewed, what its weights move without a gradient, and
where among a step's rows it stands: no zeros need be made for what is read only where it was written before."""


@dataclass(frozen=True, eq=False)
class LazyTable:
    """A weight and its slots, which are renewed together by rows."""

    weight: str
    slots: tuple[str, ...]
    """By their short names."""
    skipped_steps: SkippedSteps

    @property
    def scope(self) -> str:
        return slot_scope(self.weight)

    @property
    def value_names(self) -> tuple[str, ...]:
        """The names of the weight and its slots."""
        return (self.weight, *(f"{self.scope}/{slot}" for slot in self.slots))

    @property
    def variable_names(self) -> tuple[str, ...]:
        """The names of all that has rows, and is the table."""
        return (*self.value_names, *([f"{self.scope}/{LAST_STEP}"] if self.skipped_steps.depends_on_age else []))


@dataclass(frozen=True, eq=False)
class TableRows:
    """Some rows of a table: as they stand there, and as they are now."""

    stored: Mapping[str, Value]
    """Of every variable."""
    weight: Value
    slots: Mapping[str, Value]
    age: Value | None
    row_scalars: Mapping[str, Value]
    """Those that were given, for every row: [n, 1]."""


@dataclass(frozen=True, eq=False)
class LazyTables:
    """A step that renews tables by rows, and how other graphs read them."""

    graph: Graph
    tables: tuple[LazyTable, ...]

    @property
    def variable_names(self) -> frozenset[str]:
        """The names of what is written in place."""
        return frozenset(
            name for table in self.tables for name in (*table.variable_names, f"{table.scope}/{ROW_POSITIONS}")
        )

    @property
    def undo_outputs(self) -> list[str]:
        """The outputs that tell which rows a step wrote, and what they were."""
        before = [rows_before_name(name) for table in self.tables for name in table.variable_names]
        return [*(touched_rows_name(table.weight) for table in self.tables), *before]

    @property
    def extra_states(self) -> dict[str, State]:
        """The states that the step has besides."""
        names = [f"{table.scope}/{state}" for table in self.tables for state in (LAST_STEP, AGE_SUMS, ROW_POSITIONS)]
        return {name: self.graph.states[name] for name in names if name in self.graph.states}

    def with_current_rows(self, graph: Graph) -> Graph:
        """Returns another graph of the same network in which lookups apply the skipped updates of the rows they
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
        """Rows of some of the table's values as they are now, which ones is an input."""
        g = Builder()
        rows = self._current_rows(g, table, g.input(ROW_INDICES, TensorType("int64", (Size.named("rows"),))))
        found = dict(zip(table.value_names, (rows.weight, *rows.slots.values()), strict=True))
        return canonicalize(g.graph({current_rows_name(name): found[name] for name in names}))

    def _current_rows(self, g: Builder, table: LazyTable, indices: Value) -> TableRows:
        g.parameters.setdefault(table.weight, self.graph.parameters[table.weight])
        for name in (STEP_COUNT, *table.variable_names, f"{table.scope}/{AGE_SUMS}"):
            if name in self.graph.states:
                g.states.setdefault(name, self.graph.states[name])
        return current_rows(g, table, indices)


def current_rows(g: Builder, table: LazyTable, indices: Value, scalars: Mapping[str, Value] = {}) -> TableRows:
    """The table's rows [n, ...] at these indices [n], of the variables that the builder has.

    Each of the numbers comes back once for every row, if rows have an age.
    """
    known: Mapping[str, Value] = {**g.parameters, **g.states}
    stored = {name: gather(g, known[name], indices) for name in table.variable_names}
    weight, *slots = (stored[name] for name in table.value_names)
    by_name: Mapping[str, Any] = dict(zip(table.slots, slots, strict=True))
    if not table.skipped_steps.depends_on_age:
        return TableRows(stored, *table.skipped_steps.catch_up(g, weight, by_name, []), None, scalars)
    column = (indices.shape[0], 1)
    age = g.Sub(g.cast(known[STEP_COUNT], "int32"), stored[f"{table.scope}/{LAST_STEP}"])
    known_age = g.Clip(age, 0, MAX_AGE)  # a checkpoint may say anything
    of_ages = table.skipped_steps.factors_by_age(g, known.get(f"{table.scope}/{AGE_SUMS}"))
    factors = [g.reshape(gather(g, g.reshape(factor, [MAX_AGE + 1]), known_age), column) for factor in of_ages]
    weight, by_name = table.skipped_steps.catch_up(g, weight, by_name, factors)
    many = {name: g.reshape(g.Expand(number, g.Shape(indices)), column) for name, number in scalars.items()}
    return TableRows(stored, weight, by_name, age, many)


def make_tables_lazy(step: Graph, other_graphs: Iterable[Graph], expected_batch: int) -> LazyTables | None:
    """The step with those tables by rows that suit, where some do; `other_graphs` are the graphs that read them
    besides."""
    tables = [
        table for name in step.weight_updates if (table := _lazy_table(step, name, [*other_graphs], expected_batch))
    ]
    if not tables:
        return None
    graph = step
    for table in tables:
        graph = _update_lazily(graph, table)
    return LazyTables(canonicalize(graph), tuple(tables))


def _lazy_table(step: Graph, weight_name: str, other_graphs: Iterable[Graph], expected_batch: int) -> LazyTable | None:
    """The table, if it is large, few of its rows are read, and these by nobody but one Gather."""
    weight, renewal = step.parameters[weight_name], step.weight_updates[weight_name]
    told, idle = step.gradients.get(renewal.gradient), renewal.optimizer.skipped_steps()
    elements = weight.type.elements
    if told is None or told.op != "Gather" or idle is None or weight.rank != 2 or weight.dtype != "float32":
        return None
    if not isinstance(elements, int) or elements < MIN_TABLE_ELEMENTS or weight.shape[1] < MIN_ROW_ELEMENTS:
        return None
    if (
        MIN_TABLE_ROWS_PER_LOOKUP * prod(_estimated_size(size, expected_batch) for size in told.x.shape)
        > weight.shape[0]
    ):
        return None
    inside = slot_scope(weight_name)
    readers = [node for node in step.nodes if weight in node.inputs and node.scope != inside]
    if len(readers) != 1 or not all(_is_lookup(node, weight) for node in readers):
        return None
    for graph in other_graphs:
        same = graph.parameters.get(weight_name)
        if same in graph.roots or not all(_is_lookup(node, same) for node in graph.nodes if same in node.inputs):
            return None
    return LazyTable(weight_name, tuple(renewal.optimizer.slots()), idle)


def _estimated_size(size: Dim, expected_batch: int) -> int:
    """A size as a number, where only the batch's is known."""
    return size if isinstance(size, int) else expected_batch if size == BATCH else ASSUMED_SEQUENCE_LENGTH


def _is_lookup(node: Node, weight: Value | None) -> bool:
    return node.op == "Gather" and node.inputs[0] is weight and node.attribute("axis", 0) == 0


def _flat_indices(g: Builder, indices: Value | None) -> Value:
    assert indices is not None
    count = indices.type.elements
    return g.refine(g.Reshape(g.cast(indices, "int64"), [-1]), (count,))


def _shaped_like_lookup(g: Builder, rows: Value, lookup: Node) -> Value:
    """The rows, one for each index, as the result of the lookup that they stand for."""
    indices, shape = lookup.inputs[1], lookup.outputs[0].shape
    assert indices is not None
    return g.refine(g.Reshape(rows, g.sizes(shape, indices)), shape)


def _update_lazily(step: Graph, table: LazyTable) -> Graph:
    """The step with one table by rows."""
    g, new = Builder.extending(step), dict[Value, Value]()
    g.nodes = []
    weight, renewal = g.parameters[table.weight], g.weight_updates.pop(table.weight)
    read = rows = None
    for node in step.nodes:
        node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        if not _is_lookup(node, weight):
            g.nodes.append(node)
            continue
        with g.scope(table.scope):
            _add_states(g, table, weight)
        with g.inherit(node):
            read = _unique_rows(g, table, node.inputs[1])
            rows = current_rows(g, table, read.indices, _row_scalars(renewal))
            found = g.Gather(rows.weight, g.Reshape(read.inverse, g.Shape(node.inputs[1])))
            new[node.outputs[0]] = g.refine(found, node.outputs[0].shape)
    assert read is not None
    assert rows is not None
    with g.scope(table.scope, ("training", OPTIMIZER_SCOPE)):
        dy, copies = _without_expand(step, step.gradients[renewal.gradient].dy)
        gradient = _row_gradient(g, read, new.get(dy, dy), copies, rows.weight)
        _write_rows(g, table, rows, read.indices, gradient, renewal.remapped(new))
    outputs = {touched_rows_name(table.weight): read.indices}
    outputs |= {rows_before_name(name): value for name, value in rows.stored.items()}
    graph = g.graph({**step.outputs, **outputs})
    return graph.with_nodes(
        topologically_sorted(graph.nodes), new
    )  # the rates may have come behind what now asks for them


@dataclass(frozen=True, eq=False)
class UniqueRows:
    """The rows that a step needs, each once."""

    indices: Value
    """Of the rows, [rows]: of those whose turn it is and that nobody reads, then of the others."""
    inverse: Value
    """For every index that was asked for the place of its row among these: [n]."""
    first_positions: Value
    """The places, among those asked for, of the first [rows - others] of them that stand for the rows' own."""
    duplicate_positions: Value
    """The places of those that ask for a row that another one stands for."""
    unread_count: Value
    """How many rows nobody reads: [1]."""


def _unique_rows(g: Builder, table: LazyTable, requested: Value | None) -> UniqueRows:
    """Which rows these are, without sorting: of all that ask for a row, the last to write its place stands for it."""
    requested = _flat_indices(g, requested)
    count = _refresh_count(g.parameters[table.weight]) if table.skipped_steps.depends_on_age else 0
    indices = _with_stale_rows(g, table, requested, count)
    total = g.Shape(indices)
    place = arange_like(g, indices)
    name = f"{table.scope}/{ROW_POSITIONS}"
    g.updates[name] = places = g.ScatterElements(g.states[name], indices, place, axis=0)
    stands = gather(g, places, indices)
    own = g.Equal(stands, place)
    kept = g.refine(positions_where(g, own, place), (Size.named(f"{DATA_DEPENDENT}{table.weight}"),))
    which = gather(g, dense_ranks(g, own), stands)
    turned, asked = g.Split(own, g.Concat(g.const([count], "int64"), g.Shape(requested), axis=0), axis=0, outputs=2)
    others = g.ReduceSum(g.cast(turned, "int64"), keepdims=1)
    first = g.Sub(g.Slice(kept, others, g.Shape(kept), [0]), count)
    again = positions_where(g, g.Not(asked))
    which = g.refine(g.Slice(which, [count], total, [0]), requested.shape)
    return UniqueRows(gather(g, indices, kept), which, first, again, others)


def _with_stale_rows(g: Builder, table: LazyTable, requested: Value, count: int) -> Value:
    """The rows that are wanted, and before them as many whose turn it is, so that none is ever older than can be
    told."""
    if not count:
        return requested
    first = g.Mul(g.states[STEP_COUNT], count)
    turn = g.Mod(g.Add(first, g.const(np.arange(count), "int64")), g.parameters[table.weight].shape[0])
    return g.refine(g.Concat(turn, requested, axis=0), (requested.shape[0] + count,))


def _without_expand(step: Graph, dy: Value) -> tuple[Value, int]:
    """The cotangents, each once where those of a sample's places are the same, and how many copies there were.

    A mean or a sum over a sequence sends the same to all of it; to make copies takes as long as to read as many rows.
    """
    node = step.producers.get(dy)
    if node is not None and node.op == "Reshape" and node.inputs[0] is not None:
        node = step.producers.get(node.inputs[0])
    if node is None or node.op != "Expand" or node.inputs[0] is None or node.outputs[0].rank != 3:
        return dy, 1
    x, (samples, length, width) = node.inputs[0], node.outputs[0].shape
    return (x, length) if isinstance(length, int) and x.shape == (samples, 1, width) else (dy, 1)


def _row_gradient(g: Builder, unique: UniqueRows, dy: Value, repeats: int, rows: Value) -> Value:
    """The gradient of the rows, of the cotangents [n / copies, width] of all that asked for them."""
    width = rows.type.static_size(1)
    dy = g.Reshape(dy, [-1, width])
    first, again = (
        g.Div(places, repeats) if repeats > 1 else places
        for places in (unique.first_positions, unique.duplicate_positions)
    )
    none = g.Expand(g.cast(g.Shape(dy, start=0, end=1), first.dtype), unique.unread_count)
    sums = segment_sum(
        g, dy, g.Concat(none, first, axis=0), gather(g, unique.inverse, unique.duplicate_positions), again
    )
    return g.refine(g.Gather(sums.rows, sums.positions), rows.shape)


def _row_scalars(renewal: WeightUpdate) -> dict[str, Value]:
    """The numbers by which an optimizer multiplies whole rows."""
    return dict(renewal.shared) or {"": renewal.rate}


def _refresh_count(weight: Value) -> int:
    """How many rows a step looks after, besides those that are read, so that none is ever older than can be told."""
    return -(-int(weight.shape[0]) // MAX_AGE)


def _add_states(g: Builder, table: LazyTable, weight: Value) -> None:
    g.state(ROW_POSITIONS, weight.shape[:1], Constant(value=0), "int32")
    if table.skipped_steps.depends_on_age:
        g.state(LAST_STEP, weight.shape[:1], Constant(value=0), "int32")
    if table.skipped_steps.sum_count:
        g.state(AGE_SUMS, (table.skipped_steps.sum_count, MAX_AGE + 1), Constant(value=0))


def _write_rows(
    g: Builder, table: LazyTable, rows: TableRows, indices: Value, gradient: Value, renewal: WeightUpdate
) -> None:
    """Writes the rows as they are after the step."""
    rate, shared = rows.row_scalars.get("", renewal.rate), {n: rows.row_scalars[n] for n in renewal.shared}
    after, slots = renewal.optimizer.decay_and_update(g, rows.weight, gradient, rows.slots, rate, shared)
    place = g.Reshape(indices, [-1, 1])
    known: Mapping[str, Value] = {**g.parameters, **g.states}
    for name, value in zip(
        table.value_names, (after, *(slots.get(n, rows.slots[n]) for n in table.slots)), strict=True
    ):
        g.updates[name] = g.ScatterND(known[name], place, value)
    if rows.age is not None:
        # In a roundabout way, so that it is written after it was read.
        now = g.Add(g.Add(rows.stored[f"{table.scope}/{LAST_STEP}"], rows.age), 1)
        name = f"{table.scope}/{LAST_STEP}"
        g.updates[name] = g.ScatterElements(known[name], indices, now, axis=0)
    if table.skipped_steps.sum_count:
        name = f"{table.scope}/{AGE_SUMS}"
        g.updates[name] = table.skipped_steps.advance_sums(g, known[name], renewal.rate, renewal.shared)
