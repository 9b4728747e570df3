"""The reference of a component: names, arguments, defaults, examples, results.

The components are layers, activations, initializers, regularizers, constraints, losses, metrics, optimizers and others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

from ... import library
from ...core.components import REQUIRED, Attribute, Component, Json, Registry
from ...core.system.documentation import PREFIXES, page_address
from ...core.types import ShapeError
from ...frontend.default_names import default_name
from ...frontend.schema.phrases import schema_phrase, short_repr
from ...frontend.schema.schema import REGISTRIES
from ...layers import LAYERS, Layer
from .layer_examples import LayerExample, example_graph, layer_examples, operator_names, weight_descriptions
from .reference_examples import EFFECTIVE_VALUES, EXAMPLE_ARGUMENTS, SNIPPETS

KIND_ORDER = (
    "activation",
    "initializer",
    "regularizer",
    "constraint",
    "relative_position",
    "loss",
    "metric",
    "optimizer",
    "schedule",
    "tracker",
)

KINDS: dict[str, Registry] = {
    **{kind: registry for kind in KIND_ORDER for registry in REGISTRIES if registry.kind == kind},
    **{registry.kind: registry for registry in REGISTRIES if registry.kind not in KIND_ORDER},
}
"""The registries of components that are not layers, by kind, in the order of the reference."""

# -- names -----------------------------------------------------------------------------------------------------------


def plural(kind: str) -> str:
    """The plural of a kind: `losses`, `metrics`."""
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def kind_title(kind: str) -> str:
    """The plural of a kind as a heading: `Losses`, `Relative positions`."""
    return plural(kind).capitalize().replace("_", " ")


def registry_of(component: type[Component]) -> Registry:
    """The registry that has the component under its main name."""
    registries = (LAYERS, *KINDS.values())
    return next(registry for registry in registries if registry.members.get(component.type_name) is component)


def accepted_names(component: type[Component]) -> list[str]:
    """The names of a component in a spec, its main name first."""
    by_name = registry_of(component).by_name
    others = [name for name, known in by_name.items() if known is component and name != component.type_name]
    return [component.type_name, *others]


def spec_name(component: type[Component]) -> str:
    """The name that specs have for a component: `adamw` for AdamW, that in lower case if there is one."""
    return next((name for name in accepted_names(component) if name.islower()), component.type_name)


def address_of(component: type[Component]) -> str | None:
    """The address of the component's page; None if no address of the site is set."""
    kind = "operator" if component.type_name.startswith(PREFIXES["operator"]) else registry_of(component).kind
    return page_address(kind, spec_name(component))


def components_named(name: str) -> list[type[Component]]:
    """The components with a name or alias: the layer, otherwise those of other kinds (mse is a loss and a metric)."""
    if name in LAYERS.by_name:
        return [LAYERS.by_name[name]]
    return [registry.by_name[name] for registry in KINDS.values() if name in registry.by_name]


def all_names() -> list[str]:
    """The names and aliases of all components, the types of the library's blocks, and the plurals of all kinds."""
    names = [name for registry in (LAYERS, *KINDS.values()) for name in registry.by_name]
    return list(dict.fromkeys([*names, *library.block_types(), *map(plural, KINDS)]))


def description(component: type[Component]) -> str:
    return cleandoc(component.__doc__ or "")


# -- arguments -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Argument:
    """An argument as the reference shows it."""

    name: str
    type: str
    """The allowed values in words."""
    is_required: bool
    default: Json
    meaning: str
    kinds: tuple[str, ...]
    """The kinds of components that may be its value."""

    @property
    def default_text(self) -> str:
        """The default as JSON; empty if the argument is required."""
        return "" if self.is_required else short_repr(self.default)


def arguments_of(component: type[Component]) -> list[Argument]:
    """The arguments: required ones, optional ones, arguments of all layers. Refused arguments are left out."""
    shared = Layer.attributes if issubclass(component, Layer) else {}
    needed = component.required_attributes()
    names = sorted(component.attributes, key=lambda name: (name in shared, name not in needed))
    return [_argument(component, name) for name in names if component.attributes[name].unsupported is None]


def _argument(component: type[Component], name: str) -> Argument:
    attribute, codec = component.attributes[name], component.codecs()[name]
    schema = component.schema()["properties"][name]
    is_required = attribute.default is REQUIRED
    default = None if is_required else codec.write(codec.read(attribute.default))
    phrase = ", ".join([schema_phrase(schema), *_bound_phrases(attribute)])
    referenced = re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema))
    kinds = tuple(kind for kind in dict.fromkeys(referenced) if kind in KINDS)
    return Argument(name, phrase, is_required, default, attribute.doc, kinds)


