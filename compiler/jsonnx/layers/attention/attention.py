"""Attention: every place of one sequence looks at every place of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from ...core.components import attr
from ...core.types import TensorType, require
from ...training.initializers import GlorotUniform, Ones
from ..base import Layer, OutputTypes, layer
from ..regularization import SEED, inverted_dropout_scale
from .attention_masks import band_mask, check_mask, combine_masks, mask_as_float, mask_penalty

if TYPE_CHECKING:
    from ...ir import Builder, Value

ARGUMENTS = "What the inputs are, in their order; left out, they are query, value and key."
SCORES = "Whether the scores are a second output, `attention_scores`."
CAUSAL = "Whether a place looks only at itself and at those before it."
DROPOUT = "Share of the scores that become 0 in training."

Argument = Literal["query", "value", "key", "query_mask", "value_mask"]


def inputs_by_argument(arguments: Sequence[str] | None, inputs: Sequence[Any]) -> dict[str, Any]:
    """The inputs by what they are. Where they are not given, value is the query and key the value."""
    help = 'say what the inputs are: "arguments": ["query", "value", "attention_mask"]'
    require(
        arguments is not None or len(inputs) <= 3, f"takes a query, a value and a key, got {len(inputs)} inputs", help
    )
    names = ("query", "value", "key")[: len(inputs)] if arguments is None else arguments
    require(len(names) == len(inputs), f"has {len(names)} arguments, {', '.join(names)}, and {len(inputs)} inputs")
    require(len(set(names)) == len(names), f"has an argument twice among {', '.join(names)}", code="invalid-value")
    require("query" in names, f"needs a query among its arguments, got {', '.join(names)}", code="invalid-value")
    found = dict(zip(names, inputs, strict=True))
    found.setdefault("value", found["query"])
    found.setdefault("key", found["value"])
    return found


def inputs_and_masks(
    arguments: Sequence[str] | None, inputs: Sequence[Any], masks: Sequence[Any], masked_arguments: Sequence[str]
) -> dict[str, Any]:
    """The inputs by what they are; among them, where no mask of an argument is given, the one that goes beside it."""
    found = inputs_by_argument(arguments, inputs)
    beside = inputs_by_argument(arguments, masks)
    named = ("query", "value", "key")[: len(inputs)] if arguments is None else arguments
    for name in masked_arguments:
        if beside[name] is not None and (name in named or name == "value"):
            found.setdefault(f"{name}_mask", beside[name])
    return found


def check_masks(types: dict[str, TensorType], masked_arguments: Sequence[str]) -> None:
    """ShapeError where a mask of an argument does not suit it."""
    for name in masked_arguments:
        mask, x = types.get(f"{name}_mask"), types[name]
        if mask is not None:
            require(x.rank == 3, f"takes a {name}_mask only for sequences of rank 3, got {x}")
            check_mask(f"{name}_mask", mask, x.shape[:-1])


def check_sequences(query: TensorType, value: TensorType, key: TensorType) -> None:
    """ShapeError where the three are no sequences of one rank, or key and value differ in more than their features."""
    for name, x in (("query", query), ("value", value), ("key", key)):
        require(x.dtype.startswith("float"), f"attends to real numbers, got {x} as its {name}")
        require(x.rank >= 3, f"needs a sequence of vectors, [batch, time, features], as its {name}, got {x}")
        require(x.rank == query.rank, f"needs a {name} of as many axes as its query, got {x} and {query}")
        x.static_size(-1)
    same = value.shape[:-1] == key.shape[:-1]
    require(same, f"needs a key for every value, got {key} and {value}", "all axes but the last have to be equal")


def apply_dropout(g: Builder, scores: Value, rate: float, seed: int | None) -> Value:
    """The scores, in training some of them 0."""
    if not g.training or not rate:
        return scores
    return g.Mul(
        scores, g.random("mask", scores.shape, "mask", keep=1 - rate, scale=inverted_dropout_scale(rate), seed=seed)
    )


class SimpleAttention(Layer):
    """Base of the layers that attend to the values as they are."""

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
        front = f"needs a query and a value with the same axes before the last two, got {query} and {value}"
        require(query.shape[:-2] == value.shape[:-2], front)
        features = query.shape[-1] == key.shape[-1]
        require(features, f"compares {query.shape[-1]} features of the query with {key.shape[-1]} of the key")
        check_masks(types, ("query", "value"))
        y = query.with_last(value.shape[-1])
        scores = query.with_last(value.shape[-2])
        return (y, scores) if self.return_attention_scores else y

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        given = inputs_and_masks(self.arguments, inputs, masks, ("query", "value"))
        check_masks(given, ("query", "value"))
        return given["query_mask"].with_dtype("bool") if "query_mask" in given else None

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value | None:
        return g.cast(inputs_and_masks(self.arguments, inputs, masks, ("query", "value"))["query_mask"], "bool")

    def attend(self, g: Builder, operands: dict[str, Value], products: Value) -> Any:
        """The values by their share of the softmax of the products."""
        query, value = operands["query"], operands["value"]
        banded = band_mask(g, query, value, query.rank - 2, causal=self.use_causal_mask, window=None)
        masks = [] if banded is None else [banded]
        if "value_mask" in operands:
            masks.append(g.Unsqueeze(mask_as_float(g, operands["value_mask"]), [1]))
        if masks:
            products = g.Add(products, mask_penalty(g, combine_masks(g, masks, products.rank), 1e9))
        scores = apply_dropout(g, g.Softmax(products, axis=-1), self.dropout, self.seed)
        y = g.MatMul(scores, value)
        if "query_mask" in operands:
            y = g.Mul(y, g.Unsqueeze(mask_as_float(g, operands["query_mask"]), [2]))
        return (y, scores) if self.return_attention_scores else y


def pairwise_sums(g: Builder, query: Value, key: Value) -> Value:
    """Every place of the query plus every place of the key."""
    return g.Add(g.Unsqueeze(query, [query.rank - 1]), g.Unsqueeze(key, [key.rank - 2]))


@layer
class Attention(SimpleAttention):
    """Dot-product attention: `softmax(query @ keyT) @ value` (Luong et al., 2015).

    The inputs are query, value and key: one input is all three, of two the second is value and key. `arguments` names
    them otherwise, and masks too, [batch, time], which hide values, or make the result 0, where they are 0.
    """

    use_scale: bool = attr(False, doc="Whether a learned number scales the products, or the sums.")
    score_mode: Literal["dot", "concat"] = attr(
        "dot", doc="How query and key are compared: `dot` by their product, `concat` by the sum of `tanh(query + key)`."
    )

    def lower(self, g: Builder, *inputs: Value, masks: Sequence[Value | None]) -> Any:
        given = inputs_and_masks(self.arguments, inputs, masks, ("query", "value"))
        query, key = given["query"], given["key"]
        scale = g.param("scale", (), Ones()) if self.use_scale else None
        if self.score_mode == "dot":
            last = key.rank - 1
            products = g.MatMul(query, g.transpose(key, [*range(last - 1), last, last - 1]))
            products = products if scale is None else g.Mul(products, scale)
        else:
            weight = g.param("concat_score_weight", (), Ones())
            pairs = pairwise_sums(g, query, key)
            pairs = g.Tanh(pairs if scale is None else g.Mul(pairs, scale))
            products = g.Mul(g.ReduceSum(pairs, [-1], keepdims=0), weight)
        return self.attend(g, given, products)


@layer
class AdditiveAttention(SimpleAttention):
    """Additive attention: `softmax(sum(scale * tanh(query + key))) @ value` (Bahdanau et al., 2015).

    Inputs and masks are given as those of Attention.
    """

    use_scale: bool = attr(True, doc="Whether a learned vector scales the features before they are summed.")

    def lower(self, g: Builder, *inputs: Value, masks: Sequence[Value | None]) -> Any:
        given = inputs_and_masks(self.arguments, inputs, masks, ("query", "value"))
        query = given["query"]
        pairs = g.Tanh(pairwise_sums(g, query, given["key"]))
        if self.use_scale:
            size = query.shape[-1]
            scale = g.param("scale", (size,), GlorotUniform())  # type: ignore[call-arg]
            products = g.Squeeze(g.MatMul(pairs, g.reshape(scale, (size, 1))), [-1])
        else:
            products = g.ReduceSum(pairs, [-1], keepdims=0)
        return self.attend(g, given, products)
