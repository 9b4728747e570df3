"""Dot-product and additive attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from ...core.components import attr
from ...core.limits import require_computable
from ...core.types import Dim, TensorType, require
from ...training.weights.initializers import GlorotUniform, Ones
from ..base import Layer, OutputTypes, layer
from ..regularization import SEED, inverted_dropout_scale
from .attention_masks import Band, band_mask, check_mask, combine_masks, mask_as_float, mask_penalty
from .query_blocks import QueryBlocks, block_count

if TYPE_CHECKING:
    from ...ir import Builder, Value

ARGUMENTS = "The role of each input, in order; by default query, value and key."
SCORES = "Whether to return the attention scores as a second output, `attention_scores`."
CAUSAL = "Whether to apply a causal mask: each position attends only to itself and earlier ones."
DROPOUT = "Fraction of the attention scores to drop in training."

Argument = Literal["query", "value", "key", "query_mask", "value_mask"]


def inputs_by_argument(arguments: Sequence[str] | None, inputs: Sequence[Any]) -> dict[str, Any]:
    """The inputs by argument name. The value defaults to the query and the key to the value."""
    help = 'name the inputs: "arguments": ["query", "value", "attention_mask"]'
    require(
        arguments is not None or len(inputs) <= 3, f"takes a query, a value and a key, got {len(inputs)} inputs", help
    )
    names = ("query", "value", "key")[: len(inputs)] if arguments is None else arguments
    require(len(names) == len(inputs), f"has {len(names)} arguments, {', '.join(names)}, and {len(inputs)} inputs")
    require(len(set(names)) == len(names), f"has an argument twice among {', '.join(names)}", code="invalid-value")
    require("query" in names, f"needs a query among its arguments, got {', '.join(names)}", code="invalid-value")
    by_argument = dict(zip(names, inputs, strict=True))
    by_argument.setdefault("value", by_argument["query"])
    by_argument.setdefault("key", by_argument["value"])
    return by_argument


def inputs_and_masks(
    arguments: Sequence[str] | None, inputs: Sequence[Any], masks: Sequence[Any], masked_arguments: Sequence[str]
) -> dict[str, Any]:
    """The inputs by argument name; without an explicit mask argument, an input's own mask is used."""
    by_argument = inputs_by_argument(arguments, inputs)
    implicit_masks = inputs_by_argument(arguments, masks)
    named = ("query", "value", "key")[: len(inputs)] if arguments is None else arguments
    for name in masked_arguments:
        if implicit_masks[name] is not None and (name in named or name == "value"):
            by_argument.setdefault(f"{name}_mask", implicit_masks[name])
    return by_argument


def check_masks(types: dict[str, TensorType], masked_arguments: Sequence[str]) -> None:
    """Raises ShapeError if an argument's mask does not fit the argument."""
    for name in masked_arguments:
        mask, x = types.get(f"{name}_mask"), types[name]
        if mask is not None:
            require(x.rank == 3, f"takes a {name}_mask only for sequences of rank 3, got {x}")
            check_mask(f"{name}_mask", mask, x.shape[:-1])


def check_sequences(query: TensorType, value: TensorType, key: TensorType) -> None:
    """Raises ShapeError unless all are sequences of one rank, and key and value differ in their features only."""
    for name, x in (("query", query), ("value", value), ("key", key)):
        require(x.dtype.startswith("float"), f"needs real numbers as its {name}, got {x}")
        require(x.rank >= 3, f"needs a sequence of vectors, [batch, time, features], as its {name}, got {x}")
        require(x.rank == query.rank, f"needs a {name} of the same rank as its query, got {x} and {query}")
        x.static_size(-1)
    same = value.shape[:-1] == key.shape[:-1]
    require(same, f"needs a key for every value, got {key} and {value}", "all axes but the last have to be equal")


def apply_dropout(g: Builder, scores: Value, rate: float, seed: int | None) -> Value:
    """Applies dropout to the scores in training."""
    mask = dropout_mask(g, scores.shape, rate, seed)
    return scores if mask is None else g.Mul(scores, mask)


