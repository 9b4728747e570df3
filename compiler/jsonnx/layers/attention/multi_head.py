"""Multi-head attention and grouped-query attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...core.components import attr
from ...core.types import TensorType, require
from ..axes import Axes, axes_of, axis_of
from ..base import LAYERS, OutputTypes, layer
from ..einsum_dense import reshape_symbolic
from .attention import inputs_and_masks, inputs_by_argument
from .projected_attention import MASKABLE_ARGUMENTS, AttentionLayout, ProjectedAttention

if TYPE_CHECKING:
    from ...ir import Builder, Value

PROJECTIONS_FORMULA = """q = einsum("btf,fhd->bthd", query, query_kernel) + query_bias
        k = einsum("btf,fhd->bthd", key, key_kernel) + key_bias
        v = einsum("btf,fhd->bthd", value, value_kernel) + value_bias"""
"""Query, key and value of each head, as lines of a formula."""

ATTENTION_FORMULA = """if score_soft_cap:
            scores = score_soft_cap * tanh(scores / score_soft_cap)
        mask = query_mask[:, None, :, None] * (value_mask * key_mask)[:, None, None, :]
        lag = arange(query.shape[1])[:, None] - arange(key.shape[1])
        mask = mask * attention_mask[:, None] * (lag >= 0 if use_causal_mask else 1)
        mask = mask * (abs(lag) < sliding_window if sliding_window else 1)
        attention_scores = softmax(where(mask, scores, -1e30))
        heads = einsum("bhqk,bkhd->bqhd", attention_scores, v)
        y = einsum("bqhd,hdf->bqf", heads, attention_output_kernel) + attention_output_bias"""
"""The result from the masked scores, as lines of a formula."""


@layer
class MultiHeadAttention(ProjectedAttention):
    """Multi-head attention (Vaswani et al., 2017).

    Each head attends with trainable projections of query, key and value; the concatenated results are projected to the
    output. The inputs are query, value and key. A single input serves as all three; with two inputs the second is value
    and key. `arguments` names other combinations, including masks that exclude positions where they are 0:
    `query_mask`, `value_mask` and `key_mask`, [batch, time], and `attention_mask`, [batch, query time, value time];
    `attention_bias`, [batch, heads, query time, value time], where a size of 1 broadcasts, is added to the scores.

    As in Keras, the query's mask is passed on to the result, and removed from query, value and key: another attention
    layer on the same value, or a merge of it with the result, sees no mask unless it runs earlier. A recurrent layer,
    BatchNormalization, GlobalAveragePooling1D or TimeDistributed on the result still sees the mask.

    Keras has neither `attention_bias`, `rotary`, `relative_position`, `score_scale`, `score_soft_cap`,
    `use_query_key_norm` and its `layer_norm_epsilon`, nor separate biases of query, key, value and output: at other
    values than the default, the layer cannot be exported to Keras.
    """

    formula = f"""
        {PROJECTIONS_FORMULA}
        scale = 1 / sqrt(key_dim) if score_scale is None else score_scale
        scores = einsum("bqhd,bkhd->bhqk", q, k) * scale + attention_bias
        {ATTENTION_FORMULA}
    """
    penalizes_itself = True  # Keras penalizes every projection, but not the scores

    num_heads: int = attr(doc="Number of heads.", minimum=1)
    key_dim: int = attr(doc="Number of features of query and key per head.", minimum=1)
    value_dim: int | None = attr(None, doc="Number of features of the value per head; null for key_dim.", minimum=1)
    output_shape: Axes | None = attr(
        None, doc="Size or sizes that replace the query's last axis in the output; null keeps its size.", minimum=1
    )
    attention_axes: Axes | None = attr(
        None, doc="Axis or list of axes to attend along; null for all but the batch and the last."
    )

    def infer(self, *inputs: TensorType) -> OutputTypes:
        types = inputs_by_argument(self.arguments, inputs)
        query = types["query"]
        layout = self.attention_layout(query)
        scores = self.checked_scores_shape(types, layout, self.num_heads, self.key_dim)
        return self.select_outputs(
            query.with_shape((*query.shape[:-1], *self.output_sizes(query))), query.with_shape(scores)
        )

    def cleared_mask_inputs(self) -> tuple[int, ...]:
        named = MASKABLE_ARGUMENTS if self.arguments is None else self.arguments
        return tuple(index for index, name in enumerate(named) if name in MASKABLE_ARGUMENTS)

    def attention_layout(self, query: TensorType) -> AttentionLayout:
        require(query.rank >= 3, f"needs a sequence of vectors, [batch, time, features], as its query, got {query}")
        requested = (self.attention_axes,) if isinstance(self.attention_axes, int) else self.attention_axes
        axes = None if requested is None else [axis_of(query, axis) for axis in requested]
        help = f"axes 1 to {query.rank - 2} are neither the batch nor the features"
        fits = axes is None or (axes_of(query, requested or ()) and 0 not in axes and query.rank - 1 not in axes)
        require(bool(fits), f"cannot attend along {self.attention_axes} of {query}", help)
        return AttentionLayout.from_axes(query, axes)

    def output_sizes(self, query: TensorType) -> tuple[int, ...]:
        """The sizes that replace the query's last axis in the output."""
        sizes = self.output_shape
        return (sizes,) if isinstance(sizes, int) else sizes or (query.static_size(-1),)

    def lower(self, g: Builder, *inputs: Value, masks: Sequence[Value | None]) -> Any:
        operands = inputs_and_masks(self.arguments, inputs, masks, MASKABLE_ARGUMENTS)
        query, width = operands["query"], self.value_dim or self.key_dim
        heads = self.num_heads, self.num_heads
        y, scores = self.attend(g, operands, self.attention_layout(query.type), heads, (self.key_dim, width))
        sizes = self.output_sizes(query.type)
        y = self.project(g, "attention_output", y, (self.num_heads, width, *sizes), contracted_rank=2)
        return self.select_outputs(reshape_symbolic(g, y, (*y.shape[:-1], *sizes), y), scores)


