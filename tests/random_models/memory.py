"""Remembers across models what ONNX said of a node's types: asking is half of what compiling a small model takes."""

from __future__ import annotations

from typing import Any

from jsonnx.ir import builder
from jsonnx.ir.type_inference import TypeInference

MOST = 20_000
"""Nodes that are remembered."""


class Forgetful(dict[Any, Any]):
    """A dictionary that begins anew when it is full."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if len(self) >= MOST:
            self.clear()
        super().__setitem__(key, value)


def remember_types() -> None:
    """All builders of this process share what they learn.

    Sound, as a size is its text (`types.Size`); what is remembered for a single model is held against this by the
    processes that compare bytes, which do not share.
    """
    shared = TypeInference()
    shared._cache = Forgetful()
    builder.TypeInference = lambda: shared  # type: ignore[assignment, misc]