def _bound_phrases(attribute: Attribute) -> list[str]:
    words = {
        "minimum": "at least",
        "maximum": "at most",
        "exclusiveMinimum": "greater than",
        "exclusiveMaximum": "less than",
    }
    return [f"{words[key]} {bound}" for key, bound in attribute.bounds.items()]


# -- examples --------------------------------------------------------------------------------------------------------


def required_arguments(component: type[Component]) -> dict[str, Any]:
    """Example values for the required arguments."""
    properties = component.schema()["properties"]
    known = {
        name: EXAMPLE_ARGUMENTS.get(f"{component.type_name}.{name}", EXAMPLE_ARGUMENTS.get(name)) for name in properties
    }
    wanted = [
        *component.required_attributes(),
        *(name for name in properties if f"{component.type_name}.{name}" in EXAMPLE_ARGUMENTS),
    ]
    return {
        name: _example_value(properties[name]) if known[name] is None else known[name] for name in dict.fromkeys(wanted)
    }


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


def example_json(component: type[Component]) -> str:
    """The shortest entry that is a valid layer or component."""
    entry = required_arguments(component)
    if issubclass(component, Layer) and component.arity[0] > 1:
        entry = {"from": list("abcde")[: component.arity[0]]} | entry
    return json.dumps({"type": component.type_name, **entry})


def example_shapes(layer: type[Component]) -> list[LayerExample]:
    """Example inputs and outputs of a layer with its required arguments."""
    instance = layer(**required_arguments(layer))
    return layer_examples(instance) if isinstance(instance, Layer) else []


def snippets(component: type[Component]) -> list[str]:
    """Parts of a spec that use a component: by its name alone, and as an object with an argument."""
    registry = registry_of(component)
    arguments = arguments_of(component)
    name = spec_name(component)
    values: list[Json] = [name] if name in registry.bare_names() else []
    inherited = getattr(component.__mro__[1], "attributes", {})
    optional = [argument for argument in arguments if not argument.is_required and argument.default is not None]
    optional = sorted(optional, key=lambda argument: argument.name in inherited)[:1]
    if optional or not values:
        given = required_arguments(component) | {argument.name: _effective_value(argument) for argument in optional}
        values.append({"type": name, **given})
    place = SNIPPETS.get(component.type_name) or SNIPPETS[registry.kind]
    return [place % json.dumps(value) for value in values]


def _effective_value(argument: Argument) -> Json:
    """The default of an argument; for one that is without effect by default, a value with an effect."""
    if argument.name in EFFECTIVE_VALUES:
        return EFFECTIVE_VALUES[argument.name]
    if isinstance(argument.default, bool):
        return True
    return 0.01 if argument.default == 0 and isinstance(argument.default, float) else argument.default


# -- behaviour of a layer --------------------------------------------------------------------------------------------


def behaviour_notes(layer: type[Component]) -> list[str]:
    """The names of further results, the weights and the operators of the example; imports onnx. Empty without one."""
    instance, examples = layer(**required_arguments(layer)), example_shapes(layer)
    if not isinstance(instance, Layer) or not examples:
        return []
    graph = example_graph(instance, examples[0])
    weights = ", ".join(f"`{weight}`" for weight in weight_descriptions(graph))
    operators = ", ".join(f"`{operator}`" for operator in operator_names(graph))
    return [*_result_notes(layer), *([f"weights: {weights}"] if weights else []), f"operators: {operators or 'none'}"]


def _result_notes(layer: type[Component]) -> Iterator[str]:
    for argument, names in result_names(layer).items():
        yield f"further results{f' with `{argument}`' if argument else ''}: {_references(layer, names)}"


def result_names(layer: type[Component]) -> dict[str, tuple[str, ...]]:
    """The names of results after the first one, by the argument that adds them; empty for those in any case."""
    arguments = required_arguments(layer)
    always = _output_names(layer, arguments)
    names = {"": always} if always else {}
    for name, attribute in layer.attributes.items():
        if attribute.default is False and attribute.unsupported is None:
            added = _output_names(layer, {**arguments, name: True})[len(always) :]
            names |= {name: added} if added else {}
    return names


def _output_names(layer: type[Component], arguments: dict[str, Any]) -> tuple[str, ...]:
    instance = layer(**arguments)
    try:
        return instance.output_names() if isinstance(instance, Layer) else ()
    except ShapeError:
        return ()


def _references(layer: type[Component], names: tuple[str, ...]) -> str:
    """The results as a `from` refers to them, if the layer has its default name."""
    stem = default_name(layer.type_name)
    return ", ".join(f"`{stem}.{name}`" for name in names)
