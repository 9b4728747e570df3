"""jsonnx: write a neural network as a JSON file, get a trained ONNX model.

The public API, by name. Each part is imported when it is first used: commands start at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import Trainer
    from .diagnostics import CompileError, Diagnostic, Note, UsageError
    from .driver import compile
    from .exports import to_keras
    from .imports import from_keras
    from .model import Model
    from .runtime.faults import FeedError
    from .runtime.session import Session
    from .types import Size, TensorType
    from .validation import validate

_LAZY = {
    "CompileError": "diagnostics",
    "Diagnostic": "diagnostics",
    "FeedError": "runtime.faults",
    "Model": "model",
    "Note": "diagnostics",
    "Session": "runtime.session",
    "Size": "types",
    "TensorType": "types",
    "Trainer": "api",
    "UsageError": "diagnostics",
    "compile": "driver",
    "from_keras": "imports",
    "to_keras": "exports",
    "validate": "validation",
}
"""Where each public name is."""


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    if name == "__version__":
        from .backend import package_version

        return package_version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


__all__ = [
    "CompileError",
    "Diagnostic",
    "FeedError",
    "Model",
    "Note",
    "Session",
    "Size",
    "TensorType",
    "Trainer",
    "UsageError",
    "compile",
    "from_keras",
    "to_keras",
    "validate",
]
