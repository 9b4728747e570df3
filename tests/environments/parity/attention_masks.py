"""Stacked attention layers after an Embedding with masks, for `cases.words`: how masks propagate through them."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]

FEATURES = 4
TINY_RATE = 1e-9
"""A dropout rate that drops nothing, but makes the result in training another tensor than the input."""


def heads(name: str, *sources: str, **arguments: Any) -> Document:
    layer = {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3, "name": name, **arguments}
    return layer | ({"from": list(sources)} if sources else {})


def layer_of(kind: str, name: str, *sources: str, **arguments: Any) -> Document:
    return {"type": kind, "name": name, "from": list(sources), **arguments}


def dropout(name: str, source: str, rate: float = TINY_RATE) -> Document:
    return layer_of("Dropout", name, source, rate=rate)


def dense(name: str, *sources: str) -> Document:
    return {"type": "Dense", "name": name, "units": FEATURES, "activation": "tanh"} | (
        {"from": list(sources)} if sources else {}
    )


def post_norm_block(number: int, x: str) -> list[Document]:
    """Returns a post-norm transformer block; its result is `x<number>`."""
    a, b, c, d, e = (f"{letter}{number}" for letter in "abcde")
    return [
        heads(a, x, x),
        dropout(b, a, 0.0),
        layer_of("Add", c, x, b),
        layer_of("LayerNormalization", d, c),
        dense(e, d),
        layer_of("Add", f"f{number}", d, e),
        layer_of("LayerNormalization", f"x{number}", f"f{number}"),
    ]


def pre_norm_block(number: int, x: str) -> list[Document]:
    """Returns a pre-norm transformer block; its result is `x<number>`."""
    a, b, c, d, e = (f"{letter}{number}" for letter in "abcde")
    return [
        layer_of("LayerNormalization", a, x),
        heads(b, a, a),
        layer_of("Add", c, x, b),
        layer_of("LayerNormalization", d, c),
        dense(e, d),
        layer_of("Add", f"x{number}", c, e),
    ]


MEAN: Document = {"type": "GlobalAveragePooling1D"}
OUT: Document = {"type": "Dense", "units": 2}
GROUPS: Document = {"head_dim": 3, "num_query_heads": 2, "num_key_value_heads": 1}

STACKED: dict[str, list[Document]] = {
    "twice": [heads("a", "words"), heads("b", "words"), layer_of("Add", "c", "a", "b"), MEAN, OUT],
    "residual": [heads("a", "words"), layer_of("Add", "c", "words", "a"), heads("b", "c"), OUT],
    "residual-loss": [heads("a", "words"), layer_of("Add", "c", "words", "a")],
    "block-after": [*post_norm_block(1, "words"), MEAN, OUT],
    "blocks-after": [*post_norm_block(1, "words"), *post_norm_block(2, "x1"), MEAN, OUT],
    "blocks-after-places": [*post_norm_block(1, "words"), *post_norm_block(2, "x1"), OUT],
    "blocks-before": [*pre_norm_block(1, "words"), *pre_norm_block(2, "x1"), MEAN, OUT],
    "blocks-before-places": [*pre_norm_block(1, "words"), *pre_norm_block(2, "x1"), OUT],
    "batch-normalization": [
        heads("a", "words"),
        layer_of("Add", "c", "words", "a"),
        {"type": "BatchNormalization"},
        OUT,
    ],
    "lstm": [
        heads("a", "words"),
        layer_of("Add", "c", "words", "a"),
        {"type": "LSTM", "units": 3, "return_sequences": True},
        heads("b"),
        OUT,
    ],
    "decoder": [
        heads("a", "words", use_causal_mask=True),
        layer_of("Add", "c", "words", "a"),
        layer_of("LayerNormalization", "d", "c"),
        dense("memory", "words"),
        heads("e", "d", "memory"),
        layer_of("Add", "f", "d", "e"),
        OUT,
    ],
    "value-elsewhere": [dense("other", "words"), heads("a", "other", "words"), layer_of("Add", "c", "words", "a"), OUT],
    "before-it-runs": [
        dense("x", "words"),
        layer_of("Maximum", "early", "words", "x"),
        heads("a", "early", "x"),
        MEAN,
        OUT,
    ],
    "three-inputs": [
        dense("v", "words"),
        dense("k", "words"),
        heads("a", "words", "v", "k"),
        layer_of("Multiply", "c", "words", "v"),
        layer_of("Maximum", "d", "k", "a"),
        layer_of("Add", "e", "c", "d"),
        OUT,
    ],
    "groups": [
        layer_of("GroupQueryAttention", "a", "words", **GROUPS),
        layer_of("Add", "c", "words", "a"),
        layer_of("GroupQueryAttention", "b", "c", **GROUPS),
        OUT,
    ],
    "lists": [
        layer_of("Attention", "a", "words", "words"),
        layer_of("Add", "c", "words", "a"),
        layer_of("AdditiveAttention", "b", "c", "c"),
        OUT,
    ],
    "groups-after-heads": [heads("a", "words"), layer_of("GroupQueryAttention", "b", "words", "a", **GROUPS), OUT],
    "lists-after-heads": [heads("a", "words"), layer_of("Attention", "b", "a", "words"), MEAN, OUT],
    "joined": [heads("a", "words"), layer_of("Concatenate", "c", "words", "a", axis=1), MEAN, OUT],
    "dropped-before": [
        dropout("d", "words"),
        heads("a", "d"),
        layer_of("Add", "c", "words", "a"),
        heads("b", "c"),
        OUT,
    ],
    "dropped-never": [
        dropout("d", "words", 0.0),
        heads("a", "d"),
        layer_of("Add", "c", "words", "a"),
        heads("b", "c"),
        OUT,
    ],
    "handed-on": [
        layer_of("Identity", "i", "words"),
        layer_of("Activation", "j", "i", activation="linear"),
        layer_of("ActivityRegularization", "k", "j"),
        heads("a", "k"),
        layer_of("Add", "c", "words", "a"),
        heads("b", "c"),
        OUT,
    ],
    "shared": [
        heads("a", "words"),
        {"use": "a", "name": "again", "from": ["words"]},
        layer_of("Add", "c", "a", "again"),
        OUT,
    ],
    "masked-anew": [
        heads("a", "words"),
        layer_of("Add", "c", "words", "a"),
        {"type": "Masking", "mask_value": 0.5},
        heads("b"),
        OUT,
    ],
}
