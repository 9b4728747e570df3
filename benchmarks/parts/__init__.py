"""What is measured: one module a part, each with `ABOUT`, `measure(options)` and `tables(result)`.

A result is a dict whose keys are measured one by one: a file of results may get some of them anew.
"""

from __future__ import annotations

from types import ModuleType

from . import inference, train

PARTS: dict[str, ModuleType] = {"train": train, "inference": inference}

__all__ = ["PARTS"]
