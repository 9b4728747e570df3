"""Local response normalization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.components import attr
from ...core.types import TensorType, require
from ..axes import axis_of
from ..base import Layer, layer, require_real

if TYPE_CHECKING:
    import numpy as np

    from ...ir import Builder, Value

MAX_CHANNELS = 4096
"""Channels of the largest input: the matrix of neighbouring channels is a constant in the model."""


@layer
class LocalResponseNormalization(Layer):
    """Divides each channel by a power of the sum of squares over neighbouring channels.

    The neighbours of a channel are the channels at most `depth_radius` away, and the channel itself (Krizhevsky et al.,
    2012). Arguments and defaults are those of `tf.nn.local_response_normalization`. Caffe and PyTorch divide their
    alpha by the number of neighbours, n = 2 depth_radius + 1, which they call `local_size` or `size`: AlexNet and
    Inception-v1 with `local_size` 5, alpha 1e-4 and beta 0.75 have depth_radius 2, alpha 2e-5 and beta 0.75.
    """

    formula = """
        x = moveaxis(x, axis, -1)
        channels = arange(x.shape[-1])
        is_neighbour = abs(channels[:, None] - channels) <= depth_radius
        y = x / (bias + alpha * x ** 2 @ is_neighbour) ** beta
        y = moveaxis(y, -1, axis)
    """
    keras_name = ""
    family = "normalization"
    supports_masking = True

    depth_radius: int = attr(5, doc="Largest distance of neighbouring channels.", minimum=0)
    bias: float = attr(1.0, doc="Number added to the weighted sum of squares.", above=0)
    alpha: float = attr(1.0, doc="Weight of the sum of squares.", minimum=0)
    beta: float = attr(0.5, doc="Exponent of the divisor.")
    axis: int = attr(-1, doc="Channel axis.")

    def infer(self, x: TensorType) -> TensorType:
        require_real(x)
        require(3 <= x.rank <= 5, f"needs a sequence, an image or a volume with channels, got {x}")
        axis = axis_of(x, self.axis)
        require(axis != 0, f"has axis {self.axis} of {x}, which is the batch")
        channels = x.static_size(axis)
        message = f"normalizes at most {MAX_CHANNELS:,} channels, got {channels:,}"
        require(channels <= MAX_CHANNELS, message, code="out-of-range")
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        axis = self.axis % x.rank
        order = [0, axis, *(other for other in range(1, x.rank) if other != axis)]
        x = g.transpose(x, order)
        channels, kernel_rank = x.shape[1], x.rank - 2

        def neighbours() -> np.ndarray:
            import numpy as np

            index = np.arange(channels)
            near = abs(index[:, None] - index) <= self.depth_radius
            return np.reshape(near * self.alpha, (channels, channels, *[1] * kernel_rank))

        # On a CPU, a convolution is two to three times as fast as ONNX' operator LRN, which has no float64 kernel.
        kernel = g.shared_const(
            ("neighbouring channels", channels, kernel_rank, self.depth_radius, self.alpha), neighbours
        )
        divisor = g.Add(g.Conv(g.Mul(x, x), kernel), self.bias)
        y = g.Mul(x, g.Pow(divisor, -self.beta))
        return g.transpose(y, [order.index(other) for other in range(x.rank)])
