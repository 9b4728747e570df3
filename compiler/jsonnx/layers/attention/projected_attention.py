"""The base class of attention with several heads and trainable projections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod, sqrt
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ...core.components import attr
from ...core.types import Dim, TensorType, broadcast, product, require, shape_text
from ...training.weights.constraints import Constraint
from ...training.weights.initializers import Initializer, Ones
from ...training.weights.regularizers import Regularizer
from ..base import Layer, penalize, require_real
from ..einsum_dense import reshape_symbolic, with_fans
from ..normalization.moments import divide_by_root_mean_square
from ..regularization import SEED
from .attention import (
    ARGUMENTS,
    CAUSAL,
    DROPOUT,
    SCORES,
    apply_dropout,
    check_masks,
    check_sequences,
    dropout_mask,
    inputs_and_masks,
    inputs_by_argument,
)
from .attention_masks import Band, band_mask, check_mask, combine_masks, mask_as_float, mask_penalty
from .query_blocks import QueryBlocks, block_count
from .relative_positions import DistanceAxes, RelativePosition
from .rotary_embedding import Rotary

if TYPE_CHECKING:
    from ...ir import Builder, Value

MASK_PENALTY = 0.7 * 3.4028235e38
"""Subtracted from masked scores, whose softmax is then 0."""

MASKABLE_ARGUMENTS = ("query", "value", "key")

Argument = Literal["query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask", "attention_bias"]


class AttentionLayout(NamedTuple):
    """The axes of [batch, ..., features], split into attention axes and batch axes.

    Internally, values have the layout [*batch axes, heads, positions, features], with the attention axes merged.
    """

    batch_axes: list[int]
    attention_axes: list[int]

    @staticmethod
    def from_axes(x: TensorType, axes: Sequence[int] | None) -> AttentionLayout:
        attended = list(range(1, x.rank - 1)) if axes is None else list(axes)
        return AttentionLayout([axis for axis in range(x.rank - 1) if axis not in attended], attended)

    def attention_sizes(self, x: TensorType) -> tuple[Dim, ...]:
        return tuple(x.shape[axis] for axis in self.attention_axes)

    def scores_shape(self, heads: int, query: TensorType, key: TensorType) -> tuple[Dim, ...]:
        """The shape of the attention scores."""
        return (
            *(query.shape[axis] for axis in self.batch_axes),
            heads,
            *self.attention_sizes(query),
            *self.attention_sizes(key),
        )

    def split_features(self, g: Builder, x: Value, heads: int) -> Value:
        """Splits the features of a projection into heads: [batch, ..., heads, features]."""
        return reshape_symbolic(g, x, (*x.shape[:-1], heads, x.shape[-1] // heads), x)

    def heads_first(self, g: Builder, x: Value, *, features_first: bool = False) -> Value:
        """Moves the heads before the positions; with `features_first`, the features as well."""
        last = x.rank - 1
        ends = [last, *self.attention_axes] if features_first else [*self.attention_axes, last]
        x = g.transpose(x, [*self.batch_axes, last - 1, *ends])
        return self.merge_attention_axes(g, x, len(self.batch_axes) + 1 + features_first)

    def merge_attention_axes(self, g: Builder, x: Value, start: int) -> Value:
        """Merges the attention axes, which begin at axis `start`."""
        end = start + len(self.attention_axes)
        return reshape_symbolic(g, x, (*x.shape[:start], product(x.shape[start:end]), *x.shape[end:]), x)

    def merge_heads(self, g: Builder, x: Value, query: Value) -> Value:
        """Restores the query's axis order, and merges the heads and their features."""
        before = len(self.batch_axes)
        x = reshape_symbolic(g, x, (*x.shape[: before + 1], *self.attention_sizes(query.type), x.shape[-1]), x, query)
        order = [*self.batch_axes, None, *self.attention_axes]
        x = g.transpose(x, [*(order.index(axis) for axis in range(x.rank - 2)), before, x.rank - 1])
        return reshape_symbolic(g, x, (*x.shape[:-2], x.shape[-2] * x.shape[-1]), x)


