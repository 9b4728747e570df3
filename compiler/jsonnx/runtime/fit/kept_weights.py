"""Copies of weights that a fit keeps, such as those of the best epoch: large ones on the disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from tempfile import TemporaryFile

import numpy as np

from ...core.diagnostics import UsageError
from ...core.files.files import TEMPORARY_NAME, error_reason
from ...interop.file_slice import MIN_MAPPED_BYTES
from ...interop.safetensors_file import SafetensorsFile, safetensors_parts
from ..execution.history import Weights


def kept_weights(weights: Mapping[str, np.ndarray], folder: str | os.PathLike[str] | None) -> Weights:
    """Copies of weights. If they have at least `MIN_MAPPED_BYTES`, they are views of a file, which cannot be written.

    The file has no name and is freed with the arrays, or with the process. It lies in `folder`, by default where
    temporary files lie. Raises UsageError `unwritable-file`.
    """
    numbers = {name: array for name, array in weights.items() if array.dtype != object}
    if sum(array.nbytes for array in numbers.values()) < MIN_MAPPED_BYTES:
        return {name: array.copy() for name, array in weights.items()}
    prefix, suffix = TEMPORARY_NAME.split("{}")
    try:
        with TemporaryFile(prefix=prefix, suffix=suffix, dir=folder) as file:
            file.writelines(safetensors_parts(numbers, {}))
            file.flush()
            stored = SafetensorsFile(file).arrays()
    except OSError as error:
        place = "a temporary file" if folder is None else f"a temporary file in {os.fspath(folder)!r}"
        message = f"cannot keep the weights of the best epoch in {place}: {error_reason(error)}"
        raise UsageError("unwritable-file", message) from error
    return {name: stored[name] if name in stored else array.copy() for name, array in weights.items()}
