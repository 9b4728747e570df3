"""Pipeline: a sequence of layers as one layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...core.components import attr
from ...core.types import TensorType, require
from ..base import Layer, infer_types, inner_layer_scope, layer, numbered_names, penalize, require_no_added_input
from .geometric_augmentation import HostAugmentation, Transformation

if TYPE_CHECKING:
    import numpy as np

    from ...ir import Builder, Value


@layer
class Pipeline(Layer):
    """Applies layers in sequence, each with one input and one output, for preprocessing or augmentation."""

    layers: tuple[Layer, ...] = attr(doc="The layers, first to last.")

    seed = None

    @property
    def augments(self) -> bool:
        """Whether the layers augment images in training, outside the graph."""
        return any(isinstance(inner, HostAugmentation) for inner in self.layers)

    @property
    def mixes_targets(self) -> bool:
        return any(getattr(inner, "mixes_targets", False) for inner in self.layers)

    @property
    def moves_pixels(self) -> bool:
        return any(getattr(inner, "moves_pixels", False) for inner in self.layers)

    def infer(self, x: TensorType) -> TensorType:
        require(len(self.layers) > 0, "has no layers", "give at least one")
        graph_layers = [inner.type_name for inner in self.layers if not isinstance(inner, HostAugmentation)]
        text = f"has {', '.join(graph_layers)} beside augmentation layers, which work outside the graph"
        require(not self.augments or not graph_layers, text, "write them as layers of their own", "not-supported")
        seeded = [
            inner.type_name for inner in self.layers if self.augments and getattr(inner, "seed", None) is not None
        ]
        text = f"has {', '.join(seeded)} with a seed of its own"
        require(not seeded, text, "write it as a layer of its own, or leave out the seed", "not-supported")
        adapting = [inner.type_name for inner in self.layers if getattr(inner, "needs_adapt", False)]
        text = f"has {', '.join(adapting)}, which learns from the data before training"
        require(
            not adapting,
            text,
            "write it as a layer of its own, or give it the values that it would learn",
            "not-supported",
        )
        for inner in self.layers:
            require_no_added_input(inner)
            fits = inner.arity[0] <= 1
            require(fits, f"has {inner.type_name}, which takes several inputs", "write it as a layer of its own")
            results = infer_types(inner, x)
            require(len(results) == 1, f"has {inner.type_name} with several outputs")
            x = results[0]
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        for name, inner in self.named_layers():
            with inner_layer_scope(g, name, inner):
                x = inner.lower(g, x, masks=[None]) if inner.reads_masks else inner.lower(g, x)
                if not inner.penalizes_itself:
                    penalize(g, inner.activity_regularizer, x)
        return x

    def named_layers(self) -> Iterator[tuple[str, Layer]]:
        """Yields the layers with the names that prefix their weights: `normalization`, `normalization_1`."""
        yield from zip(numbered_names(self.layers), self.layers, strict=True)

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Transformation]:
        """Applies every layer's random transformation, and returns the images and the transformations."""
        parts = []
        for inner in self.layers:
            assert isinstance(inner, HostAugmentation)
            images, drawn = inner.augment(images, rng)
            parts.append((inner, drawn))
        return images, {"parts": parts}

    def transform_labels(self, targets: np.ndarray, parts: list[tuple[HostAugmentation, Transformation]]) -> np.ndarray:
        """Applies the layers' transformations to the targets, in the same order as to the images."""
        for inner, drawn in parts:
            if inner.mixes_targets:
                targets = inner.transform_labels(targets, **drawn)
        return targets
