"""The reference of layers and other components as JSON values, for `jsonnx layers --format json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...core.components import Component
from ...core.types import Dim, Size, TensorType
from ...layers import Layer
from .component_reference import (
    KINDS,
    Argument,
    accepted_names,
    address_of,
    arguments_of,
    description,
    example_json,
    example_shapes,
    registry_of,
    required_arguments,
    result_names,
    snippets,
)
from .layer_examples import LayerExample, accepted_ranks, example_graph, operator_names, weights_of
from .layer_groups import grouped_layers
from .library_reference import TITLE as LIBRARY_TITLE
from .library_reference import entry_json as block_entry_json
from .reference_examples import FURTHER_EXAMPLES

Section = tuple[str, list[type[Component]]]
"""A heading and the components below it."""


def reference_json(component: type[Component]) -> dict[str, Any]:
    """The complete reference of a component. A required argument has no default.

    A layer's sizes are numbers or formulas of symbols such as `height - 2`; its ranks count the batch axis.
    """
    is_layer = issubclass(component, Layer)
    return {
        **entry_json(component),
        "description": description(component),
        "formula": component.formula or None,
        "arguments": [_argument_json(component, argument) for argument in arguments_of(component)],
        "example": json.loads(example_json(component)),
        "shapes": [str(example) for example in example_shapes(component)] if is_layer else [],
        **(_layer_json(component) if is_layer else {"snippets": snippets(component)}),
        **({"page": address} if (address := address_of(component)) else {}),
    }


def list_json(sections: list[Section], blocks: Mapping[str, str] = {}) -> list[dict[str, Any]]:
    """One object a component, in the order of the sections, and a block with its summary."""
    components = [{**entry_json(component), "group": title} for title, members in sections for component in members]
    return [*components, *({**block_entry_json(type_), "group": LIBRARY_TITLE} for type_ in blocks)]


def entry_json(component: type[Component]) -> dict[str, Any]:
    return {
        "kind": registry_of(component).kind,
        "name": component.type_name,
        "names": accepted_names(component),
        "summary": component.summary(),
    }


def _argument_json(component: type[Component], argument: Argument) -> dict[str, Any]:
    schema = component.schema()["properties"][argument.name]
    allowed = [*schema.get("enum", ()), *(name for kind in argument.kinds for name in KINDS[kind].members)]
    return {
        "name": argument.name,
        "type": argument.type,
        "required": argument.is_required,
        **({} if argument.is_required else {"default": argument.default}),
        "meaning": argument.meaning,
        **({"kinds": [*argument.kinds]} if argument.kinds else {}),
        **({"allowed": allowed} if allowed else {}),
        "schema": {key: value for key, value in schema.items() if key not in ("description", "default")},
    }


def _layer_json(component: type[Component]) -> dict[str, Any]:
    """Inputs, results, weights and operators of a layer; imports onnx."""
    layer = component(**required_arguments(component))
    assert isinstance(layer, Layer)
    examples = example_shapes(component)
    graph = example_graph(layer, examples[0]) if examples else None
    minimum, maximum = layer.arity
    further = FURTHER_EXAMPLES.get(component.type_name)
    return {
        "group": next(title for title, layers in grouped_layers() if component in layers),
        "inputs": {"minimum": minimum, "maximum": maximum, "ranks": accepted_ranks(layer)},
        "examples": [_example_json(example) for example in examples],
        "further_results": result_names(component),
        "weights": [{"name": name, "shape": _shape_json(shape)} for name, shape in weights_of(graph)] if graph else [],
        "operators": operator_names(graph) if graph else [],
        "in_a_network": further.layers if further else [],
    }


def _example_json(example: LayerExample) -> dict[str, Any]:
    return {
        "inputs": [_type_json(type) for type in example.inputs],
        "outputs": [_type_json(type) for type in example.outputs],
    }


def _type_json(type: TensorType) -> dict[str, Any]:
    return {"dtype": type.dtype, "shape": _shape_json(type.shape)}


def _shape_json(shape: Sequence[Dim]) -> list[int | str]:
    return [str(size) if isinstance(size, Size) else size for size in shape]
