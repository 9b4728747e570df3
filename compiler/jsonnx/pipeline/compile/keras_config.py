"""The Keras configuration of a network, with the layers in the order in which Keras numbers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...interop.keras.export import ExportedModel, export_model
from ...layers import Layer
from ...layers.preprocessing.adaptable import Adaptable
from ...layers.preprocessing.lookup import Lookup
from ..check.check import CheckedSpec

CONFIG_STATES = ("vocabulary", "idf_weights", "bin_boundaries")
"""States that Keras stores as arguments of a layer, not as variables."""


def export_config(checked: CheckedSpec, weights: Mapping[str, np.ndarray]) -> ExportedModel:
    """The Keras model of a valid spec, with learned states as arguments of its layers. Raises CompileError."""
    network, typed = checked.network, checked.require()
    layers = {
        call.owner: _with_learned_states(call.owner, call.layer, weights)
        for call in network.calls
        if call.layer is not None
    }
    return export_model(network, typed.types, typed.masks.connected.value_masks, layers, checked.new_report())


def _with_learned_states(name: str, layer: Layer, weights: Mapping[str, np.ndarray]) -> Layer:
    """The layer with its learned vocabulary, IDF weights or bin boundaries as arguments."""
    if not isinstance(layer, Adaptable) or not layer.needs_adapt:
        return layer
    states = {argument: weights.get(f"{name}/{argument}") for argument in CONFIG_STATES}
    arguments: dict[str, Any] = {
        argument: tuple(array.tolist()) for argument, array in states.items() if array is not None
    }
    if "idf_weights" in arguments:
        assert isinstance(layer, Lookup)
        start = layer.table.first_token_index
        arguments["idf_weights"] = arguments["idf_weights"][start : start + len(arguments["vocabulary"])]
    return layer.replace(**arguments)


def keras_variables(layer: Layer, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights of a layer that are variables in Keras."""
    arguments = CONFIG_STATES if isinstance(layer, Adaptable) else ()
    return {name: array for name, array in weights.items() if name not in arguments}
