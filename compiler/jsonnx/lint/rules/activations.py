"""Rules on activations: missing, repeated, contradictory or saturating ones."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from ...frontend.network import Call
from ...layers.activations import activation_class
from ..fixes import remove_layer, set_key
from ..layer_kinds import (
    PASSTHROUGH_LAYERS,
    activation_of,
    is_one_of,
    own_activation_path,
)
from ..linted_network import LintedNetwork
from ..rule import Finding, rule

AFFINE_LAYERS = ("Dense", "convolution")
"""Layers that are one affine map without an activation, so that two in a row are one."""

MIN_SATURATING_LAYERS = {"sigmoid": 3, "hard_sigmoid": 3, "tanh": 5}
"""Minimum number of consecutive hidden layers with such an activation, without a normalization, for vanishing
gradients."""

MIN_STACK_LAYERS = 4
"""Minimum number of layers with relu for their initial scale to matter."""


@rule("no-activation")
def no_activation(network: LintedNetwork) -> Iterator[Finding]:
    for call, layer in network.of_kind(*AFFINE_LAYERS):
        following = network.next_layer(call, skip=(*PASSTHROUGH_LAYERS, "BatchNormalization"))
        if following is None or not is_one_of(following.layer, AFFINE_LAYERS):
            continue
        is_reused = network.is_shared(call) or network.is_shared(following)
        if activation_of(layer) != "linear" or not layer.trainable or is_reused or layer.activity_regularizer:
            continue
        if _factorizes(network, call, following):
            continue
        message = f"{call.name!r} has no activation before {following.name!r}, so both compute one affine map"
        notes = ((following.path, f"{following.name!r} is here"),)
        help = 'give it one, such as "activation": "relu", or remove the layer'
        fix = set_key(network, (*call.path, "activation"), "relu")
        yield Finding(call.path, message, help, notes, fix=fix)


def _factorizes(network: LintedNetwork, call: Call, following: Call) -> bool:
    """Whether the two layers are a matrix or a kernel of low rank, or one kernel along each axis."""
    kernels = [tuple(getattr(item.layer, "kernel_size", ())) for item in (call, following)]
    if all(kernels) and len(kernels[0]) == len(kernels[1]):
        is_separated = prod(map(min, *kernels)) == 1 and min(map(prod, kernels)) > 1
        if is_separated:
            return True
    if network.output_type(call).rank != network.input_type(following).rank:
        return False  # there is a Flatten between them
    types = (network.input_type(call), network.output_type(call), network.output_type(following))
    sizes = [size for type in types if isinstance(size := type.shape[-1], int)]
    return len(sizes) == len(types) and sizes[1] < min(sizes[0], sizes[2])


def _bounds(activation: str | None) -> tuple[float | None, float | None]:
    function = activation_class(activation)
    return (None, None) if function is None else function.bounds


def _is_non_negative(activation: str | None) -> bool:
    lower = _bounds(activation)[0]
    return lower is not None and lower >= 0


def _gives_probabilities(activation: str | None) -> bool:
    return _bounds(activation) == (0, 1)


@rule("repeated-activation")
def repeated_activation(network: LintedNetwork) -> Iterator[Finding]:
    for call in network.calls:
        second = activation_of(call.layer)
        if call.layer is None or second is None or own_activation_path(call.layer):
            continue
        producer = network.producer(call)
        first = activation_of(producer.layer) if producer else None
        if producer is None or first in (None, "linear"):
            continue
        has_no_effect = second == "relu" and _is_non_negative(first)
        if has_no_effect or (first == second and _gives_probabilities(second)):
            effect = "has no effect" if has_no_effect else "flattens it"
            message = f"{second} after the {first} of {producer.name!r} {effect}"
            notes = ((producer.path, f"{producer.name!r} applies {first} here"),)
            fix = remove_layer(network, call) if has_no_effect else None
            yield Finding(call.path, message, "remove one of the two", notes, fix=fix)


@rule("bounded-logits")
def bounded_logits(network: LintedNetwork) -> Iterator[Finding]:
    for call in network.calls:
        second = activation_of(call.layer)
        if call.layer is None or not _gives_probabilities(second) or own_activation_path(call.layer):
            continue
        producer = network.producer(call)
        first = activation_of(producer.layer) if producer else None
        if producer is None or first is None or first == second:
            continue
        is_one_sided = second == "sigmoid" and _is_non_negative(first)
        if is_one_sided or None not in _bounds(first):
            limit = "so none is below 0.5" if is_one_sided else "which bounds the probabilities"
            message = f"the {second} {call.name!r} takes the {first} of {producer.name!r}, {limit}"
            notes = ((producer.path, f"{producer.name!r} applies {first} here"),)
            yield Finding(call.path, message, f"remove the {first}", notes)


@rule("hidden-softmax")
def hidden_softmax(network: LintedNetwork) -> Iterator[Finding]:
    for call in network.calls:
        if call.layer is None or activation_of(call.layer) != "softmax":
            continue
        following = network.next_layer(call)
        if following is not None and is_one_of(following.layer, AFFINE_LAYERS):
            message = f"{call.name!r} ends with a softmax, and {following.name!r} takes the result"
            path = (*call.path, *own_activation_path(call.layer))
            yield Finding(path, message, "use another activation, such as relu")


@rule("softmax-single-unit")
def softmax_single_unit(network: LintedNetwork) -> Iterator[Finding]:
    with_loss = set(network.objective.losses if network.objective else ())
    for call in network.calls:
        if call.layer is None or activation_of(call.layer) != "softmax":
            continue
        axes = getattr(call.layer, "axis", -1)
        shape = network.output_type(call).shape
        sizes = [shape[axis] for axis in (axes if isinstance(axes, (tuple, list)) else (axes,))]
        if sizes != [1] or any(result in with_loss for result in call.results):  # `loss-activation` says it
            continue
        path = (*call.path, *own_activation_path(call.layer))
        message = f"the softmax of {call.name!r} is over one element, so it is always 1"
        fix = set_key(network, path, "sigmoid") if path != call.path else None
        yield Finding(path, message, "use a sigmoid", fix=fix)


@rule("saturating-stack")
def saturating_stack(network: LintedNetwork) -> Iterator[Finding]:
    depths: dict[str, int] = {}
    for call in network.calls:
        name = activation_of(call.layer)
        if name not in MIN_SATURATING_LAYERS or call.layer is None or network.is_output(call):
            continue
        if network.next_layer(call) is None:
            continue
        weighted = call if own_activation_path(call.layer) else network.producer(call)
        before = network.producer(weighted) if weighted is not None else None
        is_same = before is not None and activation_of(before.layer) == name
        depths[call.name] = 1 + (depths.get(before.name, 0) if before is not None and is_same else 0)
        if depths[call.name] == MIN_SATURATING_LAYERS[name]:
            message = f"{call.name!r} is the {depths[call.name]}th layer in a row with {name}: gradients vanish"
            message = message.replace("3th", "3rd")
            path = (*call.path, *own_activation_path(call.layer))
            yield Finding(path, message, "use relu, or a normalization before the activations")


@rule("selu-initializer")
def selu_initializer(network: LintedNetwork) -> Iterator[Finding]:
    for call, layer in network.of_kind(*AFFINE_LAYERS):
        initializer = layer.kernel_initializer.type_name
        if activation_of(layer) == "selu" and not initializer.startswith(("lecun", "variance_scaling")):
            message = f"{call.name!r} has selu and the kernel_initializer {initializer}"
            fix = set_key(network, (*call.path, "kernel_initializer"), "lecun_normal")
            yield Finding(call.path, message, 'write "kernel_initializer": "lecun_normal"', fix=fix)


@rule("alpha-dropout")
def alpha_dropout(network: LintedNetwork) -> Iterator[Finding]:
    for call, _ in network.of_kind("AlphaDropout"):
        producer = network.producer(call)
        activation = activation_of(producer.layer) if producer else None
        if producer is not None and activation not in (None, "selu", "linear"):
            message = f"{call.name!r} is AlphaDropout after {activation}, and made for selu"
            path = (*call.path, "type")
            yield Finding(path, message, "use Dropout", fix=set_key(network, path, "Dropout"))


@rule("he-initializer", default=False)
def he_initializer(network: LintedNetwork) -> Iterator[Finding]:
    depths: dict[str, int] = {}
    for call, layer in network.of_kind(*AFFINE_LAYERS):
        if activation_of(layer) != "relu" or not layer.kernel_initializer.type_name.lower().startswith("glorot"):
            continue
        before = network.producer(call)
        depths[call.name] = 1 + (depths.get(before.name, 0) if before is not None else 0)
        if depths[call.name] == MIN_STACK_LAYERS:
            message = f"{call.name!r} is the {MIN_STACK_LAYERS}th layer in a row with relu and Glorot's initial weights"
            yield Finding(call.path, message, 'write "kernel_initializer": "he_normal" in all of them')


@rule("recurrent-activation")
def recurrent_activation(network: LintedNetwork) -> Iterator[Finding]:
    training = network.training
    optimizers = training.optimizer.optimizers if training else ()
    is_clipped = any(item.clipnorm or item.clipvalue or item.global_clipnorm for item in optimizers)
    for call, layer in network.of_kind("recurrent"):
        name = layer.activation.type_name if layer.activation is not None else "linear"
        initializer = layer.recurrent_initializer.type_name.lower()
        if name in ("relu", "linear", "elu", "gelu") and not is_clipped and "identity" not in initializer:
            message = f"{call.name!r} applies {name} at each step, which has no bound"
            path = (*call.path, "activation")
            help = "use tanh, or clip the gradients with `clipnorm`"
            yield Finding(path, message, help, fix=set_key(network, path, "tanh"))


@rule("relu-output", default=False)
def relu_output(network: LintedNetwork) -> Iterator[Finding]:
    losses = network.objective.losses if network.objective else {}
    for output in losses:
        layer = network.outputs.get(output)
        if layer is not None and layer.activation == "relu" and output in network.call_by_result:
            message = f"the output {output!r} ends with relu, and has no gradient where that is 0"
            yield Finding(network.typed.network.paths[output], message, "use softplus, or no activation")
