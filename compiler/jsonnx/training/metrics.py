"""Metrics: what is reported, summed over batches exactly.

A metric emits additive statistics of a batch, a vector; the host adds them up over an epoch in float64 and makes one
number of the totals. So a metric over unequal batches is that over all their samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..bricks import Brick, Family

if TYPE_CHECKING:
    from ..graph import Builder, Value
    from .losses import Loss

METRICS = Family("metric", "What is reported beside the loss.")


class Metric(Brick):
    family = METRICS

    def resolve(self, loss: Loss, output: Any) -> Metric:
        """The metric that is meant, given the loss and the type of the output; itself, unless it is a short name."""
        return self

    def statistics(self, g: Builder, target: Value, output: Value) -> Value:
        """A float32 vector that adds up over batches."""
        raise NotImplementedError

    def result(self, totals: Any) -> float:
        """The number that the summed statistics stand for."""
        return float(totals[0] / totals[1])


def sum_and_count(g: Builder, values: Value) -> Value:
    """`[sum, number]` of all elements."""
    total = g.Reshape(g.ReduceSum(values, keepdims=0), [1])
    return g.Concat(total, g.Reshape(g.cast(g.Size(values), values.dtype), [1]), axis=0)


@METRICS.register("sparse_categorical_accuracy")
class SparseCategoricalAccuracy(Metric):
    """Share of samples whose likeliest class is the target."""

    def statistics(self, g: Builder, target: Value, output: Value) -> Value:
        hit = g.Equal(g.ArgMax(output, axis=-1, keepdims=0), target)
        return sum_and_count(g, g.cast(hit, "float32"))


@METRICS.register("accuracy", "acc")
class Accuracy(Metric):
    """Share of correct predictions: sparse, categorical or binary, as the loss is."""

    def resolve(self, loss: Loss, output: Any) -> Metric:
        return SparseCategoricalAccuracy()
