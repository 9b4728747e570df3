"""Layers that normalize their input: batch, layer, group, RMS and unit normalization."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING, Any

from ...core.components import Component, attr
from ...core.types import Dim, PaddingMask, Size, TensorType, broadcast, product, rank_help, require, shape_text
from ...training.weights.constraints import Constraint
from ...training.weights.initializers import Initializer, Ones
from ...training.weights.regularizers import Regularizer
from ..axes import Axes, axes_of, axis_of, broadcast_along
from ..base import Layer, layer, require_real
from ..einsum_dense import reshape_symbolic
from .moments import centered_moments, centered_moments_with, divide_by_root_mean_square
from .moving_averages import average_before_step, current_value, update_average

if TYPE_CHECKING:
    import numpy as np

    from ...ir import Builder, Value

MIN_NORM = 1e-12
"""Vectors with a smaller norm are divided by this, as in Keras."""

SYNCHRONIZED = "Statistics across several devices are not supported."


class RenormClipping(Component):
    """Clipping bounds of the batch renormalization correction."""

    has_type_key = False

    rmax: float | None = attr(None, doc="Upper bound of the factor r.")
    rmin: float | None = attr(None, doc="Lower bound of the factor r.")
    dmax: float | None = attr(None, doc="Upper bound of the absolute value of the offset d.", minimum=0)


class SquareRootOf(Initializer):
    """Square root of another initializer's values."""

    of: Initializer = attr(doc="The initializer to take the square root of.")

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        return self.of.sample(shape, rng) ** 0.5