@LAYERS.register("GroupedQueryAttention")
class GroupQueryAttention(ProjectedAttention):
    """Grouped-query attention: multi-head attention in which groups of query heads share a key and a value head.

    Takes the same inputs and masks as MultiHeadAttention (Ainslie et al., 2023), and has the same options that Keras
    lacks: `rotary`, `relative_position`, `score_scale`, `score_soft_cap`, `use_query_key_norm` and its
    `layer_norm_epsilon`, and separate biases of query, key, value and output. With `"use_causal_mask": true`, the
    attention of Llama is `"rotary": true, "use_bias": false`, that of Qwen2 `"rotary": true, "use_output_bias": false`,
    and that of Qwen3 is Llama's with `"use_query_key_norm": true`.
    """

    formula = f"""
        {PROJECTIONS_FORMULA}
        k, v = (repeat(part, num_query_heads // num_key_value_heads, axis=2) for part in (k, v))
        scale = 1 / sqrt(head_dim) if score_scale is None else score_scale
        scores = einsum("bqhd,bkhd->bhqk", q, k) * scale + attention_bias
        {ATTENTION_FORMULA}
    """
    stem = "GroupedQueryAttention"  # the name of Keras' class

    head_dim: int = attr(doc="Number of features per head.", minimum=1)
    num_query_heads: int = attr(doc="Number of query heads.", minimum=1)
    num_key_value_heads: int = attr(doc="Number of key and value heads, a divisor of num_query_heads.", minimum=1)

    def infer(self, *inputs: TensorType) -> OutputTypes:
        types = inputs_by_argument(self.arguments, inputs)
        query = types["query"]
        require(query.rank == 3, f"needs a sequence of vectors, [batch, time, features], as its query, got {query}")
        heads, shared = self.num_query_heads, self.num_key_value_heads
        require(
            heads % shared == 0, f"cannot share {shared} heads of keys among {heads} heads: {heads} is not a multiple"
        )
        layout = AttentionLayout.from_axes(query, None)
        scores = self.checked_scores_shape(types, layout, heads, self.head_dim)
        return self.select_outputs(query, query.with_shape(scores))

    def lower(self, g: Builder, *inputs: Value, masks: Sequence[Value | None]) -> Any:
        operands = inputs_and_masks(self.arguments, inputs, masks, MASKABLE_ARGUMENTS)
        query, heads = operands["query"], self.num_query_heads
        layout, head_counts = AttentionLayout.from_axes(query.type, None), (heads, self.num_key_value_heads)
        y, scores = self.attend(g, operands, layout, head_counts, (self.head_dim, self.head_dim))
        y = self.project(g, "attention_output", y, (heads, self.head_dim, query.shape[-1]), contracted_rank=2)
        return self.select_outputs(y, scores)
