"""The Keras configuration of a network, with the layers in the order in which Keras numbers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..interop.keras.export import ExportedModel, export_model
from ..layers import Layer
from ..layers.preprocessing.adaptable import Adaptable
from .check import CheckedSpec

CONFIG_STATES = ("vocabulary", "idf_weights", "bin_boundaries")
"""States that Keras writes into a layer's configuration."""


def export_config(checked: CheckedSpec, weights: Mapping[str, np.ndarray]) -> ExportedModel:
    """The model of a sound spec, what its layers learned among their arguments. Raises CompileError."""
    network, typed = checked.network, checked.require()
    layers = {call.owner: _told(call.owner, call.layer, weights) for call in network.calls if call.layer is not None}
    return export_model(network, typed.types, typed.masks.connected.value_masks, layers, checked.new_report())


def _told(name: str, layer: Layer, weights: Mapping[str, np.ndarray]) -> Layer:
    """The layer with a vocabulary, or boundaries, that it learned, which Keras keeps with a layer's arguments."""
    if not isinstance(layer, Adaptable) or not layer.needs_adapt:
        return layer
    found = {argument: weights.get(f"{name}/{argument}") for argument in CONFIG_STATES}
    told: dict[str, Any] = {argument: tuple(array.tolist()) for argument, array in found.items() if array is not None}
    if "idf_weights" in told:
        first = layer.table.first  # type: ignore[attr-defined]
        told["idf_weights"] = told["idf_weights"][first : first + len(told["vocabulary"])]
    return layer.replace(**told)


def keras_variables(layer: Layer, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights that are variables in Keras."""
    configured = CONFIG_STATES if isinstance(layer, Adaptable) else ()
    return {name: array for name, array in weights.items() if name not in configured}
