"""A row of layers as one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...core.components import attr, snake_case
from ...core.types import TensorType, require
from ..base import Layer, layer, penalize
from ..image.geometric_augmentation import HostAugmentation, Transformation

if TYPE_CHECKING:
    import numpy as np

    from ...ir import Builder, Value


@layer
class Pipeline(Layer):
    """Layers one after the other, each with one input and one output: preprocessing, or augmentation."""

    layers: tuple[Layer, ...] = attr(doc="The layers, in their order.")

    seed = None

    @property
    def augments(self) -> bool:
        """Whether it changes images in training, outside the graph."""
        return any(isinstance(inner, HostAugmentation) for inner in self.layers)

    @property
    def mixes_targets(self) -> bool:
        return any(getattr(inner, "mixes_targets", False) for inner in self.layers)

    def infer(self, x: TensorType) -> TensorType:
        require(len(self.layers) > 0, "has no layers", "give at least one")
        outside = [inner.type_name for inner in self.layers if not isinstance(inner, HostAugmentation)]
        what = f"has {', '.join(outside)} beside augmentation layers, which work outside the graph"
        require(not self.augments or not outside, what, "write them as layers of their own", "not-supported")
        seeded = [
            inner.type_name for inner in self.layers if self.augments and getattr(inner, "seed", None) is not None
        ]
        what = f"has {', '.join(seeded)} with a seed of its own"
        require(not seeded, what, "write it as a layer of its own, or leave out the seed", "not-supported")
        learning = [inner.type_name for inner in self.layers if getattr(inner, "needs_adapt", False)]
        what = f"has {', '.join(learning)}, which learns from the data before training"
        require(not learning, what, "write it as a layer of its own, or give it what it would learn", "not-supported")
        for inner in self.layers:
            fits = inner.arity[0] <= 1
            require(fits, f"has {inner.type_name}, which takes several inputs", "write it as a layer of its own")
            y = inner.infer(x)
            require(isinstance(y, TensorType), f"has {inner.type_name} with several outputs")
            assert isinstance(y, TensorType)
            x = y
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        for name, inner in self.named_layers():
            outside, g.trainable = g.trainable, g.trainable and inner.trainable
            with g.scope(name):
                x = inner.lower(g, x, masks=[None]) if inner.reads_masks else inner.lower(g, x)
                if not inner.penalizes_itself:
                    penalize(g, inner.activity_regularizer, x)
            g.trainable = outside
        return x

    def named_layers(self) -> Iterator[tuple[str, Layer]]:
        """The layers with the names that their weights stand under: `normalization`, `normalization_1`."""
        counts: dict[str, int] = {}
        for inner in self.layers:
            name = snake_case(inner.type_name)
            counts[name] = counts.get(name, -1) + 1
            yield f"{name}_{counts[name]}" if counts[name] else name, inner

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Transformation]:
        """The images changed by every layer, and what was drawn for it."""
        each = []
        for inner in self.layers:
            assert isinstance(inner, HostAugmentation)
            images, drawn = inner.augment(images, rng)
            each.append((inner, drawn))
        return images, {"each": each}

    def transform_labels(self, targets: np.ndarray, each: list[tuple[HostAugmentation, Transformation]]) -> np.ndarray:
        """The targets mixed as the images were."""
        for inner, drawn in each:
            if inner.mixes_targets:
                targets = inner.transform_labels(targets, **drawn)
        return targets
