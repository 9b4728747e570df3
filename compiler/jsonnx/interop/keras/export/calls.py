"""How Keras is to call layers: which inputs are one list, which are arguments, which are states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ....core.components import Json
from ....layers import Layer
from ....layers.rnn.bidirectional import Bidirectional
from ....layers.rnn.cell import StackedRNNCells
from .configs import NotExportable, operation_config
from .operations import is_operation, operands

KerasTensor = dict[str, Json]
"""A value as Keras refers to it: its type, and which result of which call it is."""

RECURRENT_LAYERS = ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
"""Layers whose further inputs are the initial states, and a mask."""

CELL_LAYERS = ("SimpleRNNCell", "GRUCell", "LSTMCell", "StackedRNNCells")
"""Layers whose further inputs are their states."""

MULTI_HEAD_LAYERS = ("MultiHeadAttention", "GroupQueryAttention")
ATTENTION_LAYERS = ("Attention", "AdditiveAttention")
ATTENTION_INPUTS = ("query", "value", "key")


def keras_tensor(shape: Sequence[Any], dtype: str, layer: str, node: int, index: int) -> KerasTensor:
    """A value by the layer, the call of it, and the result."""
    sizes = [size if isinstance(size, int) else None for size in shape]
    history = {"shape": sizes, "dtype": dtype, "keras_history": [layer, node, index]}
    return {"class_name": "__keras_tensor__", "config": history}


@dataclass
class CallWriter:
    """Makes calls, and the operations in front of them that a mask needs."""

    unique_name: Callable[[str], str]
    """A name that nothing has."""
    operations: list[dict[str, Json]] = field(default_factory=list)

    def write_call(self, name: str, layer: Layer, inputs: list[KerasTensor]) -> dict[str, Json]:
        """The arguments of a call. Raises NotInKeras."""
        if is_operation(layer):
            return inbound_node(*operands(layer, inputs))
        kind, first, rest = layer.type_name, inputs[0], inputs[1:]
        options = {key: True for key in ("use_causal_mask", "return_attention_scores") if getattr(layer, key, False)}
        if kind in MULTI_HEAD_LAYERS + ATTENTION_LAYERS:
            args, more = self.attention_arguments(name, layer, inputs)
            return inbound_node(*args, **more, **options)
        if kind == "ReversibleEmbedding":
            return inbound_node(first, reverse="float" in first["config"]["dtype"])
        if kind in CELL_LAYERS:
            return inbound_node(first, cell_states(layer, rest))
        if not rest:
            return inbound_node(first)
        if kind == "CategoryEncoding":
            return inbound_node(first, count_weights=rest[0])
        if kind in RECURRENT_LAYERS:
            return recurrent_node(layer, first, rest)
        if kind == "Softmax":
            return inbound_node(first, mask=rest[0])
        return inbound_node(inputs)

    def attention_arguments(self, name: str, layer: Any, inputs: list[KerasTensor]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of an attention; its inputs are query, value and key, or what `arguments` says."""
        given = dict(zip(layer.arguments or ATTENTION_INPUTS[: len(inputs)], inputs, strict=True))
        given.setdefault("value", given["query"])
        if layer.type_name in ATTENTION_LAYERS:
            masks = [given.pop(f"{of}_mask", None) for of in ("query", "value")]
            masks = [
                mask and self.apply_operation(f"{name}_mask", "core", "Cast", {"dtype": "bool"}, mask) for mask in masks
            ]
            tensors = [given[of] for of in ATTENTION_INPUTS if of in given]
            return [tensors], {"mask": masks} if masks != [None, None] else {}
        if "query_mask" in given and layer.type_name == "MultiHeadAttention":  # which takes it only as the query's own
            rows = self.apply_operation(f"{name}_rows", "numpy", "ExpandDims", {"axis": -1}, given.pop("query_mask"))
            mask = given.get("attention_mask")
            given["attention_mask"] = (
                self.apply_operation(f"{name}_mask", "numpy", "Multiply", {}, mask, rows) if mask else rows
            )
        first = [given.pop(of) for of in ATTENTION_INPUTS if of in given]
        return first, given

    def apply_operation(
        self, name: str, module: str, kind: str, config: dict[str, Json], *inputs: KerasTensor
    ) -> KerasTensor:
        """The result of an operation."""
        name = self.unique_name(name)
        made = operation_config(module, kind, {"name": name, **config})
        self.operations.append({**made, "name": name, "inbound_nodes": [inbound_node(*inputs)]})
        about = inputs[0]["config"]
        return keras_tensor(about["shape"], config.get("dtype", about["dtype"]), name, 0, 0)


def inbound_node(*args: Json, **kwargs: Json) -> dict[str, Json]:
    return {"args": list(args), "kwargs": kwargs}


def recurrent_node(layer: Any, sequence: KerasTensor, further_inputs: list[KerasTensor]) -> dict[str, Json]:
    """The call with initial states, and with the mask, which comes last."""
    masks = [one for one in further_inputs[-1:] if one["config"]["dtype"] == "bool"]
    states = further_inputs[: len(further_inputs) - len(masks)]
    given = {"initial_state": initial_states(layer, states)} if states else {}
    return inbound_node(sequence, **given, **({"mask": masks[0]} if masks else {}))


def initial_states(layer: Any, states: list[KerasTensor]) -> list[Json]:
    """States as a recurrent layer takes them: nested as its cells are."""
    if isinstance(layer, Bidirectional):
        half = len(states) // 2
        forward, backward = layer.direction_layers()
        return [*initial_states(forward, states[:half]), *initial_states(backward, states[half:])]
    return cell_states(getattr(layer, "rnn_cell", layer), states)


def cell_states(cell: Any, states: list[KerasTensor]) -> list[Json]:
    """The states of a cell, or of every cell of a stack."""
    if not isinstance(cell, StackedRNNCells):
        return list(states)
    rest = iter(states)
    return [[next(rest) for _ in inner.state_names] for _, inner in cell.named_cells()]


__all__ = ["CallWriter", "KerasTensor", "NotExportable", "inbound_node", "keras_tensor"]
