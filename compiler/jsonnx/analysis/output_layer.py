"""The layer that computes an output: its activation, and the rescaling after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..frontend.network import Call
from ..layers.activation_layers import ReLU, Softmax_
from ..layers.activations import ACTIVATIONS, Activation
from ..layers.convolution.convolution import ConvLayer
from ..layers.core import Dense, Identity
from ..layers.einsum_dense import EinsumDense
from ..layers.normalization.spectral import SpectralNormalization
from ..layers.preprocessing.numerical import Rescaling
from ..layers.regularization import Dropout
from ..layers.reshaping import Flatten, Permute, Reshape
from ..layers.rnn.time_distributed import TimeDistributed
from ..training.weights.constraints import Constraint
from .shape_inference import TypedNetwork

VALUE_PRESERVING_LAYERS = (Identity, Dropout, Flatten, Permute, Reshape)
"""Layers whose output has the values of their input, apart from values dropped in training."""


class OutputLayer(NamedTuple):
    """How an output is computed: `scale * activation(x) + offset`."""

    activation: str
    """The name of the activation; `linear` if there is none."""
    scale: float = 1.0
    offset: float = 0.0
    weighted_call: Call | None = None
    """The call of the layer with weights right before the activation, if there is one."""

    @property
    def is_rescaled(self) -> bool:
        return (self.scale, self.offset) != (1.0, 0.0)


def output_layer(typed: TypedNetwork, output: str) -> OutputLayer | None:
    """How an output is computed; None if other layers than the common ones compute it."""
    calls = {call.name: call for call in typed.network.calls}
    scale, offset = 1.0, 0.0
    activation: str | None = None
    call = calls.get(output)
    while call is not None and call.layer is not None and call.sources:  # no layer: an error is reported there
        layer = unwrapped(call.layer)
        if layer.is_unbounded:
            break
        if isinstance(layer, (Dense, EinsumDense, ConvLayer)):
            own = activation_of(layer)
            if activation is None or own == "linear":
                return OutputLayer(activation or own, scale, offset, call)
            break
        name = activation_name(layer, typed.types[call.name].rank)
        if isinstance(layer, Rescaling) and activation is None:
            if not isinstance(layer.scale, (int, float)) or not isinstance(layer.offset, (int, float)):
                return None
            scale, offset = scale * layer.scale, offset + scale * layer.offset
        elif name is not None and name != "linear":
            if activation is not None:
                break
            activation = name
        elif name is None and not isinstance(layer, VALUE_PRESERVING_LAYERS):
            break
        call = calls.get(call.sources[0])
    if activation is None and call is not None and _is_unbounded(typed, calls, call):
        activation = "linear"
    return OutputLayer(activation, scale, offset) if activation else None


def _is_unbounded(typed: TypedNetwork, calls: Mapping[str, Call], call: Call) -> bool:
    """Whether a call's result has numbers of both signs without bounds, as it is computed from weights by sums, and
    products with other tensors."""
    stack, seen = [call.name], set[str]()
    while stack:
        name = stack.pop()
        current = calls.get(name)
        if current is None or current.layer is None or name in seen:
            continue
        if name not in typed.types or not typed.types[name].dtype.startswith("float"):
            continue
        seen.add(name)
        layer = unwrapped(current.layer)
        is_affine = isinstance(layer, (Dense, EinsumDense, ConvLayer))
        if (is_affine and activation_of(layer) == "linear") or (layer.is_unbounded and not _has_constraint(layer)):
            return True
        if layer.keeps_unbounded or isinstance(layer, VALUE_PRESERVING_LAYERS):
            stack += current.sources
    return False


def _has_constraint(layer: Any) -> bool:
    return any(isinstance(value, Constraint) for value in vars(layer).values())


def activation_of(layer: Dense | EinsumDense | ConvLayer) -> str:
    """The name of the activation of a layer with weights; `linear` if there is none."""
    return _function_name(layer.activation) if layer.activation else "linear"


def _function_name(function: Any) -> str:
    """The name of an activation, or of the layer ReLU; a relu with a slope has the bounds of `leaky_relu`: none."""
    name: str = function.type_name.lower()
    return "leaky_relu" if name == "relu" and function.negative_slope else name


def unwrapped(layer: Any) -> Any:
    """The layer that a wrapper such as TimeDistributed applies."""
    while isinstance(layer, (TimeDistributed, SpectralNormalization)):
        layer = layer.layer
    return layer


def activation_name(layer: Any, rank: int) -> str | None:
    """The activation that a layer without weights applies along the last axis; None for another layer."""
    if isinstance(layer, Activation):
        return _function_name(layer.activation)
    if isinstance(layer, Softmax_) and layer.axis in (-1, rank - 1, [-1], [rank - 1]):
        return "softmax"
    if isinstance(layer, ReLU):
        return _function_name(layer)
    name: str = getattr(layer, "type_name", "").removeprefix("ops.")
    is_operation = getattr(layer, "type_name", "").startswith("ops.") and getattr(layer, "axis", -1) in (-1, rank - 1)
    return name if is_operation and name in ACTIVATIONS.by_name else None