@layer
class BatchNormalization(Layer):
    """Scales each channel to mean 0 and variance 1, then by a trainable factor and summand (Ioffe and Szegedy, 2015).

    In training, mean and variance are computed over the unmasked positions of the batch, and update the moving
    averages. In inference, and if `trainable` is false, the moving averages are used instead.

    With `renorm` (Ioffe, 2017), the batch-normalized x is corrected to `r * x + d` before gamma and beta are applied,
    where `r = s / renorm_stddev`, `d = (mean - renorm_mean) / renorm_stddev` and s is the batch's `sqrt(variance +
    epsilon)`. Both are clipped, and treated as constants by the gradient.
    """

    formula = """
        x = moveaxis(x, axis, -1)
        m, v = moving_mean, moving_variance
        if training and trainable:
            m, v = mean(x, tuple(range(x.ndim - 1))), var(x, tuple(range(x.ndim - 1)))
            moving_mean = momentum * moving_mean + (1 - momentum) * m
            moving_variance = momentum * moving_variance + (1 - momentum) * v
        y = moveaxis(gamma * (x - m) / sqrt(v + epsilon) + beta, -1, axis)
    """
    family = "normalization"
    mixes_samples = True
    supports_masking = True
    reads_masks = True
    mask_argument = True

    axis: int = attr(-1, doc="Channel axis.")
    momentum: float = attr(0.99, doc="Decay of the moving averages: the weight of the old value.")
    epsilon: float = attr(1e-3, doc="Small constant added to the variance.", minimum=0)
    center: bool = attr(True, doc="Whether to add a trainable beta.")
    scale: bool = attr(True, doc="Whether to multiply by a trainable gamma.")
    beta_initializer: Initializer = attr("zeros", doc="Initial value of beta.")
    gamma_initializer: Initializer = attr("ones", doc="Initial value of gamma.")
    moving_mean_initializer: Initializer = attr("zeros", doc="Initial value of the moving mean.")
    moving_variance_initializer: Initializer = attr("ones", doc="Initial value of the moving variance.")
    beta_regularizer: Regularizer | None = attr(None, doc="Penalty on beta.")
    gamma_regularizer: Regularizer | None = attr(None, doc="Penalty on gamma.")
    beta_constraint: Constraint | None = attr(None, doc="Projection of beta after every update.")
    gamma_constraint: Constraint | None = attr(None, doc="Projection of gamma after every update.")
    renorm: bool = attr(False, doc="Whether to use batch renormalization.")
    renorm_clipping: RenormClipping | None = attr(None, doc="Clipping bounds of the renormalization.")
    renorm_momentum: float = attr(0.99, doc="Decay of the moving averages of the renormalization.")
    synchronized: bool = attr(False, doc="Whether to synchronize statistics across devices.", unsupported=SYNCHRONIZED)

    @property
    def has_weights(self) -> bool:
        return self.center or self.scale

    def infer(self, x: TensorType) -> TensorType:
        require_real(x)
        require(x.rank >= 2, f"needs an input of rank 2 or more, got {x}", rank_help(x, 2))
        axis = axis_of(x, self.axis)
        require(axis != 0, f"has axis {self.axis} of {x}, which is the batch")
        x.static_size(axis)
        bounds = self.renorm_clipping
        if bounds is not None and bounds.rmin is not None and bounds.rmax is not None:
            ordered = bounds.rmin <= bounds.rmax
            text = f"has renorm_clipping with rmin {bounds.rmin} above rmax {bounds.rmax}"
            require(ordered, text, code="out-of-range")
        return x

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        x, mask = inputs[0], masks[0]
        fits = mask is None or mask.rank == x.rank - 1 or isinstance(mask, PaddingMask)
        require(fits, f"needs a mask over all axes of {x} but the last, got {mask}")
        return mask

    def lower(self, g: Builder, x: Value, masks: Sequence[Value | None] = (None,)) -> Any:
        return self.normalize(g, x, masks[0])

    def normalize(self, g: Builder, x: Value, mask: Value | None, steps: int = 0) -> Value:
        """Normalizes x; with `steps` 1, each step of [batch, time, ...] by its own statistics, in order of time."""
        axis = self.axis % (x.rank - steps) + steps
        shape = (x.shape[axis],)
        gamma: Value | None = None
        beta: Value | None = None
        if self.scale:
            gamma = g.param("gamma", shape, self.gamma_initializer, self.gamma_regularizer, self.gamma_constraint)
        if self.center:
            beta = g.param("beta", shape, self.beta_initializer, self.beta_regularizer, self.beta_constraint)
        mean = g.state("moving_mean", shape, self.moving_mean_initializer)
        variance = g.state("moving_variance", shape, self.moving_variance_initializer)
        if self.renorm:
            self.renorm_states(g, shape)
        # ONNX' operator expects the channels on axis 1, where batch statistics are also fastest to compute.
        order = [*range(steps + 1), axis, *(other for other in range(steps + 1, x.rank) if other != axis)]
        x = g.transpose(x, order)
        if g.training and g.trainable:
            keep = None if mask is None else g.transpose(g.Unsqueeze(mask, [*range(mask.rank, x.rank)]), order)
            axes = [axis for axis in range(x.rank) if not 1 <= axis <= steps + 1]
            moments = centered_moments(g, x, axes, keep)
            y = self._normalize_by_batch(g, moments, gamma, beta, mean, variance, steps)
        else:
            gamma = g.filled(1.0, shape, x.dtype) if gamma is None else gamma
            beta = g.filled(0.0, shape, x.dtype) if beta is None else beta
            y = g.BatchNormalization(x, gamma, beta, mean, variance, epsilon=self.epsilon)
        return g.transpose(y, [order.index(axis) for axis in range(x.rank)])

    def _normalize_by_batch(
        self,
        g: Builder,
        moments: tuple[Value, Value, Value],
        gamma: Any,
        beta: Any,
        moving_mean: Any,
        moving_variance: Any,
        steps: int,
    ) -> Value:
        """Normalizes by the batch statistics, in primitives: not all providers support BatchNormalization's training.

        Only x - mean, its square, one product and one sum have the size of x.
        """
        mean, centered, variance = moments
        deviation = g.Sqrt(g.Add(variance, self.epsilon))
        gain = g.Reciprocal(deviation)
        shift: Value | None = None
        if self.renorm:
            factor, shift = self._renorm_correction(g, mean, deviation, moving_mean, moving_variance, steps)
            gain = g.Mul(gain, factor)
        else:
            update_average(g, moving_mean, g.reshape(mean, mean.shape[1 : steps + 2]), self.momentum)
            update_average(g, moving_variance, g.reshape(variance, mean.shape[1 : steps + 2]), self.momentum)
        if gamma is not None:
            gamma = broadcast_along(g, gamma, [steps + 1], centered.rank)
            gain = g.Mul(gain, gamma)
            shift = shift if shift is None else g.Mul(shift, gamma)
        if beta is not None:
            beta = broadcast_along(g, beta, [steps + 1], centered.rank)
            shift = beta if shift is None else g.Add(shift, beta)
        y = g.Mul(centered, gain)
        return y if shift is None else g.Add(y, shift)

    def _renorm_correction(
        self, g: Builder, mean: Value, deviation: Value, moving_mean: Any, moving_variance: Any, steps: int
    ) -> tuple[Value, Value]:
        """The factor r and the offset d of renormalization; updates all moving averages."""
        moving_deviation, renorm_mean, renorm_deviation = self.renorm_states(g, moving_mean.shape)
        bounds = self.renorm_clipping or RenormClipping()  # type: ignore[call-arg]
        means, deviations = (g.reshape(x, mean.shape[1 : steps + 2]) for x in (mean, deviation))
        with g.detached():
            average = average_before_step(g, renorm_deviation, deviations, self.renorm_momentum)
            divisor = g.Max(g.reshape(average, deviation.shape), sqrt(self.epsilon))
            factor = g.Div(deviation, divisor)
            average = average_before_step(g, renorm_mean, means, self.renorm_momentum)
            offset = g.Div(g.Sub(mean, g.reshape(average, mean.shape)), divisor)
            factor = factor if bounds.rmin is None else g.Max(factor, bounds.rmin)
            factor = factor if bounds.rmax is None else g.Min(factor, bounds.rmax)
            offset = offset if bounds.dmax is None else g.Clip(offset, -bounds.dmax, bounds.dmax)
        update_average(g, renorm_mean, means, self.renorm_momentum)
        update_average(g, renorm_deviation, deviations, self.renorm_momentum)
        update_average(g, moving_mean, means, self.momentum)
        update_average(g, moving_deviation, deviations, self.momentum)
        new_deviation = current_value(g, moving_deviation)
        g.assign(moving_variance, g.Relu(g.Sub(g.Mul(new_deviation, new_deviation), self.epsilon)))
        return factor, offset

    def renorm_states(self, g: Builder, shape: Any) -> tuple[Any, Any, Any]:
        """The moving deviation for inference, and the mean and deviation for the correction."""
        deviation = SquareRootOf(of=self.moving_variance_initializer)
        return (
            g.state("moving_stddev", shape, deviation),
            g.state("renorm_mean", shape, self.moving_mean_initializer),
            g.state("renorm_stddev", shape, deviation),
        )


