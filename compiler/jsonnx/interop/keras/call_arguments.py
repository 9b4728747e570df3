"""What a layer of Keras is called with: which arguments are its inputs, and which are attributes with us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...core.components import Json
from .model_config import Invocation, Ref, leaves

_RECURRENT = ("inputs", "initial_state", "mask", "training")
_HEADS = (
    *("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask"),
    *("return_attention_scores", "training", "use_causal_mask"),
)
_ATTENTION = ("inputs", "mask", "training", "return_attention_scores", "use_causal_mask")
_CELL = ("inputs", "states", "training")

RECURRENT = ("SimpleRNN", "GRU", "LSTM", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Bidirectional")

WITH_MASK = (*RECURRENT, "Softmax")
"""Layers that take a mask of their own, as their last input."""

SIGNATURES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(RECURRENT, _RECURRENT),
    **dict.fromkeys(("SimpleRNNCell", "GRUCell", "LSTMCell", "StackedRNNCells"), _CELL),
    **dict.fromkeys(("MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention"), _HEADS),
    **dict.fromkeys(("Attention", "AdditiveAttention"), _ATTENTION),
    "CategoryEncoding": ("inputs", "count_weights"),
    "ReversibleEmbedding": ("inputs", "reverse"),
    "TimeDistributed": ("inputs", "training", "mask"),
    "BatchNormalization": ("inputs", "training", "mask"),
    "Softmax": ("inputs", "mask"),
    "GlobalAveragePooling1D": ("inputs", "mask"),
}
"""The parameters of a layer's call in their order."""

PLAIN = ("inputs", "training", "mask")
"""Those of all others, and of models."""

FIRST = ("inputs", "sequences", "sequence", "x", "input", "images", "features")
"""What the first parameter may be called."""

BY_ARGUMENT = tuple(kind for kind, names in SIGNATURES.items() if names in (_HEADS, _ATTENTION))

ARGUMENTS = ("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask")

FLAGS = ("use_causal_mask", "return_attention_scores")


class Bound(NamedTuple):
    """Arguments by the names of their parameters; and what no parameter takes."""

    given: dict[str, Any]
    unknown: tuple[str, ...]


def bound(kind: str, call: Invocation) -> Bound:
    """The arguments of a call by name."""
    names = SIGNATURES.get(kind, PLAIN)
    given: dict[str, Any] = dict(zip(names, call.args, strict=False))
    unknown = [f"argument {place + 1}" for place in range(len(names), len(call.args))]
    for key, value in call.kwargs.items():
        name = names[0] if key in FIRST and names[0] == "inputs" else key
        if name in names:
            given[name] = value
        elif value is not None:
            unknown.append(key)
    return Bound({key: value for key, value in given.items() if value is not None}, tuple(unknown))


def is_mask(kind: str, name: str) -> bool:
    """Whether a parameter is a mask, which may be the one that goes beside the inputs anyway."""
    return name == "mask" or (kind in BY_ARGUMENT and name in ("query_mask", "value_mask", "key_mask"))


def masks_beside(kind: str, given: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """By the name that it has with us: every mask that is given, and what it goes beside."""
    if kind in ("Attention", "AdditiveAttention"):
        inputs, masks = _listed(given.get("inputs")), _listed(given.get("mask"))
        return {
            f"{name}_mask": (mask, inputs[place])
            for place, (name, mask) in enumerate(zip(ARGUMENTS, masks, strict=False))
            if mask is not None and place < len(inputs)
        }
    found = {}
    for name, mask in given.items():
        beside = given.get("inputs") if name == "mask" else given.get(name.removesuffix("_mask"))
        if is_mask(kind, name) and any(item is not None for item in leaves(mask)):
            found[name] = mask, beside
    return found


def inputs_of(kind: str, given: Mapping[str, Any], explicit: Mapping[str, Any]) -> tuple[list[Any], dict[str, Json]]:
    """The inputs in the order in which our layer takes them, and attributes that say what they are."""
    flags: dict[str, Json] = {name: True for name in FLAGS if given.get(name) is True}
    if kind not in BY_ARGUMENT:
        further = [given[name] for name in ("initial_state", "states", "count_weights") if name in given]
        return [item for value in (given.get("inputs"), *further, *explicit.values()) for item in leaves(value)], flags
    tensors = _listed(given["inputs"]) if "inputs" in given else None
    named = dict(zip(ARGUMENTS, tensors, strict=False)) if tensors is not None else given
    inputs = {name: named[name] for name in ARGUMENTS[:3] if name in named} | dict(explicit)
    if "attention_mask" in given:
        inputs["attention_mask"] = given["attention_mask"]
    if tuple(inputs) != ARGUMENTS[: len(inputs)] or len(inputs) > 3:
        flags["arguments"] = list(inputs)
    elif len(inputs) == 2 and inputs["query"] == inputs["value"]:
        del inputs["value"]  # with one input the value is the query
    return list(inputs.values()), flags


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def refs(value: Any) -> list[Ref]:
    """The tensors in an argument."""
    return [item for item in leaves(value) if isinstance(item, Ref)]
