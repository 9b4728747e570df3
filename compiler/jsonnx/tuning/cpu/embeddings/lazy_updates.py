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
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from ....core.types import BATCH, COUNTED, Dim, Size, TensorType
from ....ir import Builder, Graph, Node, Renewal, State, Value, in_order
from ....passes.canonicalize import tidy
from ....training.initializers import Constant
from ....training.skipped_steps import OLDEST, Idle
from ..memory.pack_weights import OWN
from .segment_sum import at, places_of, places_where, ranks, row_sums

LARGE = 1 << 18
"""Elements of a table from which on this is faster: otherwise its operators take no longer than to start others."""
WIDE = 16
"""Elements of a row below which to find a row takes longer than to renew it."""
FEW = 3
"""How many times as many rows a table has to have as a step reads: with two and a half times it takes as long."""

LONG = 256
"""What is taken for the length of a sequence that the data decide."""

COUNT = f"{OWN}iterations"
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
        return f"{OWN}{self.weight}"

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
    stored = {name: at(g, known[name], indices) for name in table.variables}
    weight, *slots = (stored[name] for name in table.values)
    by_name: Mapping[str, Any] = dict(zip(table.slots, slots, strict=True))
    if not table.idle.ages:
        return Rows(stored, *table.idle.caught_up(g, weight, by_name, []), None, numbers)
    column = (indices.shape[0], 1)
    age = g.Sub(g.cast(known[COUNT], "int32"), stored[f"{table.scope}/{RENEWED}"])
    known_age = g.Clip(age, 0, OLDEST)  # a checkpoint may say anything
    of_ages = table.idle.factors(g, known.get(f"{table.scope}/{SUMS}"))
    factors = [g.reshape(at(g, g.reshape(factor, [OLDEST + 1]), known_age), column) for factor in of_ages]
    weight, by_name = table.idle.caught_up(g, weight, by_name, factors)
    many = {name: g.reshape(g.Expand(number, g.Shape(indices)), column) for name, number in numbers.items()}
    return Rows(stored, weight, by_name, age, many)


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
    inside = f"{OWN}{name}"
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
    read = rows = None
    for node in step.nodes:
        node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        if not _is_lookup(node, weight):
            g.nodes.append(node)
            continue
        with g.at(table.scope):
            _add_states(g, table, weight)
        with g.origin(node):
            read = _read(g, table, node.inputs[1])
            rows = rows_of(g, table, read.indices, _numbers(renewal))
            found = g.Gather(rows.weight, g.Reshape(read.which, g.Shape(node.inputs[1])))
            new[node.outputs[0]] = g.refine(found, node.outputs[0].shape)
    assert read is not None
    assert rows is not None
    with g.at(table.scope, ("training", "optimizer")):
        dy, copies = _without_copies(step, step.gradients[renewal.gradient].dy)
        gradient = _sums(g, read, new.get(dy, dy), copies, rows.weight)
        _renew(g, table, rows, read.indices, gradient, renewal.instead(new))
    outputs = {f"{INDICES}{table.weight}": read.indices}
    outputs |= {f"{BEFORE}{name}": value for name, value in rows.stored.items()}
    graph = g.graph({**step.outputs, **outputs})
    return graph.rewired(in_order(graph.nodes), new)  # the rates may have come behind what now asks for them


@dataclass(frozen=True, eq=False)
class Read:
    """The rows that a step needs, each once."""

    indices: Value
    """Of the rows, [rows]: of those whose turn it is and that nobody reads, then of the others."""
    which: Value
    """For every index that was asked for the place of its row among these: [n]."""
    first: Value
    """The places, among those asked for, of the first [rows - others] of them that stand for the rows' own."""
    again: Value
    """The places of those that ask for a row that another one stands for."""
    others: Value
    """How many rows nobody reads: [1]."""


def _read(g: Builder, table: Table, wanted: Value | None) -> Read:
    """Which rows these are, without sorting: of all that ask for a row, the last to write its place stands for it."""
    wanted = _flat(g, wanted)
    count = _turn(g.parameters[table.weight]) if table.idle.ages else 0
    indices = _with_oldest(g, table, wanted, count)
    total = g.Shape(indices)
    place = places_of(g, indices)
    name = f"{table.scope}/{PLACES}"
    g.updates[name] = places = g.ScatterElements(g.states[name], indices, place, axis=0)
    stands = at(g, places, indices)
    own = g.Equal(stands, place)
    kept = g.refine(places_where(g, own, place), (Size.named(f"{COUNTED}{table.weight}"),))
    which = at(g, ranks(g, own), stands)
    turned, asked = g.Split(own, g.Concat(g.const([count], "int64"), g.Shape(wanted), axis=0), axis=0, outputs=2)
    others = g.ReduceSum(g.cast(turned, "int64"), keepdims=1)
    first = g.Sub(g.Slice(kept, others, g.Shape(kept), [0]), count)
    again = places_where(g, g.Not(asked))
    which = g.refine(g.Slice(which, [count], total, [0]), wanted.shape)
    return Read(at(g, indices, kept), which, first, again, others)


def _with_oldest(g: Builder, table: Table, wanted: Value, count: int) -> Value:
    """The rows that are wanted, and before them as many whose turn it is, so that none is ever older than can be
    told."""
    if not count:
        return wanted
    first = g.Mul(g.states[COUNT], count)
    turn = g.Mod(g.Add(first, g.const(np.arange(count), "int64")), g.parameters[table.weight].shape[0])
    return g.refine(g.Concat(turn, wanted, axis=0), (wanted.shape[0] + count,))


def _without_copies(step: Graph, dy: Value) -> tuple[Value, int]:
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


def _sums(g: Builder, read: Read, dy: Value, copies: int, rows: Value) -> Value:
    """The gradient of the rows, of the cotangents [n / copies, width] of all that asked for them."""
    width = rows.type.fixed(1)
    dy = g.Reshape(dy, [-1, width])
    first, again = (g.Div(places, copies) if copies > 1 else places for places in (read.first, read.again))
    none = g.Expand(g.cast(g.Shape(dy, start=0, end=1), first.dtype), read.others)
    sums = row_sums(g, dy, g.Concat(none, first, axis=0), at(g, read.which, read.again), again)
    return g.refine(g.Gather(sums.rows, sums.places), rows.shape)


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


def _renew(g: Builder, table: Table, rows: Rows, indices: Value, gradient: Value, renewal: Renewal) -> None:
    """Writes the rows as they are after the step."""
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
