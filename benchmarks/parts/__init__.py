"""What is measured: one module a part, each with `measure(options)` and `tables(result)`."""

from __future__ import annotations

from types import ModuleType

from . import train

PARTS: dict[str, ModuleType] = {"train": train}

__all__ = ["PARTS"]
