"""Losses: what training minimises. As Keras 3 computes them, and stable where logits are at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ..bricks import Brick, Family, attr
from ..types import TensorType, require

if TYPE_CHECKING:
    from ..graph import Builder, Graph, Value

LOSSES = Family("loss", "What training minimises.")

Reduction = Literal["sum_over_batch_size", "mean", "sum"]


class Loss(Brick):
    """Compares an output with its target.

    `target` answers the type that a target must have for an output of some type, and raises ShapeError where the
    output does not suit the loss. `values` emits one loss for every sample (or sample and position); `reduce` makes a
    scalar of them.
    """

    family = LOSSES
    reduction: Reduction = attr("sum_over_batch_size", doc="How the losses of a batch become one: their mean or sum.")

    def target(self, output: TensorType) -> TensorType:
        return output

    def values(self, g: Builder, target: Value, output: Value) -> Value:
        raise NotImplementedError

    def before_activation(self, graph: Graph, output: Value) -> tuple[Value, Loss]:
        """The value to compare and the loss that suits it: the logits, where the output is an activation of them that
        the loss would only undo (as Keras does on TensorFlow)."""
        return output, self

    def reduce(self, g: Builder, target: Value, output: Value) -> Value:
        """The scalar loss of a batch."""
        values = self.values(g, target, output)
        total = g.ReduceSum if self.reduction == "sum" else g.ReduceMean
        return total(values, keepdims=0)


def logits_of(graph: Graph, output: Value, loss: Loss, activation: str) -> tuple[Value, Loss]:
    """The input of the activation that made an output, if this operator along the last axis did."""
    node = graph.producers.get(output)
    if getattr(loss, "from_logits", True) or node is None or node.op != activation:
        return output, loss
    if activation == "Softmax" and node.attribute("axis", -1) not in (-1, output.rank - 1):
        return output, loss
    logits = node.inputs[0]
    return (output, loss) if logits is None else (logits, loss.but(from_logits=True))


@LOSSES.register("sparse_categorical_crossentropy")
class SparseCategoricalCrossentropy(Loss):
    """`-log(output[target])`: one of several classes, the target being its number."""

    from_logits: bool = attr(False, doc="Whether the output is logits, not probabilities.")

    def before_activation(self, graph: Graph, output: Value) -> tuple[Value, Loss]:
        return logits_of(graph, output, self, "Softmax")

    def target(self, output: TensorType) -> TensorType:
        require(output.rank >= 2 and output.fixed(-1) > 1, f"needs an output with two classes or more, got {output}")
        return TensorType("int64", output.shape[:-1])

    def values(self, g: Builder, target: Value, output: Value) -> Value:
        classes = output.shape[-1]
        chosen = g.OneHot(target, [classes], g.const([0.0, 1.0]), axis=-1)
        return g.Neg(g.ReduceSum(g.Mul(chosen, g.LogSoftmax(output, axis=-1)), [-1], keepdims=0))


@LOSSES.register("mean_squared_error", "mse", "MSE")
class MeanSquaredError(Loss):
    """`mean((target - output) ** 2)` over the last axis."""

    def values(self, g: Builder, target: Value, output: Value) -> Value:
        difference = g.Sub(target, output)
        return g.ReduceMean(g.Mul(difference, difference), [-1], keepdims=0)
