"""Keras' own files: models of any generation as JSON, `.keras` and `.h5`, as documents of ours, and their weights.

`archive` opens a file; HDF5 is read by a process of its own. `document` finds layers and calls in the JSON, `dialects`
and `keras1` bring their arguments to Keras 3's words, `layers` and `operations` make entries of them, `network` and
`graph` connect those by name, `writer` writes them. Nothing that a file names is imported or executed.
"""

from __future__ import annotations

from .entries import WeightOwner
from .h5_weights import is_legacy_format
from .open_file import KerasFile, open_keras, read_open_keras_file
from .read_model import TranslatedModel, read_model, readable_layers
from .unnamed_weights import assign_groups, has_unnamed_layers
from .weight_matching import MatchedWeights, match_weights

__all__ = [
    "KerasFile",
    "MatchedWeights",
    "TranslatedModel",
    "WeightOwner",
    "assign_groups",
    "has_unnamed_layers",
    "is_legacy_format",
    "match_weights",
    "open_keras",
    "read_model",
    "read_open_keras_file",
    "readable_layers",
]
