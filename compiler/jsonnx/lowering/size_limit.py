"""Refuses networks that exceed the limits of a model, before anything is allocated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod
from typing import TYPE_CHECKING, Any

from ..analysis.shape_inference import TypedNetwork
from ..core.components import Component, components_of
from ..core.diagnostics import Report
from ..core.limits import MAX_OPERATORS, MAX_UNROLLED_COPIES, MAX_WEIGHTS_BYTES, bytes_text
from ..frontend.network import Call
from ..layers import Layer
from ..layers.activations import ActivationFunction
from ..layers.attention.position_embeddings import PositionEmbedding
from ..layers.onnx_files.onnx_model import OnnxModel
from ..layers.rnn.rnn import MAX_UNROLLED_STEPS, Recurrent
from ..layers.rnn.time_distributed import TimeDistributed
from ..training.weights.regularizers import Regularizer

if TYPE_CHECKING:
    from ..ir import Graph


MAX_SMALL_SIZE = 1 << 22
"""The largest size for which no layer needs a constant or a weight vector that exceeds a limit."""

OPERATORS_PER_ACTIVATION, OPERATORS_PER_PENALTY, OPERATORS_PER_VALUE = 16, 8, 4
"""At most: sparsemax has 14. Each input may be unsqueezed and its mask combined with others, each output squeezed."""

BYTES_PER_WEIGHT = 4

MATRICES_PER_LAYER, MATRICES_PER_ATTENTION, MATRICES_PER_RECURRENT_LAYER, VECTORS_PER_LAYER = 2, 4, 24, 8
"""At most: a separable convolution has two kernels, attention four matrices, a bidirectional LSTM sixteen, and batch
normalization with renormalization seven vectors."""

TABLES_PER_ATTENTION = 2
"""At most: the vectors of relative positions that are added to keys, and to values."""

RECURRENT_ATTRIBUTES = ("recurrent_initializer", "return_sequences", "cells", "layer", "layers")
"""Attributes of recurrent layers, and of layers that may have one inside."""

EMBEDDING_ATTRIBUTES = ("input_dim", "sequence_length")
VOCABULARY_ATTRIBUTES = ("max_tokens", "num_tokens", "num_bins")
"""Attributes of layers whose state is a list of tokens or of bounds."""

SIZELESS_ATTRIBUTES = (
    *("seed", "strides", "dilation_rate", "groups", "vocabulary", "axis", "shared_axes"),
    *("start_index", "original_max_position_embeddings", "denominator_dim", "rotary"),
    *("relative_position", "num_buckets", "max_distance"),
)
"""Attributes with integers that no size of a weight depends on."""


def check_sizes(typed: TypedNetwork, report: Report) -> Graph | None:
    """Reports the first layer with which a network exceeds a limit of models. Returns the graph of the network if it
    was lowered.

    Only the lowering tells weights, constants and operators. So ONNX is imported if, and only if, the sizes in the spec
    are large enough to be suspicious.
    """
    if not report.has_errors() and may_be_too_large(typed):
        from .lower import LoweringError, lower

        try:
            graph = lower(typed)
        except LoweringError as failure:
            failure.add_to(report)
        else:
            report_oversized_weights(typed, graph, report)
            return graph
    return None


def may_be_too_large(typed: TypedNetwork) -> bool:
    """Whether a network may exceed a limit, by an estimate from above."""
    calls = typed.network.calls
    if sum(operator_bound(typed, call) for call in calls) > MAX_OPERATORS:
        return True
    if any(size > MAX_SMALL_SIZE for call in calls for size in _sizes(typed, call)):
        return True
    return sum(weight_bound(typed, call) for call in calls) * BYTES_PER_WEIGHT > MAX_WEIGHTS_BYTES


def weight_bound(typed: TypedNetwork, call: Call) -> int:
    """A number of elements that the weights of a layer do not exceed."""
    layer, numbers = call.layer, list(_attribute_sizes(call.layer))
    axes = [size for source in call.sources for size in typed.types[source].shape if isinstance(size, int)]
    if isinstance(layer, OnnxModel):
        return layer.weight_elements()
    if isinstance(layer, PositionEmbedding):
        return layer.sequence_length * max(axes)
    if any(hasattr(layer, name) for name in EMBEDDING_ATTRIBUTES):
        return 2 * prod(numbers)  # the sizes of the input do not matter
    if any(hasattr(layer, name) for name in VOCABULARY_ATTRIBUTES):
        return 2 * max([*axes, *numbers], default=1)
    has_many_axes = any(hasattr(layer, name) for name in ("shared_axes", "equation"))
    has_many_axes = has_many_axes or isinstance(getattr(layer, "axis", None), tuple)
    largest = prod(axes) if has_many_axes else max([*axes, *numbers], default=1)
    matrices = MATRICES_PER_ATTENTION if hasattr(layer, "num_heads") else MATRICES_PER_LAYER
    if any(hasattr(layer, name) for name in RECURRENT_ATTRIBUTES):
        matrices = MATRICES_PER_RECURRENT_LAYER
    matrices_bound = matrices * prod(numbers) * largest
    return matrices_bound + VECTORS_PER_LAYER * largest + TABLES_PER_ATTENTION * _distances(layer) * prod(numbers)


def _distances(layer: Layer | None) -> int:
    """The rows of a table of relative positions; 0 for a layer without one."""
    position = getattr(layer, "relative_position", None)
    return max(2 * getattr(position, "max_distance", 0) + 1, getattr(position, "num_buckets", 0)) if position else 0


def operator_bound(typed: TypedNetwork, call: Call) -> int:
    """A number of operators that a layer does not exceed in inference."""
    layers, others = 0, OPERATORS_PER_VALUE * (len(call.sources) + len(call.results))
    copies = 1
    for component in components_of(call.layer):
        if isinstance(component, Layer):
            layers += component.max_operators()
        elif isinstance(component, ActivationFunction):
            layers += OPERATORS_PER_ACTIVATION
        elif isinstance(component, Regularizer):
            others += OPERATORS_PER_PENALTY
        if isinstance(component, Recurrent):
            copies *= MAX_UNROLLED_STEPS
        elif isinstance(component, TimeDistributed):
            steps = typed.types[call.sources[0]].shape[1]
            copies *= min(steps, MAX_UNROLLED_COPIES) if isinstance(steps, int) else 1
    return layers * copies + others


def _sizes(typed: TypedNetwork, call: Call) -> Iterator[int]:
    """The sizes that a call depends on: of its inputs, and in its attributes."""
    yield from (size for source in call.sources for size in typed.types[source].shape if isinstance(size, int))
    yield from _attribute_sizes(call.layer)


def _attribute_sizes(value: object) -> Iterator[int]:
    """The positive integers in the attributes of a component and of those inside it."""
    if isinstance(value, Component):
        for name, attribute in vars(value).items():
            if name not in SIZELESS_ATTRIBUTES:
                yield from _attribute_sizes(attribute)
    elif isinstance(value, (tuple, list)):
        items: Iterable[Any] = value if len(value) <= MAX_INNER_ITEMS else [len(value)]
        for item in items:
            yield from _attribute_sizes(item)
    elif isinstance(value, int) and not isinstance(value, bool) and value > 0:
        yield value


MAX_INNER_ITEMS = 16
"""Items of a list of sizes; a longer list is one of values, such as a vocabulary."""


def report_oversized_weights(typed: TypedNetwork, graph: Graph, report: Report) -> None:
    """Reports the first layer with which the weights exceed the limit."""
    total = 0
    for name, value in {**graph.parameters, **graph.states}.items():
        total += BYTES_PER_WEIGHT * prod(value.shape) if value.type.is_static() else 0
        if total > MAX_WEIGHTS_BYTES:
            layer = name.split("/")[0]
            message = (
                f"with {layer!r} the weights take {bytes_text(total)}, the limit is {bytes_text(MAX_WEIGHTS_BYTES)}"
            )
            path = typed.network.paths[layer]
            report.add("too-large", path, f"{message} ({name} alone has shape {list(value.shape)})")
            return
