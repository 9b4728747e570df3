"""Keras as the oracle: builds and trains the Keras model of a spec, and returns its weights and gradients.

Needs Keras on JAX, with `KERAS_BACKEND=jax` set; the ordinary suite does not import it. Specs have no parameters and
blocks, only inputs, layers, outputs and training.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial, partialmethod
from typing import Any
from unittest.mock import patch

import jax
import keras
import numpy as np
import operations
from keras.src.applications import convnext, inception_resnet_v2

Arrays = np.ndarray | Mapping[str, np.ndarray] | Sequence[np.ndarray]

RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
"""Layers whose inputs after the first are the initial states."""

CELLS = ("SimpleRNNCell", "GRUCell", "LSTMCell", "StackedRNNCells")
"""Layers whose inputs after the first are their states."""

BY_ARGUMENT = ("MultiHeadAttention", "GroupQueryAttention")
"""Layers that take their inputs as separate arguments, not as a list."""

ATTENTION = (*BY_ARGUMENT, "Attention", "AdditiveAttention")

OWN_KEYS = {"type", "from", "use"}

CALL_KEYS = {"arguments", "use_causal_mask", "return_attention_scores"}
"""Keys that are arguments of a layer's call in Keras, not of its constructor."""


def keras_model(spec: Mapping[str, Any], *, initial: bool = True) -> keras.Model:
    """Returns the functional Keras model of a spec; several outputs are a dict by name.

    If `initial` is False, all weights are zeros, which is faster than drawing them.
    """
    if not initial:
        with patch.object(keras.Layer, "add_weight", partialmethod(_zeros, keras.Layer.add_weight)):
            return keras_model(spec)
    keras.backend.clear_session(free_memory=False)  # collecting garbage is slower than building the model
    values: dict[str, Any] = {}
    for name, entry in spec["inputs"].items():
        shape = [size if isinstance(size, int) else None for size in entry["shape"]]
        values[name] = keras.Input(shape, dtype=entry.get("dtype", "float32"), name=name)
    inputs, layers, last = dict(values), {}, next(iter(values))
    names = default_names(spec["layers"])
    for name, entry in zip(names, spec["layers"], strict=True):
        if entry.get("type", "").startswith(operations.PREFIX):
            sources = entry.get("from", last)
            values |= operations.results(name, entry, [values[one] for one in operations.as_list(sources)])
            last = name
            continue
        owner = entry.get("use", name)
        if owner not in layers:
            layers[owner] = keras_layer({**entry, "name": name})
        sources = entry.get("from", last)
        sources = [sources] if isinstance(sources, str) else sources
        options = {key: entry[key] for key in CALL_KEYS & set(entry)}
        results = call(layers[owner], [values[source] for source in sources], options)
        if entry.get("trainable") is False:  # the constructor's argument does not freeze layers inside it
            layers[owner].trainable = False
        values |= zip(result_names(name, layers[owner], len(results)), results, strict=True)
        last = name
    outputs = spec.get("outputs") or [last]
    outputs = [outputs] if isinstance(outputs, str) else outputs
    results = values[outputs[0]] if len(outputs) == 1 else {name: values[name] for name in outputs}
    return keras.Model(next(iter(inputs.values())) if len(inputs) == 1 else inputs, results)


def _zeros(layer: keras.Layer, add_weight: Any, *args: Any, **options: Any) -> Any:
    """Calls `Layer.add_weight` with zeros as initializer."""
    options["initializer"] = lambda shape, dtype=None: np.zeros(shape, dtype)
    return add_weight(layer, *args, **options)


