"""Rules on normalizations and dropout."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from ...analysis.output_layer import unwrapped
from ..fixes import remove_layer, set_key
from ..layer_kinds import ALL_CONVOLUTIONS, WEIGHTED_LAYERS, activation_of, is_one_of
from ..linted_network import LintedNetwork
from ..rule import Finding, rule

MAX_DROPOUT_RATE = 0.8
MIN_NORMALIZATION_MOMENTUM = 0.5
"""Moving averages with less momentum follow single batches; PyTorch's momentum is 1 minus this one."""

MIN_BATCH_SIZE = 4
"""Minimum batch size for its mean and variance to represent the data."""


@rule("bias-before-normalization")
def bias_before_normalization(network: LintedNetwork) -> Iterator[Finding]:
    for call, layer in network.of_kind("Dense", *ALL_CONVOLUTIONS):
        if not layer.use_bias or activation_of(layer) != "linear" or network.is_shared(call):
            continue
        following = network.next_layer(call, skip=("Identity",))
        normalization: Any = following.layer if following is not None else None
        if following is None or normalization is None:
            continue
        rank = network.output_type(call).rank
        channels = 1 if getattr(layer, "data_format", None) == "channels_first" else rank - 1
        is_batch = normalization.type_name == "BatchNormalization" and normalization.axis % rank == channels
        is_instance = (
            normalization.type_name == "GroupNormalization"
            and normalization.groups in (-1, network.output_type(call).shape[channels])
            and rank > 2
        )
        if (is_batch or is_instance) and normalization.center and normalization.trainable and layer.trainable:
            message = f"{call.name!r} has a bias, which the normalization {following.name!r} subtracts again"
            notes = ((following.path, f"{following.name!r} is here"),)
            path = (*call.path, "use_bias") if network.is_written((*call.path, "use_bias")) else call.path
            fix = set_key(network, (*call.path, "use_bias"), False)
            yield Finding(path, message, 'write "use_bias": false', notes, fix=fix)


@rule("dropout-before-normalization")
def dropout_before_normalization(network: LintedNetwork) -> Iterator[Finding]:
    for call, layer in network.of_kind("dropout"):
        following = network.next_layer(call, skip=("Identity", "Flatten", "Reshape", "Permute", "ReLU", "Activation"))
        if following is None or not layer.rate or getattr(layer, "noise_shape", None) is not None:
            continue
        if following.layer is not None and following.layer.type_name == "BatchNormalization":
            message = f"the variance that {following.name!r} learns is that of {call.name!r} in training"
            notes = ((following.path, f"{following.name!r} is here"),)
            yield Finding(call.path, message, "put the dropout behind the normalization", notes)


@rule("dropout-after-output")
def dropout_after_output(network: LintedNetwork) -> Iterator[Finding]:
    losses = network.objective.losses if network.objective else network.typed.network.outputs
    for output in losses:
        call = network.call_by_result.get(output)
        while call is not None and call.layer is not None and len(call.sources) == 1:
            layer = unwrapped(call.layer)
            if is_one_of(layer, WEIGHTED_LAYERS):
                break
            if layer.family == "dropout":
                if layer.rate and _has_weights_before(network, call.sources[0]):
                    message = f"{call.name!r} drops elements of the output {output!r}"
                    yield Finding(call.path, message, "put the dropout before the last layer with weights")
                break
            if layer.type_name not in ("Identity", "Flatten", "Reshape", "Permute") and activation_of(layer) is None:
                break
            call = network.call_by_result.get(call.sources[0])


def _has_weights_before(network: LintedNetwork, value: str) -> bool:
    """Whether a layer with a kernel computes a value, beyond activations."""
    call = network.call_by_result.get(value)
    while call is not None and call.layer is not None and len(call.sources) == 1:
        layer = unwrapped(call.layer)
        if is_one_of(layer, WEIGHTED_LAYERS):
            return True
        if activation_of(call.layer) is None and layer.type_name not in ("Identity", "Flatten", "Reshape", "Permute"):
            return False
        call = network.call_by_result.get(call.sources[0])
    return False