class Masks(NamedTuple):
    """Factors of scores, 0 or 1, and whether it is certain that no query position has all its keys masked."""

    factors: list[Value]
    never_empty: bool


def check_attention_bias(bias: TensorType, scores: tuple[Dim, ...]) -> None:
    """Raises ShapeError unless real numbers broadcast to the shape of the scores."""
    require_real(bias)
    message = f"needs an attention_bias that broadcasts to the scores {shape_text(scores)}, got {bias}"
    require(bias.rank == len(scores) and broadcast(scores, bias.shape) == scores, message)


def grouped_matmul(g: Builder, a: Value, b: Value) -> Value:
    """Multiplies a and b per head, where consecutive heads of a share a head of b."""
    heads, shared = a.shape[-3], b.shape[-3]
    if heads == shared:
        return g.MatMul(a, b)
    front, rows = a.shape[:-3], a.shape[-2]
    y = g.MatMul(reshape_symbolic(g, a, (*front, shared, rows * (heads // shared), a.shape[-1]), a), b)
    return reshape_symbolic(g, y, (*front, heads, rows, b.shape[-1]), y, a)


class ProjectedAttention(Layer):
    """Base class of multi-head attention layers."""

    arity = (1, 8)
    supports_masking = True
    reads_masks = True
    is_unbounded = True

    dropout: float = attr(0.0, doc=DROPOUT, minimum=0, below=1)
    use_bias: bool = attr(True, doc="Whether the projections have trainable biases.")
    use_query_bias: bool | None = attr(None, doc="Whether the projection of the query has a bias; null for use_bias.")
    use_key_bias: bool | None = attr(None, doc="Whether the projection of the key has a bias; null for use_bias.")
    use_value_bias: bool | None = attr(None, doc="Whether the projection of the value has a bias; null for use_bias.")
    use_output_bias: bool | None = attr(None, doc="Whether the projection to the output has a bias; null for use_bias.")
    use_query_key_norm: bool = attr(
        False, doc="Whether to normalize query and key of each head, as RMSNormalization does, before `rotary`."
    )
    layer_norm_epsilon: float = attr(1e-6, doc="Small constant of that normalization.", minimum=0)
    rotary: Rotary = attr(
        None, doc="Rotary position embedding of query and key: true, or an object with options of RotaryEmbedding."
    )
    relative_position: RelativePosition | None = attr(
        None, doc="Term of the scores that depends on the distance from query to key: `alibi`, `t5`, `shaw`, or null."
    )
    score_scale: float | None = attr(
        None, doc="Factor of the products of query and key; null for 1 / sqrt(features of the query per head)."
    )
    score_soft_cap: float | None = attr(
        None, doc="Soft cap c of the scores before they are masked: `c * tanh(scores / c)`; null for none.", above=0
    )
    sliding_window: int | None = attr(
        None,
        doc="Size of the local attention window: positions at this distance or farther are ignored; null for no limit.",
        minimum=1,
    )
    flash_attention: bool | None = attr(None, doc="Hint to use faster kernels; it has no effect here.")
    kernel_initializer: Initializer = attr("glorot_uniform", doc="Initial value of the kernels.")
    bias_initializer: Initializer = attr("zeros", doc="Initial value of the biases.")
    kernel_regularizer: Regularizer | None = attr(None, doc="Penalty on the kernels.")
    bias_regularizer: Regularizer | None = attr(None, doc="Penalty on the biases.")
    kernel_constraint: Constraint | None = attr(None, doc="Projection of the kernels after every update.")
    bias_constraint: Constraint | None = attr(None, doc="Projection of the biases after every update.")
    use_gate: bool = attr(
        False, doc="Whether to multiply the heads' result by a sigmoid gate, projected from the query."
    )
    seed: int | None = attr(None, doc=SEED)
    use_causal_mask: bool = attr(False, doc=CAUSAL)
    return_attention_scores: bool = attr(False, doc=SCORES)
    arguments: tuple[Argument, ...] | None = attr(None, doc=ARGUMENTS)

    def max_operators(self) -> int:
        return 2 * super().max_operators()

    def output_names(self) -> tuple[str, ...]:
        return ("attention_scores",) if self.return_attention_scores else ()

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        check_masks(inputs_and_masks(self.arguments, inputs, masks, MASKABLE_ARGUMENTS), MASKABLE_ARGUMENTS)
        query_mask: TensorType | None = inputs_by_argument(self.arguments, masks)["query"]
        return query_mask

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value | None:
        query_mask: Value | None = inputs_by_argument(self.arguments, masks)["query"]
        return query_mask

    def checked_scores_shape(
        self, types: dict[str, TensorType], layout: AttentionLayout, heads: int, head_size: int
    ) -> tuple[Dim, ...]:
        """The shape of the scores. Raises ShapeError if the inputs do not fit."""
        query, value = types["query"], types["value"]
        check_sequences(query, value, types["key"])
        for axis in layout.batch_axes:
            same = query.shape[axis] == value.shape[axis]
            require(same, f"does not attend along axis {axis}, where query and value differ: {query} and {value}")
        single_axis = len(layout.attention_axes) == 1
        banded = self.use_causal_mask or self.sliding_window is not None
        require(
            single_axis or not banded, "has a causal mask or a sliding window, which need a single axis of attention"
        )
        if self.rotary is not None:
            require(single_axis, "has rotary positions, which need a single axis of attention")
            self.rotary.check(head_size)
        if self.relative_position is not None:
            require(single_axis, "has relative positions, which need a single axis of attention")
            self.relative_position.check(self.use_causal_mask)
        check_masks(types, MASKABLE_ARGUMENTS)
        scores = layout.scores_shape(heads, query, value)
        if "attention_bias" in types:
            require(single_axis, "has an attention_bias, which needs a single axis of attention")
            check_attention_bias(types["attention_bias"], scores)
        if "attention_mask" in types:
            self.check_attention_mask(types["attention_mask"], scores, 2 * len(layout.attention_axes))
        return scores

    def check_attention_mask(self, mask: TensorType, scores: tuple[Dim, ...], tail: int) -> None:
        expected = f"[batch, {', '.join(map(str, scores[-tail:]))}]"
        require(tail < mask.rank <= len(scores), f"needs an attention_mask of shape {expected}, got {mask}")
        check_mask("attention_mask", mask, (*scores[: mask.rank - tail], *scores[-tail:]))
        has_full_tail = tail == 2 or mask.shape[-tail:] == scores[-tail:]
        require(has_full_tail, f"attends along several axes, where a mask needs all sizes, {expected}, got {mask}")

    def project(self, g: Builder, name: str, x: Value, shape: tuple[int, ...], contracted_rank: int = 1) -> Value:
        """Projects the last axis of x with a kernel, whose first `contracted_rank` axes multiply to its size."""
        kernel_axes = list(range(len(shape)))
        initializer = with_fans(self.kernel_initializer, kernel_axes[:contracted_rank], kernel_axes[contracted_rank:])
        with g.scope(name):
            kernel = g.param("kernel", shape, initializer, self.kernel_regularizer, self.kernel_constraint)
            y = g.MatMul(x, g.reshape(kernel, (prod(shape[:contracted_rank]), prod(shape[contracted_rank:]))))
            if self.has_bias(name):
                sizes = shape[contracted_rank:]
                bias = g.param("bias", sizes, self.bias_initializer, self.bias_regularizer, self.bias_constraint)
                y = g.Add(y, g.reshape(bias, (prod(sizes),)))
            y = g.Sigmoid(y) if name == "gate" else y
            penalize(g, self.activity_regularizer, y)
        return y

    def has_bias(self, projection: str) -> bool:
        """Whether a projection has a bias."""
        own: bool | None = getattr(self, f"use_{projection.removeprefix('attention_')}_bias", None)
        return self.use_bias if own is None else own

    def encode_heads(self, g: Builder, name: str, x: Value, layout: AttentionLayout) -> Value:
        """Normalizes and rotates the query or the key of every head, [batch, ..., heads, features]."""
        if self.use_query_key_norm:
            with g.scope(f"{name}_norm"):
                x = divide_by_root_mean_square(g, x, [-1], self.layer_norm_epsilon)
                x = g.Mul(x, g.param("scale", (x.shape[-1],), Ones()))
        return x if self.rotary is None else self.rotary.rotate(g, x, layout.attention_axes[0], x.rank - 1)

    def attend(
        self,
        g: Builder,
        operands: dict[str, Value],
        layout: AttentionLayout,
        heads: tuple[int, int],
        sizes: tuple[int, int],
    ) -> tuple[Value, Value | None]:
        """The heads' results, concatenated, and the scores, if they are returned.

        `heads` are the numbers of query heads and of key and value heads, `sizes` the features per head of key and
        value.
        """
        query, key, value = operands["query"], operands["key"], operands["value"]
        q = self.project(g, "query", query, (query.shape[-1], heads[0], sizes[0]))
        k = self.project(g, "key", key, (key.shape[-1], heads[1], sizes[0]))
        gate = self.project(g, "gate", query, (query.shape[-1], heads[0], sizes[1])) if self.use_gate else None
        v = self.project(g, "value", value, (value.shape[-1], heads[1], sizes[1]))
        q = self.encode_heads(g, "query", layout.split_features(g, q, heads[0]), layout)
        # Scaling directly before the product lets onnxruntime fuse both.
        scale = 1 / sqrt(sizes[0]) if self.score_scale is None else self.score_scale
        q = g.Mul(layout.heads_first(g, q), scale)
        k = self.encode_heads(g, "key", layout.split_features(g, k, heads[1]), layout)
        k = layout.heads_first(g, k, features_first=True)
        block_count = self.block_count(g, q, k)
        if block_count > 1:
            v = layout.heads_first(g, layout.split_features(g, v, heads[1]))
            y, scores = self.attend_by_blocks(g, (q, k, v), operands, layout, block_count), None
        else:
            axes = DistanceAxes(query, key, layout.attention_axes[0])
            products = self.capped(g, self.biased(g, grouped_matmul(g, q, k), q, operands, axes))
            scores = self.masked_softmax(g, products, operands, self.attention_masks(g, operands, layout))
            kept_scores = apply_dropout(g, scores, self.dropout, self.seed)
            y = grouped_matmul(g, kept_scores, layout.heads_first(g, layout.split_features(g, v, heads[1])))
            if self.relative_position is not None:
                with g.scope("relative_position"):
                    y = self.relative_position.add_to_values(g, y, kept_scores, axes)
        y = layout.merge_heads(g, y, query)
        y = y if gate is None else g.Mul(y, gate)
        if scores is None or not self.return_attention_scores:
            return y, None
        shape = layout.scores_shape(heads[0], query.type, value.type)
        return y, reshape_symbolic(g, scores, shape, scores, query, value)

    def block_count(self, g: Builder, q: Value, k: Value) -> int:
        """The number of blocks of queries; 1 if all scores are computed at once."""
        if self.return_attention_scores or self.relative_position is not None:
            return 1
        return block_count(g, (*q.shape[:-1], k.shape[-1]))

    def attend_by_blocks(
        self,
        g: Builder,
        heads: tuple[Value, Value, Value],
        operands: dict[str, Value],
        layout: AttentionLayout,
        count: int,
    ) -> Value:
        """The heads' results, [..., heads, positions, features], for query, key and value as products read them."""
        q, k, v = heads
        masks, never_empty = self.explicit_masks(g, operands, layout), self.is_never_empty(operands, layout)
        skips_keys = never_empty or self.zeroes_masked_queries(operands)
        blocks = QueryBlocks(g, q, k, count, self.band, skips_keys=skips_keys)
        bias = operands.get("attention_bias")
        biases = None if bias is None else blocks.split_queries(g.cast(bias, q.dtype), -2)

        def scores_of(block: int, products: Value) -> Value:
            if biases is not None:
                products = g.Add(products, blocks.read_keys(blocks.split_keys(biases[block], -1), block, -1))
            return self.masked_softmax(
                g, self.capped(g, products), operands, Masks(blocks.masks(block, masks), never_empty)
            )

        dropout = dropout_mask(g, (*q.shape[:-1], k.shape[-1]), self.dropout, self.seed)
        return blocks.attend(v, dropout, scores_of, grouped_matmul)

    @property
    def band(self) -> Band:
        """The keys that a query sees by its position."""
        return Band(self.use_causal_mask, self.sliding_window)

    def biased(self, g: Builder, products: Value, q: Value, operands: dict[str, Value], axes: DistanceAxes) -> Value:
        """The products of queries and keys, with the terms of relative positions and the attention bias added."""
        if self.relative_position is not None:
            with g.scope("relative_position"):
                products = g.Add(products, self.relative_position.term(g, q, axes, self.use_causal_mask))
        if "attention_bias" in operands:
            products = g.Add(products, g.cast(operands["attention_bias"], products.dtype))
        return products

    def capped(self, g: Builder, scores: Value) -> Value:
        """The scores, with their soft cap."""
        cap = self.score_soft_cap
        return scores if cap is None else g.Mul(g.Tanh(g.Div(scores, cap)), cap)

    def masked_softmax(self, g: Builder, products: Value, operands: dict[str, Value], masks: Masks) -> Value:
        """Softmax of the products over the unmasked positions.

        If all positions are masked, the scores are zeros or uniform as in Keras: zeros if Keras computes the scores
        itself (they are returned, dropped out or over several axes), uniform if its backend does.
        """
        if not masks.factors:
            return g.Softmax(products, axis=-1)
        keep, never_empty = combine_masks(g, masks.factors, products.rank), masks.never_empty
        zero_if_masked = self.zeroes_masked_queries(operands)
        if not never_empty and not zero_if_masked:
            products = g.Mul(products, keep)  # blocks the gradient of masked products
        scores = g.Softmax(g.Add(products, mask_penalty(g, keep, MASK_PENALTY)), axis=-1)
        return scores if never_empty or not zero_if_masked else g.Mul(scores, keep)

    def zeroes_masked_queries(self, operands: dict[str, Value]) -> bool:
        """Whether the scores of a query are zeros if all positions are masked; else they are uniform."""
        return self.dropout > 0 or self.return_attention_scores or operands["query"].rank > 3

    def attention_masks(self, g: Builder, operands: dict[str, Value], layout: AttentionLayout) -> Masks:
        """The masks of all scores."""
        query, value, axis = operands["query"], operands["value"], layout.attention_axes[0]
        banded = band_mask(g, query, value, axis, self.band)
        explicit = self.explicit_masks(g, operands, layout, mask_as_float)
        masks = [*([] if banded is None else [banded]), *explicit]
        return Masks(masks, self.is_never_empty(operands, layout))

    def explicit_masks(
        self,
        g: Builder,
        operands: dict[str, Value],
        layout: AttentionLayout,
        convert: Callable[[Builder, Value], Value] = lambda _, mask: mask,
    ) -> list[Value]:
        """The masks among the inputs, converted, with axes of queries and keys last."""
        masks = []
        for name, axis in (("query_mask", 2), ("value_mask", 1), ("key_mask", 1)):
            if name in operands:
                masks.append(g.Unsqueeze(convert(g, operands[name]), [axis]))
        if "attention_mask" in operands:
            mask, axis_count = convert(g, operands["attention_mask"]), len(layout.attention_axes)
            mask = layout.merge_attention_axes(g, mask, mask.rank - axis_count)
            masks.append(layout.merge_attention_axes(g, mask, mask.rank - axis_count - 1))
        return masks

    def is_never_empty(self, operands: dict[str, Value], layout: AttentionLayout) -> bool:
        """Whether it is certain that no query position has all its keys masked."""
        axis = layout.attention_axes[0]
        same_length = operands["query"].shape[axis] == operands["value"].shape[axis]
        is_masked = any(name.endswith("_mask") for name in operands)
        return not is_masked and (self.sliding_window is None or same_length)

    def select_outputs(self, y: Any, scores: Any) -> Any:
        return (y, scores) if self.return_attention_scores else y
