"""jsonnx: write a neural network as a JSON file, get a trained ONNX model.

The public API, by name. Each part is imported when it is first used: commands start at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core.diagnostics import CompileError, Diagnostic, Note, UsageError
    from .core.types import Size, TensorType
    from .data.data_errors import FeedError
    from .pipeline.compile import compile
    from .pipeline.keras_export import to_keras
    from .pipeline.keras_import import from_keras
    from .pipeline.model import Model
    from .pipeline.run import Run
    from .pipeline.sweep import sweep
    from .pipeline.trainer import Trainer
    from .pipeline.validate import validate
    from .runtime.callback_class import Callback
    from .runtime.session import Session

_LAZY = {
    "Callback": "runtime.callback_class",
    "CompileError": "core.diagnostics",
    "Diagnostic": "core.diagnostics",
    "FeedError": "data.data_errors",
    "Model": "pipeline.model",
    "Note": "core.diagnostics",
    "Run": "pipeline.run",
    "Session": "runtime.session",
    "Size": "core.types",
    "TensorType": "core.types",
    "Trainer": "pipeline.trainer",
    "UsageError": "core.diagnostics",
    "compile": "pipeline.compile",
    "from_keras": "pipeline.keras_import",
    "sweep": "pipeline.sweep",
    "to_keras": "pipeline.keras_export",
    "validate": "pipeline.validate",
}
"""Where each public name is."""


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    if name == "callbacks":
        return import_module(".callbacks", __name__)
    if name == "__version__":
        from .backend import package_version

        return package_version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__", "callbacks"]


__all__ = [
    "Callback",
    "CompileError",
    "Diagnostic",
    "FeedError",
    "Model",
    "Note",
    "Run",
    "Session",
    "Size",
    "TensorType",
    "Trainer",
    "UsageError",
    "compile",
    "from_keras",
    "sweep",
    "to_keras",
    "validate",
]
