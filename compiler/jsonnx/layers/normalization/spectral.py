"""A layer whose weight is divided by its greatest singular value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.components import attr, snake_case
from ...core.types import TensorType, require
from ...training.initializers import TruncatedNormal
from ..base import Layer, layer, penalize
from ..convolution.convolution import KernelConv
from ..core import Dense, Embedding, ReversibleEmbedding
from ..einsum_dense import EinsumDense

if TYPE_CHECKING:
    from ...ir import Builder, Parameter, Value

EPSILON = 1e-7
"""The least norm that a vector is divided by: Keras' `backend.epsilon()`."""


@layer
class SpectralNormalization(Layer):
    """A layer that in training computes with `kernel / sigma`, sigma being the kernel's greatest singular value.

    Of the kernel W as a matrix [..., last axis], sigma is `v W u^T`, where `v = u W^T / |u W^T|` and
    `u = v W / |v W|` are repeated from the u of the step before, the state `vector_u`; both count as constants in
    the gradient. In inference the kernel is what was trained, undivided, as in Keras on JAX. Miyato et al., 2018.
    """

    mixes_samples = True

    layer: Layer = attr(doc="The layer, one with a `kernel` or with `embeddings`.")
    power_iterations: int = attr(1, doc="How often u and v are repeated at a step.", minimum=1, maximum=1000)

    @property
    def weight_name(self) -> str | None:
        """The name of the weight that is divided."""
        if isinstance(self.layer, (Dense, EinsumDense, KernelConv)):
            return "kernel"
        return "embeddings" if isinstance(self.layer, (Embedding, ReversibleEmbedding)) else None

    def infer(self, x: TensorType) -> TensorType:
        inner = self.layer
        help = "Dense, EinsumDense, Embedding, Conv1D to Conv3D and Conv1DTranspose to Conv3DTranspose have one"
        message = f"goes around a layer with a kernel or embeddings, not {inner.type_name}"
        require(self.weight_name is not None, message, help, "unsupported-argument")
        y = inner.infer(x)
        assert isinstance(y, TensorType)
        return y.with_dtype(x.dtype)

    def lower(self, g: Builder, x: Value) -> Any:
        inner, name = self.layer, str(self.weight_name)
        outside, g.trainable = g.trainable, g.trainable and inner.trainable
        with (
            g.weight_transform(name, lambda weight: self.normalize_weight(g, weight)),
            g.scope(snake_case(inner.type_name)),
        ):
            y = inner.lower(g, x)
        g.trainable = outside
        penalize(g, inner.activity_regularizer, y)
        return g.cast(y, x.dtype)

    def normalize_weight(self, g: Builder, weight: Parameter) -> Value:
        """The weight over its greatest singular value; one of zeros stays as it is."""
        size = weight.shape[-1]
        u = g.state("vector_u", (1, size), TruncatedNormal(mean=0.0, stddev=0.02, seed=None), follows=weight.name)
        if not g.training:
            return weight
        matrix = g.reshape(weight, (weight.type.elements // size, size))
        zero = g.Equal(g.ReduceMax(g.Abs(weight), keepdims=0), 0.0)
        with g.detached():
            before = after = g.updates.get(u.name, u)  # a shared layer goes on at every call
            for _ in range(self.power_iterations):
                v = unit_vector(g, g.MatMul(after, g.transpose(matrix, [1, 0])))
                after = unit_vector(g, g.MatMul(v, matrix))
            g.assign(u, g.Where(zero, before, after))
        sigma = g.Squeeze(g.MatMul(g.MatMul(v, matrix), g.transpose(after, [1, 0])), [0, 1])
        result = g.Div(weight, g.Where(zero, g.const(1.0), sigma))
        if weight.regularizer is not None:  # Keras' penalty is that of the divided weight
            g.add_loss(weight.regularizer.penalty(g, result))
            weight.regularizer = None
        return result


def unit_vector(g: Builder, x: Value) -> Value:
    """A vector of norm 1."""
    return g.Div(x, g.Max(g.Sqrt(g.ReduceSum(g.Mul(x, x), keepdims=1)), EPSILON))
