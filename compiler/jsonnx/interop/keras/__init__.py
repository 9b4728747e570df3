"""Keras' own files: models as JSON, `.keras` and `.h5`, and their weights.

Nothing that a file names is imported or executed. HDF5 is read by a process of its own.
"""

from __future__ import annotations

from .archive import KerasFile, open_keras

__all__ = ["KerasFile", "open_keras"]
