"""The place and the layout of each weight in `model.weights.h5`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import prod
from typing import NamedTuple

from ..hugging_face.translation import Shape, TensorSource, Weights, tensor

Layout = Callable[[str, Shape], TensorSource]
"""The array at a path as a weight of a shape."""

VARIABLE_NUMBERS = {
    **dict.fromkeys(("kernel", "gamma", "scale", "embeddings", "value"), 0),
    **dict.fromkeys(("bias", "beta", "reverse_embeddings"), 1),
}
"""The number of a variable in its group, by the last part of the name of a weight."""

_LAYER_WEIGHT = re.compile(r"layer_(\d+)_(.+)")


def equal_layout(path: str, shape: Shape) -> TensorSource:
    """The array as it is."""
    return tensor(path, *shape)


def heads_first(path: str, shape: Shape) -> TensorSource:
    """A kernel [heads, in, head] as [in, heads, head]."""
    return tensor(path, shape[1], shape[0], shape[2]).transposed(1, 0, 2)


def joined_heads(path: str, shape: Shape) -> TensorSource:
    """A kernel [in, heads * head] as [in, heads, head], or a bias [heads * head] as [heads, head]."""
    return tensor(path, *shape[:-2], prod(shape[-2:])).reshaped(*shape)


def extra_axis(path: str, shape: Shape) -> TensorSource:
    """An array that has an axis of size 1 in front."""
    return tensor(path, 1, *shape).reshaped(*shape)


def offset_by_one(path: str, shape: Shape) -> TensorSource:
    """The scale w of a normalization that multiplies by 1 + w."""
    return tensor(path, *shape).plus(1.0)


class Place(NamedTuple):
    """The group of a layer's variables, and their layout. The group may be a single variable: `embedding/vars/2`."""

    group: str
    layout: Layout = equal_layout


class Places(NamedTuple):
    """The places of all layers of a backbone, by their names in the spec. A plain string has an equal layout."""

    layer_group: str
    """The group of the first of the repeated layers; the following ones are numbered."""
    in_layer: Mapping[str, str | Place]
    """The places inside that group: of `layer_3_attention/query` under `attention/query`."""
    others: Mapping[str, str | Place]

    def source(self, weight: str, shape: Shape, root: str) -> TensorSource:
        """The source of a weight, such as `layer_3_attention/query/kernel`; `root` is the group of the backbone."""
        layer, _, variable = weight.rpartition("/")
        repeated = _LAYER_WEIGHT.fullmatch(layer)
        if repeated is None:
            group, layout = _place(self.others[layer])
        else:
            number = int(repeated[1])
            inner, layout = _place(self.in_layer[repeated[2]])
            group = f"{self.layer_group}{f'_{number}' if number else ''}/{inner}"
        return stored_at(f"{root}layers/{group}", variable, shape, layout)

    def sources(self, shapes: Mapping[str, Shape], root: str) -> Weights:
        """The sources of weights of these shapes."""
        return {name: self.source(name, shape, root) for name, shape in shapes.items()}


def stored_at(group: str, variable: str, shape: Shape, layout: Layout = equal_layout) -> TensorSource:
    """The source of a weight whose name ends with `variable`."""
    return layout(group if "/vars/" in group else f"{group}/vars/{VARIABLE_NUMBERS[variable]}", shape)


def _place(place: str | Place) -> Place:
    return Place(place) if isinstance(place, str) else place
