"""Specs whose layers have default names, to which `from`, `outputs`, `freeze` and `learning_rates` refer."""

from __future__ import annotations

import random
from copy import deepcopy
from typing import Any

from jsonnx.frontend.names.name_references import NETWORK, name_definitions, name_references
from jsonnx.layers import LAYERS


def with_default_names(document: Any, random_: random.Random) -> Any:
    """A spec without the names of its layers outside blocks and repetitions, in which training refers to some of them.

    References get the default names.
    """
    unnamed = deepcopy(document)
    removed = {}
    for index, entry in enumerate(unnamed["layers"]):
        if "repeat" not in entry and "${" not in entry.get("name", "${"):
            removed["layers", index] = entry.pop("name")
    names = {item.path: item.name for item in name_definitions(unnamed) if item.scope == NETWORK}
    new_names = {old: names[path] for path, old in removed.items()}
    _rename_references(unnamed, new_names)
    if "training" in unnamed:
        _add_patterns(unnamed, random_)
    return unnamed


def _rename_references(document: Any, new_names: dict[str, str]) -> None:
    """Replaces names in all places of the network that refer to them."""
    keys: dict[tuple[Any, ...], dict[str, str]] = {}
    for reference in name_references(document):
        head, dot, rest = reference.text.partition(".")
        if reference.scope != NETWORK or head not in new_names:
            continue
        new_text = f"{new_names[head]}{dot}{rest}"
        if reference.is_key:
            keys.setdefault(reference.path[:-1], {})[reference.text] = new_text
            continue
        owner = document
        for step in reference.path[:-1]:
            owner = owner[step]
        owner[reference.path[-1]] = new_text
    for path, texts in keys.items():
        owner = document
        for step in path:
            owner = owner[step]
        items = [(texts.get(key, key), value) for key, value in owner.items()]
        owner.clear()
        owner.update(items)


def _add_patterns(document: Any, random_: random.Random) -> None:
    """Freezes a layer with a numbered default name, and gives another one a learning rate."""
    unnamed = [item for item in name_definitions(document) if item.path[0] == "layers" and item.name_path is None]
    layers = [item.name for item in unnamed if item.type in LAYERS.by_name]
    names = random_.sample(layers, min(2, len(layers)))
    document["training"]["freeze"] = names[:1]
    document["training"]["learning_rates"] = dict.fromkeys(names[1:], 0.1)
