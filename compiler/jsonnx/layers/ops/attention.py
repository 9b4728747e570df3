"""Attention in keras.ops."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

from ...core.components import attr
from ...core.types import TensorType, broadcast, require
from ..attention.attention_masks import Band, band_mask, mask_as_float, mask_penalty
from .base import ConstantArgument, MultiTensorOp, as_dtype, constant_argument, float_dtype, operation, promoted_dtype

if TYPE_CHECKING:
    from ...ir import Builder, Value

MASK_PENALTY = 0.7 * (2 - 2**-23) * 2.0**127
"""Subtracted from masked scores, whose softmax is then 0, as in JAX."""


@operation("dot_product_attention")
class DotProductAttention(MultiTensorOp):
    """Dot-product attention: a mean of values, weighted by the products of the query and the keys.

    The axes are batch, time, heads, features. Key and value may have fewer heads, each shared by several query heads.
    Bias and mask have the axes batch, heads, query time, key time, where a size of 1 broadcasts.
    """

    formula = """
        heads, features = query.shape[2:]
        key, value = (repeat(x, heads // x.shape[2], axis=2) for x in (key, value))
        scale = 1 / sqrt(features) if scale is None else scale
        scores = einsum("bthf,bshf->bhts", query, key) * scale + bias
        if is_causal:
            mask = mask & tri(*scores.shape[2:], dtype=bool)
        y = einsum("bhts,bshf->bthf", softmax(where(mask, scores, -1e30)), value)
    """
    arity = (3, 5)
    tensors = ("query", "key", "value", "bias", "mask")
    optional_count = 2

    query: ConstantArgument | None = constant_argument("query")
    key: ConstantArgument | None = constant_argument("key")
    value: ConstantArgument | None = constant_argument("value")
    bias: ConstantArgument | None = constant_argument("bias")
    mask: ConstantArgument | None = constant_argument("mask")
    scale: float | None = attr(None, doc="Factor of the products; null for 1 / sqrt(features).")
    is_causal: bool = attr(False, doc="Whether each position attends only to itself and earlier ones.")

    def result_type(self, query: Any, key: Any, value: Any, bias: Any, mask: Any) -> TensorType:
        rank_4 = all(x.rank == 4 for x in (query, key, value))
        require(rank_4, f"needs a query, a key and a value of rank 4, got {query}, {key} and {value}")
        batch, time, heads, features = query.shape
        fits = key.shape[:3] == value.shape[:3] and key.shape[0] == batch and key.shape[3] == features
        require(fits, f"needs a key and a value that fit the query {query}, got {key} and {value}")
        static = isinstance(heads, int) and isinstance(key.shape[2], int) and isinstance(features, int)
        require(static, f"needs fixed numbers of heads and features, got {query} and {key}")
        require(heads % key.shape[2] == 0, f"has {heads} heads of the query for {key.shape[2]} of the key")
        scores = (batch, heads, time, key.shape[1])
        for name, x in (("bias", bias), ("mask", mask)):
            fits = x is None or broadcast(scores, tuple(x.shape)) == scores
            require(fits, f"needs a {name} that broadcasts to the scores {list(scores)}, got {x}")
        return TensorType(float_dtype(promoted_dtype(query, key, value)), (*query.shape[:3], value.shape[3]))

    def emit(self, g: Builder, query: Any, key: Any, value: Any, bias: Any, mask: Any) -> Any:
        dtype = float_dtype(promoted_dtype(query, key, value))
        query, key, value = (as_dtype(g, x, dtype) for x in (query, key, value))
        features, heads = query.shape[3], query.shape[2]
        scale = 1 / sqrt(features) if self.scale is None else self.scale
        causal = band_mask(g, query, key, 1, Band(self.is_causal, None))
        q = g.transpose(query, [0, 2, 1, 3])
        k, v = self._repeat_heads(g, key, heads), self._repeat_heads(g, value, heads)
        scores = g.Mul(g.MatMul(q, g.transpose(k, [0, 1, 3, 2])), scale)
        scores = scores if bias is None else g.Add(scores, as_dtype(g, bias, dtype))
        for keep in (None if mask is None else mask_as_float(g, as_dtype(g, mask, "bool")), causal):
            scores = scores if keep is None else g.Add(g.Mul(scores, keep), mask_penalty(g, keep, MASK_PENALTY))
        return g.transpose(g.MatMul(g.Softmax(scores, axis=3), v), [0, 2, 1, 3])

    def _repeat_heads(self, g: Builder, x: Value, heads: int) -> Value:
        """Moves the heads of keys or values to axis 1, and repeats each for the query heads that share it."""
        x = g.transpose(x, [0, 2, 1, 3])
        repeats = heads // x.shape[1]
        if repeats == 1:
            return x
        heads_to_take = [head for head in range(x.shape[1]) for _ in range(repeats)]
        return g.Gather(x, g.const(heads_to_take, "int64"), axis=1)