def dropout_mask(g: Builder, scores: Sequence[Dim], rate: float, seed: int | None) -> Value | None:
    """The factors of scores of this shape in training; None without dropout."""
    if not g.training or not rate:
        return None
    return g.random("mask", scores, "mask", keep=1 - rate, scale=inverted_dropout_scale(rate), seed=seed)


class SimpleAttention(Layer):
    """Base class of attention layers without projections."""

    arity = (1, 5)
    supports_masking = True
    reads_masks = True

    dropout: float = attr(0.0, doc=DROPOUT, minimum=0, below=1)
    seed: int | None = attr(None, doc=SEED)
    use_causal_mask: bool = attr(False, doc=CAUSAL)
    return_attention_scores: bool = attr(False, doc=SCORES)
    arguments: tuple[Argument, ...] | None = attr(None, doc=ARGUMENTS)

    def output_names(self) -> tuple[str, ...]:
        return ("attention_scores",) if self.return_attention_scores else ()

    def infer(self, *inputs: TensorType) -> OutputTypes:
        types = inputs_by_argument(self.arguments, inputs)
        query, value, key = types["query"], types["value"], types["key"]
        check_sequences(query, value, key)
        text = f"needs a query and a value with the same axes before the last two, got {query} and {value}"
        require(query.shape[:-2] == value.shape[:-2], text)
        same_features = query.shape[-1] == key.shape[-1]
        require(
            same_features,
            f"needs as many features in the key as in the query, got {key.shape[-1]} and {query.shape[-1]}",
        )
        check_masks(types, ("query", "value"))
        y = query.with_last(value.shape[-1])
        scores = query.with_last(value.shape[-2])
        require_computable(scores, "scores")
        return (y, scores) if self.return_attention_scores else y

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        arguments = inputs_and_masks(self.arguments, inputs, masks, ("query", "value"))
        check_masks(arguments, ("query", "value"))
        return arguments["query_mask"].with_dtype("bool") if "query_mask" in arguments else None

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value | None:
        return g.cast(inputs_and_masks(self.arguments, inputs, masks, ("query", "value"))["query_mask"], "bool")

    def attend(self, g: Builder, operands: dict[str, Value], products: Value) -> Any:
        """Emits the softmax of the masked products, and the values weighted by it."""
        query, value = operands["query"], operands["value"]
        banded = band_mask(g, query, value, query.rank - 2, Band(self.use_causal_mask, None))
        masks = [] if banded is None else [banded]
        if "value_mask" in operands:
            masks.append(g.Unsqueeze(mask_as_float(g, operands["value_mask"]), [1]))
        scores = apply_dropout(g, self.masked_softmax(g, products, masks), self.dropout, self.seed)
        y = self.masked_result(g, g.MatMul(scores, value), operands)
        return (y, scores) if self.return_attention_scores else y

    def masked_softmax(self, g: Builder, products: Value, masks: list[Value]) -> Value:
        """Emits the softmax of the products over the unmasked positions."""
        if masks:
            products = g.Add(products, mask_penalty(g, combine_masks(g, masks, products.rank), 1e9))
        scores: Value = g.Softmax(products, axis=-1)
        return scores

    def masked_result(self, g: Builder, y: Value, operands: dict[str, Value]) -> Value:
        """The result, or 0 for masked queries."""
        if "query_mask" not in operands:
            return y
        masked: Value = g.Mul(y, g.Unsqueeze(mask_as_float(g, operands["query_mask"]), [2]))
        return masked


def pairwise_sums(g: Builder, query: Value, key: Value) -> Value:
    """The sum of every query position and every key position: [..., query time, key time, features]."""
    return g.Add(g.Unsqueeze(query, [query.rank - 1]), g.Unsqueeze(key, [key.rank - 2]))


