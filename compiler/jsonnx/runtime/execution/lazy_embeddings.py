"""Reads and writes lazily updated embeddings as if every step had updated all of their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ...core.numpy_types import numpy_dtype
from ...core.reserved_names import ROW_INDICES, STEP_COUNT, current_rows_name, variable_of_current_rows
from ...tuning.cpu.embeddings.lazy_updates import LazyTable, LazyTables
from ..providers.providers import resolve_provider
from .runner import Runner
from .variables import DonatedArrays, HostVariables

if TYPE_CHECKING:
    from ...ir import Graph
    from .variables import Variables

ROWS_PER_CHUNK = 1 << 14
"""Rows that are brought up to date at once: few enough for their temporary memory to be small beside the table's."""

RunnerFactory = Callable[["Graph", Iterable[str]], Runner]
"""Makes a runner of a graph that fetches some outputs."""


class LazyEmbeddings:
    """The lazily updated tables among some variables; `make_runner` makes runners over these variables."""

    def __init__(self, lazy_tables: LazyTables, variables: Variables, make_runner: RunnerFactory) -> None:
        self.lazy_tables, self._variables, self._make_runner = lazy_tables, variables, make_runner
        self._table_of: dict[str, LazyTable] = {
            name: table for table in lazy_tables.tables for name in table.value_names
        }
        self._runners: dict[tuple[str, ...], Runner] = {}

    def current_values(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """The values, as of the current step, of the lazily updated ones among the named variables."""
        lazy_names = [name for name in names if name in self._table_of]
        values: dict[str, np.ndarray] = {}
        for table in {self._table_of[name]: None for name in lazy_names}:
            values |= self._compute_current(table, tuple(name for name in lazy_names if self._table_of[name] is table))
        return values

    def catch_up(self, names: Iterable[str]) -> set[str]:
        """Brings the tables that have one of these variables up to the current step.

        Returns the states that count steps by row; `step_counts` has their new values, to be written last.
        """
        tables = {self._table_of[name]: None for name in names if name in self._table_of}
        for table in tables:
            if not self._is_caught_up(table):
                self._variables.write(self._compute_current(table, table.value_names))
        return {name for table in tables for name in _step_count_names(table)}

    def _is_caught_up(self, table: LazyTable) -> bool:
        """Whether all rows are up to date, as before the first step."""
        names = _step_count_names(table)
        expected = self.step_counts(names)
        return all(np.array_equal(array, expected[name]) for name, array in self._variables.read(names).items())

    def step_counts(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """The number of the current step, for every row of these states."""
        (count,) = self._variables.read([STEP_COUNT]).values()
        types = {name: self.lazy_tables.extra_states[name].type for name in names}
        return {name: np.full(type.static_size(0), count, numpy_dtype(type.dtype)) for name, type in types.items()}

    def _compute_current(self, table: LazyTable, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        if names not in self._runners:
            self._runners[names] = self._make_runner(
                self.lazy_tables.current_rows_graph(table, names), [current_rows_name(name) for name in names]
            )
        graph = self.lazy_tables.graph
        types = {name: value.type for name, value in {**graph.parameters, **graph.states}.items() if name in names}
        type = graph.parameters[table.weight].type
        shape = type.static_size(0), type.static_size(1)
        values = {name: np.empty(shape, numpy_dtype(types[name].dtype)) for name in names}
        for start in range(0, shape[0], ROWS_PER_CHUNK):
            rows = np.arange(start, min(start + ROWS_PER_CHUNK, shape[0]))
            for name, array in self._runners[names]({ROW_INDICES: rows}).items():
                values[variable_of_current_rows(name)][rows] = array
        return values


def _step_count_names(table: LazyTable) -> list[str]:
    """The states that hold, for each row of a table, the last step that updated it."""
    return [name for name in table.variable_names if name not in table.value_names]


def with_eager_state(lazy_tables: LazyTables, arrays: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Converts the variables of a lazy step to an eager step's; returns other arrays unchanged."""
    if not _has_lazy_state(lazy_tables, arrays):
        return arrays
    variables = HostVariables(DonatedArrays(arrays), (), {})
    embeddings = LazyEmbeddings(
        lazy_tables, variables, lambda graph, names: Runner(graph, names, variables, resolve_provider("cpu"), None)
    )
    eager = {name: array for name, array in arrays.items() if name not in lazy_tables.extra_states}
    return eager | embeddings.current_values(eager)


def _has_lazy_state(lazy_tables: LazyTables, arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether the arrays include the states of a lazy step, of the right types."""
    graph = lazy_tables.graph
    types = {name: value.type for name, value in {**graph.parameters, **graph.states}.items()}
    names = {STEP_COUNT, *lazy_tables.variable_names, *lazy_tables.extra_states}
    return all(
        name in arrays and (arrays[name].dtype, arrays[name].shape) == (numpy_dtype(type.dtype), type.shape)
        for name, type in types.items()
        if name in names
    )
