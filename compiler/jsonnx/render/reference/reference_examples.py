"""Values, entries and parts of a spec that the reference shows as examples."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ...core.components import Json

REDUCTIONS = """
all amax amin any argmax argmin average count_nonzero logsumexp max mean median min norm prod ptp std sum var
"""

EXAMPLE_ARGUMENTS: dict[str, Any] = {
    "EinsumDense.equation": "...b,bc->...c",
    "EinsumDense.output_shape": 64,
    "GroupNormalization.groups": 8,
    "Discretization.num_bins": 4,
    "IntegerLookup.vocabulary": [10, 20, 30],
    "LayerScale.projection_dim": 32,
    "OnnxModel.file": "model.onnx",
    "OnnxModel.graph": "QlpoOTFBWSZTWUEoD0MAAAt/gH7y1ABQABAQEgEEEDLhXOogAFQ1QyaGjQ0GgGQPKBqnqNBpoaPJNAAALM5w0KgIgR"
    "BEiiaPmBQlpNA8IFuD6BwwQm4edIcDTu9t4l6nbxtSHKfco/IekREIINh2gd/fi7kinChIIJQHoYA=",
    "PositionEmbedding.sequence_length": 512,
    "SpectralNormalization.layer": {"type": "Dense", "units": 16},
    "StringLookup.vocabulary": ["red", "green", "blue"],
    "Tokenizer.file": "tokenizer.json",
    "TextVectorization.vocabulary": ["good", "bad", "film"],
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
    "newshape": [-1, 4, 8],
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
    "num_classes": 3,
    "target_class_ids": [0],
    "io_u.sparse_y_pred": False,
    "mean_io_u.sparse_y_pred": False,
    "concordance_correlation.axis": 0,
    "pearson_correlation.axis": 0,
    "sparse_top_k_categorical_accuracy.k": 2,
    "top_k_categorical_accuracy.k": 2,
    **dict.fromkeys((f"ops.{name}.axis" for name in REDUCTIONS.split()), -1),
    "ops.batch_normalization.axis": -1,
    "ops.broadcast_to.shape": [None, 16, 32],
    "ops.clip.x_max": 1.0,
    "ops.clip.x_min": -1.0,
    "ops.concatenate.axis": -1,
    "ops.cumprod.axis": -1,
    "ops.cumsum.axis": -1,
    "ops.diagonal.axis1": 1,
    "ops.diagonal.axis2": 2,
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
    "ops.trace.axis1": 1,
    "ops.trace.axis2": 2,
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
_VECTOR: Json = {"shape": [32]}


def _product(operation: str, kernel_shape: list[Json], **arguments: Json) -> SpecExample:
    """A product of the input and a trainable matrix."""
    kernel: Json = {"type": "Variable", "name": "kernel", "shape": kernel_shape}
    return SpecExample({"x": _VECTOR}, [kernel, {"type": operation, "from": ["x", "kernel"], **arguments}])


def _combined(layer: dict[str, Json], operation: str, size: int = 32) -> SpecExample:
    """A layer whose result has no batch axis, and an operation of the input and that result."""
    second = {"type": operation, "from": ["x", str(layer["type"]).rpartition(".")[2]]}
    return SpecExample({"x": {"shape": [size]}}, [layer, second])


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
    "Variable": SpecExample(
        {"x": _VECTOR},
        [{"type": "Variable", "name": "scale", "shape": [32]}, {"type": "ops.multiply", "from": ["x", "scale"]}],
    ),
    "random.normal": _combined({"type": "random.normal"}, "ops.add"),
    "random.uniform": _combined({"type": "random.uniform"}, "ops.add"),
    "ops.arange": _combined({"type": "ops.arange", "stop": {"axis": 1}}, "ops.add"),
    "ops.eye": _combined({"type": "ops.eye", "N": 4}, "ops.matmul", size=4),
    "ops.identity": _combined({"type": "ops.identity", "n": 4}, "ops.matmul", size=4),
    "ops.tri": _combined({"type": "ops.tri", "N": 4}, "ops.matmul", size=4),
    "ops.zeros": _combined({"type": "ops.zeros", "shape": [2, {"axis": 1}]}, "ops.inner"),
    "ops.ones": _combined({"type": "ops.ones", "shape": [2, {"axis": 1}]}, "ops.inner"),
    "ops.full": _combined({"type": "ops.full", "shape": [2, {"axis": 1}], "fill_value": 0.5}, "ops.inner"),
    "ops.linspace": _combined({"type": "ops.linspace", "start": -1, "stop": 1, "num": 32}, "ops.multiply"),
    "ops.logspace": _combined({"type": "ops.logspace", "start": 0, "stop": 3, "num": 32}, "ops.multiply"),
    "ops.shape": SpecExample(
        {"x": {"shape": ["time", 32]}},
        [
            {"type": "ops.shape"},
            {"type": "ops.get_item", "name": "steps", "key": [1]},
            {"type": "ops.divide", "from": ["x", "steps"]},
        ],
    ),
    "ops.dot": _product("ops.dot", [32, 8]),
    "ops.inner": _product("ops.inner", [8, 32]),
    "ops.tensordot": _product("ops.tensordot", [8, 32], axes=[1, 1]),
    "ops.batch_normalization": SpecExample(
        {"x": _SEQUENCE},
        [
            {"type": "Variable", "name": "mean", "shape": [32], "initializer": "zeros"},
            {"type": "Variable", "name": "variance", "shape": [32], "initializer": "ones"},
            {"type": "ops.batch_normalization", "from": ["x", "mean", "variance"], "axis": -1},
        ],
    ),
    "ops.outer": SpecExample(
        {"x": _VECTOR},
        [{"type": "ops.outer", "x2": [1.0, 0.5], "from": "x"}, {"type": "ops.reshape", "newshape": [-1, 64]}],
    ),
    "ops.ravel": SpecExample({"x": _VECTOR}, [{"type": "ops.ravel"}, {"type": "ops.reshape", "newshape": [-1, 32]}]),
    "ops.vdot": SpecExample(
        {"x1": _VECTOR, "x2": _VECTOR},
        [{"type": "ops.vdot", "from": ["x1", "x2"]}, {"type": "ops.multiply", "from": ["x1", "vdot"]}],
    ),
}
"""Examples for layers whose shortest entry does not show how their inputs or results are named, or is no network."""

SNIPPETS = {
    "activation": '{"type": "Dense", "units": 8, "activation": %s}',
    "initializer": '{"type": "Dense", "units": 8, "kernel_initializer": %s}',
    "stft": '{"type": "Conv1D", "filters": 129, "kernel_size": 256, "strides": 64, "kernel_initializer": %s}',
    "regularizer": '{"type": "Dense", "units": 8, "kernel_regularizer": %s}',
    "constraint": '{"type": "Dense", "units": 8, "kernel_constraint": %s}',
    "relative_position": '{"type": "MultiHeadAttention", "num_heads": 8, "key_dim": 64, "relative_position": %s}',
    "loss": '"training": {"loss": %s}',
    "metric": '"training": {"loss": "mse", "metrics": [%s]}',
    "optimizer": '"training": {"loss": "mse", "optimizer": %s}',
    "schedule": '"training": {"loss": "mse", "optimizer": {"type": "adam", "learning_rate": %s}}',
    "tracker": '"training": {"loss": "mse", "trackers": [%s]}',
}
"""Where a component stands in a spec: by its kind, or by its name where it needs another place."""

EFFECTIVE_VALUES = {"momentum": 0.9, "reduction": "sum"}
"""Values with an effect, by the arguments of components; for others, 0.01 in place of 0.0."""
