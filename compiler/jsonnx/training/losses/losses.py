"""Losses, as Keras 3 computes them on JAX; computed from the logits if the output is an activation of logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from ...core.components import Component, Json, Registry, attr
from ...core.types import TensorType, require, shape_text
from ..numerics import EPSILON
from ..output_form import OutputForm

if TYPE_CHECKING:
    from ...ir import Builder, Graph, Value

LOSSES = Registry("loss", "The function that training minimizes.", keras_format="keras.losses.{class_name}")

Reduction = Literal["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum"]

FROM_LOGITS: Mapping[str, Json] = {"from_logits": True}
FROM_LOGITS_DOC = "Whether the output contains logits instead of probabilities."
CATEGORICAL_SMOOTHING_DOC = "Fraction of the target that is distributed evenly over all classes."
MIN_POWER_BASE = 1e-30
"""Lower bound of a probability that is raised to a power below 1, whose derivative at 0 is infinite."""
BINARY_SMOOTHING_DOC = "Fraction of the distance to 1/2 by which targets are moved."


class Loss(Component):
    """Compares an output with its target.

    `target_type` returns the type of the target for an output, and raises ShapeError if the loss does not accept the
    output. `terms` emits values whose mean along `mean_axis` is the loss of a sample, or of a position of a sample
    (`unreduced_losses`); `reduce` combines these losses to a scalar.
    """

    registry = LOSSES
    has_class_targets: ClassVar[bool] = True
    """Whether integers in the target are indices of classes. The output then has one number for each class."""
    takes: ClassVar[OutputForm] = OutputForm.NUMBERS
    """The form of the outputs that the loss compares with targets, unless they are logits."""
    logits_arguments: ClassVar[Mapping[str, Json]] = {}
    """The arguments with which the loss takes logits in place of probabilities."""
    aligns_steps: ClassVar[bool] = False
    """Whether the loss aligns the steps of an output, whose class 0 is a blank, with the target, so that steps in the
    padding change it."""
    has_quantiles: ClassVar[bool] = False
    """Whether the last axis of the output has `quantiles`, and the target lacks it."""
    compares_samples: ClassVar[bool] = False
    """Whether the loss of a sample depends on the other samples of its batch."""
    reduction: Reduction = attr(
        "sum_over_batch_size",
        doc="How the losses of a batch are combined: `sum` adds them; all other values average them.",
    )

    @property
    def output_form(self) -> OutputForm:
        """The form of the outputs."""
        return OutputForm.LOGITS if getattr(self, "from_logits", False) else self.takes

    def target_type(self, output: TensorType) -> TensorType:
        return output

    def point_types(self, output: TensorType) -> tuple[TensorType, TensorType]:
        """The types of the target and of the output that metrics of numbers and classes compare."""
        return self.target_type(output), output

    def point_values(self, g: Builder, target: Value, output: Value) -> tuple[Value, Value]:
        """The target and the output that metrics of numbers and classes compare."""
        return target, output

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        raise NotImplementedError

    @property
    def mean_axis(self) -> int | None:
        """The axis along which terms are averaged to a loss; None if each term is a loss."""
        return -1

    def before_activation(self, graph: Graph, output: Value) -> tuple[Value, Loss]:
        """The value to compare with the target, and the loss for it.

        If the output is an activation whose inverse is part of the loss, these are the logits and the loss with
        `from_logits`, as in Keras on TensorFlow.
        """
        return output, self

    def unreduced_losses(self, g: Builder, target: Value, output: Value) -> Value:
        """One loss for each sample, or for each position of a sample."""
        terms = self.terms(g, target, output)
        return terms if self.mean_axis is None else g.ReduceMean(terms, [self.mean_axis], keepdims=0)

    def loss_axes(self, output: TensorType) -> list[int]:
        """The axes of an output along which there are separate losses."""
        mean_axis = (-1 if self.mean_axis is None else self.mean_axis) % output.rank
        return [axis for axis in range(output.rank) if axis != mean_axis]

    def mixes_samples(self, output: TensorType) -> bool:
        """Whether the loss of a batch of outputs is no mean over samples."""
        return self.compares_samples or self.reduction == "sum" or 0 not in self.loss_axes(output)

    def sample_weight_type(self, output: TensorType) -> TensorType:
        """The type of the weights of an output's losses. Raises ShapeError if the losses are not one for each sample or
        position."""
        axes = self.loss_axes(output)
        message = f"averages over all samples of {output}, and cannot weight each of them"
        require(0 in axes, message, "weights need a loss of each sample: leave them out, or take another loss or axis")
        return TensorType("float32", tuple(output.shape[axis] for axis in axes))

    def check_mask(self, output: TensorType, mask: TensorType) -> None:
        """Raises ShapeError if the loss of an output cannot skip the masked positions."""
        loss_shape = tuple(output.shape[axis] for axis in self.loss_axes(output))
        require(
            mask.shape == loss_shape[: mask.rank],
            f"has losses of shape {shape_text(loss_shape)}, and the mask of the output is {mask}",
            "a layer that drops the mask, such as Flatten or Reshape, makes all positions count",
        )

    def loss_mask(self, g: Builder, target: Value, dtype: str, mask: Value | None) -> Value | None:
        """1 for losses that count, else 0; None if all count."""
        return None if mask is None else g.cast(mask, dtype)

    def reduce(
        self, g: Builder, target: Value, output: Value, mask: Value | None = None, weights: Value | None = None
    ) -> Value:
        """The scalar loss of a batch, over the positions where the mask is true.

        `weights`, of `sample_weight_type`, multiply the losses. As in Keras, the mean is still over the number of
        losses; with the reduction `mean_with_sample_weight`, over the sum of the weights.
        """
        counts = self.loss_mask(g, target, output.dtype, mask)
        if counts is None and weights is None and self.reduction != "sum":
            return g.ReduceMean(self.terms(g, target, output), keepdims=0)  # equal to the mean of the losses
        return reduce_weighted(g, self.unreduced_losses(g, target, output), self.reduction, counts, weights)

    def batch_weight(
        self, g: Builder, target: Value, output: Value, mask: Value | None = None, weights: Value | None = None
    ) -> Value | None:
        """What `reduce` divides the sum over the samples of a batch by; None if it is proportional to their number, or
        if samples interact."""
        if self.mixes_samples(output.type):
            return None
        counts = self.loss_mask(g, target, output.dtype, mask)
        if weights is not None and self.reduction == "mean_with_sample_weight":
            weights = g.cast(weights, output.dtype)
            counts = weights if counts is None else g.Mul(weights, expand_rank(g, counts, weights))
        return None if counts is None else g.ReduceSum(counts, keepdims=0)


def reduce_weighted(
    g: Builder, losses: Value, reduction: Reduction, counts: Value | None, weights: Value | None
) -> Value:
    """The sum or the mean of losses, which weights multiply."""
    if weights is None:
        return reduce_losses(g, losses, reduction, counts)
    weights = g.cast(weights, losses.dtype)
    if reduction == "mean_with_sample_weight":
        return weighted_mean(g, losses, weights if counts is None else g.Mul(weights, expand_rank(g, counts, losses)))
    return reduce_losses(g, g.Mul(losses, weights), reduction, counts)


def reduce_losses(g: Builder, values: Value, reduction: Reduction, counts: Value | None) -> Value:
    """The sum or the mean of losses, which are averaged along axes that `counts` lacks.

    `counts` is 1 for losses that count, else 0; None if all count.
    """
    if counts is None:
        return g.ReduceSum(values, keepdims=0) if reduction == "sum" else g.ReduceMean(values, keepdims=0)
    total = g.ReduceSum(g.Mul(mean_over_trailing_axes(g, values, counts.rank), counts), keepdims=0)
    return total if reduction == "sum" else g.Div(total, g.Max(g.ReduceSum(counts, keepdims=0), 1.0))


def weighted_mean(g: Builder, losses: Value, weights: Value) -> Value:
    """The sum of the weighted losses over the sum of the weights; 0 if that is 0."""
    total = g.ReduceSum(weights, keepdims=0)
    divisor = g.Where(g.Equal(total, 0.0), g.const(1.0, total.dtype), total)
    return g.Div(g.ReduceSum(g.Mul(losses, weights), keepdims=0), divisor)


def expand_rank(g: Builder, x: Value, like: Value) -> Value:
    """The value with axes of size 1 at its end, up to the rank of another."""
    return g.Unsqueeze(x, list(range(x.rank, like.rank))) if x.rank < like.rank else x


def check_output_type(output: TensorType) -> None:
    """Raises ShapeError unless an output contains real numbers, as every loss and metric needs."""
    help = 'convert it with {"type": "ops.cast", "dtype": "float32"}, or give `loss` by output name and leave it out'
    require(output.dtype.startswith("float"), f"needs an output of real numbers, got {output}", help)


def mean_over_trailing_axes(g: Builder, values: Value, rank: int) -> Value:
    """The mean over all axes from `rank` on."""
    return g.ReduceMean(values, list(range(rank, values.rank)), keepdims=0) if values.rank > rank else values


class AxisLoss(Loss):
    """A loss whose terms are averaged along a configurable axis."""

    axis: int = attr(-1, doc="Axis whose elements are averaged to one loss.")

    @property
    def mean_axis(self) -> int | None:
        return self.axis

    def target_type(self, output: TensorType) -> TensorType:
        require(-output.rank <= self.axis < output.rank, f"needs an output with an axis {self.axis}, got {output}")
        return output


def activation_input(graph: Graph, output: Value, activation: str, axis: int = -1) -> Value | None:
    """What an output is the activation of; None if another node computes it, or a Softmax along another axis."""
    node = graph.producers.get(output)
    if node is None or node.op != activation:
        return None
    if activation == "Softmax" and node.attribute("axis", -1) % output.rank != axis % output.rank:
        return None
    return node.inputs[0]


def logits_of(graph: Graph, output: Value, loss: Loss, activation: str, axis: int = -1) -> tuple[Value, Loss]:
    """The logits and the loss with `from_logits`, if the output is this activation (Softmax: along this axis) of them;
    else the output and the loss."""
    logits = None if getattr(loss, "from_logits", True) else activation_input(graph, output, activation, axis)
    return (output, loss) if logits is None else (logits, loss.replace(from_logits=True))


# -- classes -----------------------------------------------------------------------------------------------------------


def log_probabilities(g: Builder, output: Value, axis: int, from_logits: bool) -> Value:
    if from_logits:
        return g.LogSoftmax(output, axis=axis)
    return g.Log(clip_probabilities(g, g.Div(output, g.ReduceSum(output, [axis], keepdims=1))))


def clip_probabilities(g: Builder, probabilities: Value) -> Value:
    return g.Clip(probabilities, EPSILON, 1.0 - EPSILON)


def require_classes(output: TensorType, axis: int) -> None:
    message = f"needs an output with two classes or more on axis {axis % output.rank}, got {output}"
    require(output.static_size(axis) > 1, message, help="for two classes in one number, use binary_crossentropy")


@LOSSES.register("sparse_categorical_crossentropy")
class SparseCategoricalCrossentropy(Loss):
    """Classification, with class indices as targets: the negative logarithm of the probability of the target."""

    formula = """
        p = clip(y_pred / sum(y_pred, axis=-1, keepdims=True), 1e-7, 1 - 1e-7)
        log_p = log_softmax(y_pred) if from_logits else log(p)
        loss = -sum(one_hot(y_true, y_pred.shape[-1]) * log_p, axis=-1)
        loss = where(y_true == ignore_class, 0, loss)
    """
    takes = OutputForm.CLASS_WEIGHTS
    logits_arguments = FROM_LOGITS
    from_logits: bool = attr(False, doc=FROM_LOGITS_DOC)
    ignore_class: int | None = attr(
        None, doc="Class index; positions with this target count neither in the sum nor in the mean."
    )
    axis: int = attr(-1, doc="Axis of the classes; only the last axis is supported.")

    def target_type(self, output: TensorType) -> TensorType:
        require(self.axis in (-1, output.rank - 1), f"needs the classes on the last axis, but axis is {self.axis}")
        require_classes(output, -1)
        return TensorType("int64", output.shape[:-1])

    def check_mask(self, output: TensorType, mask: TensorType) -> None:
        super().check_mask(output, mask)
        message = f"has an ignore_class, and needs a mask of the shape of its losses, {shape_text(output.shape[:-1])}"
        require(self.ignore_class is None or mask.rank == output.rank - 1, f"{message}, got {mask}")

    def before_activation(self, graph: Graph, output: Value) -> tuple[Value, Loss]:
        return logits_of(graph, output, self, "Softmax")

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        classes = output.shape[-1]
        weights = g.OneHot(target, [classes], g.const([0.0, -classes], output.dtype), axis=-1)
        if self.ignore_class is not None:
            weights = g.Mul(weights, g.Unsqueeze(self.class_mask(g, target, output.dtype), [-1]))
        return g.Mul(weights, log_probabilities(g, output, -1, self.from_logits))

    def class_mask(self, g: Builder, target: Value, dtype: str) -> Value:
        """1 where the target is not the ignored class, else 0."""
        return g.cast(g.Not(g.Equal(target, self.ignore_class)), dtype)

    def loss_mask(self, g: Builder, target: Value, dtype: str, mask: Value | None) -> Value | None:
        position_mask = super().loss_mask(g, target, dtype, mask)
        if self.ignore_class is None:
            return position_mask
        class_mask = self.class_mask(g, target, dtype)
        return class_mask if position_mask is None else g.Mul(class_mask, position_mask)


class CategoricalLoss(AxisLoss):
    """Compares class probabilities with the target's class probabilities."""

    takes = OutputForm.CLASS_WEIGHTS
    logits_arguments = FROM_LOGITS
    from_logits: bool = attr(False, doc=FROM_LOGITS_DOC)
    label_smoothing: float = attr(0.0, doc=CATEGORICAL_SMOOTHING_DOC, minimum=0, maximum=1)
    axis: int = attr(-1, doc="Axis of the classes.")

    def target_type(self, output: TensorType) -> TensorType:
        super().target_type(output)
        require_classes(output, self.axis)
        return output

    def smooth_target(self, g: Builder, target: Value, factor: float) -> Value:
        """The smoothed target times a factor and the number of classes, since `mean_axis` divides the sum by that
        number."""
        factor = factor * target.shape[self.axis]
        weight = g.Mul(target, factor * (1.0 - self.label_smoothing))
        return g.Add(weight, factor * self.label_smoothing / target.shape[-1]) if self.label_smoothing else weight


