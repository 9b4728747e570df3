"""The parts: one module each, with `ABOUT`, `measure(options)`, `tables(results)` and `page(results)`.

`measure` yields pairs `(name, result)`, so that a file of results can be updated in part. `page` returns the tables of
the documentation.
"""

from __future__ import annotations

from types import ModuleType

from . import cold_start, compile_time, distributed, inference, install_size, memory, overhead, train, wider

PARTS: dict[str, ModuleType] = {
    "train": train,
    "wider": wider,
    "overhead": overhead,
    "inference": inference,
    "compile": compile_time,
    "distributed": distributed,
    "memory": memory,
    "cold": cold_start,
    "size": install_size,
}

__all__ = ["PARTS"]
