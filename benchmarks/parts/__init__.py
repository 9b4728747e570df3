"""What is measured: one module a part, each with `ABOUT`, `measure(options)`, `tables(result)` and `page(result)`.

A part measures one thing after the other, `(name, what was found)`: a file of results may get some of them anew.
`page` is what the documentation shows.
"""

from __future__ import annotations

from types import ModuleType

from . import cold_start, compile_time, inference, install_size, memory, overhead, train, wider

PARTS: dict[str, ModuleType] = {
    "train": train,
    "wider": wider,
    "overhead": overhead,
    "inference": inference,
    "compile": compile_time,
    "memory": memory,
    "cold": cold_start,
    "size": install_size,
}

__all__ = ["PARTS"]