def default_names(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the names of the layer entries; entries without a name are numbered per type."""
    taken = {entry["name"] for entry in entries if "name" in entry}
    names, counts = [], {}
    for entry in entries:
        name = entry.get("name")
        while name is None:
            stem = stem_of(entry["type"]) if "type" in entry else entry["use"]
            number = counts[stem] = counts.get(stem, -1 if "type" in entry else 0) + 1
            candidate = stem if number == 0 else f"{stem}_{number}"
            name = None if candidate in taken else candidate
        taken.add(name)
        names.append(name)
    return names


def stem_of(kind: str) -> str:
    """Returns the default name of a type without number."""
    return operations.stem(kind) if kind.startswith(operations.PREFIX) else snake_case(own_name(kind))


def own_name(kind: str) -> str:
    """Returns the class name of a type or an alias."""
    return layer_class(kind).__name__


def snake_case(name: str) -> str:
    spaced = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()


def keras_layer(entry: Mapping[str, Any]) -> keras.layers.Layer:
    """Returns the layer of an entry; inner layers without a name have the name of their type without number."""
    arguments = {key: argument(key, value) for key, value in entry.items() if key not in OWN_KEYS | CALL_KEYS}
    return layer_class(entry["type"])(**arguments)


def layer_class(kind: str) -> type[keras.layers.Layer]:
    """Returns the class of a type, which may be defined in keras.applications."""
    modules = {"StochasticDepth": convnext, "LayerScale": convnext, "CustomScaleLayer": inception_resnet_v2}
    return getattr(modules.get(kind, keras.layers), kind)


def argument(key: str, value: Any) -> Any:
    """Converts an argument of a layer; components become Keras objects, by the name of the argument."""
    if key == "cell" and isinstance(value, list):  # Keras would number the stack it creates
        value = {"type": "StackedRNNCells", "cells": value}
    if key in ("layer", "backward_layer", "cell"):
        prefix = "backward_" if key == "backward_layer" else ""  # the name of a backward layer created by Keras
        return keras_layer({"name": prefix + snake_case(value["type"]), **value})
    if key in ("cells", "layers"):
        names = default_names([{"type": cell["type"]} for cell in value])
        return [argument("cell", {"name": name, **cell}) for name, cell in zip(names, value, strict=True)]
    if isinstance(value, Mapping) and "type" in value:
        kinds = {"initializer": keras.initializers, "regularizer": keras.regularizers, "constraint": keras.constraints}
        kind = key.rsplit("_", 1)[-1]
        arguments = {name: argument(name, item) for name, item in value.items() if name != "type"}
        if kind == "activation":
            return partial(keras.activations.get(value["type"]), **arguments) if arguments else value["type"]
        return keras_object(kinds[kind], value["type"], arguments)
    if isinstance(value, list):
        return tuple(argument("", item) for item in value)
    return value


def keras_object(module: Any, name: str, arguments: Mapping[str, Any]) -> Any:
    """Calls a class of a Keras module, given by its name or an alias."""
    cls = getattr(module, name, None)
    if not inspect.isclass(cls):
        cls = type(module.get(name))
    return cls(**arguments)


def call(layer: keras.layers.Layer, inputs: list[Any], options: Mapping[str, Any]) -> list[Any]:
    """Calls a layer; inputs after the first are passed as states, arguments or a list, by the layer's type."""
    kind = type(layer).__name__.replace("Grouped", "Group")
    if kind in ATTENTION:
        results = call_attention(layer, kind, inputs, **options)
    elif kind == "ReversibleEmbedding":
        results = layer(inputs[0], reverse="float" in inputs[0].dtype)
    elif kind in CELLS:
        results = layer(inputs[0], states_of(layer, inputs[1:]))
    elif len(inputs) == 1:
        results = layer(inputs[0])
    elif kind == "CategoryEncoding":
        results = layer(inputs[0], count_weights=inputs[1])
    elif kind in ("Softmax", "GlobalAveragePooling1D"):
        results = layer(inputs[0], mask=inputs[1])
    elif kind in RECURRENT:
        masks = [one for one in inputs[-1:] if one.dtype == "bool"]
        states = inputs[1 : len(inputs) - len(masks)]
        arguments = {"initial_state": initial_states(layer, states)} if states else {}
        results = layer(inputs[0], **arguments, mask=masks[0] if masks else None)
    else:
        results = layer(inputs)
    return keras.tree.flatten(results)


def initial_states(layer: keras.layers.Layer, states: list[Any]) -> list[Any]:
    """Returns the states of a recurrent layer, nested like its cells."""
    if isinstance(layer, keras.layers.Bidirectional):
        half = len(states) // 2
        directions = (layer.forward_layer, states[:half]), (layer.backward_layer, states[half:])
        return [
            state for direction, direction_states in directions for state in initial_states(direction, direction_states)
        ]
    return states_of(layer.cell, states)


def states_of(cell: Any, states: list[Any]) -> list[Any]:
    """Returns the states of a cell, or a list of states for every cell of a stack."""
    if not isinstance(cell, keras.layers.StackedRNNCells):
        return states
    remaining = iter(states)
    return [[next(remaining) for _ in state_names(inner)] for inner in cell.cells]


def state_names(cell: Any) -> list[str]:
    """Returns the names of a cell's states; those of a stack are prefixed with the names of its cells."""
    if isinstance(cell, keras.layers.StackedRNNCells):
        return [f"{inner.name}_{state}" for inner in cell.cells for state in state_names(inner)]
    one = isinstance(cell, (keras.layers.SimpleRNNCell, keras.layers.GRUCell))
    return ["state_h"] if one else ["state_h", "state_c"]


def call_attention(
    layer: keras.layers.Layer, kind: str, inputs: list[Any], arguments: Sequence[str] | None = None, **options: Any
) -> Any:
    """Calls an attention layer; its inputs are query, value and key, or those named by `arguments`."""
    tensors_by_name = dict(zip(arguments or ("query", "value", "key")[: len(inputs)], inputs, strict=True))
    tensors_by_name.setdefault("value", tensors_by_name["query"])
    if kind not in BY_ARGUMENT:
        masks = [tensors_by_name.pop(f"{name}_mask", None) for name in ("query", "value")]
        masks = [None if mask is None else keras.ops.cast(mask, "bool") for mask in masks]
        tensors = [tensors_by_name[name] for name in ("query", "value", "key") if name in tensors_by_name]
        return layer(tensors, mask=masks if masks != [None, None] else None, **options)
    if "query_mask" in tensors_by_name and kind == "MultiHeadAttention":  # MultiHeadAttention has no such argument
        rows = keras.ops.expand_dims(tensors_by_name.pop("query_mask"), -1)
        tensors_by_name["attention_mask"] = (
            tensors_by_name["attention_mask"] * rows if "attention_mask" in tensors_by_name else rows
        )
    first = [tensors_by_name.pop(name) for name in ("query", "value", "key") if name in tensors_by_name]
    return layer(*first, **tensors_by_name, **options)


def result_names(name: str, layer: keras.layers.Layer, count: int) -> list[str]:
    """Returns the names of a layer's outputs: `encoder`, `encoder.state_h`, ..."""
    if type(layer).__name__.endswith("Attention"):
        output_names = ["attention_scores"]
    elif isinstance(layer, keras.layers.Bidirectional):
        output_names = ["backward"] if layer.merge_mode is None else []
        directions = ("forward", layer.forward_layer), ("backward", layer.backward_layer)
        output_names += [f"{direction}_{state}" for direction, inner in directions for state in state_names(inner.cell)]
    elif type(layer).__name__ in RECURRENT:
        output_names = state_names(layer.cell)
    elif type(layer).__name__ in CELLS:
        output_names = state_names(layer)
    else:
        output_names = ["state_h", "state_c"]
    output_names = output_names[: count - 1]
    return [name, *(f"{name}.{output}" for output in output_names)]


# -- training ---------------------------------------------------------------------------------------------------------


def compile(model: keras.Model, spec: Mapping[str, Any], *, jit: bool = True) -> None:
    """Compiles a model with the loss, loss weights, optimizer and metrics of a spec."""
    section = spec["training"]
    model.compile(
        optimizer=optimizer(section.get("optimizer", "rmsprop")),
        loss=by_name(section["loss"], loss),
        loss_weights=section.get("loss_weights"),
        metrics=by_name(section.get("metrics"), metrics),
        jit_compile=jit,
    )


def by_name(value: Any, make: Any) -> Any:
    """Applies `make` to a value, or to every value of a dict by output name."""
    if isinstance(value, Mapping) and "type" not in value:
        return {name: make(item) for name, item in value.items()}
    return None if value is None else make(value)


def of_kind(module: Any, value: Any) -> Any:
    if isinstance(value, str):
        return module.get(value)
    return keras_object(module, value["type"], {name: item for name, item in value.items() if name != "type"})


def loss(value: Any) -> Any:
    return value if isinstance(value, str) else of_kind(keras.losses, value)


def metrics(values: Any) -> Any:
    return [value if isinstance(value, str) else of_kind(keras.metrics, value) for value in values]


def optimizer(value: Any) -> keras.optimizers.Optimizer:
    """Returns an optimizer; its learning rate may be a schedule.

    The patterns of `exclude_from_weight_decay` and of `optimizer_map` must be names of weights, such as `bias`.
    """
    if isinstance(value, Mapping) and "optimizer_map" in value:
        parts = {f"(.*/)?{name}": optimizer(part) for name, part in value["optimizer_map"].items()}
        default = optimizer(value["default_optimizer"])
        return keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(default, parts))
    if isinstance(value, Mapping) and "exclude_from_weight_decay" in value:
        others = {name: item for name, item in value.items() if name != "exclude_from_weight_decay"}
        made = optimizer(others)
        made.exclude_from_weight_decay(var_names=value["exclude_from_weight_decay"])
        return made
    if isinstance(value, Mapping) and isinstance(value.get("learning_rate"), Mapping):
        value = {**value, "learning_rate": of_kind(keras.optimizers.schedules, value["learning_rate"])}
    return of_kind(keras.optimizers, value)


