"""A model's inputs and outputs: their names, shapes and element types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ...frontend.schema.phrases import quoted, shown
from ...frontend.schema.schema import DTYPES
from ...layers import LAYERS
from .call_arguments import refs
from .entries import Step, Value
from .layer_entries import Entry
from .layer_names import valid
from .model_config import Model, Ref, Written, leaves
from .model_walk import Graph

BUILD = "build the model before it is saved: give it an Input, or call it on data once"


def inputs_of(model: Model, graph: Graph) -> list[Value | None]:
    """The values of the inputs, in the model's order, each with its place in the document."""
    if not model.sequential:
        by_name = {layer.name: layer for layer in model.layers}
        return [
            one_input(graph, name, by_name[ref.layer].config, by_name[ref.layer].config_path)
            for name, ref in named(model.inputs)
            if ref.layer in by_name
        ]
    first = model.layers[0]
    if first.kind == "InputLayer":
        return [one_input(graph, first.name, first.config, first.config_path)]
    if first.branches or (first.inner is not None and not shape_of(first.config)):
        return [value for inner in model.inner_models for value in inputs_of(inner, graph)]
    config: Mapping[str, Json] = first.config
    if not shape_of(config):
        if not isinstance(model.build_shape, list):
            message = f"the model {quoted(model.name)} does not say which shape its input has"
            graph.report.add("keras-no-shape", model.path, message, help=BUILD)
            return [None]
        config = {"batch_shape": model.build_shape}
    dtype = "int32" if first.kind == "Embedding" else first.config.get("input_dtype")
    return [one_input(graph, f"{first.name}_input", {**config, "dtype": dtype}, first.config_path)]


def named(structure: Any) -> Iterator[tuple[str, Ref]]:
    """The inputs with their names: those of an object are its keys."""
    if isinstance(structure, dict):
        for key, value in structure.items():
            yield from ((key, ref) if isinstance(value, Ref) else (ref.layer, ref) for ref in refs(value))
    else:
        yield from ((ref.layer, ref) for ref in refs(structure))


def shape_of(config: Mapping[str, Json]) -> list[Json] | None:
    """The shape with the batch axis, under whichever name it is written."""
    for key in ("batch_shape", "batch_input_shape"):
        if isinstance(config.get(key), list):
            return list(config[key])
    if isinstance(config.get("input_shape"), list):
        return [None, *config["input_shape"]]
    size = config.get("input_dim")
    return [None, size] if isinstance(size, int) and "input_length" in config else None


def one_input(graph: Graph, name: str, config: Mapping[str, Json], path: JsonPath) -> Value | None:
    """Adds an input to the document."""
    shape = shape_of(config)
    sizes = shape[1:] if shape else []
    if not shape or any(not isinstance(size, (int, type(None))) or isinstance(size, bool) for size in sizes):
        graph.report.add("keras-no-shape", path, f"the input {quoted(name)} has no shape", help=BUILD)
        return None
    for key in ("sparse", "ragged"):
        if config.get(key):
            message = f"the input {quoted(name)} is {key}, and ONNX has dense tensors alone"
            graph.report.add("not-expressible", (*path, key), message, help="save the model with a dense input")
    entry: dict[str, Json] = {"shape": sizes}
    dtype = config.get("dtype") or "float32"
    if isinstance(dtype, dict):
        dtype = (dtype.get("config") or {}).get("name", "float32") if isinstance(dtype.get("config"), dict) else dtype
    if dtype in ("float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"):
        graph.layers.notices.setdefault(f"inputs of {dtype} are float32 here", path)
    elif dtype not in DTYPES:
        message = f"the input {quoted(name)} is of {shown(dtype)}"
        graph.report.add("keras-dtype", path, message, help=f"there are {', '.join(DTYPES)}")
    elif dtype != "float32":
        entry["dtype"] = dtype
    ours = graph.names.fresh(name)
    if ours != name:
        graph.names.changed.append((name, ours))
    graph.flat.inputs[ours] = entry
    graph.flat.places[ours] = path
    return Value(ours)


def add_outputs(graph: Graph, outputs: Any, path: JsonPath) -> None:
    """Names the outputs; one with a name of its own, or that is an input or another output too, gets an Identity."""
    keyed = list(outputs.items()) if isinstance(outputs, dict) else [(None, value) for value in leaves(outputs)]
    for key, value in keyed:
        for item in leaves(value):
            if not isinstance(item, Value):
                continue
            clear = item.name not in graph.flat.inputs and item.name not in graph.flat.outputs
            if clear and (key is None or item.name in (key, valid(key))):
                graph.flat.outputs.append(item.name)
                continue
            name = graph.names.fresh(str(key) if key is not None else f"{item.name.replace('.', '_')}_output")
            entry = Entry({"type": "Identity"}, {}, LAYERS.names["Identity"]())  # type: ignore[arg-type]
            graph.flat.add(Step(name, entry.spec, (item.name,), entry, path), [item])
            graph.flat.outputs.append(name)


__all__ = ["Written", "add_outputs", "inputs_of"]
