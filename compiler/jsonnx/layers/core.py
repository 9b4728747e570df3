"""Dense, Embedding, ReversibleEmbedding, Masking, Identity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..core.components import attr
from ..core.types import TensorType, rank_help, require
from ..training.weights.constraints import Constraint
from ..training.weights.initializers import Initializer
from ..training.weights.lora import LORA_ALPHA, LORA_RANK, MAX_LORA_RANK, layer_adapter
from ..training.weights.regularizers import Regularizer
from .activations import ActivationFunction, activate, activated_type
from .base import Layer, layer, padding_mask, require_in_range, require_real

if TYPE_CHECKING:
    from ..ir import Builder, Value

QUANTIZATION = "Quantized weights are not supported."
MASK_ZERO = "Whether to mask the positions where the input is 0, so that later layers skip them."
REVERSE_DTYPE = "Only the default, float32, is supported."
WEIGHTS = "Initial weights are passed in a separate file, not in the spec."


@layer
class Dense(Layer):
    """Fully connected layer: each output is a weighted sum of all inputs."""

    formula = "y = activation(x @ kernel + bias)"
    supports_masking = True

    units: int = attr(doc="Size of the last axis of the output.", minimum=1)
    activation: ActivationFunction | None = attr(None, doc="Activation function applied to the result.")
    use_bias: bool = attr(True, doc="Whether to add a trainable bias.")
    kernel_initializer: Initializer = attr("glorot_uniform", doc="Initial value of the kernel.")
    bias_initializer: Initializer = attr("zeros", doc="Initial value of the bias.")
    kernel_regularizer: Regularizer | None = attr(None, doc="Penalty on the kernel.")
    bias_regularizer: Regularizer | None = attr(None, doc="Penalty on the bias.")
    kernel_constraint: Constraint | None = attr(None, doc="Projection of the kernel after every update.")
    bias_constraint: Constraint | None = attr(None, doc="Projection of the bias after every update.")
    lora_rank: int | None = attr(None, doc=LORA_RANK, minimum=1, maximum=MAX_LORA_RANK)
    lora_alpha: float | None = attr(None, doc=LORA_ALPHA, above=0)
    quantization_config: str | None = attr(None, doc="Quantization of the kernel.", unsupported=QUANTIZATION)

    def infer(self, x: TensorType) -> TensorType:
        require(x.rank >= 2, f"needs an input of rank 2 or more, got {x}", rank_help(x, 2))
        require_real(x)
        x.static_size(-1)
        return activated_type(x.with_last(self.units), self.activation)

    def lower(self, g: Builder, x: Value) -> Any:
        shape = (x.shape[-1], self.units)
        kernel = g.param(
            "kernel",
            shape,
            self.kernel_initializer,
            self.kernel_regularizer,
            self.kernel_constraint,
            input_axes=[0],
            adapter=layer_adapter(self.lora_rank, self.lora_alpha),
        )
        y = g.MatMul(x, kernel)
        if self.use_bias:
            bias = g.param("bias", (self.units,), self.bias_initializer, self.bias_regularizer, self.bias_constraint)
            y = g.Add(y, bias)
        return activate(g, y, self.activation)


@layer
class Embedding(Layer):
    """Maps integer indices to trainable vectors."""

    formula = "y = embeddings[x]"
    supports_masking = True
    is_unbounded = True

    input_dim: int = attr(doc="Size of the vocabulary, i.e. the largest index plus 1.", minimum=1)
    output_dim: int = attr(doc="Size of the embedding vectors.", minimum=1)
    embeddings_initializer: Initializer = attr("random_uniform", doc="Initial value of the embedding matrix.")
    embeddings_regularizer: Regularizer | None = attr(None, doc="Penalty on the embedding matrix.")
    embeddings_constraint: Constraint | None = attr(None, doc="Projection of the embedding matrix after every update.")
    mask_zero: bool = attr(False, doc=MASK_ZERO)
    vectors: str | None = attr(
        None,
        doc="File with pretrained vectors (GloVe, word2vec or fastText) for the tokens of the StringLookup or "
        "TextVectorization before the layer, with which training starts.",
    )
    weights: tuple[tuple[float, ...], ...] | None = attr(None, doc="Initial embedding matrix.", unsupported=WEIGHTS)
    lora_rank: int | None = attr(None, doc=LORA_RANK, minimum=1, maximum=MAX_LORA_RANK)
    lora_alpha: float | None = attr(None, doc=LORA_ALPHA, above=0)
    quantization_config: str | None = attr(None, doc="Quantization of the embedding matrix.", unsupported=QUANTIZATION)

    def infer(self, x: TensorType) -> TensorType:
        return TensorType("float32", (*x.shape, self.output_dim))

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        return inputs[0].with_dtype("bool") if self.mask_zero else padding_mask(masks[0])

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value | None:
        return nonzero_mask(g, inputs[0]) if self.mask_zero else masks[0]

    def lower(self, g: Builder, x: Value) -> Any:
        embeddings = g.param(
            "embeddings",
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            self.embeddings_regularizer,
            self.embeddings_constraint,
            input_axes=[0],
            adapter=layer_adapter(self.lora_rank, self.lora_alpha),
        )
        return g.Gather(embeddings, g.cast(x, "int64"), axis=0)


def nonzero_mask(g: Builder, x: Value) -> Value:
    """Emits the mask of `mask_zero`: true where x is not 0."""
    return g.Not(g.Equal(g.cast(x, "int64"), 0))


@layer
class ReversibleEmbedding(Layer):
    """Maps indices to vectors, or projects vectors to logits over the vocabulary.

    The input's dtype selects the direction: an integer input is embedded, a floating-point input projected. To share
    the weights, reference the embedding layer with `use` in the projecting call.
    """

    formula = """
        if x.dtype.kind in "iu":
            y = embeddings[x]
        else:
            y = x @ (embeddings.T if tie_weights else reverse_embeddings)
            y = logit_soft_cap * tanh(y / logit_soft_cap) if logit_soft_cap else y
    """
    supports_masking = True
    is_unbounded = True

    input_dim: int = attr(doc="Size of the vocabulary, i.e. the largest index plus 1.", minimum=1)
    output_dim: int = attr(doc="Size of the embedding vectors.", minimum=1)
    tie_weights: bool = attr(True, doc="Whether the projection uses the embedding matrix, rather than a separate one.")
    embeddings_initializer: Initializer = attr("uniform", doc="Initial value of the embedding matrix.")
    embeddings_regularizer: Regularizer | None = attr(None, doc="Penalty on the embedding matrix.")
    embeddings_constraint: Constraint | None = attr(None, doc="Projection of the embedding matrix after every update.")
    mask_zero: bool = attr(False, doc=MASK_ZERO)
    reverse_dtype: str | None = attr(None, doc="Element type of the projection.", unsupported=REVERSE_DTYPE)
    logit_soft_cap: float | None = attr(None, doc="Soft cap c of the logits: `c * tanh(logits / c)`.", above=0)
    weights: tuple[tuple[float, ...], ...] | None = attr(None, doc="Initial embedding matrix.", unsupported=WEIGHTS)
    lora_rank: int | None = attr(None, doc=LORA_RANK, minimum=1, maximum=MAX_LORA_RANK)
    lora_alpha: float | None = attr(None, doc=LORA_ALPHA, above=0)
    quantization_config: str | None = attr(None, doc="Quantization of the embedding matrix.", unsupported=QUANTIZATION)

    def infer(self, x: TensorType) -> TensorType:
        if not x.dtype.startswith("float"):
            return TensorType("float32", (*x.shape, self.output_dim))
        require(x.rank >= 2, f"projects the last axis of an input of rank 2 or more, got {x}", rank_help(x, 2))
        size = x.static_size(-1)
        help = "to embed indices instead, give the input an integer dtype"
        require(size == self.output_dim, f"projects vectors of size {self.output_dim}, got {x}", help)
        return x.with_last(self.input_dim)

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        embeds = not inputs[0].dtype.startswith("float")
        makes = self.mask_zero and embeds
        return inputs[0].with_dtype("bool") if makes else padding_mask(masks[0])

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value | None:
        embeds = not inputs[0].dtype.startswith("float")
        return nonzero_mask(g, inputs[0]) if self.mask_zero and embeds else masks[0]

    def lower(self, g: Builder, x: Value) -> Any:
        initializer, shape = self.embeddings_initializer, (self.input_dim, self.output_dim)
        embeddings = g.param(
            "embeddings",
            shape,
            initializer,
            self.embeddings_regularizer,
            self.embeddings_constraint,
            input_axes=[0],
            adapter=layer_adapter(self.lora_rank, self.lora_alpha),
        )
        reverse = None if self.tie_weights else g.param("reverse_embeddings", shape[::-1], initializer)
        if not x.dtype.startswith("float"):
            return g.Gather(embeddings, g.cast(x, "int64"), axis=0)
        y = g.MatMul(x, g.transpose(embeddings, [1, 0]) if reverse is None else reverse)
        cap = self.logit_soft_cap
        return y if cap is None else g.Mul(g.Tanh(g.Div(y, cap)), cap)


@layer
class Masking(Layer):
    """Masks the positions whose features all equal `mask_value`: they are set to 0, and later layers skip them."""

    formula = "y = where(any(x != mask_value, axis=-1, keepdims=True), x, 0)"
    supports_masking = True

    mask_value: float = attr(0.0, doc="Value that all features of a position must equal for it to be masked.")

    def infer(self, x: TensorType) -> TensorType:
        require(x.rank >= 2, f"needs features on the last axis, an input of rank 2 or more, got {x}")
        require(x.dtype not in ("string", "bool"), f"needs numbers, got {x}")
        require_in_range(self.mask_value, x.dtype, "mask_value")
        is_comparable = x.dtype.startswith("float") or self.mask_value.is_integer()
        require(is_comparable, f"has the mask_value {self.mask_value}, which no element of {x} equals")
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        unmasked = g.Unsqueeze(self.lower_mask(g, (x,), ()), [x.rank - 1])
        return g.Where(unmasked, x, g.const(0, x.dtype))

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        x = inputs[0]
        return x.with_shape(x.shape[:-1]).with_dtype("bool")

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value:
        x = inputs[0]
        differs = g.Not(g.Equal(x, g.const(self.mask_value, x.dtype)))
        return g.cast(g.ReduceMax(g.cast(differs, "int32"), [x.rank - 1], keepdims=0), "bool")


@layer
class Identity(Layer):
    """Returns the input unchanged."""

    formula = "y = x"
    supports_masking = True

    def is_passthrough(self, training: bool) -> bool:
        return True

    def infer(self, x: TensorType) -> TensorType:
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        return x
