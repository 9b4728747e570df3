"""Tables that are renewed by rows, as they would be if every step had renewed all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..core.reserved_names import ROW_INDICES, STEP_COUNT, current_rows_name, variable_of_current_rows
from ..tuning.cpu.embeddings.lazy_updates import (
    LazyTable,
    LazyTables,
)
from .session import numpy_dtype

if TYPE_CHECKING:
    from ..ir import Graph
    from .variables import Runner, Variables

ROWS_PER_CHUNK = 1 << 14
"""Rows that are brought up to date at once: what that takes besides is a small part of such a table."""

RunnerFactory = Callable[["Graph", Iterable[str]], "Runner"]
"""Makes a runner over the variables of a graph and the outputs that it is asked for."""


class LazyEmbeddings:
    """The tables among some variables; `load` makes what runs over these."""

    def __init__(self, lazy_tables: LazyTables, variables: Variables, make_runner: RunnerFactory) -> None:
        self.lazy_tables, self._variables, self._make_runner = lazy_tables, variables, make_runner
        self._table_of: dict[str, LazyTable] = {
            name: table for table in lazy_tables.tables for name in table.value_names
        }
        self._runners: dict[tuple[str, ...], Runner] = {}

    def current_values(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Those of the named variables that are of such tables, as they are now."""
        wanted = [name for name in names if name in self._table_of]
        found: dict[str, np.ndarray] = {}
        for table in {self._table_of[name]: None for name in wanted}:
            found |= self._compute_current(table, tuple(name for name in wanted if self._table_of[name] is table))
        return found

    def catch_up(self, names: Iterable[str]) -> set[str]:
        """Brings the tables up to date that have one of these variables. Returns the variables that tell when that
        was, for which `step_counts` has new values once all is written."""
        tables = {self._table_of[name]: None for name in names if name in self._table_of}
        for table in tables:
            if not self._is_caught_up(table):
                self._variables.write(self._compute_current(table, table.value_names))
        return {name for table in tables for name in table.variable_names if name not in table.value_names}

    def _is_caught_up(self, table: LazyTable) -> bool:
        """Whether no row waits, as before the first step."""
        names = [name for name in table.variable_names if name not in table.value_names]
        now = self.step_counts(names)
        return all(np.array_equal(array, now[name]) for name, array in self._variables.read(names).items())

    def step_counts(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """The number of steps so far, for every row of these variables."""
        (count,) = self._variables.read([STEP_COUNT]).values()
        types = {name: self.lazy_tables.extra_states[name].type for name in names}
        return {name: np.full(type.static_size(0), count, numpy_dtype(type.dtype)) for name, type in types.items()}

    def _compute_current(self, table: LazyTable, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        if names not in self._runners:
            self._runners[names] = self._make_runner(
                self.lazy_tables.current_rows_graph(table, names), [current_rows_name(name) for name in names]
            )
        type = self.lazy_tables.graph.parameters[table.weight].type
        shape = type.static_size(0), type.static_size(1)
        found = {name: np.empty(shape, np.float32) for name in names}
        for start in range(0, shape[0], ROWS_PER_CHUNK):
            rows = np.arange(start, min(start + ROWS_PER_CHUNK, shape[0]))
            for name, array in self._runners[names]({ROW_INDICES: rows}).items():
                found[variable_of_current_rows(name)][rows] = array
        return found


def has_lazy_state(lazy_tables: LazyTables, arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether these arrays are variables of such a step, which tell when rows were renewed."""
    graph = lazy_tables.graph
    types = {name: value.type for name, value in {**graph.parameters, **graph.states}.items()}
    names = {STEP_COUNT, *lazy_tables.variable_names, *lazy_tables.extra_states}
    return all(
        name in arrays and (arrays[name].dtype, arrays[name].shape) == (numpy_dtype(t.dtype), t.shape)
        for name, t in types.items()
        if name in names
    )
