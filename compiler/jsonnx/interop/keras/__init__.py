"""Imports models and weights of Keras 1 to 3, from JSON, `.keras` and `.h5` files.

`open_file` reads the file, `model_config` parses layers and calls, `versions` and `keras1` upgrade them to Keras 3,
`layer_entries` and `operations` translate layers to spec entries, `model_walk` and `functional` connect them by name,
`spec_writer` and `fold_blocks` write the spec. `weight_matching` assigns the arrays of a file to weights of a network.
"""

from __future__ import annotations

from .open_file import KerasFile, open_keras, read_open_keras_file
from .read_model import TranslatedModel, read_model, readable_layers
from .translation.entries import WeightOwner
from .weights.h5_weights import is_legacy_format
from .weights.unnamed_weights import assign_groups, has_unnamed_layers
from .weights.weight_matching import MatchedWeights, converted_weights, match_weights

__all__ = [
    "KerasFile",
    "MatchedWeights",
    "TranslatedModel",
    "WeightOwner",
    "assign_groups",
    "converted_weights",
    "has_unnamed_layers",
    "is_legacy_format",
    "match_weights",
    "open_keras",
    "read_model",
    "read_open_keras_file",
    "readable_layers",
]
