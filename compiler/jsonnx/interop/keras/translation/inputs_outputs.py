"""Translates a model's inputs and outputs: names, shapes and element types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from ....core.components import Json
from ....core.diagnostics import JsonPath
from ....frontend.schema.phrases import short_name, short_repr
from ....frontend.schema.schema import DTYPES
from ....layers import LAYERS, Layer
from .call_arguments import tensor_refs
from .entries import SpecEntry
from .layer_entries import LayerEntry
from .layer_names import valid_name
from .masks import NamedTensor
from .model_config import ModelConfig, TensorRef, leaves
from .model_walk import ModelWalk

BUILD_MODEL_HELP = "build the model before saving it: give it an Input, or call it once on data"


def add_inputs(model: ModelConfig, walk: ModelWalk) -> list[NamedTensor | None]:
    """Adds a model's inputs to the spec and returns their tensors, in the model's order; None for an invalid input."""
    if not model.is_sequential:
        by_name = {layer.name: layer for layer in model.layers}
        return [
            add_input(walk, name, by_name[ref.layer].config, by_name[ref.layer].config_path)
            for name, ref in named_tensor_refs(model.inputs)
            if ref.layer in by_name
        ]
    first = model.layers[0]
    if first.class_name == "InputLayer":
        return [add_input(walk, first.name, first.config, first.config_path)]
    if first.branches or (first.inner_model is not None and not batch_shape(first.config)):
        return [value for inner in model.leading_models for value in add_inputs(inner, walk)]
    config: Mapping[str, Json] = first.config
    if not batch_shape(config):
        if not isinstance(model.build_input_shape, list):
            message = f"the input shape of the model {short_name(model.name)} is not stated"
            walk.report.add("keras-no-shape", model.path, message, help=BUILD_MODEL_HELP)
            return [None]
        config = {"batch_shape": model.build_input_shape}
    dtype = "int32" if first.class_name == "Embedding" else first.config.get("input_dtype")
    return [add_input(walk, f"{first.name}_input", {**config, "dtype": dtype}, first.config_path)]


def named_tensor_refs(structure: Any) -> Iterator[tuple[str, TensorRef]]:
    """Yields inputs with their names: keys of an object, or else the names of the input layers."""
    if isinstance(structure, dict):
        for key, value in structure.items():
            yield from ((key, ref) if isinstance(value, TensorRef) else (ref.layer, ref) for ref in tensor_refs(value))
    else:
        yield from ((ref.layer, ref) for ref in tensor_refs(structure))


def batch_shape(config: Mapping[str, Json]) -> list[Json] | None:
    """The input shape with the batch axis, whichever version of Keras wrote it; None if it is not stated."""
    for key in ("batch_shape", "batch_input_shape"):
        if isinstance(config.get(key), list):
            return list(config[key])
    if isinstance(config.get("input_shape"), list):
        return [None, *config["input_shape"]]
    size = config.get("input_dim")
    return [None, size] if isinstance(size, int) and "input_length" in config else None


def add_input(walk: ModelWalk, name: str, config: Mapping[str, Json], path: JsonPath) -> NamedTensor | None:
    """Adds an input to the spec; None, with a diagnostic, if it has no shape."""
    shape = batch_shape(config)
    sizes = shape[1:] if shape else []
    if not shape or any(not isinstance(size, (int, type(None))) or isinstance(size, bool) for size in sizes):
        walk.report.add("keras-no-shape", path, f"the input {short_name(name)} has no shape", help=BUILD_MODEL_HELP)
        return None
    for key in ("sparse", "ragged"):
        if config.get(key):
            message = f"the input {short_name(name)} is {key}, but ONNX has only dense tensors"
            walk.report.add("not-expressible", (*path, key), message, help="save the model with a dense input")
    entry: dict[str, Json] = {"shape": sizes}
    dtype = config.get("dtype") or "float32"
    if isinstance(dtype, dict):
        dtype = (dtype.get("config") or {}).get("name", "float32") if isinstance(dtype.get("config"), dict) else dtype
    if dtype in ("float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"):
        walk.translator.notices.setdefault(f"inputs of {dtype} are float32 here", path)
    elif dtype not in DTYPES:
        message = f"the input {short_name(name)} has the element type {short_repr(dtype)}"
        walk.report.add("keras-dtype", path, message, help=f"supported are {', '.join(DTYPES)}")
    elif dtype != "float32":
        entry["dtype"] = dtype
    input_name = walk.names.unique_name(name)
    if input_name != name:
        walk.names.renames.append((name, input_name))
    walk.flat_model.inputs[input_name] = entry
    walk.flat_model.input_paths[input_name] = path
    return NamedTensor(input_name)


def add_outputs(walk: ModelWalk, outputs: Any, path: JsonPath) -> None:
    """Adds the outputs to the spec.

    An Identity layer is added if the output has a key that is not the tensor's name, or if the tensor is an input or
    another output as well.
    """
    flat_model = walk.flat_model
    keyed = list(outputs.items()) if isinstance(outputs, dict) else [(None, value) for value in leaves(outputs)]
    for key, value in keyed:
        for tensor in leaves(value):
            if not isinstance(tensor, NamedTensor):
                continue
            is_unique = tensor.name not in flat_model.inputs and tensor.name not in flat_model.outputs
            if is_unique and (key is None or tensor.name in (key, valid_name(key))):
                flat_model.outputs.append(tensor.name)
                continue
            default_name = f"{tensor.name.replace('.', '_')}_output"
            name = walk.names.unique_name(default_name if key is None else str(key))
            entry = LayerEntry(spec={"type": "Identity"}, layer=cast("Layer", LAYERS.by_name["Identity"]()))
            flat_model.add_entry(SpecEntry(name, entry.spec, (tensor.name,), entry, path), [tensor])
            flat_model.outputs.append(name)
