"""What moves whole blocks of channels, in blocks: they are where they were, or one piece of memory each.

Networks that go on with what they had before (U-Net, DenseNet, Inception) join images so, and the planes of a volume
come as such channels (`planes`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ....ir import Constant, Node, Value
from .context import Blocks

CHANNELS = 1
"""The axis along which blocks lie."""


def reshaped(b: Blocks, node: Node) -> Value | None:
    """The channels of several images as those of one, or the other way round."""
    x, y = node.inputs[0], node.outputs[0]
    if not _whole(b, x, y) or x is None or x.shape[2:] != y.shape[2:]:
        return None
    return b.out_of(b.g.reshape(b.into(x), y.shape), y.type)


def taken(b: Blocks, node: Node) -> Value | None:
    """Blocks of channels by their numbers."""
    (x, numbers), y = node.inputs, node.outputs[0]
    if not _whole(b, x, y) or x is None or node.attribute("axis", 0) != 1 or not isinstance(numbers, Constant):
        return None
    first = numbers.array.reshape(-1, b.block)
    if (first[:, :1] % b.block).any() or (first != first[:, :1] + np.arange(b.block)).any():
        return None
    found = b.g.Gather(_apart(b, x), b.g.const(first[:, 0] // b.block, "int64"), axis=1)
    return b.out_of(b.g.reshape(found, y.shape), y.type)


def joined(b: Blocks, node: Node) -> Value | None:
    """Channels of several images behind one another; those that fill a block come last, if any do."""
    parts, y = [x for x in node.inputs if x is not None], node.outputs[0]
    if y.rank != 4 or node.attribute("axis") % 4 != CHANNELS or not _fill(b, parts) or not any(x in b for x in parts):
        return None
    return b.out_of(b.g.refine(b.g.Concat(*map(b.into, parts), axis=CHANNELS), b.filled(y.type).shape), y.type)


def parted(b: Blocks, node: Node) -> list[Value] | None:
    """The channels of one image as those of several, the other way round."""
    x, sizes, parts = node.inputs[0], node.input(1), node.outputs
    if x is None or x not in b or x.rank != 4 or node.attribute("axis", 0) % 4 != CHANNELS or not _fill(b, parts):
        return None
    if not isinstance(sizes, Constant) or len(parts) < 2:
        return None
    types = [b.filled(part.type) for part in parts]
    cut = b.g.Split(b.into(x), [type.shape[CHANNELS] for type in types], axis=CHANNELS, outputs=len(parts))
    found = zip(cut, types, parts, strict=True)
    return [b.out_of(b.g.refine(one, type.shape), part.type) for one, type, part in found]


def framed(b: Blocks, node: Node) -> Value | None:
    """Channels of zeros around others."""
    (x, *places), y = node.inputs, node.outputs[0]
    if not _whole(b, x, y) or x is None or len(places) != 1 or not isinstance(places[0], Constant):
        return None
    ends = places[0].array.reshape(2, 4)
    if ends[:, [0, 2, 3]].any() or (ends % b.block).any() or node.attribute("mode", "constant") != "constant":
        return None
    before, after = (ends[:, 1] // b.block).tolist()
    return b.out_of(b.g.reshape(b.g.Pad(_apart(b, x), [0, before, 0, 0, after, 0]), y.shape), y.type)


def _whole(b: Blocks, x: Value | None, y: Value) -> bool:
    """Whether an image in blocks and one to come have no channels that fill a block."""
    return x in b and x is not None and y.rank == 4 and b.is_whole(x) and b.is_whole(y) and y.type.is_fixed(1, 2, 3)


def _fill(b: Blocks, parts: Iterable[Value]) -> bool:
    """Whether all but the last are as many whole blocks, and the last one as many channels as it may be."""
    *others, last = parts
    return all(map(b.is_whole, others)) and last.type.is_fixed(CHANNELS)


def _apart(b: Blocks, x: Value) -> Value:
    """[images, blocks, elements of a block]."""
    images, channels, height, width = x.shape
    return b.g.reshape(b.into(x), (images, channels // b.block, height * width * b.block))