@LOSSES.register("categorical_crossentropy")
class CategoricalCrossentropy(CategoricalLoss):
    """Classification, with class probabilities as targets: their cross-entropy with the output."""

    formula = """
        y_true = y_true * (1 - label_smoothing) + label_smoothing / y_true.shape[-1]
        p = clip(y_pred / sum(y_pred, axis, keepdims=True), 1e-7, 1 - 1e-7)
        log_p = log_softmax(y_pred, axis) if from_logits else log(p)
        loss = -sum(y_true * log_p, axis)
    """

    def before_activation(self, graph: Graph, output: Value) -> tuple[Value, Loss]:
        return logits_of(graph, output, self, "Softmax", self.axis)

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        return g.Mul(self.smooth_target(g, target, -1.0), log_probabilities(g, output, self.axis, self.from_logits))


@LOSSES.register("categorical_focal_crossentropy")
class CategoricalFocalCrossentropy(CategoricalLoss):
    """Categorical cross-entropy with less weight for easy samples (Lin et al., 2018)."""

    formula = """
        y_true = y_true * (1 - label_smoothing) + label_smoothing / y_true.shape[-1]
        p = softmax(y_pred, axis) if from_logits else y_pred / sum(y_pred, axis, keepdims=True)
        p = clip(p, 1e-7, 1 - 1e-7)
        loss = -sum(alpha * (1 - p) ** gamma * y_true * log(p), axis)
    """
    alpha: float = attr(0.25, doc="Factor of the loss.")
    gamma: float = attr(2.0, doc="Focusing exponent: larger values give less weight to easy samples.", minimum=0)

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        output = g.Softmax(output, axis=self.axis) if self.from_logits else output
        output = clip_probabilities(g, g.Div(output, g.ReduceSum(output, [self.axis], keepdims=1)))
        crossentropy = g.Mul(self.smooth_target(g, target, -self.alpha), g.Log(output))
        return g.Mul(g.Pow(g.Sub(1.0, output), self.gamma), crossentropy)


