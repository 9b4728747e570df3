"""Large tables that are read and renewed row by row, for the session of a step on the CPU.

A step reads a few rows of an embedding, and what an optimizer does with the others, whose gradient is zero, can be told
for many steps at once (`training.idle`). So they wait: a row is brought up to the step at hand when it is read, it gets
its gradient, and it is written with the step's number beside it. A step then costs what it reads, not what there is,
and computes the same: for 4,096 rows of 400,000, an Adam step takes a twelfth of the time.

Rows are written in place, so there is one copy of such a table and its slots. What was there before is an output of the
step, for whoever has to take the step back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from ..graph import Builder, Graph, Node, Renewal, State, Value, in_order
from ..training.idle import OLDEST, Idle
from ..training.initializers import Constant
from ..types import BATCH, Dim, Size, TensorType
from .rows_once import sums_of_equal
from .tidy import tidy

LARGE = 1 << 18
"""Elements of a table from which on this is faster: otherwise its operators take no longer than to start others."""
WIDE = 16
"""Elements of a row below which to find a row takes longer than to renew it."""
FEW = 3
"""How many times as many rows a table has to have as a step reads: with two and a half times it takes as long."""

LONG = 256
"""What is taken for the length of a sequence that the data decide."""

COUNT = "optimizer/iterations"
"""The state that counts steps."""
RENEWED, SUMS, PLACES = "renewed", "idle", "places"
"""What the states are called that say at which step a row was renewed, what its weights move without a gradient, and
where among a step's rows it stands: no zeros need be made for what is read only where it was written before."""
INDICES, BEFORE = "rows/", "before/"
"""What the names of the outputs begin with that tell which rows a step wrote, and what they were."""
ROWS, NOW = "rows", "now/"
"""The input that says which rows are wanted, and what the names of the outputs begin with that are those."""


@dataclass(frozen=True, eq=False)
class Table:
    """A weight and its slots, which are renewed together by rows."""

    weight: str
    slots: tuple[str, ...]
    """By their short names."""
    idle: Idle

    @property
    def scope(self) -> str:
        return f"optimizer/{self.weight}"

    @property
    def values(self) -> tuple[str, ...]:
        """The names of the weight and its slots."""
        return (self.weight, *(f"{self.scope}/{slot}" for slot in self.slots))

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of all that has rows, and is the table."""
        return (*self.values, *([f"{self.scope}/{RENEWED}"] if self.idle.ages else []))


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a table: as they stand there, and as they are now."""

    stored: Mapping[str, Value]
    """Of every variable."""
    weight: Value
    slots: Mapping[str, Value]
    age: Value | None
    numbers: Mapping[str, Value]
    """Those that were given, for every row: [n, 1]."""


@dataclass(frozen=True, eq=False)
class ByRows:
    """A step that renews tables by rows, and how other graphs read them."""

    graph: Graph
    tables: tuple[Table, ...]

    @property
    def variables(self) -> frozenset[str]:
        """The names of what is written in place."""
        return frozenset(name for table in self.tables for name in (*table.variables, f"{table.scope}/{PLACES}"))

    @property
    def kept(self) -> list[str]:
        """The outputs that tell which rows a step wrote, and what they were."""
        before = [f"{BEFORE}{name}" for table in self.tables for name in table.variables]
        return [*(f"{INDICES}{table.weight}" for table in self.tables), *before]

    @property
    def further(self) -> dict[str, State]:
        """The states that the step has besides."""
        names = [f"{table.scope}/{state}" for table in self.tables for state in (RENEWED, SUMS, PLACES)]
        return {name: self.graph.states[name] for name in names if name in self.graph.states}

    def reading(self, graph: Graph) -> Graph:
        """Another graph of the same network, which reads these tables as they are now."""
        g, new = Builder.onto(graph), dict[Value, Value]()
        g.nodes = []
        known = {name: graph.parameters.get(name) for name in (table.weight for table in self.tables)}
        tables: dict[Value | None, Table] = {known[table.weight]: table for table in self.tables}
        for node in graph.nodes:
            node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
            table = tables.get(node.inputs[0]) if node.inputs and node.inputs[0] is not None else None
            if table is None:
                g.nodes.append(node)
                continue
            with g.origin(node):
                found = self._rows(g, table, _flat(g, node.inputs[1])).weight
                new[node.outputs[0]] = _shaped(g, found, node)
        return tidy(replace(graph, states=dict(g.states)).rewired(g.nodes, new)) if new else graph

    def now(self, table: Table, names: Iterable[str]) -> Graph:
        """Rows of some of the table's values as they are now, which ones is an input."""
        g = Builder()
        rows = self._rows(g, table, g.input(ROWS, TensorType("int64", (Size.named("rows"),))))
        found = dict(zip(table.values, (rows.weight, *rows.slots.values()), strict=True))
        return tidy(g.graph({f"{NOW}{name}": found[name] for name in names}))

    def _rows(self, g: Builder, table: Table, indices: Value) -> Rows:
        g.parameters.setdefault(table.weight, self.graph.parameters[table.weight])
        for name in (COUNT, *table.variables, f"{table.scope}/{SUMS}"):
            if name in self.graph.states:
                g.states.setdefault(name, self.graph.states[name])
        return rows_of(g, table, indices)


