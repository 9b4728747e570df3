"""Writes layer calls as Keras 3 does: inputs become positional arguments, lists, states and masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ....core.components import Json
from ....layers import Layer
from ....layers.rnn.bidirectional import Bidirectional
from ....layers.rnn.cell import StackedRNNCells
from ..translation.call_arguments import ATTENTION_FLAGS, RECURRENT_LAYERS
from .configs import NotExportable, operation_config
from .operations import is_operation, operands

KerasTensor = dict[str, Json]
"""The JSON of a tensor: its type, and the layer, call and output that produce it."""

CELL_LAYERS = ("SimpleRNNCell", "GRUCell", "LSTMCell", "StackedRNNCells")
"""Layers whose inputs after the first are their states."""

MULTI_HEAD_LAYERS = ("MultiHeadAttention", "GroupQueryAttention")
ATTENTION_LAYERS = ("Attention", "AdditiveAttention")
ATTENTION_INPUTS = ("query", "value", "key")


def keras_tensor(shape: Sequence[Any], dtype: str, layer: str, node: int, index: int) -> KerasTensor:
    """The tensor of a layer, a call index and an output index."""
    sizes = [size if isinstance(size, int) else None for size in shape]
    config = {"shape": sizes, "dtype": dtype, "keras_history": [layer, node, index]}
    return {"class_name": "__keras_tensor__", "config": config}


@dataclass
class CallWriter:
    """Writes calls, and additional operations that compute their masks."""

    unique_name: Callable[[str], str]
    """Returns an unused name that resembles the argument."""
    operations: list[dict[str, Json]] = field(default_factory=list)
    """The additional operations, not yet added to the model."""

    def write_call(self, name: str, layer: Layer, inputs: list[KerasTensor]) -> dict[str, Json]:
        """The JSON of a call. Raises NotExportable."""
        if is_operation(layer):
            return inbound_node(*operands(layer, inputs))
        kind, first, rest = layer.type_name, inputs[0], inputs[1:]
        if kind in MULTI_HEAD_LAYERS + ATTENTION_LAYERS:
            flags = {key: True for key in ATTENTION_FLAGS if getattr(layer, key, False)}
            args, kwargs = self.attention_arguments(name, layer, inputs)
            return inbound_node(*args, **kwargs, **flags)
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
        if kind == "GlobalAveragePooling1D":
            return inbound_node(
                first, mask=self.apply_operation(f"{name}_mask", "core", "Cast", {"dtype": "bool"}, rest[0])
            )
        return inbound_node(inputs)

    def attention_arguments(self, name: str, layer: Any, inputs: list[KerasTensor]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of an attention layer, whose inputs are query, value and key, or those in `arguments`.

        MultiHeadAttention ignores an explicit `query_mask`, so that it is merged into the attention mask.
        """
        tensors = dict(zip(layer.arguments or ATTENTION_INPUTS[: len(inputs)], inputs, strict=True))
        if "attention_bias" in tensors:
            raise NotExportable("its input 'attention_bias' has no counterpart in Keras")
        tensors.setdefault("value", tensors["query"])
        if layer.type_name in ATTENTION_LAYERS:
            masks = [tensors.pop(f"{name}_mask", None) for name in ("query", "value")]
            masks = [
                mask and self.apply_operation(f"{name}_mask", "core", "Cast", {"dtype": "bool"}, mask) for mask in masks
            ]
            args = [tensors[name] for name in ATTENTION_INPUTS if name in tensors]
            return [args], {"mask": masks} if masks != [None, None] else {}
        if "query_mask" in tensors and layer.type_name == "MultiHeadAttention":
            query_mask = tensors.pop("query_mask")
            rows = self.apply_operation(f"{name}_rows", "numpy", "ExpandDims", {"axis": -1}, query_mask)
            mask = tensors.get("attention_mask")
            tensors["attention_mask"] = (
                self.apply_operation(f"{name}_mask", "numpy", "Multiply", {}, mask, rows) if mask else rows
            )
        args = [tensors.pop(name) for name in ATTENTION_INPUTS if name in tensors]
        return args, tensors

    def apply_operation(
        self, name: str, module: str, kind: str, config: dict[str, Json], *inputs: KerasTensor
    ) -> KerasTensor:
        """Adds an operation and returns its result, which has the shape of the first input."""
        name = self.unique_name(name)
        operation = operation_config(module, kind, {"name": name, **config})
        self.operations.append({**operation, "name": name, "inbound_nodes": [inbound_node(*inputs)]})
        first = inputs[0]["config"]
        return keras_tensor(first["shape"], config.get("dtype", first["dtype"]), name, 0, 0)


def inbound_node(*args: Json, **kwargs: Json) -> dict[str, Json]:
    return {"args": list(args), "kwargs": kwargs}


def recurrent_node(layer: Any, sequence: KerasTensor, further_inputs: list[KerasTensor]) -> dict[str, Json]:
    """The call of a recurrent layer; further inputs are the initial states and, last, a boolean mask."""
    masks = [tensor for tensor in further_inputs[-1:] if tensor["config"]["dtype"] == "bool"]
    states = further_inputs[: len(further_inputs) - len(masks)]
    kwargs: dict[str, Json] = {"initial_state": initial_states(layer, states)} if states else {}
    return inbound_node(sequence, **kwargs, **({"mask": masks[0]} if masks else {}))


def initial_states(layer: Any, states: list[KerasTensor]) -> list[Json]:
    """Nests states as the cells of a recurrent layer are nested."""
    if isinstance(layer, Bidirectional):
        half = len(states) // 2
        forward, backward = layer.direction_layers()
        return [*initial_states(forward, states[:half]), *initial_states(backward, states[half:])]
    return cell_states(getattr(layer, "rnn_cell", layer), states)


def cell_states(cell: Any, states: list[KerasTensor]) -> list[Json]:
    """The states of a cell, or a list of states for each cell of a stack."""
    if not isinstance(cell, StackedRNNCells):
        return list(states)
    remaining = iter(states)
    return [[next(remaining) for _ in inner.state_names] for _, inner in cell.named_cells()]
