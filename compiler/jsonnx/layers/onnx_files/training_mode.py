"""Operators of ONNX files as they compute in training: batch normalization and dropout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..normalization.moments import centered_moments
from ..normalization.moving_averages import update_average
from ..regularization import inverted_dropout_scale

if TYPE_CHECKING:
    import onnx

    from ...foreign.graph_emitter import EmitOperator, GraphEmitter
    from ...ir import Builder, Value

DEFAULT_MOMENTUM = 0.9
DEFAULT_EPSILON = 1e-5
DEFAULT_RATIO = 0.5


def training_operators(usual: Mapping[str, EmitOperator]) -> dict[str, EmitOperator]:
    """BatchNormalization by the statistics of the batch, and Dropout that drops; `usual` are the operators of
    inference, which nodes with frozen moving averages and those in the branches of conditionals keep."""
    from ...foreign.tensors import attributes_of

    def batch_normalization(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value | None]:
        states = [e.value(name) for name in node.input[3:5]]
        if e.is_branch or not all(_is_updated(e.g, state) for state in states):
            return usual[node.op_type](e, node)
        attributes = attributes_of(node)
        x, scale, bias = map(e.value, node.input[:3])
        momentum = attributes.get("momentum", DEFAULT_MOMENTUM)
        return (_normalized(e.g, x, scale, bias, states, attributes.get("epsilon", DEFAULT_EPSILON), momentum),)

    def dropout(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value | None]:
        ratio = _ratio(e, node)
        if e.is_branch or ratio is None or ratio <= 0:
            return usual[node.op_type](e, node)
        x, scale = e.value(node.input[0]), inverted_dropout_scale(ratio)
        mask = e.g.random("mask", x.shape, "mask", keep=1 - ratio, scale=scale)
        results = [e.g.Mul(x, mask)]
        return results if len(node.output) < 2 or not node.output[1] else [*results, e.g.Greater(mask, 0.0)]

    return {"BatchNormalization": batch_normalization, "Dropout": dropout}


def _is_updated(g: Builder, average: Any) -> bool:
    """Whether training updates a moving average: it is a state, and neither its layer nor itself is frozen."""
    name = getattr(average, "name", "")
    return name in g.states and g.trainable and not g.is_frozen(name)


def _ratio(e: GraphEmitter, node: onnx.NodeProto) -> float | None:
    """The share of elements that a Dropout drops; None if it is not known."""
    if len(node.input) < 2 or not node.input[1]:
        return DEFAULT_RATIO
    known = e.known(node.input[1])
    return float(known.reshape(-1)[0]) if known is not None and known.size == 1 else None


def _normalized(
    g: Builder, x: Value, scale: Value, bias: Value, states: Sequence[Value], epsilon: float, momentum: float
) -> Value:
    """X normalized by the mean and the variance of its channels over the batch, which update the moving averages."""
    mean, centered, variance = centered_moments(g, x, [axis for axis in range(x.rank) if axis != 1])
    for state, statistic in zip(states, (mean, variance), strict=True):
        update_average(g, state, g.reshape(statistic, state.shape), momentum)
    shape = [*scale.shape, *[1] * (x.rank - 2)]
    gain = g.Mul(g.Reciprocal(g.Sqrt(g.Add(variance, epsilon))), g.reshape(scale, shape))
    return g.refine(g.Add(g.Mul(centered, gain), g.reshape(bias, shape)), x.shape)
