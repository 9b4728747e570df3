"""Knowledge distillation: the difference of an output from that of a teacher (Hinton et al., 2015)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from ..output_form import OutputForm
from .losses import Loss, activation_input, clip_probabilities, reduce_weighted

if TYPE_CHECKING:
    from ...ir import Builder, Graph, Value

Comparison = Literal["classes", "labels", "numbers"]
"""How an output is compared with the teacher's: as logits of classes that exclude one another, as logits of independent
labels, or as numbers."""

COMPARISONS: dict[OutputForm, Comparison] = {
    OutputForm.CLASS_WEIGHTS: "classes",
    OutputForm.CLASS_PROBABILITIES: "classes",
    OutputForm.INDEPENDENT_PROBABILITIES: "labels",
}
"""The comparisons of outputs by the form that their loss takes; others are compared as numbers."""


def comparison(loss: Loss) -> Comparison:
    """How an output with a loss is compared with the teacher's."""
    return COMPARISONS.get(loss.takes, "numbers")


class Distillation(NamedTuple):
    """What a network learns from the outputs of its teacher."""

    temperature: float
    alpha: float
    """The weight of the loss on the targets."""
    outputs: frozenset[str]
    """The outputs that are compared with the teacher's."""

    def loss(
        self,
        g: Builder,
        loss: Loss,
        target_loss: Value,
        differences: Value,
        target: Value,
        mask: Value | None = None,
        weights: Value | None = None,
    ) -> Value:
        """The loss of an output, from its loss on the targets and its differences from the teacher.

        The differences are reduced as the losses on the targets are, with the same mask and the same weights.
        """
        counts = loss.loss_mask(g, target, differences.dtype, mask)
        teacher_loss = reduce_weighted(g, differences, loss.reduction, counts, weights)
        return g.Add(g.Mul(target_loss, self.alpha), g.Mul(teacher_loss, 1.0 - self.alpha))

    def differences(self, g: Builder, graph: Graph, loss: Loss, output: Value, teacher: Value) -> Value:
        """The differences of the logits of classes or labels from the teacher's: one for each loss on the targets.

        They are the Kullback-Leibler divergences of the probabilities that the logits divided by the temperature give,
        times the square of the temperature, which keeps the size of the gradients.
        """
        scale = 1.0 / self.temperature
        if comparison(loss) == "classes":
            axis = getattr(loss, "axis", -1)
            own = _class_logits(g, graph, loss, output, axis)
            log_p, log_q = (g.LogSoftmax(g.Mul(logits, scale), axis=axis) for logits in (teacher, own))
            divergence = g.ReduceSum(g.Mul(g.Exp(log_p), g.Sub(log_p, log_q)), [axis], keepdims=0)
        else:
            t, s = (g.Mul(logits, scale) for logits in (teacher, _label_logits(g, graph, loss, output)))
            terms = g.Add(g.Mul(g.Sigmoid(t), g.Sub(t, s)), g.Sub(g.Softplus(s), g.Softplus(t)))
            divergence = g.ReduceMean(terms, [_mean_axis(loss)], keepdims=0)
        return g.Mul(divergence, self.temperature**2)


def squared_differences(g: Builder, loss: Loss, output: Value, teacher: Value) -> Value:
    """The mean squared differences of numbers from the teacher's: one for each loss on the targets."""
    difference = g.Sub(output, teacher)
    return g.ReduceMean(g.Mul(difference, difference), [_mean_axis(loss)], keepdims=0)


def _mean_axis(loss: Loss) -> int:
    return -1 if loss.mean_axis is None else loss.mean_axis


def _has_logits(loss: Loss) -> bool:
    return bool(getattr(loss, "from_logits", False))


def _class_logits(g: Builder, graph: Graph, loss: Loss, output: Value, axis: int) -> Value:
    """The logits of an output of classes: what its softmax is computed from, or else the logarithms."""
    logits = output if _has_logits(loss) else activation_input(graph, output, "Softmax", axis)
    return g.Log(clip_probabilities(g, output)) if logits is None else logits


def _label_logits(g: Builder, graph: Graph, loss: Loss, output: Value) -> Value:
    """The logits of an output of labels: what its sigmoid is computed from, or else the logarithms of the odds."""
    logits = output if _has_logits(loss) else activation_input(graph, output, "Sigmoid")
    if logits is not None:
        return logits
    probability = clip_probabilities(g, output)
    return g.Sub(g.Log(probability), g.Log(g.Sub(1.0, probability)))
