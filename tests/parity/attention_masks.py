"""Attention on attention behind an Embedding that masks: layers for `cases.words`. Which masks are still there."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]

FEATURES = 4
HARDLY = 1e-9
"""A rate at which nothing is dropped, and yet the result in training is another array than the input."""


def heads(name: str, *sources: str, **arguments: Any) -> Document:
    layer = {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3, "name": name, **arguments}
    return layer | ({"from": list(sources)} if sources else {})


def of(kind: str, name: str, *sources: str, **arguments: Any) -> Document:
    return {"type": kind, "name": name, "from": list(sources), **arguments}


def dropout(name: str, source: str, rate: float = HARDLY) -> Document:
    return of("Dropout", name, source, rate=rate)


def wide(name: str, *sources: str) -> Document:
    return {"type": "Dense", "name": name, "units": FEATURES, "activation": "tanh"} | (
        {"from": list(sources)} if sources else {}
    )


def block_after(number: int, x: str) -> list[Document]:
    """A transformer's block that normalizes after each part; its result is `x<number>`."""
    a, b, c, d, e = (f"{letter}{number}" for letter in "abcde")
    return [
        heads(a, x, x),
        dropout(b, a, 0.0),
        of("Add", c, x, b),
        of("LayerNormalization", d, c),
        wide(e, d),
        of("Add", f"f{number}", d, e),
        of("LayerNormalization", f"x{number}", f"f{number}"),
    ]


def block_before(number: int, x: str) -> list[Document]:
    """A block that normalizes before each part; its result is `x<number>`."""
    a, b, c, d, e = (f"{letter}{number}" for letter in "abcde")
    return [
        of("LayerNormalization", a, x),
        heads(b, a, a),
        of("Add", c, x, b),
        of("LayerNormalization", d, c),
        wide(e, d),
        of("Add", f"x{number}", c, e),
    ]


MEAN: Document = {"type": "GlobalAveragePooling1D"}
OUT: Document = {"type": "Dense", "units": 2}
GROUPS: Document = {"head_dim": 3, "num_query_heads": 2, "num_key_value_heads": 1}

STACKED: dict[str, list[Document]] = {
    "twice": [heads("a", "words"), heads("b", "words"), of("Add", "c", "a", "b"), MEAN, OUT],
    "residual": [heads("a", "words"), of("Add", "c", "words", "a"), heads("b", "c"), OUT],
    "residual-loss": [heads("a", "words"), of("Add", "c", "words", "a")],
    "block-after": [*block_after(1, "words"), MEAN, OUT],
    "blocks-after": [*block_after(1, "words"), *block_after(2, "x1"), MEAN, OUT],
    "blocks-after-places": [*block_after(1, "words"), *block_after(2, "x1"), OUT],
    "blocks-before": [*block_before(1, "words"), *block_before(2, "x1"), MEAN, OUT],
    "blocks-before-places": [*block_before(1, "words"), *block_before(2, "x1"), OUT],
    "batch-normalization": [heads("a", "words"), of("Add", "c", "words", "a"), {"type": "BatchNormalization"}, OUT],
    "lstm": [
        heads("a", "words"),
        of("Add", "c", "words", "a"),
        {"type": "LSTM", "units": 3, "return_sequences": True},
        heads("b"),
        OUT,
    ],
    "decoder": [
        heads("a", "words", use_causal_mask=True),
        of("Add", "c", "words", "a"),
        of("LayerNormalization", "d", "c"),
        wide("memory", "words"),
        heads("e", "d", "memory"),
        of("Add", "f", "d", "e"),
        OUT,
    ],
    "value-elsewhere": [wide("other", "words"), heads("a", "other", "words"), of("Add", "c", "words", "a"), OUT],
    "before-it-runs": [wide("x", "words"), of("Maximum", "early", "words", "x"), heads("a", "early", "x"), MEAN, OUT],
    "three-inputs": [
        wide("v", "words"),
        wide("k", "words"),
        heads("a", "words", "v", "k"),
        of("Multiply", "c", "words", "v"),
        of("Maximum", "d", "k", "a"),
        of("Add", "e", "c", "d"),
        OUT,
    ],
    "groups": [
        of("GroupQueryAttention", "a", "words", **GROUPS),
        of("Add", "c", "words", "a"),
        of("GroupQueryAttention", "b", "c", **GROUPS),
        OUT,
    ],
    "lists": [
        of("Attention", "a", "words", "words"),
        of("Add", "c", "words", "a"),
        of("AdditiveAttention", "b", "c", "c"),
        OUT,
    ],
    "groups-after-heads": [heads("a", "words"), of("GroupQueryAttention", "b", "words", "a", **GROUPS), OUT],
    "lists-after-heads": [heads("a", "words"), of("Attention", "b", "a", "words"), MEAN, OUT],
    "joined": [heads("a", "words"), of("Concatenate", "c", "words", "a", axis=1), MEAN, OUT],
    "dropped-before": [
        dropout("d", "words"),
        heads("a", "d"),
        of("Add", "c", "words", "a"),
        heads("b", "c"),
        OUT,
    ],
    "dropped-never": [dropout("d", "words", 0.0), heads("a", "d"), of("Add", "c", "words", "a"), heads("b", "c"), OUT],
    "handed-on": [
        of("Identity", "i", "words"),
        of("Activation", "j", "i", activation="linear"),
        of("ActivityRegularization", "k", "j"),
        heads("a", "k"),
        of("Add", "c", "words", "a"),
        heads("b", "c"),
        OUT,
    ],
    "shared": [
        heads("a", "words"),
        {"use": "a", "name": "again", "from": ["words"]},
        of("Add", "c", "a", "again"),
        OUT,
    ],
    "masked-anew": [
        heads("a", "words"),
        of("Add", "c", "words", "a"),
        {"type": "Masking", "mask_value": 0.5},
        heads("b"),
        OUT,
    ],
}
