"""Images joined channel by channel, and parted again, as they are in blocks of channels.

Blocks lie behind each other in memory, so where all images but the last one fill theirs, the blocks of the whole are
those of its parts. Networks that go on with what they had before (U-Net, DenseNet, Inception) stay in blocks.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..graph import Constant, Node, Value
from .blocks import Blocks

CHANNELS = 1
"""The axis along which blocks lie."""


def joined(b: Blocks, node: Node) -> Value | None:
    """The result of a Concat; None where it cannot be by blocks, or no image is there in them."""
    parts, y = [x for x in node.inputs if x is not None], node.outputs[0]
    if y.rank != 4 or node.attribute("axis") % 4 != CHANNELS or not _fill(b, parts) or not any(x in b for x in parts):
        return None
    return b.out_of(b.g.refine(b.g.Concat(*map(b.into, parts), axis=CHANNELS), b.filled(y.type).shape), y.type)


def parted(b: Blocks, node: Node) -> list[Value] | None:
    """The results of a Split; None where they cannot be by blocks."""
    x, sizes, parts = node.inputs[0], node.input(1), node.outputs
    if x is None or x not in b or x.rank != 4 or node.attribute("axis", 0) % 4 != CHANNELS or not _fill(b, parts):
        return None
    if not isinstance(sizes, Constant):
        return None
    types = [b.filled(part.type) for part in parts]
    cut = b.g.Split(b.into(x), [type.shape[CHANNELS] for type in types], axis=CHANNELS, outputs=len(parts))
    return [b.out_of(b.g.refine(one, type.shape), part.type) for one, type, part in zip(cut, types, parts, strict=True)]


def _fill(b: Blocks, parts: Iterable[Value]) -> bool:
    """Whether all but the last are as many whole blocks, and the last one as many channels as it may be."""
    *others, last = parts
    return all(map(b.is_whole, others)) and last.type.is_fixed(CHANNELS)
