"""Converters of operators that move whole blocks of channels: Reshape, Gather, Concat, Split, Pad,
Shape and Transpose.

A block of channels of one image is contiguous in memory, so these operators move blocks as they move channels in the
plain layout. They join and split images in U-Net, DenseNet and Inception, and the planes of a volume are channels after
`conv3d_as_conv2d`. Every converter returns None where it does not apply.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ....ir import Constant, Node, Value
from .context import NchwcContext

CHANNEL_AXIS = 1
"""The axis of channels, and of their blocks."""
TO_CHANNELS_LAST = [0, 2, 3, 1]
"""The permutation from channels-first to channels-last images."""
TO_CHANNELS_FIRST = [0, 3, 1, 2]
"""The inverse permutation."""


def convert_reshape(ctx: NchwcContext, node: Node) -> Value | None:
    """Converts a Reshape that merges the channels of several images into one image, or splits them."""
    x, y = node.inputs[0], node.outputs[0]
    if not _both_fill_blocks(ctx, x, y) or x is None or x.shape[2:] != y.shape[2:]:
        return None
    return ctx.from_blocked(ctx.g.reshape(ctx.to_blocked(x), y.shape), y.type)


def convert_shape(ctx: NchwcContext, node: Node) -> Value | None:
    """Shape of a blocked image -> Shape of its blocked form, or of a factor of it, minus the padding channels

    So neither the plain image nor a product is computed for its shape.
    """
    x = node.inputs[0]
    if x not in ctx or x is None or not x.type.is_static(1):
        return None
    blocks, *_ = ctx.factors(x) or [ctx.to_blocked(x)]
    padding = [0, blocks.shape[1] - x.shape[1], 0, 0][node.attribute("start", 0) : node.attribute("end")]
    padded_shape = ctx.g.emit(node.op, blocks, **node.attributes)
    return ctx.g.Sub(padded_shape, ctx.g.const(padding, "int64")) if any(padding) else padded_shape


def convert_transpose(ctx: NchwcContext, node: Node) -> Value | None:
    """Converts a Transpose of a blocked image to channels-last, and records the operand of one to channels-first.

    A Transpose of a Transpose, as behind a weight gradient, reads the operand of the inner one if that leaves at most
    the transposition of a matrix.
    """
    x, y, perm = node.inputs[0], node.outputs[0], node.attribute("perm")
    if x is not None and perm == TO_CHANNELS_FIRST:
        ctx.set_channels_last(y, x)
    if x is not None and x in ctx and perm == TO_CHANNELS_LAST:
        return ctx.channels_last_from_blocked(x)
    index = ctx.node_index(x) if x is not None and x.type.is_static() else None
    inner = None if index is None else ctx.g.nodes[index]
    if inner is None or inner.op != "Transpose" or inner.inputs[0] is None:
        return None
    inner_perm = inner.attribute("perm")
    composed = [inner_perm[axis] for axis in perm]
    is_matrix = composed == [(composed[0] + axis) % len(composed) for axis in range(len(composed))]
    return ctx.g.transpose(inner.inputs[0], composed) if is_matrix else None


def convert_gather(ctx: NchwcContext, node: Node) -> Value | None:
    """Converts a Gather along the channels whose constant indices select whole blocks."""
    (x, indices), y = node.inputs, node.outputs[0]
    if (
        not _both_fill_blocks(ctx, x, y)
        or x is None
        or node.attribute("axis", 0) != CHANNEL_AXIS
        or not isinstance(indices, Constant)
    ):
        return None
    channels = indices.array.reshape(-1, ctx.block_size)
    first_channels = channels[:, :1]
    if (first_channels % ctx.block_size).any() or (channels != first_channels + np.arange(ctx.block_size)).any():
        return None
    block_indices = ctx.g.const(first_channels[:, 0] // ctx.block_size, "int64")
    blocks = ctx.g.Gather(_split_blocks(ctx, x), block_indices, axis=1)
    return ctx.from_blocked(ctx.g.reshape(blocks, y.shape), y.type)


def convert_concat(ctx: NchwcContext, node: Node) -> Value | None:
    """Converts a Concat along the channels if every part but the last fills its blocks and some part is blocked."""
    parts, y = [x for x in node.inputs if x is not None], node.outputs[0]
    if (
        y.rank != 4
        or node.attribute("axis") % 4 != CHANNEL_AXIS
        or not _all_but_last_fill_blocks(ctx, parts)
        or not any(x in ctx for x in parts)
    ):
        return None
    blocks = ctx.g.Concat(*map(ctx.to_blocked, parts), axis=CHANNEL_AXIS)
    return ctx.from_blocked(ctx.g.refine(blocks, ctx.padded_type(y.type).shape), y.type)


def convert_split(ctx: NchwcContext, node: Node) -> list[Value] | None:
    """Converts a Split of a blocked image along the channels if every part but the last fills its blocks."""
    x, sizes, parts = node.inputs[0], node.input(1), node.outputs
    if (
        x is None
        or x not in ctx
        or x.rank != 4
        or node.attribute("axis", 0) % 4 != CHANNEL_AXIS
        or not _all_but_last_fill_blocks(ctx, parts)
        or not isinstance(sizes, Constant)
        or len(parts) < 2
    ):
        return None
    padded_types = [ctx.padded_type(part.type) for part in parts]
    padded_sizes = [type.shape[CHANNEL_AXIS] for type in padded_types]
    blocked_parts = ctx.g.Split(ctx.to_blocked(x), padded_sizes, axis=CHANNEL_AXIS, outputs=len(parts))
    return [
        ctx.from_blocked(ctx.g.refine(blocks, padded_type.shape), part.type)
        for blocks, padded_type, part in zip(blocked_parts, padded_types, parts, strict=True)
    ]


def convert_channel_pad(ctx: NchwcContext, node: Node) -> Value | None:
    """Converts a Pad that adds whole blocks of channels with zeros, and pads no other axis."""
    (x, *rest), y = node.inputs, node.outputs[0]
    if not _both_fill_blocks(ctx, x, y) or x is None or len(rest) != 1 or not isinstance(rest[0], Constant):
        return None
    pads = rest[0].array.reshape(2, 4)
    if pads[:, [0, 2, 3]].any() or (pads % ctx.block_size).any() or node.attribute("mode", "constant") != "constant":
        return None
    before, after = (pads[:, CHANNEL_AXIS] // ctx.block_size).tolist()
    padded = ctx.g.Pad(_split_blocks(ctx, x), [0, before, 0, 0, after, 0])
    return ctx.from_blocked(ctx.g.reshape(padded, y.shape), y.type)


def _both_fill_blocks(ctx: NchwcContext, x: Value | None, y: Value) -> bool:
    """Whether x is blocked, y is an image of static size, and neither needs padding channels."""
    return (
        x in ctx
        and x is not None
        and y.rank == 4
        and ctx.fills_blocks(x)
        and ctx.fills_blocks(y)
        and y.type.is_static(1, 2, 3)
    )


def _all_but_last_fill_blocks(ctx: NchwcContext, parts: Iterable[Value]) -> bool:
    """Whether every part but the last fills its blocks, and the last has a static number of channels."""
    *others, last = parts
    return all(map(ctx.fills_blocks, others)) and last.type.is_static(CHANNEL_AXIS)


def _split_blocks(ctx: NchwcContext, x: Value) -> Value:
    """The blocks of x as [images, blocks, elements of a block]."""
    images, channels, height, width = x.shape
    return ctx.g.reshape(ctx.to_blocked(x), (images, channels // ctx.block_size, height * width * ctx.block_size))
