"""Losses: what training minimises. As Keras 3 computes them on JAX, and on the logits where they are at hand."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Literal

from ..core.components import Component, Registry, attr
from ..core.types import TensorType, require, shape_text

if TYPE_CHECKING:
    from ..ir import Builder, Graph, Value

LOSSES = Registry("loss", "What training minimises.")

Reduction = Literal["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum"]

# Keras keeps probabilities this far from 0 and 1, and norms and divisors this far from 0.
EPSILON = 1e-7

FROM_LOGITS_DOC = "Whether the output is logits, not probabilities."


class Loss(Component):
    """Compares an output with its target.

    `target_type` answers the type that a target must have for an output of some type, and raises ShapeError where the
    output does not suit the loss. `terms` emits numbers whose mean along `mean_axis` is the loss of a sample (or of a
    sample at a position), `unreduced_losses`; `reduce` makes a scalar of them.
    """

    registry = LOSSES
    reduction: Reduction = attr(
        "sum_over_batch_size", doc="How the losses of a batch become one: their `sum`; all others are their mean."
    )

    def target_type(self, output: TensorType) -> TensorType:
        return output

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        raise NotImplementedError

    @property
    def mean_axis(self) -> int | None:
        """The axis along which a sample's terms are averaged; None where every term is a loss."""
        return -1

    def before_activation(self, graph: Graph, output: Value) -> tuple[Value, Loss]:
        """The value to compare and the loss that suits it: the logits, where the output is an activation of them that
        the loss would only undo (as Keras does on TensorFlow)."""
        return output, self

    def unreduced_losses(self, g: Builder, target: Value, output: Value) -> Value:
        """One loss for every sample, or sample and position."""
        terms = self.terms(g, target, output)
        return terms if self.mean_axis is None else g.ReduceMean(terms, [self.mean_axis], keepdims=0)

    def check_mask(self, output: TensorType, mask: TensorType) -> None:
        """ShapeError where the loss of an output cannot leave out places."""
        within = (-1 if self.mean_axis is None else self.mean_axis) % output.rank
        losses = tuple(size for axis, size in enumerate(output.shape) if axis != within)
        require(
            mask.shape == losses[: mask.rank],
            f"has losses of shape {shape_text(losses)}, and the mask beside the output is {mask}",
            "a layer that ends the mask, such as Flatten or Reshape, makes all places count",
        )

    def loss_mask(self, g: Builder, target: Value, dtype: str, mask: Value | None) -> Value | None:
        """1 for the losses that count, else 0; None where all do."""
        return None if mask is None else g.cast(mask, dtype)

    def reduce(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        """The scalar loss of a batch, or of those of its places where a mask is true."""
        counted = self.loss_mask(g, target, output.dtype, mask)
        if counted is None and self.reduction != "sum":
            return g.ReduceMean(self.terms(g, target, output), keepdims=0)  # the mean of means of equally many
        values = self.unreduced_losses(g, target, output)
        if counted is None:
            return g.ReduceSum(values, keepdims=0)
        total = g.ReduceSum(g.Mul(mean_over_trailing_axes(g, values, counted.rank), counted), keepdims=0)
        return total if self.reduction == "sum" else g.Div(total, g.Max(g.ReduceSum(counted, keepdims=0), 1.0))


def mean_over_trailing_axes(g: Builder, values: Value, rank: int) -> Value:
    """The means of values over all axes from `rank` on."""
    return g.ReduceMean(values, list(range(rank, values.rank)), keepdims=0) if values.rank > rank else values


class AxisLoss(Loss):
    """A loss whose terms are averaged along an axis of choice."""

    axis: int = attr(-1, doc="Axis whose elements make one loss.")

    @property
    def mean_axis(self) -> int | None:
        return self.axis

    def target_type(self, output: TensorType) -> TensorType:
        require(-output.rank <= self.axis < output.rank, f"needs an output with an axis {self.axis}, got {output}")
        return output


def logits_of(graph: Graph, output: Value, loss: Loss, activation: str, axis: int = -1) -> tuple[Value, Loss]:
    """The input of the activation that made an output, if this operator (Softmax along this axis) did."""
    node = graph.producers.get(output)
    if getattr(loss, "from_logits", True) or node is None or node.op != activation or node.inputs[0] is None:
        return output, loss
    if activation == "Softmax" and node.attribute("axis", -1) % output.rank != axis % output.rank:
        return output, loss
    return node.inputs[0], loss.replace(from_logits=True)


# -- classes -----------------------------------------------------------------------------------------------------------


def log_probabilities(g: Builder, output: Value, axis: int, from_logits: bool) -> Value:
    if from_logits:
        return g.LogSoftmax(output, axis=axis)
    return g.Log(clip_probabilities(g, g.Div(output, g.ReduceSum(output, [axis], keepdims=1))))


def clip_probabilities(g: Builder, probabilities: Value) -> Value:
    return g.Clip(probabilities, EPSILON, 1.0 - EPSILON)


def require_classes(output: TensorType, axis: int) -> None:
    message = f"needs an output with two classes or more on axis {axis % output.rank}, got {output}"
    require(output.static_size(axis) > 1, message, help="for two classes in one number take binary_crossentropy")


@LOSSES.register("sparse_categorical_crossentropy")
class SparseCategoricalCrossentropy(Loss):
    """`-log(output[target])`: one of several classes, the target being its number."""

    from_logits: bool = attr(False, doc=FROM_LOGITS_DOC)
    ignore_class: int | None = attr(None, doc="Class number whose positions count neither in the sum nor in the mean.")
    axis: int = attr(-1, doc="Axis of the classes; the last one.")

    def target_type(self, output: TensorType) -> TensorType:
        require(self.axis in (-1, output.rank - 1), f"needs the classes on the last axis, axis is {self.axis}")
        require_classes(output, -1)
        return TensorType("int64", output.shape[:-1])

    def before_activation(self, graph: Graph, output: Value) -> tuple[Value, Loss]:
        return logits_of(graph, output, self, "Softmax")

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        classes = output.shape[-1]
        chosen = g.OneHot(target, [classes], g.const([0.0, -classes], output.dtype), axis=-1)
        if self.ignore_class is not None:
            chosen = g.Mul(chosen, g.Unsqueeze(self.class_mask(g, target, output.dtype), [-1]))
        return g.Mul(chosen, log_probabilities(g, output, -1, self.from_logits))

    def class_mask(self, g: Builder, target: Value, dtype: str) -> Value:
        """1 where the target is of a class that counts, else 0."""
        return g.cast(g.Not(g.Equal(target, self.ignore_class)), dtype)

    def loss_mask(self, g: Builder, target: Value, dtype: str, mask: Value | None) -> Value | None:
        masked = super().loss_mask(g, target, dtype, mask)
        if self.ignore_class is None:
            return masked
        of_class = self.class_mask(g, target, dtype)
        return of_class if masked is None else g.Mul(of_class, masked)


class CategoricalLoss(AxisLoss):
    """Compares probabilities of classes with those that the target gives them."""

    from_logits: bool = attr(False, doc=FROM_LOGITS_DOC)
    label_smoothing: float = attr(0.0, doc="Share of the target spread evenly over all classes.", minimum=0, maximum=1)
    axis: int = attr(-1, doc="Axis of the classes.")

    def target_type(self, output: TensorType) -> TensorType:
        super().target_type(output)
        require_classes(output, self.axis)
        return output

    def smooth_target(self, g: Builder, target: Value, factor: float) -> Value:
        """The target, smoothed, times a factor and the number of classes: terms are to be added up, not averaged."""
        factor = factor * target.shape[self.axis]
        weight = g.Mul(target, factor * (1.0 - self.label_smoothing))
        return g.Add(weight, factor * self.label_smoothing / target.shape[-1]) if self.label_smoothing else weight


@LOSSES.register("categorical_crossentropy")
class CategoricalCrossentropy(CategoricalLoss):
    """`-sum(target * log(output))` over the classes, the target being their probabilities."""

    def before_activation(self, graph: Graph, output: Value) -> tuple[Value, Loss]:
        return logits_of(graph, output, self, "Softmax", self.axis)

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        return g.Mul(self.smooth_target(g, target, -1.0), log_probabilities(g, output, self.axis, self.from_logits))


@LOSSES.register("categorical_focal_crossentropy")
class CategoricalFocalCrossentropy(CategoricalLoss):
    """Categorical cross-entropy times `alpha * (1 - output) ** gamma` (Lin et al., 2018)."""

    alpha: float = attr(0.25, doc="Factor on all classes.")
    gamma: float = attr(2.0, doc="How strongly easy samples are played down.", minimum=0)

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        output = g.Softmax(output, axis=self.axis) if self.from_logits else output
        output = clip_probabilities(g, g.Div(output, g.ReduceSum(output, [self.axis], keepdims=1)))
        crossentropy = g.Mul(self.smooth_target(g, target, -self.alpha), g.Log(output))
        return g.Mul(g.Pow(g.Sub(1.0, output), self.gamma), crossentropy)


class BinaryLoss(AxisLoss):
    """Compares a probability with a target of 0 or 1, for each element."""

    from_logits: bool = attr(False, doc=FROM_LOGITS_DOC)
    label_smoothing: float = attr(0.0, doc="How far targets are drawn towards 1/2.", minimum=0, maximum=1)
    axis: int = attr(-1, doc="Axis whose elements are averaged.")

    def smooth_target(self, g: Builder, target: Value) -> Value:
        share = self.label_smoothing
        return g.Add(g.Mul(target, 1.0 - share), 0.5 * share) if share else target

    def crossentropy(self, g: Builder, target: Value, probability: Value) -> Value:
        probability = clip_probabilities(g, probability)
        missed = g.Mul(g.Sub(1.0, target), g.Log(g.Sub(1.0, probability)))
        return g.Neg(g.Add(g.Mul(target, g.Log(probability)), missed))


@LOSSES.register("binary_crossentropy", "bce", "BCE")
class BinaryCrossentropy(BinaryLoss):
    """`mean(-target * log(output) - (1 - target) * log(1 - output))` over an axis: yes or no, for each element."""

    def before_activation(self, graph: Graph, output: Value) -> tuple[Value, Loss]:
        return logits_of(graph, output, self, "Sigmoid")

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        target = self.smooth_target(g, target)
        if self.from_logits:
            return g.Sub(g.Softplus(output), g.Mul(target, output))
        return self.crossentropy(g, target, output)


MIN_FOCAL_BASE = 1e-30
"""The least `1 - p` that is raised to a power below 1: what stands beside it, a cross-entropy, is 1e-7 there."""


@LOSSES.register("binary_focal_crossentropy")
class BinaryFocalCrossentropy(BinaryLoss):
    """Binary cross-entropy times `(1 - p) ** gamma`, p the probability given to the truth (Lin et al., 2018)."""

    apply_class_balancing: bool = attr(False, doc="Whether to weight ones by `alpha` and zeros by `1 - alpha`.")
    alpha: float = attr(0.25, doc="Weight of the ones.")
    gamma: float = attr(2.0, doc="How strongly easy elements are played down.", minimum=0)

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        target = self.smooth_target(g, target)
        output = g.Sigmoid(output) if self.from_logits else output
        missed = g.Mul(g.Sub(1.0, target), g.Sub(1.0, output))
        doubt = g.Sub(1.0, g.Add(g.Mul(target, output), missed))
        if self.gamma < 1:  # where a sigmoid saturates there is none, and a root of that has no slope
            doubt = g.Max(doubt, MIN_FOCAL_BASE)
        factor = g.Pow(doubt, self.gamma)
        if self.apply_class_balancing:
            factor = g.Mul(factor, g.Add(g.Mul(target, 2.0 * self.alpha - 1.0), 1.0 - self.alpha))
        return g.Mul(factor, self.crossentropy(g, target, output))


@LOSSES.register("kl_divergence", "kld", "KLD")
class KLDivergence(Loss):
    """`sum(target * log(target / output))` over the last axis, of probabilities."""

    def target_type(self, output: TensorType) -> TensorType:
        output.static_size(-1)
        return output

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        target, output = g.Clip(target, EPSILON, 1.0), g.Clip(output, EPSILON, 1.0)
        return g.Mul(g.Mul(target, float(output.shape[-1])), g.Sub(g.Log(target), g.Log(output)))


@LOSSES.register("poisson")
class Poisson(Loss):
    """`mean(output - target * log(output))`: the target counts events whose expected number is the output."""

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        return g.Sub(output, g.Mul(target, g.Log(g.Add(output, EPSILON))))


# -- numbers -----------------------------------------------------------------------------------------------------------


@LOSSES.register("mean_squared_error", "mse", "MSE")
class MeanSquaredError(Loss):
    """`mean((target - output) ** 2)` over the last axis."""

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        error = g.Sub(output, target)
        return g.Mul(error, error)


@LOSSES.register("mean_absolute_error", "mae", "MAE")
class MeanAbsoluteError(Loss):
    """`mean(|target - output|)` over the last axis."""

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        return g.Abs(g.Sub(output, target))


@LOSSES.register("mean_absolute_percentage_error", "mape", "MAPE")
class MeanAbsolutePercentageError(Loss):
    """`100 * mean(|(target - output) / target|)` over the last axis."""

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        share = g.Div(100.0, g.Max(g.Abs(target), EPSILON))
        return g.Mul(g.Abs(g.Sub(output, target)), share)


@LOSSES.register("mean_squared_logarithmic_error", "msle", "MSLE")
class MeanSquaredLogarithmicError(Loss):
    """`mean((log(1 + target) - log(1 + output)) ** 2)` over the last axis."""

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        logs = [g.Log(g.Add(g.Max(x, EPSILON), 1.0)) for x in (output, target)]
        error = g.Sub(*logs)
        return g.Mul(error, error)


@LOSSES.register("huber")
class Huber(Loss):
    """Half the squared error up to `delta`, and linear beyond, meaned over the last axis."""

    delta: float = attr(1.0, doc="Error at which the loss becomes linear.", minimum=0)

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        """With c the error cut off at delta: c * (error - c / 2) is both branches at once."""
        error = g.Sub(output, target)
        cut = g.Clip(error, -self.delta, self.delta)
        return g.Mul(cut, g.Sub(error, g.Mul(cut, 0.5)))


@LOSSES.register("log_cosh")
class LogCosh(Loss):
    """`mean(log(cosh(target - output)))` over the last axis."""

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        error = g.Sub(output, target)
        return g.Sub(g.Add(error, g.Softplus(g.Mul(error, -2.0))), log(2.0))


@LOSSES.register("cosine_similarity")
class CosineSimilarity(AxisLoss):
    """The cosine of the angle between target and output, negated, so that the least loss is agreement."""

    axis: int = attr(-1, doc="Axis of the vectors.")

    def target_type(self, output: TensorType) -> TensorType:
        super().target_type(output).static_size(self.axis)
        return output

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        scaled = g.Mul(unit_vectors(g, target, self.axis), -float(output.shape[self.axis]))
        return g.Mul(scaled, unit_vectors(g, output, self.axis))


def unit_vectors(g: Builder, x: Value, axis: int) -> Value:
    """Vectors scaled to norm one; zero stays zero."""
    squares = g.ReduceSum(g.Mul(x, x), [axis], keepdims=1)
    return g.Mul(x, g.Reciprocal(g.Sqrt(g.Max(squares, EPSILON**2))))
