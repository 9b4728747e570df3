"""What moves whole blocks of channels, in blocks: they are where they were, or one piece of memory each.

Networks that go on with what they had before (U-Net, DenseNet, Inception) join images so, and the planes of a volume
come as such channels (`planes`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ....ir import Constant, Node, Value
from .context import NchwcContext

CHANNEL_AXIS = 1
"""The axis along which blocks lie."""


def convert_reshape(ctx: NchwcContext, node: Node) -> Value | None:
    """The channels of several images as those of one, or the other way round."""
    x, y = node.inputs[0], node.outputs[0]
    if not _both_fill_blocks(ctx, x, y) or x is None or x.shape[2:] != y.shape[2:]:
        return None
    return ctx.from_blocked(ctx.g.reshape(ctx.to_blocked(x), y.shape), y.type)


def convert_gather(ctx: NchwcContext, node: Node) -> Value | None:
    """Blocks of channels by their numbers."""
    (x, numbers), y = node.inputs, node.outputs[0]
    if (
        not _both_fill_blocks(ctx, x, y)
        or x is None
        or node.attribute("axis", 0) != 1
        or not isinstance(numbers, Constant)
    ):
        return None
    first = numbers.array.reshape(-1, ctx.block_size)
    if (first[:, :1] % ctx.block_size).any() or (first != first[:, :1] + np.arange(ctx.block_size)).any():
        return None
    found = ctx.g.Gather(_split_blocks(ctx, x), ctx.g.const(first[:, 0] // ctx.block_size, "int64"), axis=1)
    return ctx.from_blocked(ctx.g.reshape(found, y.shape), y.type)


def convert_concat(ctx: NchwcContext, node: Node) -> Value | None:
    """Channels of several images behind one another; those that fill a block come last, if any do."""
    parts, y = [x for x in node.inputs if x is not None], node.outputs[0]
    if (
        y.rank != 4
        or node.attribute("axis") % 4 != CHANNEL_AXIS
        or not _all_but_last_fill_blocks(ctx, parts)
        or not any(x in ctx for x in parts)
    ):
        return None
    return ctx.from_blocked(
        ctx.g.refine(ctx.g.Concat(*map(ctx.to_blocked, parts), axis=CHANNEL_AXIS), ctx.padded_type(y.type).shape),
        y.type,
    )


def convert_split(ctx: NchwcContext, node: Node) -> list[Value] | None:
    """The channels of one image as those of several, the other way round."""
    x, sizes, parts = node.inputs[0], node.input(1), node.outputs
    if (
        x is None
        or x not in ctx
        or x.rank != 4
        or node.attribute("axis", 0) % 4 != CHANNEL_AXIS
        or not _all_but_last_fill_blocks(ctx, parts)
    ):
        return None
    if not isinstance(sizes, Constant) or len(parts) < 2:
        return None
    types = [ctx.padded_type(part.type) for part in parts]
    cut = ctx.g.Split(
        ctx.to_blocked(x), [type.shape[CHANNEL_AXIS] for type in types], axis=CHANNEL_AXIS, outputs=len(parts)
    )
    found = zip(cut, types, parts, strict=True)
    return [ctx.from_blocked(ctx.g.refine(one, type.shape), part.type) for one, type, part in found]


def convert_channel_pad(ctx: NchwcContext, node: Node) -> Value | None:
    """Channels of zeros around others."""
    (x, *places), y = node.inputs, node.outputs[0]
    if not _both_fill_blocks(ctx, x, y) or x is None or len(places) != 1 or not isinstance(places[0], Constant):
        return None
    ends = places[0].array.reshape(2, 4)
    if ends[:, [0, 2, 3]].any() or (ends % ctx.block_size).any() or node.attribute("mode", "constant") != "constant":
        return None
    before, after = (ends[:, 1] // ctx.block_size).tolist()
    return ctx.from_blocked(
        ctx.g.reshape(ctx.g.Pad(_split_blocks(ctx, x), [0, before, 0, 0, after, 0]), y.shape), y.type
    )


def _both_fill_blocks(ctx: NchwcContext, x: Value | None, y: Value) -> bool:
    """Whether an image in blocks and one to come have no channels that fill a block."""
    return (
        x in ctx
        and x is not None
        and y.rank == 4
        and ctx.fills_blocks(x)
        and ctx.fills_blocks(y)
        and y.type.is_static(1, 2, 3)
    )


def _all_but_last_fill_blocks(ctx: NchwcContext, parts: Iterable[Value]) -> bool:
    """Whether all but the last are as many whole blocks, and the last one as many channels as it may be."""
    *others, last = parts
    return all(map(ctx.fills_blocks, others)) and last.type.is_static(CHANNEL_AXIS)


def _split_blocks(ctx: NchwcContext, x: Value) -> Value:
    """[images, blocks, elements of a block]."""
    images, channels, height, width = x.shape
    return ctx.g.reshape(ctx.to_blocked(x), (images, channels // ctx.block_size, height * width * ctx.block_size))