@layer
class Attention(SimpleAttention):
    """Dot-product attention: a mean of values, weighted by the products of the query and the keys (Luong et al., 2015).

    The inputs are query, value and key. A single input serves as all three; with two inputs the second is value and
    key. `arguments` names other combinations, including the masks `query_mask` and `value_mask`, [batch, time]: where a
    mask is 0, the value is ignored, or the query's result is 0.
    """

    formula = """
        if score_mode == "dot":
            scores = scale * query @ swapaxes(key, -1, -2)
        else:
            pairs = query[..., :, None, :] + key[..., None, :, :]
            scores = concat_score_weight * sum(tanh(scale * pairs), axis=-1)
        mask = value_mask[:, None, :] * (tri(*scores.shape[-2:]) if use_causal_mask else 1)
        attention_scores = softmax(scores - 1e9 * (1 - mask))
        y = attention_scores @ value * query_mask[..., None]
    """
    use_scale: bool = attr(False, doc="Whether to multiply the scores by a trainable scalar.")
    score_mode: Literal["dot", "concat"] = attr(
        "dot",
        doc="The score of query and key: `dot` for their dot product, `concat` for the sum of `tanh(query + key)`.",
    )

    @property
    def has_weights(self) -> bool:
        return self.use_scale or self.score_mode == "concat"

    def lower(self, g: Builder, *inputs: Value, masks: Sequence[Value | None]) -> Any:
        operands = inputs_and_masks(self.arguments, inputs, masks, ("query", "value"))
        query, key = operands["query"], operands["key"]
        scale = g.param("scale", (), Ones()) if self.use_scale else None
        if self.score_mode == "dot":
            last = key.rank - 1
            transposed_key = g.transpose(key, [*range(last - 1), last, last - 1])
            count = 1 if self.return_attention_scores else block_count(g, (*query.shape[:-1], key.shape[-2]))
            if count > 1:
                return self.attend_by_blocks(g, operands, transposed_key, scale, count)
            products = g.MatMul(query, transposed_key)
            products = products if scale is None else g.Mul(products, scale)
        else:
            weight = g.param("concat_score_weight", (), Ones())
            pairs = pairwise_sums(g, query, key)
            pairs = g.Tanh(pairs if scale is None else g.Mul(pairs, scale))
            products = g.Mul(g.ReduceSum(pairs, [-1], keepdims=0), weight)
        return self.attend(g, operands, products)

    def attend_by_blocks(
        self, g: Builder, operands: dict[str, Value], transposed_key: Value, scale: Value | None, count: int
    ) -> Value:
        """The result of `attend`, computed in blocks of queries."""
        query, value, mask = operands["query"], operands["value"], operands.get("value_mask")
        band = Band(self.use_causal_mask, None)
        blocks = QueryBlocks(g, query, transposed_key, count, band, skips_keys=mask is None)
        masks = [] if mask is None else [g.Unsqueeze(mask, [1])]

        def scores_of(block: int, products: Value) -> Value:
            products = products if scale is None else g.Mul(products, scale)
            return self.masked_softmax(g, products, blocks.masks(block, masks))

        dropout = dropout_mask(g, (*query.shape[:-1], transposed_key.shape[-1]), self.dropout, self.seed)
        y = blocks.attend(value, dropout, scores_of, lambda g, a, b: g.MatMul(a, b))
        return self.masked_result(g, y, operands)


@layer
class AdditiveAttention(SimpleAttention):
    """Additive attention: a mean of values, weighted by a sum of features of query and key (Bahdanau et al., 2015).

    Takes the same inputs and masks as Attention.
    """

    formula = """
        pairs = query[..., :, None, :] + key[..., None, :, :]
        scores = sum(scale * tanh(pairs), axis=-1)
        mask = value_mask[:, None, :] * (tri(*scores.shape[-2:]) if use_causal_mask else 1)
        attention_scores = softmax(scores - 1e9 * (1 - mask))
        y = attention_scores @ value * query_mask[..., None]
    """
    use_scale: bool = attr(True, doc="Whether to multiply the features by a trainable vector before they are summed.")

    @property
    def has_weights(self) -> bool:
        return self.use_scale

    def lower(self, g: Builder, *inputs: Value, masks: Sequence[Value | None]) -> Any:
        operands = inputs_and_masks(self.arguments, inputs, masks, ("query", "value"))
        query = operands["query"]
        pairs = g.Tanh(pairwise_sums(g, query, operands["key"]))
        if self.use_scale:
            size = query.shape[-1]
            scale = g.param("scale", (size,), GlorotUniform())  # type: ignore[call-arg]
            products = g.Squeeze(g.MatMul(pairs, g.reshape(scale, (size, 1))), [-1])
        else:
            products = g.ReduceSum(pairs, [-1], keepdims=0)
        return self.attend(g, operands, products)
