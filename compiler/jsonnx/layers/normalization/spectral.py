"""Spectral normalization of a layer's kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.components import attr, snake_case
from ...core.types import TensorType, require
from ...training.numerics import EPSILON
from ...training.weights.initializers import TruncatedNormal
from ..base import Layer, infer_types, inner_layer_scope, layer, penalize
from ..convolution.convolution import KernelConv
from ..core import Dense, Embedding, ReversibleEmbedding
from ..einsum_dense import EinsumDense

if TYPE_CHECKING:
    from ...ir import Builder, Parameter, Value


@layer
class SpectralNormalization(Layer):
    """Wraps a layer so that, in training, it uses `kernel / sigma`, sigma being the kernel's largest singular value.

    For the kernel W as a matrix [..., last axis], sigma is `v W u^T`, estimated by the power iteration `v = u W^T / |u
    W^T|`, `u = v W / |v W|` from the previous step's u, the state `vector_u`. The gradient treats u and v as constants.
    In inference the kernel is not divided, as in Keras on JAX (Miyato et al., 2018).
    """

    mixes_samples = True

    layer: Layer = attr(doc="The layer to wrap, which needs a `kernel` or `embeddings`.")
    power_iterations: int = attr(1, doc="Number of power iterations per step.", minimum=1, maximum=1000)

    @property
    def weight_name(self) -> str | None:
        """The name of the weight to normalize; None if the layer has none."""
        if isinstance(self.layer, (Dense, EinsumDense, KernelConv)):
            return "kernel"
        return "embeddings" if isinstance(self.layer, (Embedding, ReversibleEmbedding)) else None

    def infer(self, x: TensorType) -> TensorType:
        inner = self.layer
        help = "Dense, EinsumDense, Embedding, Conv1D to Conv3D and Conv1DTranspose to Conv3DTranspose have one"
        message = f"wraps a layer with a kernel or embeddings, not {inner.type_name}"
        require(self.weight_name is not None, message, help, "unsupported-argument")
        (y,) = infer_types(inner, x)
        return y.with_dtype(x.dtype)

    def lower(self, g: Builder, x: Value) -> Any:
        inner, name = self.layer, str(self.weight_name)
        with (
            g.weight_transform(name, lambda weight: self.normalize_weight(g, weight)),
            inner_layer_scope(g, snake_case(inner.type_name), inner),
        ):
            y = inner.lower(g, x)
        penalize(g, inner.activity_regularizer, y)
        return g.cast(y, x.dtype)

    def normalize_weight(self, g: Builder, weight: Parameter) -> Value:
        """Divides a weight by its largest singular value; a zero weight stays zero."""
        size = weight.shape[-1]
        u = g.state("vector_u", (1, size), TruncatedNormal(mean=0.0, stddev=0.02, seed=None), follows=weight.name)
        if not g.training:
            return weight
        matrix = g.reshape(weight, (weight.type.elements // size, size))
        zero = g.Equal(g.ReduceMax(g.Abs(weight), keepdims=0), 0.0)
        with g.detached():
            before = after = g.updates.get(u.name, u)  # a shared layer continues the iteration at every call
            for _ in range(self.power_iterations):
                v = unit_vector(g, g.MatMul(after, g.transpose(matrix, [1, 0])))
                after = unit_vector(g, g.MatMul(v, matrix))
            g.assign(u, g.Where(zero, before, after))
        sigma = g.Squeeze(g.MatMul(g.MatMul(v, matrix), g.transpose(after, [1, 0])), [0, 1])
        result = g.Div(weight, g.Where(zero, g.const(1.0), sigma))
        if weight.regularizer is not None:  # Keras penalizes the divided weight
            g.add_loss(weight.regularizer.penalty(g, result))
            weight.regularizer = None
        return result


def unit_vector(g: Builder, x: Value) -> Value:
    """Scales a vector to norm 1."""
    return g.Div(x, g.Max(g.Sqrt(g.ReduceSum(g.Mul(x, x), keepdims=1)), EPSILON))