@layer
class LayerNormalization(Layer):
    """Scales samples to mean 0 and variance 1 along axes, then by trainable factors and summands (Ba et al., 2016).

    With `rms_scaling`, the mean is not subtracted and there is no beta, regardless of `center` and `scale`.
    """

    formula = """
        centered = x if rms_scaling else x - mean(x, axis, keepdims=True)
        y = gamma * centered / sqrt(var(x, axis, keepdims=True) + epsilon) + beta
    """
    family = "normalization"
    supports_masking = True

    axis: Axes = attr(-1, doc="Axis or list of axes to normalize along, which are also the axes of gamma and beta.")
    epsilon: float = attr(1e-3, doc="Small constant added to the variance.", minimum=0)
    center: bool = attr(True, doc="Whether to add a trainable beta.")
    scale: bool = attr(True, doc="Whether to multiply by a trainable gamma.")
    rms_scaling: bool = attr(False, doc="Whether to scale x without centering it.")
    beta_initializer: Initializer = attr("zeros", doc="Initial value of beta.")
    gamma_initializer: Initializer = attr("ones", doc="Initial value of gamma.")
    beta_regularizer: Regularizer | None = attr(None, doc="Penalty on beta.")
    gamma_regularizer: Regularizer | None = attr(None, doc="Penalty on gamma.")
    beta_constraint: Constraint | None = attr(None, doc="Projection of beta after every update.")
    gamma_constraint: Constraint | None = attr(None, doc="Projection of gamma after every update.")

    @property
    def has_weights(self) -> bool:
        return self.center or self.scale

    def infer(self, x: TensorType) -> TensorType:
        require_real(x)
        axes = axes_of(x, self.axis)
        require(bool(axes), "needs an axis to normalize along, got an empty list")
        for axis in axes:
            x.static_size(axis)
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        axes = axes_of(x.type, self.axis)
        shape = weight_shape(x, self.axis)
        gamma: Value | None = None
        beta: Value | None = None
        if self.scale or self.rms_scaling:
            gamma = g.param("gamma", shape, self.gamma_initializer, self.gamma_regularizer, self.gamma_constraint)
        if self.center and not self.rms_scaling:
            beta = g.param("beta", shape, self.beta_initializer, self.beta_regularizer, self.beta_constraint)
        if self.rms_scaling or axes != list(range(axes[0], x.rank)):
            return self._emit_primitives(g, x, axes, gamma, beta)
        return self._emit_operator(g, x, axes, gamma, beta)

    def _emit_operator(self, g: Builder, x: Value, axes: list[int], gamma: Any, beta: Any) -> Value:
        shape = [x.shape[axis] for axis in axes]
        if gamma is None:
            gamma = g.filled(1.0, shape, x.dtype)
        # onnxruntime 1.32 crashes if the bias is an unnamed (empty) input
        weights = [g.reshape(weight, shape) for weight in (gamma, beta) if weight is not None]
        outputs = 3 if g.training else 1  # plus mean and inverse deviation, for the gradient
        y = g.LayerNormalization(x, *weights, axis=axes[0], epsilon=self.epsilon, outputs=outputs)
        return y[0] if g.training else y

    def _emit_primitives(self, g: Builder, x: Value, axes: list[int], gamma: Any, beta: Any) -> Value:
        shape = [x.shape[axis] if axis in axes else 1 for axis in range(x.rank)]
        _, centered, variance = centered_moments(g, x, axes)
        y = g.Div(x if self.rms_scaling else centered, g.Sqrt(g.Add(variance, self.epsilon)))
        y = y if gamma is None else g.Mul(y, g.reshape(gamma, shape))
        return y if beta is None else g.Add(y, g.reshape(beta, shape))


