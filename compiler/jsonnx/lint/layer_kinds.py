"""Kinds of layers, by type name and by family: rules import no module of layers that a spec does not use."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..layers import Layer

ALL_CONVOLUTIONS = ("convolution", "depthwise convolution", "transposed convolution")
WEIGHTED_LAYERS = ("Dense", "EinsumDense", *ALL_CONVOLUTIONS)
"""Layers with a kernel that end with an activation."""

PASSTHROUGH_LAYERS = ("Identity", "dropout", "Flatten", "Reshape", "Permute", "ActivityRegularization")
"""Layers that keep the values of their input, or drop some of them in training."""

SCALING_LAYERS = ("Rescaling", "Normalization", "BatchNormalization", "LayerNormalization", "GroupNormalization")
"""Layers that bring values to a scale of about 1."""


def is_one_of(layer: Layer | None, kinds: Collection[str]) -> bool:
    """Whether the type or the family of a layer is among some kinds."""
    return layer is not None and (layer.type_name in kinds or layer.family in kinds)


def activation_of(layer: Layer | None) -> str | None:
    """The name of the activation that a layer ends with; `linear` for a layer with a kernel and none, None for another
    layer."""
    if layer is None:
        return None
    kind = layer.type_name
    if is_one_of(layer, WEIGHTED_LAYERS) or kind == "Activation":
        activation: Any = getattr(layer, "activation", None)
        return _function_name(activation)
    if kind == "ReLU":
        return _function_name(layer)
    return {"Softmax": "softmax", "LeakyReLU": "leaky_relu", "PReLU": "prelu", "ELU": "elu"}.get(kind)


def _function_name(activation: Any) -> str:
    """The name of an activation; that of a relu with a slope, which has negative values, is `leaky_relu`."""
    if activation is None:
        return "linear"
    if activation.type_name in ("relu", "ReLU"):
        return "leaky_relu" if activation.negative_slope else "relu"
    name: str = activation.type_name
    return name


def own_activation_path(layer: Layer) -> tuple[str, ...]:
    """The key of a layer's activation, below the path of the layer; empty if the layer is the activation."""
    return ("activation",) if is_one_of(layer, WEIGHTED_LAYERS) else ()
