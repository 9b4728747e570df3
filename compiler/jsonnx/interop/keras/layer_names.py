"""Names of layers: Keras' own, as far as they can be names here and one stands for one layer.

Keras tells names apart within a model, we within the whole document; Keras allows any character, we those of names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...core.diagnostics import JsonPath
from .model_config import Model, Written
from .tensorflow import KINDS

LONGEST = 128


@dataclass
class Names:
    """The names of all layers of a model and of the models inside it, by where they stand in the file."""

    taken: set[str] = field(default_factory=set)
    """In lower case: two names do not differ in that alone."""
    by_path: dict[JsonPath, str] = field(default_factory=dict)
    changed: list[tuple[str, str]] = field(default_factory=list)
    """Keras' names and ours, where they differ."""
    calls: dict[JsonPath, int] = field(default_factory=dict)

    def of(self, path: JsonPath) -> str:
        return self.by_path[path]

    def again(self, path: JsonPath) -> str:
        """A name for a further call of a layer, as one is called that has no name of its own."""
        number = self.calls[path] = self.calls.get(path, 0) + 1
        return self.fresh(f"{self.of(path)}_{number}")

    def fresh(self, wanted: str) -> str:
        """A name that is not taken, and is from now on: the wanted one, or with a number."""
        name = base = valid(wanted)
        number = 1
        while name.lower() in self.taken:
            number += 1
            name = f"{base[: LONGEST - 8]}_{number}"
        self.taken.add(name.lower())
        return name

    def assign(self, model: Model) -> None:
        """Gives every layer its name: first those of the model itself, then those of the models inside it."""
        waiting = [(model, "")]
        for inside, prefix in waiting:
            for layer in layers_of(inside):
                waiting += [(branch, prefix) for branch in layer.branches]
                if layer.inner is not None:
                    outer = valid(layer.name) if not prefix else f"{prefix}_{valid(layer.name)}"
                    waiting.append((layer.inner, outer))
                    continue
                function = layer.kind in KINDS
                own = valid(layer.name.rpartition(".")[2] if function else layer.name)
                if prefix and own.lower() in self.taken:
                    own = f"{prefix}_{own}"
                name = self.by_path[layer.path] = self.fresh(own)
                if name != layer.name and not function:
                    self.changed.append((layer.name, name))


def layers_of(model: Model) -> Iterator[Written]:
    """The layers of a model, but for its inputs."""
    return (layer for layer in model.layers if layer.kind != "InputLayer")


def valid(name: str) -> str:
    """The name with what a name cannot have replaced."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", name) or "layer"
    return (name if re.match(r"[A-Za-z_]", name) else f"_{name}")[:LONGEST]