def weight_shape(x: TensorType | Value, axes: int | Sequence[int]) -> list[Any]:
    """The sizes along the axes, sorted as given: -1 comes before 1, as in Keras."""
    return [x.shape[axis] for axis in ([axes] if isinstance(axes, int) else sorted(axes))]


@layer
class GroupNormalization(Layer):
    """Scales groups of channels to mean 0 and variance 1, then by trainable factors and summands.

    Mean and variance are computed per sample and group, over the group's channels and all other axes (Wu and He, 2018).
    """

    formula = """
        x = moveaxis(x, axis, -1)
        groups = x.shape[-1] if groups == -1 else groups
        grouped = x.reshape(len(x), -1, groups, x.shape[-1] // groups)
        m, v = mean(grouped, (1, 3), keepdims=True), var(grouped, (1, 3), keepdims=True)
        y = gamma * ((grouped - m) / sqrt(v + epsilon)).reshape(x.shape) + beta
        y = moveaxis(y, -1, axis)
    """
    family = "normalization"
    supports_masking = True

    groups: int = attr(32, doc="Number of groups, a divisor of the channels; -1 for one group per channel.", minimum=-1)
    axis: int = attr(-1, doc="Channel axis.")
    epsilon: float = attr(1e-3, doc="Small constant added to the variance.", minimum=0)
    center: bool = attr(True, doc="Whether to add a trainable beta.")
    scale: bool = attr(True, doc="Whether to multiply by a trainable gamma.")
    beta_initializer: Initializer = attr("zeros", doc="Initial value of beta.")
    gamma_initializer: Initializer = attr("ones", doc="Initial value of gamma.")
    beta_regularizer: Regularizer | None = attr(None, doc="Penalty on beta.")
    gamma_regularizer: Regularizer | None = attr(None, doc="Penalty on gamma.")
    beta_constraint: Constraint | None = attr(None, doc="Projection of beta after every update.")
    gamma_constraint: Constraint | None = attr(None, doc="Projection of gamma after every update.")

    @property
    def has_weights(self) -> bool:
        return self.center or self.scale

    def infer(self, x: TensorType) -> TensorType:
        require_real(x)
        require(x.rank >= 2, f"needs an input of rank 2 or more, got {x}", rank_help(x, 2))
        axis = axis_of(x, self.axis)
        require(axis != 0, f"has axis {self.axis} of {x}, which is the batch")
        channels = x.static_size(axis)
        require(self.groups != 0, "cannot have 0 groups", "use -1 for one group per channel", "out-of-range")
        fits = self.groups == -1 or channels % self.groups == 0
        require(fits, f"cannot divide the {channels} channels of {x} into {self.groups} groups")
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        axis, shape = self.axis % x.rank, x.shape
        channels = shape[axis]
        merged, channel = _merge_axes_around(shape, axis)
        rank = len(merged)
        y = reshape_symbolic(g, x, merged, x)
        others = [other for other in range(1, rank) if other != channel]

        def means(x: Value) -> Value:
            return self._group_means(g, g.ReduceMean(x, others, keepdims=1) if others else x, channels)

        _, centered, variance = centered_moments_with(g, y, means)
        gain = g.Reciprocal(g.Sqrt(g.Add(variance, self.epsilon)))

        def by_channel(weight: Value) -> Value:
            return broadcast_along(g, weight, [channel], rank)

        if self.scale:
            gamma = g.param("gamma", (channels,), self.gamma_initializer, self.gamma_regularizer, self.gamma_constraint)
            gain = g.Mul(gain, by_channel(gamma))
        y = g.Mul(centered, gain)
        if self.center:
            beta = g.param("beta", (channels,), self.beta_initializer, self.beta_regularizer, self.beta_constraint)
            y = g.Add(y, by_channel(beta))
        return reshape_symbolic(g, y, shape, x)

    def _group_means(self, g: Builder, x: Value, channels: int) -> Value:
        """Averages per-channel means over each group and repeats the result per channel.

        The result has one element per channel, as broadcasting over groups of adjacent channels is slow in onnxruntime.
        """
        groups = channels if self.groups == -1 else self.groups
        grouped = g.reshape(x, (x.shape[0], groups, channels // groups))
        mean = g.ReduceMean(grouped, [2], keepdims=1)
        return g.reshape(g.refine(g.Expand(mean, g.const([1, 1, channels // groups], "int64")), grouped.shape), x.shape)


def _merge_axes_around(shape: tuple[Dim, ...], axis: int) -> tuple[tuple[Dim, ...], int]:
    """The shape with one axis for all axes between the batch and an axis, and one for all behind it, unless they have
    one element; and where the axis is then. Axes are kept if two of the merged ones have unknown sizes, which a Reshape
    cannot infer.
    """
    before, after = product(shape[1:axis]), product(shape[axis + 1 :])
    if sum(isinstance(size, Size) and size not in shape for size in (before, after)) > 1:
        return shape, axis
    kept_before, kept_after = ((size,) if size != 1 else () for size in (before, after))
    return (shape[0], *kept_before, shape[axis], *kept_after), 1 + len(kept_before)


@layer
class RMSNormalization(Layer):
    """Divides by the root mean square along some axes, then multiplies by trainable factors (Zhang and Sennrich, 2019).

    The trainable scale has the sizes of these axes but is broadcast along the last ones, as in Keras. So an axis other
    than the last works only if its size is 1 or the size of the last axis.
    """

    formula = "y = scale * x / sqrt(mean(x ** 2, axis, keepdims=True) + epsilon)"
    has_weights = True
    family = "normalization"
    keeps_padding = True

    axis: Axes = attr(-1, doc="Axis or list of axes of the mean, which also give the shape of the scale.")
    epsilon: float = attr(1e-6, doc="Small constant added to the mean.", minimum=0)

    def infer(self, x: TensorType) -> TensorType:
        require_real(x)
        axes = axes_of(x, self.axis)
        require(bool(axes), "needs an axis to normalize along, got an empty list")
        for axis in axes:
            x.static_size(axis)
        shape = tuple(weight_shape(x, self.axis))
        require(
            broadcast(x.shape, shape) == x.shape,
            f"has a scale of shape {shape_text(shape)}, which does not broadcast to {x}",
            "normalize along the last axes; use Permute to move others there",
        )
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        scale = g.param("scale", weight_shape(x, self.axis), Ones())
        return g.Mul(divide_by_root_mean_square(g, x, axes_of(x.type, self.axis), self.epsilon), scale)


@layer
class UnitNormalization(Layer):
    """Scales vectors along some axes to L2 norm 1. Zero vectors stay zero."""

    formula = "y = x / maximum(sqrt(sum(x ** 2, axis, keepdims=True)), 1e-12)"
    supports_masking = True

    axis: Axes = attr(-1, doc="Axis or list of axes of the vectors.")

    def infer(self, x: TensorType) -> TensorType:
        require_real(x)
        require(bool(axes_of(x, self.axis)), "needs an axis to normalize along, got an empty list")
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        square = g.ReduceSum(g.Mul(x, x), axes_of(x.type, self.axis), keepdims=1)
        return g.Mul(x, g.Reciprocal(g.Sqrt(g.Max(square, MIN_NORM**2))))
