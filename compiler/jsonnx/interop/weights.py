"""Weights by Keras' names, in safetensors and npz files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..diagnostics import CompileError, Diagnostic, UsageError


def read_weights(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Arrays by name. Raises UsageError for a file that cannot be read, CompileError for one that is damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    name = os.fspath(path)
    try:
        if name.endswith(".npz"):
            with np.load(name, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
        return load(Path(name).read_bytes())
    except OSError as error:
        raise UsageError("unreadable-file", f"cannot read {name}: {error.strerror or error}") from error
    except (SafetensorError, ValueError, EOFError) as error:
        raise CompileError([Diagnostic("damaged-file", f"not a weights file: {error}", file=name)]) from error


def weights_bytes(weights: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> bytes:
    """Weights as a safetensors file, in their order's own layout: the same bytes for the same weights."""
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in weights.items()}
    return save(arrays, metadata=dict(metadata or {}))
