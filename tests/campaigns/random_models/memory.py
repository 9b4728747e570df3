"""Shares the cache of inferred types between models, since type inference dominates compiling small models."""

from __future__ import annotations

from typing import Any

from jsonnx.ir import builder
from jsonnx.ir.type_inference import TypeInference

MAX_CACHED_NODES = 20_000
"""Greatest number of cached nodes."""


class BoundedCache(dict[Any, Any]):
    """A dictionary that is cleared when it is full."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if len(self) >= MAX_CACHED_NODES:
            self.clear()
        super().__setitem__(key, value)


def remember_types() -> None:
    """Makes all builders of this process share one cache of inferred types.

    This is valid because symbolic sizes are compared by their text (`types.Size`). Processes that compare the bytes of
    models do not share a cache and so verify it.
    """
    shared = TypeInference()
    shared._cache = BoundedCache()
    builder.TypeInference = lambda: shared  # type: ignore[assignment, misc]
