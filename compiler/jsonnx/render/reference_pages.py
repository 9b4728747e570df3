"""Generates what `jsonnx layers` shows, the pages layers, errors and limits of docs/, and the schema.

`python -m jsonnx.render.reference_pages [FOLDER]` writes the generated files below a folder; the default is the
repository's root.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from inspect import cleandoc, getmodule
from pathlib import Path
from textwrap import fill, indent
from typing import Any

from ..core.components import REQUIRED, Attribute, Component, Registry
from ..frontend.schema.editor_schema import editor_schema_text
from ..frontend.schema.phrases import schema_phrase, short_repr
from ..frontend.schema.schema import REGISTRIES
from ..layers import LAYERS, Layer
from .explanations import EXPLANATIONS
from .layer_examples import LayerExample, example_graph, layer_examples, operator_names, weight_descriptions
from .library_reference import block_sections
from .limits_page import limits_page

EXAMPLE_ARGUMENTS: dict[str, Any] = {
    "EinsumDense.equation": "...b,bc->...c",
    "EinsumDense.output_shape": 64,
    "GroupNormalization.groups": 8,
    "SpectralNormalization.layer": {"type": "Dense", "units": 16},
    "TimeDistributed.layer": {"type": "Dense", "units": 16},
    "N": 4,
    "activation": "relu",
    "axis1": 1,
    "axis2": -1,
    "destination": -1,
    "dtype": "float32",
    "indices_or_sections": 2,
    "k": 3,
    "newshape": [-1, 8],
    "block_size": 2,
    "num_classes": 10,
    "ops.arange.stop": {"axis": 1},
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
    "ops.full.fill_value": 0.5,
    "ops.full.shape": [2, {"axis": 1}],
    "ops.get_item.key": [":", "0:8"],
    "ops.linspace.start": -1,
    "ops.linspace.stop": 1,
    "ops.logspace.start": 0,
    "ops.logspace.stop": 3,
    "ops.one_hot.num_classes": 10,
    "ops.ones.shape": [2, {"axis": 1}],
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
    "ops.zeros.shape": [2, {"axis": 1}],
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


def layers_by_module() -> list[tuple[str, list[type[Component]]]]:
    """The layers of each module, by the first line of the module's docstring."""
    groups: dict[str, list[type[Component]]] = {}
    for layer in LAYERS:
        title = (getattr(getmodule(layer), "__doc__", None) or layer.__module__).strip().splitlines()[0]
        groups.setdefault(title.rstrip("."), []).append(layer)
    return sorted(groups.items())


def accepted_names(layer: type[Component]) -> list[str]:
    """The names of a layer in a spec, its own name first."""
    others = [name for name, known in LAYERS.by_name.items() if known is layer and name != layer.type_name]
    return [layer.type_name, *others]


def argument_rows(component: type[Component]) -> Iterator[tuple[str, Attribute, str]]:
    """The arguments with their types in words: required ones, optional ones, those of all layers."""
    shared = Layer.attributes if issubclass(component, Layer) else {}
    needed = component.required_attributes()
    for name in sorted(component.attributes, key=lambda name: (name in shared, name not in needed)):
        yield (
            name,
            component.attributes[name],
            _type_phrase(component.schema()["properties"][name], component.attributes[name]),
        )


def _type_phrase(schema: dict[str, Any], attribute: Attribute) -> str:
    return ", ".join([schema_phrase(schema), *_bound_phrases(attribute)])


def _bound_phrases(attribute: Attribute) -> list[str]:
    words = {
        "minimum": "at least",
        "maximum": "at most",
        "exclusiveMinimum": "greater than",
        "exclusiveMaximum": "less than",
    }
    return [] if attribute.unsupported else [f"{words[key]} {bound}" for key, bound in attribute.bounds.items()]


def default_text(component: type[Component], name: str) -> str:
    """The default as JSON; empty if the argument is required."""
    default, form = component.attributes[name].default, component.codecs()[name]
    return "" if default is REQUIRED else short_repr(form.write(form.read(default)))


def argument_meaning(attribute: Attribute) -> str:
    return attribute.doc if attribute.unsupported is None else f"{attribute.doc} {attribute.unsupported}"


def required_arguments(layer: type[Component]) -> dict[str, Any]:
    """Example values for the required arguments."""
    properties = layer.schema()["properties"]
    known = {
        name: EXAMPLE_ARGUMENTS.get(f"{layer.type_name}.{name}", EXAMPLE_ARGUMENTS.get(name)) for name in properties
    }
    wanted = [
        *layer.required_attributes(),
        *(name for name in properties if f"{layer.type_name}.{name}" in EXAMPLE_ARGUMENTS),
    ]
    return {
        name: _example_value(properties[name]) if known[name] is None else known[name] for name in dict.fromkeys(wanted)
    }


def example_json(layer: type[Component]) -> str:
    """The shortest entry that is a valid layer."""
    entry = required_arguments(layer)
    if issubclass(layer, Layer) and layer.arity[0] > 1:
        entry = {"from": list("abcde")[: layer.arity[0]]} | entry
    return json.dumps({"type": layer.type_name, **entry})


def example_shapes(layer: type[Component]) -> list[LayerExample]:
    """Example inputs and outputs of a layer with its required arguments."""
    instance = layer(**required_arguments(layer))
    return layer_examples(instance) if isinstance(instance, Layer) else []