@LOSSES.register("categorical_generalized_cross_entropy")
class CategoricalGeneralizedCrossEntropy(Loss):
    """Classification with noisy labels, with class indices as targets (Zhang and Sabuncu, 2018)."""

    formula = """
        p = sum(one_hot(y_true, y_pred.shape[-1]) * y_pred, axis=-1)
        loss = (1 - p ** q) / q
    """
    takes = OutputForm.CLASS_PROBABILITIES
    q: float = attr(
        0.5,
        doc="Robustness to wrong labels: near 0 like the cross-entropy, near 1 like the absolute error.",
        above=0,
        below=1,
    )

    @property
    def mean_axis(self) -> int | None:
        return None

    def target_type(self, output: TensorType) -> TensorType:
        require_classes(output, -1)
        return TensorType("int64", output.shape[:-1])

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        is_target = g.OneHot(target, [output.shape[-1]], g.const([0.0, 1.0], output.dtype), axis=-1)
        probability = g.ReduceSum(g.Mul(is_target, output), [-1], keepdims=0)
        return g.Div(g.Sub(1.0, g.Pow(g.Max(probability, MIN_POWER_BASE), self.q)), self.q)


class BinaryLoss(AxisLoss):
    """Compares each element, a probability, with a target of 0 or 1."""

    takes = OutputForm.INDEPENDENT_PROBABILITIES
    logits_arguments = FROM_LOGITS
    from_logits: bool = attr(False, doc=FROM_LOGITS_DOC)
    label_smoothing: float = attr(0.0, doc=BINARY_SMOOTHING_DOC, minimum=0, maximum=1)
    axis: int = attr(-1, doc="Axis whose elements are averaged.")

    def smooth_target(self, g: Builder, target: Value) -> Value:
        smoothing = self.label_smoothing
        return g.Add(g.Mul(target, 1.0 - smoothing), 0.5 * smoothing) if smoothing else target

    def crossentropy(self, g: Builder, target: Value, probability: Value) -> Value:
        probability = clip_probabilities(g, probability)
        zeros_term = g.Mul(g.Sub(1.0, target), g.Log(g.Sub(1.0, probability)))
        return g.Neg(g.Add(g.Mul(target, g.Log(probability)), zeros_term))


