"""A model's inputs and outputs: their names, shapes and element types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ...frontend.schema.phrases import short_name, short_repr
from ...frontend.schema.schema import DTYPES
from ...layers import LAYERS
from .call_arguments import tensor_refs
from .entries import NamedTensor, SpecEntry
from .layer_entries import LayerEntry
from .layer_names import valid_name
from .model_config import LayerConfig, ModelConfig, TensorRef, leaves
from .model_walk import ModelWalk

BUILD_MODEL_HELP = "build the model before it is saved: give it an Input, or call it on data once"


def add_inputs(model: ModelConfig, walk: ModelWalk) -> list[NamedTensor | None]:
    """The values of the inputs, in the model's order, each with its place in the document."""
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
            message = f"the model {short_name(model.name)} does not say which shape its input has"
            walk.report.add("keras-no-shape", model.path, message, help=BUILD_MODEL_HELP)
            return [None]
        config = {"batch_shape": model.build_input_shape}
    dtype = "int32" if first.class_name == "Embedding" else first.config.get("input_dtype")
    return [add_input(walk, f"{first.name}_input", {**config, "dtype": dtype}, first.config_path)]


def named_tensor_refs(structure: Any) -> Iterator[tuple[str, TensorRef]]:
    """The inputs with their names: those of an object are its keys."""
    if isinstance(structure, dict):
        for key, value in structure.items():
            yield from ((key, ref) if isinstance(value, TensorRef) else (ref.layer, ref) for ref in tensor_refs(value))
    else:
        yield from ((ref.layer, ref) for ref in tensor_refs(structure))


def batch_shape(config: Mapping[str, Json]) -> list[Json] | None:
    """The shape with the batch axis, under whichever name it is written."""
    for key in ("batch_shape", "batch_input_shape"):
        if isinstance(config.get(key), list):
            return list(config[key])
    if isinstance(config.get("input_shape"), list):
        return [None, *config["input_shape"]]
    size = config.get("input_dim")
    return [None, size] if isinstance(size, int) and "input_length" in config else None


def add_input(walk: ModelWalk, name: str, config: Mapping[str, Json], path: JsonPath) -> NamedTensor | None:
    """Adds an input to the document."""
    shape = batch_shape(config)
    sizes = shape[1:] if shape else []
    if not shape or any(not isinstance(size, (int, type(None))) or isinstance(size, bool) for size in sizes):
        walk.report.add("keras-no-shape", path, f"the input {short_name(name)} has no shape", help=BUILD_MODEL_HELP)
        return None
    for key in ("sparse", "ragged"):
        if config.get(key):
            message = f"the input {short_name(name)} is {key}, and ONNX has dense tensors alone"
            walk.report.add("not-expressible", (*path, key), message, help="save the model with a dense input")
    entry: dict[str, Json] = {"shape": sizes}
    dtype = config.get("dtype") or "float32"
    if isinstance(dtype, dict):
        dtype = (dtype.get("config") or {}).get("name", "float32") if isinstance(dtype.get("config"), dict) else dtype
    if dtype in ("float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"):
        walk.translator.notices.setdefault(f"inputs of {dtype} are float32 here", path)
    elif dtype not in DTYPES:
        message = f"the input {short_name(name)} is of {short_repr(dtype)}"
        walk.report.add("keras-dtype", path, message, help=f"there are {', '.join(DTYPES)}")
    elif dtype != "float32":
        entry["dtype"] = dtype
    ours = walk.names.unique_name(name)
    if ours != name:
        walk.names.renames.append((name, ours))
    walk.flat_model.inputs[ours] = entry
    walk.flat_model.input_paths[ours] = path
    return NamedTensor(ours)


def add_outputs(walk: ModelWalk, outputs: Any, path: JsonPath) -> None:
    """Names the outputs; one with a name of its own, or that is an input or another output too, gets an Identity."""
    keyed = list(outputs.items()) if isinstance(outputs, dict) else [(None, value) for value in leaves(outputs)]
    for key, value in keyed:
        for item in leaves(value):
            if not isinstance(item, NamedTensor):
                continue
            clear = item.name not in walk.flat_model.inputs and item.name not in walk.flat_model.outputs
            if clear and (key is None or item.name in (key, valid_name(key))):
                walk.flat_model.outputs.append(item.name)
                continue
            name = walk.names.unique_name(str(key) if key is not None else f"{item.name.replace('.', '_')}_output")
            entry = LayerEntry({"type": "Identity"}, {}, LAYERS.by_name["Identity"]())  # type: ignore[arg-type]
            walk.flat_model.add_entry(SpecEntry(name, entry.spec, (item.name,), entry, path), [item])
            walk.flat_model.outputs.append(name)


__all__ = ["LayerConfig", "add_inputs", "add_outputs"]
