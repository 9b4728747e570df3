"""Names of layers: Keras' own, as far as they can be names here and one stands for one layer.

Keras tells names apart within a model, we within the whole document; Keras allows any character, we those of names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...core.diagnostics import JsonPath
from .model_config import LayerConfig, ModelConfig
from .tensorflow import OP_LAMBDA_CLASSES

MAX_NAME_LENGTH = 128


@dataclass
class LayerNames:
    """The names of all layers of a model and of the models inside it, by where they stand in the file."""

    used_names: set[str] = field(default_factory=set)
    """In lower case: two names do not differ in that alone."""
    by_path: dict[JsonPath, str] = field(default_factory=dict)
    renames: list[tuple[str, str]] = field(default_factory=list)
    """Keras' names and ours, where they differ."""
    call_counts: dict[JsonPath, int] = field(default_factory=dict)

    def name_of(self, path: JsonPath) -> str:
        return self.by_path[path]

    def next_call_name(self, path: JsonPath) -> str:
        """A name for a further call of a layer, as one is called that has no name of its own."""
        number = self.call_counts[path] = self.call_counts.get(path, 0) + 1
        return self.unique_name(f"{self.name_of(path)}_{number}")

    def unique_name(self, preferred: str) -> str:
        """A name that is not taken, and is from now on: the wanted one, or with a number."""
        name = base = valid_name(preferred)
        number = 1
        while name.lower() in self.used_names:
            number += 1
            name = f"{base[: MAX_NAME_LENGTH - 8]}_{number}"
        self.used_names.add(name.lower())
        return name

    def assign(self, model: ModelConfig) -> None:
        """Gives every layer its name: first those of the model itself, then those of the models inside it."""
        waiting = [(model, "")]
        for inside, prefix in waiting:
            for layer in non_input_layers(inside):
                waiting += [(branch, prefix) for branch in layer.branches]
                if layer.inner_model is not None:
                    outer = valid_name(layer.name) if not prefix else f"{prefix}_{valid_name(layer.name)}"
                    waiting.append((layer.inner_model, outer))
                    continue
                function = layer.class_name in OP_LAMBDA_CLASSES
                own = valid_name(layer.name.rpartition(".")[2] if function else layer.name)
                if prefix and own.lower() in self.used_names:
                    own = f"{prefix}_{own}"
                name = self.by_path[layer.path] = self.unique_name(own)
                if name != layer.name and not function:
                    self.renames.append((layer.name, name))


def non_input_layers(model: ModelConfig) -> Iterator[LayerConfig]:
    """The layers of a model, but for its inputs."""
    return (layer for layer in model.layers if layer.class_name != "InputLayer")


def valid_name(name: str) -> str:
    """The name with what a name cannot have replaced."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", name) or "layer"
    return (name if re.match(r"[A-Za-z_]", name) else f"_{name}")[:MAX_NAME_LENGTH]