def _example_value(schema: dict[str, Any]) -> Any:
    """A value that the schema allows."""
    if "anyOf" in schema:
        return _example_value(schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    kinds = schema.get("type", "")
    kind = str(kinds[0] if isinstance(kinds, list) else kinds)
    if kind == "array":
        return [_example_value(schema["items"])] * schema.get("minItems", 1)
    return {"integer": max(8, schema.get("minimum", 8)), "number": 0.5, "boolean": True}.get(kind, "")


# -- for a terminal --------------------------------------------------------------------------------------------------


def reference_text(component: type[Component]) -> str:
    """The reference of a layer as text."""
    lines = [", ".join(accepted_names(component)), "", cleandoc(component.__doc__ or ""), ""]
    for name, attribute, words in argument_rows(component):
        default = default_text(component, name)
        lines.append(f"  {name}: {words}{f' (default {default})' if default else ' (required)'}")
        lines.append(indent(fill(argument_meaning(attribute), 90), "      "))
    lines += [
        "",
        "Example:",
        "",
        f"  {example_json(component)}",
        "",
        *(f"  {example}" for example in example_shapes(component)),
    ]
    return "\n".join(lines).rstrip()


# -- pages -----------------------------------------------------------------------------------------------------------

_GENERATED_NOTICE = "<!-- Generated by `make generate` from the code. -->"


def layers_page() -> str:
    """docs/layers.md: all layers with their arguments, and the components that arguments refer to."""
    lines = [
        "# Layers",
        "",
        _GENERATED_NOTICE,
        "",
        "Types, arguments and defaults are those of Keras 3. Besides its own arguments, every layer takes",
        f"`name`, `from` and {', '.join(f'`{name}`' for name in Layer.attributes)}. An example is followed by",
        "the output types for example inputs (a name in place of a size is any size), the weights, and the operators",
        "in inference. The functions of keras.ops, whose types begin with `ops.`, have no weights and take only `name`",
        "and `from`, besides their own arguments.",
        "",
        *_argument_table(Layer),
    ]
    for title, layers in layers_by_module():
        lines += ["", f"## {title}"]
        for layer in layers:
            lines += ["", f"### {', '.join(accepted_names(layer))}", "", cleandoc(layer.__doc__ or ""), ""]
            lines += ["```json", example_json(layer), "```", "", *_behaviour(layer)]
            own = _argument_table(layer)
            lines += ["", *own] if own else []
    lines += ["", *block_sections()]
    for family in REGISTRIES:
        lines += ["", *_registry_section(family)]
    return "\n".join(lines) + "\n"


def _behaviour(layer: type[Component]) -> list[str]:
    """Shapes, weights and operators of the example, as lines of a list."""
    instance, examples = layer(**required_arguments(layer)), example_shapes(layer)
    if not isinstance(instance, Layer) or not examples:
        return []
    graph = example_graph(instance, examples[0])
    lines = [f"- `{example}`" for example in examples]
    weights = ", ".join(f"`{weight}`" for weight in weight_descriptions(graph))
    operators = ", ".join(f"`{operator}`" for operator in operator_names(graph))
    lines += [f"- weights: {weights}"] if weights else []
    return [*lines, f"- operators: {operators or 'none'}"]


def _argument_table(component: type[Component]) -> list[str]:
    rows = []
    for name, attribute, words in argument_rows(component):
        if component is Layer or attribute is not Layer.attributes.get(name):
            default = default_text(component, name)
            cells = [_escape_cell(words), f"`{default}`" if default else "required"]
            rows.append(f"| `{name}` | {' | '.join(cells)} | {_escape_cell(argument_meaning(attribute))} |")
    return ["| argument | is | default | meaning |", "| --- | --- | --- | --- |", *rows] if rows else []


def _escape_cell(text: str) -> str:
    return text.replace("|", "\\|")


def _registry_section(registry: Registry) -> list[str]:
    """The members of a registry, one line each."""
    lines = [f"## {registry.kind.capitalize()}{'es' if registry.kind.endswith('s') else 's'}", "", registry.doc, ""]
    lines += ["| name | arguments | is |", "| --- | --- | --- |"]
    for component in registry:
        names = [name for name, member in registry.by_name.items() if member is component]
        given = ", ".join(
            f"`{name}`" if attribute.default is REQUIRED else f"`{name}={default_text(component, name)}`"
            for name, attribute in component.attributes.items()
            if attribute.unsupported is None
        )
        lines.append(f"| {', '.join(f'`{name}`' for name in names)} | {given} | {_escape_cell(component.summary())} |")
    return lines


def errors_page() -> str:
    """docs/errors.md: all codes with their explanations."""
    lines = [
        "# Errors",
        "",
        _GENERATED_NOTICE,
        "",
        "Every diagnostic has a code; `jsonnx explain CODE` shows the same.",
    ]
    for code, about in EXPLANATIONS.items():
        lines += ["", f"## {code}", "", about.markdown()]
    return "\n".join(lines) + "\n"


def generated_files() -> dict[str, str]:
    """The text of every generated file, by its path in the repository."""
    return {
        "docs/layers.md": layers_page(),
        "docs/errors.md": errors_page(),
        "docs/limits.md": limits_page(),
        "schemas/model.schema.json": editor_schema_text(),
    }


def main(folder: str = ".") -> None:
    for path, text in generated_files().items():
        file = Path(folder, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