@rule("dropout-rate")
def dropout_rate(network: LintedNetwork) -> Iterator[Finding]:
    for call, layer in network.of_kind("dropout"):
        path = (*call.path, "rate")
        if layer.rate > MAX_DROPOUT_RATE:
            message = f"{call.name!r} drops {100 * layer.rate:g} % of the values"
            kept = round(1 - layer.rate, 6)
            fix = set_key(network, path, kept) if kept else None
            yield Finding(path, message, f"write the fraction to drop, such as {kept or 0.1:.2g}", fix=fix)
        elif not layer.rate and network.is_written(path):
            message = f"{call.name!r} drops nothing, since its rate is 0"
            yield Finding(path, message, "give a rate, or remove the layer", fix=remove_layer(network, call))


@rule("constant-normalization")
def constant_normalization(network: LintedNetwork) -> Iterator[Finding]:
    for call, layer in network.of_kind("LayerNormalization", "GroupNormalization"):
        shape = network.input_type(call).shape
        if layer.type_name == "LayerNormalization":
            axes = layer.axis if isinstance(layer.axis, (tuple, list)) else (layer.axis,)
            sizes = [shape[axis] for axis in axes]
        else:
            channels = shape[layer.axis]
            groups = channels if layer.groups == -1 else layer.groups
            others = [size for axis, size in enumerate(shape) if axis not in (0, layer.axis % len(shape))]
            sizes = [*others, channels // groups if isinstance(channels, int) else channels]
        if all(size == 1 for size in sizes):
            message = f"{call.name!r} normalizes single values, so its result does not depend on them"
            yield Finding(call.path, message, "normalize over an axis of several values, or remove the layer")
    yield from _batches_of_one(network)


def _batches_of_one(network: LintedNetwork) -> Iterator[Finding]:
    training = network.training
    if training is None or training.batch_size != 1:
        return
    for call, layer in network.of_kind("BatchNormalization"):
        shape = network.input_type(call).shape
        others = [size for axis, size in enumerate(shape) if axis not in (0, layer.axis % len(shape))]
        if layer.trainable and all(size == 1 for size in others):
            message = f"with batches of one sample, {call.name!r} normalizes single values in training"
            notes = ((call.path, f"{call.name!r} is here"),)
            yield Finding(("training", "batch_size"), message, "use larger batches, or LayerNormalization", notes)
            return


@rule("small-batch-normalization")
def small_batch_normalization(network: LintedNetwork) -> Iterator[Finding]:
    training = network.training
    if training is None or training.batch_size >= MIN_BATCH_SIZE:
        return
    for call, layer in network.of_kind("BatchNormalization"):
        others = network.input_type(call).shape[1:]
        sizes = [size for size in others if isinstance(size, int)]
        values = training.batch_size * prod(sizes[:-1]) if len(sizes) == len(others) else 0
        if layer.trainable and 1 < values < 16:
            message = f"{call.name!r} learns mean and variance from batches of {training.batch_size}"
            notes = ((call.path, f"{call.name!r} is here"),)
            yield Finding(("training", "batch_size"), message, "use larger batches, or another normalization", notes)
            return


@rule("normalization-momentum")
def normalization_momentum(network: LintedNetwork) -> Iterator[Finding]:
    for call, layer in network.of_kind("BatchNormalization"):
        if layer.momentum < MIN_NORMALIZATION_MOMENTUM and layer.trainable:
            message = f"the moving averages of {call.name!r} keep {layer.momentum:g} of their old value at each step"
            path, value = (*call.path, "momentum"), round(1 - layer.momentum, 6)
            yield Finding(path, message, f'write "momentum": {value:g}', fix=set_key(network, path, value))


@rule("repeated-normalization")
def repeated_normalization(network: LintedNetwork) -> Iterator[Finding]:
    for call, layer in network.of_kind("normalization"):
        following = network.next_layer(call, skip=("Identity",))
        if following is not None and following.layer is not None and following.layer.type_name == layer.type_name:
            message = f"{following.name!r} normalizes what {call.name!r} has normalized"
            notes = ((call.path, f"{call.name!r} is here"),)
            yield Finding(following.path, message, "remove one of them", notes)


@rule("regularized-normalization", default=False)
def regularized_normalization(network: LintedNetwork) -> Iterator[Finding]:
    for call in network.calls:
        for key in ("bias_regularizer", "beta_regularizer", "gamma_regularizer"):
            if getattr(call.layer, key, None) is not None and call.name == call.owner:
                message = f"{call.name!r} has a {key}, which does not make its function smoother"
                yield Finding((*call.path, key), message, "leave it out; kernels have a `kernel_regularizer`")
