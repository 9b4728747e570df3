"""Assigns names to layers: Keras' own names, changed only if they are invalid in a spec or not unique.

Keras requires unique names within a model, and allows any character; a spec requires unique names overall.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ....core.diagnostics import JsonPath
from ....core.limits import MAX_NAME_CHARACTERS
from .model_config import LayerConfig, ModelConfig
from .tensorflow import OP_LAMBDA_CLASSES


@dataclass
class LayerNames:
    """The names of all layers of a model and its nested models, by path in the file."""

    used_names: set[str] = field(default_factory=set)
    """In lower case, since names are unique regardless of case."""
    by_path: dict[JsonPath, str] = field(default_factory=dict)
    renames: list[tuple[str, str]] = field(default_factory=list)
    """Pairs of Keras' name and the new name, where they differ."""
    call_counts: dict[JsonPath, int] = field(default_factory=dict)

    def name_of(self, path: JsonPath) -> str:
        return self.by_path[path]

    def next_call_name(self, path: JsonPath) -> str:
        """The default name of a further call of a layer."""
        number = self.call_counts[path] = self.call_counts.get(path, 0) + 1
        return self.unique_name(f"{self.name_of(path)}_{number}")

    def unique_name(self, preferred: str) -> str:
        """Reserves and returns an unused name: the preferred one, or else one with a number."""
        name = base = valid_name(preferred)
        number = 1
        while name.lower() in self.used_names:
            number += 1
            name = f"{base[: MAX_NAME_CHARACTERS - 8]}_{number}"
        self.used_names.add(name.lower())
        return name

    def assign(self, model: ModelConfig) -> None:
        """Names all layers: first the layers of the model itself, then the layers of its nested models."""
        models = [(model, "")]
        for inner, prefix in models:
            for layer in non_input_layers(inner):
                models += [(branch, prefix) for branch in layer.branches]
                if layer.inner_model is not None:
                    model_name = valid_name(layer.name)
                    models.append((layer.inner_model, f"{prefix}_{model_name}" if prefix else model_name))
                    continue
                is_function = layer.class_name in OP_LAMBDA_CLASSES
                preferred = valid_name(layer.name.rpartition(".")[2] if is_function else layer.name)
                if prefix and preferred.lower() in self.used_names:
                    preferred = f"{prefix}_{preferred}"
                name = self.by_path[layer.path] = self.unique_name(preferred)
                if name != layer.name and not is_function:
                    self.renames.append((layer.name, name))


def non_input_layers(model: ModelConfig) -> Iterator[LayerConfig]:
    """Yields the layers of a model, without its inputs."""
    return (layer for layer in model.layers if layer.class_name != "InputLayer")


def valid_name(name: str) -> str:
    """Replaces the characters that are invalid in a name."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", name) or "layer"
    return (name if re.match(r"[A-Za-z_]", name) else f"_{name}")[:MAX_NAME_CHARACTERS]
