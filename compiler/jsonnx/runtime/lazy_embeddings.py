"""Tables that are renewed by rows, as they would be if every step had renewed all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..tuning.cpu.embeddings.lazy_updates import COUNT, NOW, ROWS, ByRows, Table
from .session import element_type

if TYPE_CHECKING:
    from ..ir import Graph
    from .variables import Runner, Variables

AT_ONCE = 1 << 14
"""Rows that are brought up to date at once: what that takes besides is a small part of such a table."""

Load = Callable[["Graph", Iterable[str]], "Runner"]
"""Makes a runner over the variables of a graph and the outputs that it is asked for."""


class RowTables:
    """The tables among some variables; `load` makes what runs over these."""

    def __init__(self, tables: ByRows, variables: Variables, load: Load) -> None:
        self.step, self._variables, self._load = tables, variables, load
        self._of: dict[str, Table] = {name: table for table in tables.tables for name in table.values}
        self._runners: dict[tuple[str, ...], Runner] = {}

    def now(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Those of the named variables that are of such tables, as they are now."""
        wanted = [name for name in names if name in self._of]
        found: dict[str, np.ndarray] = {}
        for table in {self._of[name]: None for name in wanted}:
            found |= self._values(table, tuple(name for name in wanted if self._of[name] is table))
        return found

    def settle(self, names: Iterable[str]) -> set[str]:
        """Brings the tables up to date that have one of these variables. Returns the variables that tell when that
        was, for which `counted` has new values once all is written."""
        tables = {self._of[name]: None for name in names if name in self._of}
        for table in tables:
            if not self._is_current(table):
                self._variables.write(self._values(table, table.values))
        return {name for table in tables for name in table.variables if name not in table.values}

    def _is_current(self, table: Table) -> bool:
        """Whether no row waits, as before the first step."""
        names = [name for name in table.variables if name not in table.values]
        now = self.counted(names)
        return all(np.array_equal(array, now[name]) for name, array in self._variables.read(names).items())

    def counted(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """The number of steps so far, for every row of these variables."""
        (count,) = self._variables.read([COUNT]).values()
        types = {name: self.step.further[name].type for name in names}
        return {name: np.full(type.fixed(0), count, element_type(type.dtype)) for name, type in types.items()}

    def _values(self, table: Table, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        if names not in self._runners:
            self._runners[names] = self._load(self.step.now(table, names), [f"{NOW}{name}" for name in names])
        type = self.step.graph.parameters[table.weight].type
        shape = type.fixed(0), type.fixed(1)
        found = {name: np.empty(shape, np.float32) for name in names}
        for start in range(0, shape[0], AT_ONCE):
            rows = np.arange(start, min(start + AT_ONCE, shape[0]))
            for name, array in self._runners[names]({ROWS: rows}).items():
                found[name.removeprefix(NOW)][rows] = array
        return found


def has_rows(tables: ByRows, arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether these arrays are variables of such a step, which tell when rows were renewed."""
    graph = tables.graph
    types = {name: value.type for name, value in {**graph.parameters, **graph.states}.items()}
    names = {COUNT, *tables.variables, *tables.further}
    return all(
        name in arrays and (arrays[name].dtype, arrays[name].shape) == (element_type(t.dtype), t.shape)
        for name, t in types.items()
        if name in names
    )
