"""jsonnx: write a neural network as a JSON file, get a trained ONNX model.

The public API, by name. Each part is imported when it is first used: commands start at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client.client import Client
    from .client.server_error import ServerError
    from .core.callback import Callback
    from .core.diagnostics import CompileError, Diagnostic, Note, UsageError
    from .core.types import Size, TensorType
    from .data.samples.data_errors import FeedError
    from .functions.python_function import loss, metric
    from .pipeline.compile.compile import compile
    from .pipeline.compile.hugging_face_import import from_hugging_face
    from .pipeline.compile.keras_import import from_keras
    from .pipeline.compile.model import Model
    from .pipeline.compile.onnx_import import from_onnx
    from .pipeline.keras_export import to_keras
    from .pipeline.predict.session import Session
    from .pipeline.quantize.quantize import quantize
    from .pipeline.run.public_trainer import Trainer
    from .pipeline.run_folder.run import Run
    from .pipeline.sweep.sweep import sweep
    from .pipeline.validate.validate import validate

_LAZY = {
    "Callback": "core.callback",
    "Client": "client.client",
    "CompileError": "core.diagnostics",
    "Diagnostic": "core.diagnostics",
    "FeedError": "data.samples.data_errors",
    "Model": "pipeline.compile.model",
    "Note": "core.diagnostics",
    "Run": "pipeline.run_folder.run",
    "ServerError": "client.server_error",
    "Session": "pipeline.predict.session",
    "Size": "core.types",
    "TensorType": "core.types",
    "Trainer": "pipeline.run.public_trainer",
    "UsageError": "core.diagnostics",
    "compile": "pipeline.compile.compile",
    "from_hugging_face": "pipeline.compile.hugging_face_import",
    "from_keras": "pipeline.compile.keras_import",
    "from_onnx": "pipeline.compile.onnx_import",
    "loss": "functions.python_function",
    "metric": "functions.python_function",
    "quantize": "pipeline.quantize.quantize",
    "sweep": "pipeline.sweep.sweep",
    "to_keras": "pipeline.keras_export",
    "validate": "pipeline.validate.validate",
}
"""Where each public name is."""
_MODULES = {"callbacks": ".callbacks", "ops": ".functions.ops", "ray": ".ray"}
"""Where each public module is."""


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    if name in _MODULES:
        return import_module(_MODULES[name], __name__)
    if name == "__version__":
        from .backend import package_version

        return package_version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__", *_MODULES]


__all__ = [
    "Callback",
    "Client",
    "CompileError",
    "Diagnostic",
    "FeedError",
    "Model",
    "Note",
    "Run",
    "ServerError",
    "Session",
    "Size",
    "TensorType",
    "Trainer",
    "UsageError",
    "compile",
    "from_hugging_face",
    "from_keras",
    "from_onnx",
    "loss",
    "metric",
    "quantize",
    "sweep",
    "to_keras",
    "validate",
]
