"""Values, entries and parts of a spec that the reference shows as examples."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ...core.components import Json

EXAMPLE_ARGUMENTS: dict[str, Any] = {
    "EinsumDense.equation": "...b,bc->...c",
    "EinsumDense.output_shape": 64,
    "GroupNormalization.groups": 8,
    "SpectralNormalization.layer": {"type": "Dense", "units": 16},
    "TimeDistributed.layer": {"type": "Dense", "units": 16},
    "N": 4,
    "ops.arange.stop": {"axis": 1},
    "ops.full.fill_value": 0.5,
    "ops.full.shape": [2, {"axis": 1}],
    "ops.linspace.start": -1,
    "ops.linspace.stop": 1,
    "ops.logspace.start": 0,
    "ops.logspace.stop": 3,
    "ops.ones.shape": [2, {"axis": 1}],
    "ops.zeros.shape": [2, {"axis": 1}],
    "activation": "relu",
    "axis1": 1,
    "axis2": -1,
    "destination": -1,
    "dtype": "float32",
    "indices_or_sections": 2,
    "k": 3,
    "newshape": [-1, 8],
    "optimizer_map": {"bias": "sgd"},
    "block_size": 2,
    "boundaries": [1000, 2000],
    "decay_rate": 0.5,
    "decay_steps": 1000,
    "default_optimizer": "adam",
    "first_decay_steps": 1000,
    "initial_learning_rate": 0.01,
    "max_learning_rate": 0.01,
    "total_steps": 1000,
    "values": [0.01, 0.001, 0.0001],
    "num_classes": 10,
    "ops.argmax.axis": -1,
    "ops.argmin.axis": -1,
    "ops.batch_normalization.axis": -1,
    "ops.broadcast_to.shape": [None, 16, 32],
    "ops.clip.x_max": 1.0,
    "ops.clip.x_min": -1.0,
    "ops.concatenate.axis": -1,
    "ops.cumprod.axis": -1,
    "ops.einsum.subscripts": "b...,b...->b",
    "ops.expand_dims.axis": -1,
    "ops.get_item.key": [":", "0:8"],
    "ops.one_hot.num_classes": 10,
    "ops.pad.pad_width": [[0, 0], [1, 1]],
    "ops.repeat.axis": 1,
    "ops.roll.axis": 1,
    "ops.split.axis": -1,
    "ops.stack.axis": 1,
    "ops.take.axis": 1,
    "ops.take.indices": [0, 2],
    "ops.take_along_axis.axis": 1,
    "ops.tensordot.axes": [1, 1],
    "ops.transpose.axes": [0, 2, 1],
    "ops.unstack.axis": 1,
    "ops.unstack.num": 16,
    "repeats": 2,
    "shift": 1,
    "size": 2,
    "source": 1,
    "axes": -1,
    "cell": {"type": "LSTMCell", "units": 16},
    "cells": [{"type": "LSTMCell", "units": 16}, {"type": "GRUCell", "units": 8}],
    "dims": [2, 1],
    "kernel_size": 3,
    "layer": {"type": "LSTM", "units": 16},
    "layers": [{"type": "RandomFlip"}, {"type": "RandomRotation", "factor": 0.1}],
    "n": 4,
    "pool_size": 2,
    "rate": 0.5,
    "target_shape": [4, 8],
}
"""Values of required arguments in examples, for all layers or one; other values follow from the schema."""


@dataclass(frozen=True)
class SpecExample:
    """Layers of a spec, and the inputs that they refer to."""

    inputs: dict[str, Json]
    layers: list[Json]

    def lines(self) -> list[str]:
        """One line a layer, as in a formatted spec."""
        return ",\n".join(map(json.dumps, self.layers)).splitlines()


_SEQUENCE: Json = {"shape": ["time", 32]}

FURTHER_EXAMPLES: dict[str, SpecExample] = {
    "ReversibleEmbedding": SpecExample(
        {"tokens": {"shape": ["time"], "dtype": "int32"}},
        [
            {"type": "ReversibleEmbedding", "name": "embedding", "input_dim": 1000, "output_dim": 32, "from": "tokens"},
            {"type": "LSTM", "name": "body", "units": 32, "return_sequences": True},
            {"use": "embedding", "name": "logits", "from": "body"},
        ],
    ),
    "LSTM": SpecExample(
        {"source": _SEQUENCE, "target": _SEQUENCE},
        [
            {"type": "LSTM", "name": "encoder", "from": "source", "units": 8, "return_state": True},
            {"type": "LSTM", "name": "decoder", "from": ["target", "encoder.state_h", "encoder.state_c"], "units": 8},
        ],
    ),
    "GRU": SpecExample(
        {"source": _SEQUENCE, "target": _SEQUENCE},
        [
            {"type": "GRU", "name": "encoder", "from": "source", "units": 8, "return_state": True},
            {"type": "GRU", "name": "decoder", "from": ["target", "encoder.state_h"], "units": 8},
        ],
    ),
    "Bidirectional": SpecExample(
        {"source": _SEQUENCE},
        [
            {"type": "Bidirectional", "name": "encoder", "layer": {"type": "LSTM", "units": 8, "return_state": True}},
            {"type": "Concatenate", "from": ["encoder.forward_state_h", "encoder.backward_state_h"]},
        ],
    ),
    "MultiHeadAttention": SpecExample(
        {"decoder": _SEQUENCE, "encoder": _SEQUENCE, "mask": {"shape": ["time"], "dtype": "bool"}},
        [
            {
                "type": "MultiHeadAttention",
                "from": ["decoder", "encoder", "mask"],
                "num_heads": 8,
                "key_dim": 8,
                "arguments": ["query", "value", "value_mask"],
            }
        ],
    ),
}
"""Examples for layers whose shortest entry does not show how their inputs or results are named."""

SNIPPETS = {
    "activation": '{"type": "Dense", "units": 8, "activation": %s}',
    "initializer": '{"type": "Conv2D", "filters": 8, "kernel_size": 3, "kernel_initializer": %s}',
    "regularizer": '{"type": "Dense", "units": 8, "kernel_regularizer": %s}',
    "constraint": '{"type": "Dense", "units": 8, "kernel_constraint": %s}',
    "relative_position": '{"type": "MultiHeadAttention", "num_heads": 8, "key_dim": 64, "relative_position": %s}',
    "loss": '"training": {"loss": %s}',
    "metric": '"training": {"loss": "mse", "metrics": [%s]}',
    "optimizer": '"training": {"loss": "mse", "optimizer": %s}',
    "schedule": '"training": {"loss": "mse", "optimizer": {"type": "adam", "learning_rate": %s}}',
    "tracker": '"training": {"loss": "mse", "trackers": [%s]}',
}
"""Where a component of a kind stands in a spec."""