@LOSSES.register("binary_crossentropy", "bce", "BCE")
class BinaryCrossentropy(BinaryLoss):
    """Mean of the binary cross-entropy over an axis: each element is a yes-or-no question."""

    formula = """
        y_true = y_true * (1 - label_smoothing) + label_smoothing / 2
        p = sigmoid(y_pred) if from_logits else clip(y_pred, 1e-7, 1 - 1e-7)
        loss = mean(-y_true * log(p) - (1 - y_true) * log(1 - p), axis)
    """

    def before_activation(self, graph: Graph, output: Value) -> tuple[Value, Loss]:
        return logits_of(graph, output, self, "Sigmoid")

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        target = self.smooth_target(g, target)
        if self.from_logits:
            return g.Sub(g.Softplus(output), g.Mul(target, output))
        return self.crossentropy(g, target, output)


@LOSSES.register("binary_focal_crossentropy")
class BinaryFocalCrossentropy(BinaryLoss):
    """Binary cross-entropy with less weight for easy elements (Lin et al., 2018)."""

    formula = """
        y_true = y_true * (1 - label_smoothing) + label_smoothing / 2
        p = sigmoid(y_pred) if from_logits else y_pred
        weight = (1 - y_true * p - (1 - y_true) * (1 - p)) ** gamma
        weight *= alpha * y_true + (1 - alpha) * (1 - y_true) if apply_class_balancing else 1
        p = clip(p, 1e-7, 1 - 1e-7)
        loss = mean(weight * (-y_true * log(p) - (1 - y_true) * log(1 - p)), axis)
    """
    apply_class_balancing: bool = attr(
        False, doc="Whether targets of 1 have the weight `alpha` and targets of 0 the weight `1 - alpha`."
    )
    alpha: float = attr(0.25, doc="Weight of targets of 1.")
    gamma: float = attr(2.0, doc="Focusing exponent: larger values give less weight to easy elements.", minimum=0)

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        target = self.smooth_target(g, target)
        output = g.Sigmoid(output) if self.from_logits else output
        zeros_term = g.Mul(g.Sub(1.0, target), g.Sub(1.0, output))
        error = g.Sub(1.0, g.Add(g.Mul(target, output), zeros_term))
        if self.gamma < 1:  # a saturated sigmoid makes it 0
            error = g.Max(error, MIN_POWER_BASE)
        factor = g.Pow(error, self.gamma)
        if self.apply_class_balancing:
            factor = g.Mul(factor, g.Add(g.Mul(target, 2.0 * self.alpha - 1.0), 1.0 - self.alpha))
        return g.Mul(factor, self.crossentropy(g, target, output))


@LOSSES.register("kl_divergence", "kld", "KLD")
class KLDivergence(Loss):
    """Compares probability distributions along the last axis (Kullback and Leibler, 1951)."""

    formula = """
        y_true, y_pred = clip(y_true, 1e-7, 1), clip(y_pred, 1e-7, 1)
        loss = sum(y_true * log(y_true / y_pred), axis=-1)
    """
    takes = OutputForm.CLASS_PROBABILITIES

    def target_type(self, output: TensorType) -> TensorType:
        output.static_size(-1)
        return output

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        target, output = g.Clip(target, EPSILON, 1.0), g.Clip(output, EPSILON, 1.0)
        return g.Mul(g.Mul(target, float(output.shape[-1])), g.Sub(g.Log(target), g.Log(output)))


@LOSSES.register("poisson")
class Poisson(Loss):
    """Negative log-likelihood of counts: targets are counts, outputs their expected values."""

    formula = "loss = mean(y_pred - y_true * log(y_pred + 1e-7), axis=-1)"
    takes = OutputForm.EXPECTED_COUNTS

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        return g.Sub(output, g.Mul(target, g.Log(g.Add(output, EPSILON))))
