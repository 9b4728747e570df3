"""Keras' own files: models of any generation as JSON, `.keras` and `.h5`, as documents of ours, and their weights.

`archive` opens a file; HDF5 is read by a process of its own. `document` finds layers and calls in the JSON, `dialects`
and `keras1` bring their arguments to Keras 3's words, `layers` and `operations` make entries of them, `network` and
`graph` connect those by name, `writer` writes them. Nothing that a file names is imported or executed.
"""

from __future__ import annotations

from .entries import Owner
from .h5_weights import is_legacy
from .open_file import KerasFile, open_keras, opened_keras
from .read_model import Imported, apart, read_model
from .unnamed_weights import dealt, is_unnamed
from .weight_matching import Matched, matched

__all__ = [
    "Imported",
    "KerasFile",
    "Matched",
    "Owner",
    "apart",
    "dealt",
    "is_legacy",
    "is_unnamed",
    "matched",
    "open_keras",
    "opened_keras",
    "read_model",
]
