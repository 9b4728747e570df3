"""Connectionist temporal classification: a loop over time, in the logarithms of probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...core.types import Size, TensorType, require, shape_text
from ..output_form import OutputForm
from .losses import LOSSES, Loss

if TYPE_CHECKING:
    from ...ir import Builder, Value

BLANK = 0
"""The class of the blank, which also pads targets."""
LOG_ZERO = -1e5
"""The logarithm of a probability of 0, as in Keras."""


@LOSSES.register("ctc")
class CTC(Loss):
    """Sequences of classes without alignment to the steps of the output, which are logits (Graves et al., 2006).

    Class 0 is the blank. Targets are class indices, padded with 0 at the end. Masked steps count as blanks that are
    certain, which changes nothing behind the end of a sequence.
    """

    formula = """
        def labels(path):
            return [label for label, repeats in groupby(path) if label != 0]

        def probability(p, target):  # of all paths with these labels: one class for each step
            paths = product(range(classes), repeat=steps)
            return sum([prod(p[range(steps), path]) for path in paths if labels(path) == target])

        batch, steps, classes = y_pred.shape
        p = softmax(y_pred)
        targets = [[label for label in y_true[i] if label != 0] for i in range(batch)]
        loss = -log([probability(p[i], targets[i]) for i in range(batch)])
    """
    takes = OutputForm.LOGITS
    aligns_steps = True

    @property
    def mean_axis(self) -> int | None:
        return None

    def target_type(self, output: TensorType) -> TensorType:
        require(output.rank == 3, f"needs an output [steps, classes] for each sample, got {output}")
        require(output.static_size(-1) > 1, f"needs a blank and another class on the last axis, got {output}")
        return TensorType("int64", (output.shape[0], Size.named("labels")))

    def check_mask(self, output: TensorType, mask: TensorType) -> None:
        message = f"needs a mask of the steps, {shape_text(output.shape[:2])}, got {mask}"
        require(mask.shape == output.shape[:2], message)

    def reduce(
        self, g: Builder, target: Value, output: Value, mask: Value | None = None, weights: Value | None = None
    ) -> Value:
        if mask is not None:
            certain_blank = [0.0 if index == BLANK else LOG_ZERO for index in range(output.shape[-1])]
            output = g.Where(g.Unsqueeze(mask, [2]), output, g.const(certain_blank, output.dtype))
        return super().reduce(g, target, output, None, weights)

    def batch_weight(
        self, g: Builder, target: Value, output: Value, mask: Value | None = None, weights: Value | None = None
    ) -> Value | None:
        return super().batch_weight(g, target, output, None, weights)

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        """The total probability of all alignments.

        `blank` is the probability, after some steps, that the labels so far are complete and a blank follows, for 1, 2,
        ... labels; `no_label` is the same for none; `label` is the probability that the last step belongs to a label.
        """
        blank_log, label_log = self.step_probabilities(g, target, output)
        is_repeated = self.repeats(g, target, output.dtype)
        # A label that equals the one before it needs a blank in between, all others may follow at once.
        to_blank, to_label = g.Mul(is_repeated, LOG_ZERO), g.Mul(g.Sub(1.0, is_repeated), LOG_ZERO)

        def step(g: Builder, states: Sequence[Value], slices: Sequence[Value]) -> tuple[list[Value], list[Value]]:
            (no_label, blank, label), (blank_log, label_log) = states, slices
            blank = log_add(g, blank, g.Add(label, to_blank))
            before = g.Concat(no_label, g.Slice(blank, [0], [-1], [1]), axis=1)
            next_label = g.Add(log_add(g, g.refine(before, label.shape), label), label_log)
            next_blank = g.Add(log_add(g, blank, g.Add(label, to_label)), blank_log)
            return [g.Add(no_label, blank_log), next_blank, next_label], []

        shape = g.Shape(target)
        zeros = g.refine(g.full(LOG_ZERO, shape, output.dtype), target.shape)
        one = g.refine(g.full(0.0, g.sizes((target.shape[0], 1), target), output.dtype), (target.shape[0], 1))
        (no_label, blank, label), _ = g.loop(step, [one, zeros, zeros], [blank_log, label_log])
        return g.Neg(self.total(g, target, no_label, log_add(g, blank, label)))

    def step_probabilities(self, g: Builder, target: Value, output: Value) -> tuple[Value, Value]:
        """The log probabilities of the blank [steps, batch, 1] and of the labels [steps, batch, labels]."""
        logs = g.LogSoftmax(output, axis=-1)
        is_class = g.OneHot(target, [output.shape[-1]], g.const([0.0, 1.0], output.dtype), axis=1)
        parts = g.Slice(logs, [BLANK], [BLANK + 1], [2]), g.MatMul(logs, is_class)
        blank, labels = (g.Transpose(part, perm=[1, 0, 2]) for part in parts)
        return blank, labels

    @staticmethod
    def repeats(g: Builder, target: Value, dtype: str) -> Value:
        """1 where the next label is the same, else 0."""
        following = g.Concat(g.Slice(target, [1], [1 << 31], [1]), g.Mul(g.Slice(target, [0], [1], [1]), 0), axis=1)
        return g.cast(g.Equal(target, g.refine(following, target.shape)), dtype)

    @staticmethod
    def total(g: Builder, target: Value, no_label: Value, complete: Value) -> Value:
        """The logarithm of the probability of a sample's first 1, 2, ... labels."""
        is_label = g.cast(g.Not(g.Equal(target, BLANK)), "int64")
        count = g.ReduceSum(is_label, [1], keepdims=1)
        position = g.CumSum(g.Add(g.Mul(target, 0), 1), 1)
        selected = g.Mul(complete, g.cast(g.Equal(position, count), complete.dtype))
        empty = g.Mul(no_label, g.cast(g.Equal(count, 0), complete.dtype))
        return g.Add(g.ReduceSum(selected, [1], keepdims=0), g.ReduceSum(empty, [1], keepdims=0))


def log_add(g: Builder, x: Value, y: Value) -> Value:
    """`log(exp(x) + exp(y))`, from the greater one, so that it is as precise as that one."""
    difference = g.Sub(y, x)
    is_greater = g.Greater(difference, 0.0)
    return g.Add(g.Where(is_greater, y, x), g.Softplus(g.Where(is_greater, g.Neg(difference), difference)))
