"""Fixes that several rules offer: another value of a key, and the removal of a layer."""

from __future__ import annotations

from typing import Any

from ..core.components import Json
from ..core.diagnostics import JsonPath
from ..core.fixes import Edit, Fix, json_text
from ..frontend.names.name_references import name_references
from ..frontend.network import Call
from ..frontend.schema.schema import REPETITION_KEYS
from .linted_network import LintedNetwork


def set_key(network: LintedNetwork, path: JsonPath, value: Json, *, is_safe: bool = False) -> Fix | None:
    """A fix that gives a key of an object a value, whether the object has the key or not; None if it is not an
    object."""
    container: Any = network.typed.network.flat_document
    for step in path[:-1]:
        try:
            container = container[step]
        except (KeyError, IndexError, TypeError):
            return None
    if not isinstance(container, dict):
        return None
    title = f"Write {json_text(path[-1])}: {json_text(value)}"
    return Fix(title, (Edit("replace" if path[-1] in container else "add", path, value),), is_safe)


def remove_layer(network: LintedNetwork, call: Call) -> Fix | None:
    """A fix that removes a layer without weights, whose successor then takes its input.

    None if the spec names the layer, if the layer does not take the result of the entry before it, or if it is in a
    block or repeated. The fix is safe if the default names of all other layers stay the same.
    """
    document: Any = network.typed.network.flat_document
    index = int(call.path[1])
    entries = document["layers"]
    entry, later = entries[index], entries[index + 1 :]
    source = network.written(call.path)
    is_plain = isinstance(source, dict) and source.keys().isdisjoint(REPETITION_KEYS) and not call.block_uses
    if not is_plain or "from" in entry or network.is_output(call) or not later or "from" in later[0]:
        return None
    names = {reference.text.partition(".")[0] for reference in name_references(document)}
    consumers = network.consumers_by_value.get(call.name, [])
    if call.name in names or len(consumers) != 1 or network.is_shared(call):
        return None
    shifts_names = "name" not in entry and any(
        other.get("type") == entry["type"] and "name" not in other for other in later if isinstance(other, dict)
    )
    return Fix("Remove the layer", (Edit("remove", call.path),), not shifts_names)
