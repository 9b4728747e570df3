"""Rules on layers without effect, or with one that is hardly meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...frontend.network import Call
from ..fixes import remove_layer, set_key
from ..layer_kinds import activation_of
from ..linted_network import LintedNetwork
from ..rule import Finding, rule
from .convolutions import spatial_sizes, windows_of

MAX_TRANSFORMER_WIDTH_FACTOR = 2


@rule("no-effect")
def no_effect(network: LintedNetwork) -> Iterator[Finding]:
    for call in network.calls:
        reason = _reason_for_no_effect(network, call)
        if reason is not None and _is_literal(network, call):
            message = f"{call.name!r} returns its input: {reason}"
            yield Finding(call.path, message, "remove it, or give it an argument", fix=remove_layer(network, call))


def _is_literal(network: LintedNetwork, call: Call) -> bool:
    """Whether no argument of the entry is an expression, which may have other values elsewhere."""
    entry: Any = network.written(call.path)
    return isinstance(entry, dict) and not any(
        isinstance(value, str) and "${" in value for key, value in entry.items() if key not in ("name", "from")
    )


def _reason_for_no_effect(network: LintedNetwork, call: Call) -> str | None:
    layer: Any = call.layer
    kind, type = layer.type_name, network.input_type(call) if call.sources else None
    if type is None or layer.activity_regularizer is not None:
        return None
    if kind == "Activation" and activation_of(layer) == "linear":
        return "a linear activation is the identity"
    if kind == "Rescaling" and (layer.scale, layer.offset) == (1, 0) and type.dtype.startswith("float"):
        return "it multiplies by 1"
    if layer.family == "pooling" and all(size == 1 for size in (*windows_of(layer).size, *windows_of(layer).strides)):
        return "its windows have one element"
    if layer.family == "global pooling" and layer.keepdims and all(size == 1 for size in spatial_sizes(type, layer)):
        return "its input has one element per channel"
    if kind == "Flatten" and type.rank == 2:
        return f"its input is {type} already"
    if kind in ("Reshape", "Permute") and network.output_type(call) == type:
        is_same_order = kind == "Reshape" or list(layer.dims) == sorted(layer.dims)
        return "it keeps the shape" if is_same_order else None
    if kind == "GaussianNoise" and not layer.stddev:
        return "its noise has the standard deviation 0"
    return None


@rule("global-pooling-of-one")
def global_pooling_of_one(network: LintedNetwork) -> Iterator[Finding]:
    for call, layer in network.of_kind("global pooling"):
        if not layer.keepdims and all(size == 1 for size in spatial_sizes(network.input_type(call), layer)):
            source = call.sources[0]
            notes = ((network.typed.network.paths[source], f"{source!r} is {network.input_type(call)}"),)
            message = f"{call.name!r} pools over one element per channel"
            yield Finding(call.path, message, "reduce the image less before it, or use Flatten", notes)


@rule("accidental-broadcast")
def accidental_broadcast(network: LintedNetwork) -> Iterator[Finding]:
    for call, _ in network.of_kind("Add", "Subtract", "Average"):
        types = [network.typed.types[source] for source in call.sources]
        if {type.rank for type in types} != {2}:
            continue
        sizes = [type.shape[-1] for type in types]
        others = [size for size in sizes if size != 1]
        if others and len(others) < len(sizes):
            named = zip(call.sources, types, strict=True)
            notes = tuple((network.typed.network.paths[name], f"{name!r} is {type}") for name, type in named)
            message = f"{call.name!r} adds vectors of one element and of {others[0]}"
            yield Finding(call.path, message, "give both the same size", notes)


@rule("frozen-random-weights")
def frozen_random_weights(network: LintedNetwork) -> Iterator[Finding]:
    training = network.training
    if training is None or training.weights is not None:
        return
    freeze_reported = False
    for call in network.calls:
        layer: Any = call.layer
        initializer = getattr(layer, "kernel_initializer", None) or getattr(layer, "embeddings_initializer", None)
        is_fixed = initializer is None or initializer.type_name in ("constant", "zeros", "ones", "identity", "stft")
        has_vectors = getattr(layer, "vectors", None) is not None
        if layer.trainable or is_fixed or has_vectors or call.name != call.owner:
            continue
        is_own = network.is_written((*call.path, "trainable"))
        if not is_own and freeze_reported:
            continue
        path = (*call.path, "trainable") if is_own else ("training", "freeze")
        freeze_reported |= not is_own
        notes = () if is_own else ((call.path, f"{call.name!r} is here"),)
        message = f"{call.name!r} is not trained, and no file gives its weights, so they stay random"
        yield Finding(path, message, "give `weights` in `training`, or train the layer", notes)


@rule("wide-attention-heads", default=False)
def wide_attention_heads(network: LintedNetwork) -> Iterator[Finding]:
    for call, layer in network.of_kind("MultiHeadAttention"):
        width = network.input_type(call).shape[-1]
        if isinstance(width, int) and layer.num_heads * layer.key_dim >= MAX_TRANSFORMER_WIDTH_FACTOR * width:
            total = layer.num_heads * layer.key_dim
            message = f"the {layer.num_heads} heads of {call.name!r} have {total} elements for vectors of {width}"
            path, size = (*call.path, "key_dim"), max(width // layer.num_heads, 1)
            yield Finding(path, message, f'write "key_dim": {size}', fix=set_key(network, path, size))