def rows_of(g: Builder, table: Table, indices: Value, numbers: Mapping[str, Value] = {}) -> Rows:
    """The table's rows [n, ...] at these indices [n], of the variables that the builder has.

    Each of the numbers comes back once for every row, if rows have an age.
    """
    known: Mapping[str, Value] = {**g.parameters, **g.states}
    stored = {name: _at(g, known[name], indices) for name in table.variables}
    weight, *slots = (stored[name] for name in table.values)
    by_name: Mapping[str, Any] = dict(zip(table.slots, slots, strict=True))
    if not table.idle.ages:
        return Rows(stored, *table.idle.caught_up(g, weight, by_name, []), None, numbers)
    column = (indices.shape[0], 1)
    age = g.Sub(g.cast(known[COUNT], "int32"), stored[f"{table.scope}/{RENEWED}"])
    known_age = g.Clip(age, 0, OLDEST)  # a checkpoint may say anything
    of_ages = table.idle.factors(g, known.get(f"{table.scope}/{SUMS}"))
    factors = [g.reshape(_at(g, g.reshape(factor, [OLDEST + 1]), known_age), column) for factor in of_ages]
    weight, by_name = table.idle.caught_up(g, weight, by_name, factors)
    many = {name: g.reshape(g.Expand(number, g.Shape(indices)), column) for name, number in numbers.items()}
    return Rows(stored, weight, by_name, age, many)


def _at(g: Builder, x: Value, indices: Value) -> Value:
    """The rows of x at the indices; of numbers, by the operator that takes a fifth of the other's time."""
    found: Value = g.GatherElements(x, indices, axis=0) if x.rank == 1 else g.Gather(x, indices)
    return found


def by_rows(step: Graph, others: Iterable[Graph], samples: int) -> ByRows | None:
    """The step with those tables by rows that suit, where some do; `others` are the graphs that read them besides."""
    tables = [table for name in step.renewals if (table := _suited(step, name, [*others], samples))]
    if not tables:
        return None
    graph = step
    for table in tables:
        graph = _renewing(graph, table)
    return ByRows(tidy(graph), tuple(tables))


def _suited(step: Graph, name: str, others: Iterable[Graph], samples: int) -> Table | None:
    """The table, if it is large, few of its rows are read, and these by nobody but one Gather."""
    weight, renewal = step.parameters[name], step.renewals[name]
    told, idle = step.gradients.get(renewal.gradient), renewal.optimizer.idle()
    elements = weight.type.elements
    if told is None or told.op != "Gather" or idle is None or weight.rank != 2 or weight.dtype != "float32":
        return None
    if not isinstance(elements, int) or elements < LARGE or weight.shape[1] < WIDE:
        return None
    if FEW * prod(_guessed(size, samples) for size in told.x.shape) > weight.shape[0]:
        return None
    inside = f"optimizer/{name}"
    readers = [node for node in step.nodes if weight in node.inputs and node.scope != inside]
    if len(readers) != 1 or not all(_is_lookup(node, weight) for node in readers):
        return None
    for graph in others:
        same = graph.parameters.get(name)
        if same in graph.roots or not all(_is_lookup(node, same) for node in graph.nodes if same in node.inputs):
            return None
    return Table(name, tuple(renewal.optimizer.slots()), idle)


def _guessed(size: Dim, samples: int) -> int:
    """A size as a number, where only the batch's is known."""
    return size if isinstance(size, int) else samples if size == BATCH else LONG


def _is_lookup(node: Node, weight: Value | None) -> bool:
    return node.op == "Gather" and node.inputs[0] is weight and node.attribute("axis", 0) == 0


def _flat(g: Builder, indices: Value | None) -> Value:
    assert indices is not None
    count = indices.type.elements
    return g.refine(g.Reshape(g.cast(indices, "int64"), [-1]), (count,))


