"""How Keras is to call layers: which inputs are one list, which are arguments, which are states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ....core.components import Json
from ....layers import Layer
from ....layers.rnn.bidirectional import Bidirectional
from ....layers.rnn.cell import StackedRNNCells
from .configs import NotInKeras, operation
from .operations import is_operation, operands

Tensor = dict[str, Json]
"""A value as Keras refers to it: its type, and which result of which call it is."""

RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
"""Layers whose further inputs are the initial states, and a mask."""

CELLS = ("SimpleRNNCell", "GRUCell", "LSTMCell", "StackedRNNCells")
"""Layers whose further inputs are their states."""

BY_ARGUMENT = ("MultiHeadAttention", "GroupQueryAttention")
LISTED = ("Attention", "AdditiveAttention")
NAMES = ("query", "value", "key")


def tensor(shape: Sequence[Any], dtype: str, layer: str, node: int, index: int) -> Tensor:
    """A value by the layer, the call of it, and the result."""
    sizes = [size if isinstance(size, int) else None for size in shape]
    history = {"shape": sizes, "dtype": dtype, "keras_history": [layer, node, index]}
    return {"class_name": "__keras_tensor__", "config": history}


@dataclass
class Calls:
    """Makes calls, and the operations in front of them that a mask needs."""

    unique: Callable[[str], str]
    """A name that nothing has."""
    operations: list[dict[str, Json]] = field(default_factory=list)

    def of(self, name: str, layer: Layer, inputs: list[Tensor]) -> dict[str, Json]:
        """The arguments of a call. Raises NotInKeras."""
        if is_operation(layer):
            return call(*operands(layer, inputs))
        kind, first, rest = layer.type_name, inputs[0], inputs[1:]
        options = {key: True for key in ("use_causal_mask", "return_attention_scores") if getattr(layer, key, False)}
        if kind in BY_ARGUMENT + LISTED:
            args, more = self.attended(name, layer, inputs)
            return call(*args, **more, **options)
        if kind == "ReversibleEmbedding":
            return call(first, reverse="float" in first["config"]["dtype"])
        if kind in CELLS:
            return call(first, states_of(layer, rest))
        if not rest:
            return call(first)
        if kind == "CategoryEncoding":
            return call(first, count_weights=rest[0])
        if kind in RECURRENT:
            return recurrent_call(layer, first, rest)
        if kind == "Softmax":
            return call(first, mask=rest[0])
        return call(inputs)

    def attended(self, name: str, layer: Any, inputs: list[Tensor]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of an attention; its inputs are query, value and key, or what `arguments` says."""
        given = dict(zip(layer.arguments or NAMES[: len(inputs)], inputs, strict=True))
        given.setdefault("value", given["query"])
        if layer.type_name in LISTED:
            masks = [given.pop(f"{of}_mask", None) for of in ("query", "value")]
            masks = [mask and self.apply(f"{name}_mask", "core", "Cast", {"dtype": "bool"}, mask) for mask in masks]
            tensors = [given[of] for of in NAMES if of in given]
            return [tensors], {"mask": masks} if masks != [None, None] else {}
        if "query_mask" in given and layer.type_name == "MultiHeadAttention":  # which takes it only as the query's own
            rows = self.apply(f"{name}_rows", "numpy", "ExpandDims", {"axis": -1}, given.pop("query_mask"))
            mask = given.get("attention_mask")
            given["attention_mask"] = self.apply(f"{name}_mask", "numpy", "Multiply", {}, mask, rows) if mask else rows
        first = [given.pop(of) for of in NAMES if of in given]
        return first, given

    def apply(self, name: str, module: str, kind: str, config: dict[str, Json], *inputs: Tensor) -> Tensor:
        """The result of an operation."""
        name = self.unique(name)
        made = operation(module, kind, {"name": name, **config})
        self.operations.append({**made, "name": name, "inbound_nodes": [call(*inputs)]})
        about = inputs[0]["config"]
        return tensor(about["shape"], config.get("dtype", about["dtype"]), name, 0, 0)


def call(*args: Json, **kwargs: Json) -> dict[str, Json]:
    return {"args": list(args), "kwargs": kwargs}


def recurrent_call(layer: Any, sequence: Tensor, rest: list[Tensor]) -> dict[str, Json]:
    """The call with initial states, and with the mask, which comes last."""
    masks = [one for one in rest[-1:] if one["config"]["dtype"] == "bool"]
    states = rest[: len(rest) - len(masks)]
    given = {"initial_state": initial_states(layer, states)} if states else {}
    return call(sequence, **given, **({"mask": masks[0]} if masks else {}))


def initial_states(layer: Any, states: list[Tensor]) -> list[Json]:
    """States as a recurrent layer takes them: nested as its cells are."""
    if isinstance(layer, Bidirectional):
        half = len(states) // 2
        forward, backward = layer.halves()
        return [*initial_states(forward, states[:half]), *initial_states(backward, states[half:])]
    return states_of(getattr(layer, "inner", layer), states)


def states_of(cell: Any, states: list[Tensor]) -> list[Json]:
    """The states of a cell, or of every cell of a stack."""
    if not isinstance(cell, StackedRNNCells):
        return list(states)
    rest = iter(states)
    return [[next(rest) for _ in inner.state_names] for _, inner in cell.named()]


__all__ = ["Calls", "NotInKeras", "Tensor", "call", "tensor"]
