"""The descriptions in a spec: of its inputs, outputs, parameters and blocks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...frontend.expansion.parameters import Parameter, read_parameters

if TYPE_CHECKING:
    from ...frontend.network import Network


def output_descriptions(network: Network) -> dict[str, str]:
    """The descriptions of the outputs that have one, by name; the layer's description if only the layer has one."""
    names = network.document.get("outputs") if isinstance(network.document, Mapping) else None
    written = list(_described(names).values()) if isinstance(names, Mapping) else [""] * len(network.inference_outputs)
    pairs = zip(network.inference_outputs, written, strict=True)
    texts = {name: text or network.descriptions.get(name, "") for name, text in pairs}
    return {name: text for name, text in texts.items() if text}


def definitions_json(network: Network) -> dict[str, Any]:
    """The parameters of the network and of its blocks with their descriptions, as JSON values."""
    document = network.document if isinstance(network.document, Mapping) else {}
    parameters, blocks = _parameters(document), document.get("blocks", {})
    return {
        **({"parameters": {name: _json_parameter(each) for name, each in parameters.items()}} if parameters else {}),
        **({"block_definitions": {name: _json_block(block) for name, block in blocks.items()}} if blocks else {}),
    }


def descriptions_text(network: Network) -> str:
    """A line for each described input, output, parameter and block, and for what a block describes."""
    document = network.document if isinstance(network.document, Mapping) else {}
    inputs = {name: network.descriptions.get(name, "") for name in network.inputs}
    sections = {
        "inputs": _lines(inputs.items()),
        "outputs": _lines(output_descriptions(network).items()),
        "parameters": _lines(_parameter_texts(document)),
        "blocks": [line for name, block in document.get("blocks", {}).items() for line in _block_lines(name, block)],
    }
    return "\n\n".join("\n".join([title, *lines]) for title, lines in sections.items() if lines)


def _block_lines(name: str, block: Mapping[str, Any]) -> list[str]:
    described = [*_described(block.get("inputs")).items(), *_parameter_texts(block)]
    inner = _lines([*described, *_described(block.get("outputs")).items()], indent=4)
    text = block.get("description", "")
    return [*_lines([(name, text or "")], keep_empty=bool(inner)), *inner]


def _parameter_texts(owner: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names with values, such as `width = 64`, and descriptions."""
    return [
        (f"{name} = {json.dumps(each.default)}" if each.has_default else f"{name} (required)", each.description)
        for name, each in _parameters(owner).items()
    ]


def _lines(texts: Iterable[tuple[str, str]], indent: int = 2, *, keep_empty: bool = False) -> list[str]:
    rows = [(name, text) for name, text in texts if text or keep_empty]
    width = max((len(name) for name, _ in rows), default=0)
    return [f"{' ' * indent}{name:{width}}  {text}".rstrip() for name, text in rows]


def _parameters(owner: Mapping[str, Any]) -> dict[str, Parameter]:
    return read_parameters(owner.get("parameters", {}), ())


def _described(names: Any) -> dict[str, str]:
    """The descriptions in an object of names; nothing for a list of names."""
    return {name: item.get("description", "") for name, item in names.items()} if isinstance(names, Mapping) else {}


def _json_parameter(parameter: Parameter) -> dict[str, Any]:
    value = {"value": parameter.default} if parameter.has_default else {"required": True}
    return value | ({"description": parameter.description} if parameter.description else {})


def _json_block(block: Mapping[str, Any]) -> dict[str, Any]:
    inputs, outputs = _described(block.get("inputs")), _described(block.get("outputs"))
    return {
        **({"description": block["description"]} if "description" in block else {}),
        "parameters": {name: _json_parameter(each) for name, each in _parameters(block).items()},
        **({"inputs": inputs} if inputs else {}),
        **({"outputs": outputs} if outputs else {}),
    }
