"""The circle loss, which compares the samples of a batch with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.components import attr
from ...core.types import TensorType, require
from ..output_form import OutputForm
from .losses import LOSSES, Loss, reduce_weighted

if TYPE_CHECKING:
    from ...ir import Builder, Value

EXCLUDED = -1e9
"""The exponent of a pair that a sum of exponentials leaves out."""


@LOSSES.register("circle")
class Circle(Loss):
    """Metric learning: embeddings of norm 1 of one class come closer, embeddings of different classes move apart (Sun
    et al., 2020). Targets are class indices. Samples whose loss is 0 do not count in the mean."""

    formula = """
        distance, same = maximum(1 - y_pred @ y_pred.T, 0), y_true[:, None] == y_true
        pairs = same & ~eye(len(same), dtype=bool) if remove_diagonal else same
        positive = gamma * maximum(distance + margin, 0) * (distance - margin)
        negative = gamma * maximum(1 + margin - distance, 0) * (1 - margin - distance)
        attraction = logsumexp(where(pairs, positive, -1e9), axis=1)
        repulsion = logsumexp(where(same, -1e9, negative), axis=1)
        loss = softplus(attraction + repulsion)
    """
    compares_samples = True
    has_class_targets = False
    takes = OutputForm.UNIT_VECTORS
    gamma: float = attr(80.0, doc="Scale of the similarities.", above=0)
    margin: float = attr(0.4, doc="Distance below which pairs of one class count less, and others more.")
    remove_diagonal: bool = attr(True, doc="Whether a sample is not compared with itself.")

    @property
    def mean_axis(self) -> int | None:
        return None

    def target_type(self, output: TensorType) -> TensorType:
        help = "end with a Dense layer without activation, and a UnitNormalization"
        require(output.rank == 2, f"needs one embedding for each sample, got {output}", help)
        output.static_size(1)
        return TensorType("int64", output.shape[:1])

    def check_mask(self, output: TensorType, mask: TensorType) -> None:
        require(False, f"compares samples, and cannot skip those that a mask excludes, {mask}")

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        distance = g.Relu(g.Sub(1.0, g.MatMul(output, g.Transpose(output, perm=[1, 0]))))
        is_same = g.Equal(g.Unsqueeze(target, [1]), g.Unsqueeze(target, [0]))
        is_other = g.Not(is_same)
        if self.remove_diagonal:
            is_same = g.And(is_same, g.Not(g.cast(g.EyeLike(distance), "bool")))
        positive = g.Mul(g.Relu(g.Add(distance, self.margin)), g.Sub(distance, self.margin))
        negative = g.Mul(g.Relu(g.Sub(1.0 + self.margin, distance)), g.Sub(1.0 - self.margin, distance))
        terms = (self.exponent_sum(g, is_same, positive), self.exponent_sum(g, is_other, negative))
        return g.Softplus(g.Add(*terms))

    def exponent_sum(self, g: Builder, is_included: Value, similarity: Value) -> Value:
        """The logarithm of the sum of the exponentials of some similarities, for each sample."""
        exponents = g.Where(is_included, g.Mul(similarity, self.gamma), g.const(EXCLUDED, similarity.dtype))
        return g.ReduceLogSumExp(exponents, [1], keepdims=0)

    def reduce(
        self, g: Builder, target: Value, output: Value, mask: Value | None = None, weights: Value | None = None
    ) -> Value:
        losses = self.unreduced_losses(g, target, output)
        return reduce_weighted(g, losses, self.reduction, g.cast(g.Greater(losses, 0.0), losses.dtype), weights)

    def batch_weight(
        self, g: Builder, target: Value, output: Value, mask: Value | None = None, weights: Value | None = None
    ) -> Value | None:
        return None