def train(model: keras.Model, batches: Iterable[tuple[Arrays, Arrays]]) -> list[float]:
    """Trains on every batch and returns the losses; without the resets, Keras would report running means."""
    losses = []
    for x, y in batches:
        model.reset_metrics()
        losses.append(float(model.train_on_batch(x, y, return_dict=True)["loss"]))
    return losses


# -- weights, outputs, gradients --------------------------------------------------------------------------------------


def weights(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns all weights and states by path, such as `dense/kernel`, in the order of Keras."""
    return {weight.path: np.asarray(weight.value) for weight in model.weights}


def set_weights(model: keras.Model, values: Mapping[str, np.ndarray]) -> None:
    """Assigns weights by path; others are unchanged."""
    named = {weight.path: weight for weight in model.weights}
    for path, value in values.items():
        named[path].assign(value)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with copies of its weights


def outputs(model: keras.Model, x: Arrays, *, training: bool = False) -> dict[str, np.ndarray]:
    """The outputs by name; a single output is called `output`."""
    weights = ([weight.value for weight in part] for part in (model.trainable_variables, model.non_trainable_variables))
    results, _ = jax.jit(partial(model.stateless_call, training=training))(*weights, x)
    results = results if isinstance(results, Mapping) else {"output": results}
    return {name: np.asarray(value) for name, value in results.items()}


def gradients(
    model: keras.Model, x: Arrays, cotangents: np.ndarray | Mapping[str, np.ndarray], *, training: bool = True
) -> dict[str, np.ndarray]:
    """Returns the gradients of `sum(output * cotangent)` by the paths of trainable weights and names of real inputs.

    A single input or output may be given without its name; the input is then called `input`.
    """
    inputs = dict(x) if isinstance(x, Mapping) else {"input": x}
    names = [weight.path for weight in model.trainable_variables]
    states = [weight.value for weight in model.non_trainable_variables]
    real = {name: value for name, value in inputs.items() if np.issubdtype(np.asarray(value).dtype, np.floating)}

    def total(trainable: list[Any], moved: dict[str, Any]) -> Any:
        fed = inputs | moved
        results, _ = model.stateless_call(
            trainable, states, fed if isinstance(x, Mapping) else fed["input"], training=training
        )
        if isinstance(results, Mapping):
            return sum((results[name] * cotangent).sum() for name, cotangent in cotangents.items())
        return (results * cotangents).sum()

    by_weight, by_input = jax.grad(total, argnums=(0, 1))([w.value for w in model.trainable_variables], real)
    return {name: np.asarray(value) for name, value in [*zip(names, by_weight, strict=True), *by_input.items()]}