def _shaped(g: Builder, rows: Value, lookup: Node) -> Value:
    """The rows, one for each index, as the result of the lookup that they stand for."""
    indices, shape = lookup.inputs[1], lookup.outputs[0].shape
    assert indices is not None
    return g.refine(g.Reshape(rows, g.sizes(shape, indices)), shape)


def _renewing(step: Graph, table: Table) -> Graph:
    """The step with one table by rows."""
    g, new = Builder.onto(step), dict[Value, Value]()
    g.nodes = []
    weight, renewal = g.parameters[table.weight], g.renewals.pop(table.weight)
    rows = indices = None
    for node in step.nodes:
        node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        if not _is_lookup(node, weight):
            g.nodes.append(node)
            continue
        with g.at(table.scope):
            _add_states(g, table, weight)
        with g.origin(node):
            read = _flat(g, node.inputs[1])
            indices = _with_oldest(g, table, read)
            rows = rows_of(g, table, indices, _numbers(renewal))
            found = rows.weight
            if table.idle.ages:
                sizes = g.Concat(g.Shape(read), g.const([_turn(weight)], "int64"), axis=0)
                found, _ = g.Split(found, sizes, axis=0, outputs=2)
            new[node.outputs[0]] = _shaped(g, found, node)
    assert rows is not None
    assert indices is not None
    with g.at(table.scope, ("training", "optimizer")):
        _renew(g, table, rows, indices, step.gradients[renewal.gradient].instead(new).dy, renewal.instead(new))
    outputs = {f"{INDICES}{table.weight}": indices}
    outputs |= {f"{BEFORE}{name}": value for name, value in rows.stored.items()}
    graph = g.graph({**step.outputs, **outputs})
    return graph.rewired(in_order(graph.nodes), new)  # the rates may have come behind what now asks for them


def _numbers(renewal: Renewal) -> dict[str, Value]:
    """The numbers by which an optimizer multiplies whole rows."""
    return dict(renewal.shared) or {"": renewal.rate}


def _turn(weight: Value) -> int:
    """How many rows a step looks after, besides those that are read, so that none is ever older than can be told."""
    return -(-int(weight.shape[0]) // OLDEST)


def _add_states(g: Builder, table: Table, weight: Value) -> None:
    g.state(PLACES, weight.shape[:1], Constant(value=0), "int32")
    if table.idle.ages:
        g.state(RENEWED, weight.shape[:1], Constant(value=0), "int32")
    if table.idle.sums:
        g.state(SUMS, (table.idle.sums, OLDEST + 1), Constant(value=0))


def _with_oldest(g: Builder, table: Table, read: Value) -> Value:
    """The rows that are read, and behind them those whose turn it is."""
    if not table.idle.ages:
        return read
    weight = g.parameters[table.weight]
    count = _turn(weight)
    first = g.Mul(g.states[COUNT], count)
    turn = g.Mod(g.Add(first, g.const(np.arange(count), "int64")), weight.shape[0])
    return g.refine(g.Concat(read, turn, axis=0), (read.shape[0] + count,))


def _renew(g: Builder, table: Table, rows: Rows, indices: Value, dy: Value, renewal: Renewal) -> None:
    """Writes the rows as they are after the step."""
    weight = g.parameters[table.weight]
    width = weight.shape[1]
    places: Value = g.states[f"{table.scope}/{PLACES}"]
    dy = start = g.Reshape(dy, [-1, width])
    if table.idle.ages:
        start = g.Concat(dy, g.const(np.zeros((_turn(weight), width)), dy.dtype), axis=0)
    sums, g.updates[f"{table.scope}/{PLACES}"] = sums_of_equal(g, places, indices, dy, start)
    gradient = g.refine(sums, rows.weight.shape)
    rate, shared = rows.numbers.get("", renewal.rate), {n: rows.numbers[n] for n in renewal.shared}
    after, slots = renewal.optimizer.renewed(g, rows.weight, gradient, rows.slots, rate, shared)
    place = g.Reshape(indices, [-1, 1])
    known: Mapping[str, Value] = {**g.parameters, **g.states}
    for name, value in zip(table.values, (after, *(slots.get(n, rows.slots[n]) for n in table.slots)), strict=True):
        g.updates[name] = g.ScatterND(known[name], place, value)
    if rows.age is not None:
        # In a roundabout way, so that it is written after it was read.
        now = g.Add(g.Add(rows.stored[f"{table.scope}/{RENEWED}"], rows.age), 1)
        name = f"{table.scope}/{RENEWED}"
        g.updates[name] = g.ScatterElements(known[name], indices, now, axis=0)
    if table.idle.sums:
        name = f"{table.scope}/{SUMS}"
        g.updates[name] = table.idle.after(g, known[name], renewal.rate, renewal.shared)
