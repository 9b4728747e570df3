"""The gradient of a convolution's weights as a convolution with samples in blocks.

What is summed over, the samples and the places, are the channels and the taps of a convolution whose filters are the
cotangent. Its image is the operand, in whose rows the channels lie beside each other, so that a tap's neighbour is as
many elements away as there are channels; its results are the weights. Where the cotangent has fewer blocks of channels
it is the other way round, and the weights come from the last to the first. Every block of samples is a group of its
own. A large image is cut into strips, each of which is further channels of its group, or a group: what the filters of
one take must stay in a core's cache.

It is as fast as the convolution itself: a third of the time of what a gradient rule has for any number of samples. A
group needs a whole block of samples, though, and the number of groups is an attribute. So both forms are there, and the
number of samples decides at every step.

A dilated convolution never mixes the phases of its rows and columns, even and odd ones, say: these are more samples, of
an image that is smaller and not dilated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from ....core.types import TensorType
from ....ir import Builder, GradientInfo, Node, Value
from .context import NCHWC_DOMAIN, NchwcContext, pad_with_conv
from .conv_geometry import MAX_SUMMED_POSITIONS, CorrelationGeometry
from .recompute import clone_nodes, recompute_slice

FILTER_BLOCKS_PER_CALL = 4
"""Blocks of filters that the kernel takes at once."""
MIN_ROWS_PER_THREAD = 4
"""Rows of results for each thread from which on it does not matter if one gets a row more than another."""
MAX_OVERLAP_RATIO = 1.5
"""How much larger an image may become by cutting it into strips that share rows."""
MAX_SAMPLE_PADDING_RATIO = 1.4
"""How many times the samples blocks may have room for."""
MAX_RESULT_ELEMENTS = 1 << 22
"""Elements that the groups' results may have together: they are there at once."""
MAX_WEIGHT_PADDING_RATIO = 1.25
"""How many times the weights of a dilated convolution those with filled up blocks may be."""
MAX_IMAGE_CHUNKS = 1 << 16
"""Pieces, each of one place and one block of channels, that an image may be laid out by: their order is a constant."""
MAX_FILTER_CHUNKS = 1 << 17
"""Pieces, each of one place of a sample and one block of filters, that filters may be laid out by."""
MAX_IM2COL_FILTER_WEIGHTS = 20
"""Weights of a filter up to which the product with columns takes no longer."""


def conv_weight_gradient(ctx: NchwcContext, gradient_info: GradientInfo, node: Node) -> Value | None:
    """The gradient of weights [filters, channels, height, width], which `node` gives; None where it is not of this
    kind, or the number of samples does not suit."""
    x, dy, weights = gradient_info.x, gradient_info.dy, node.outputs[0]
    form = _weight_gradient_conv(ctx, gradient_info, weights)
    if form is None:
        return None
    first, second = (dy, x) if form.swapped else (x, dy)
    image, filters = (
        ctx.channels_last(first) if form.has_channels_last else ctx.to_blocked(first),
        ctx.to_blocked(second),
    )
    rest = recompute_slice(ctx, node, {first: image, second: filters})
    if rest is None:
        return None
    wanted = weights.type.with_shape([weights.shape[axis] for axis in (2, 3, 1, 0)])
    as_stored = ctx.g.cond(
        ctx.has_expected_batch(x),
        lambda g: form.emit_gradient(g, image, filters, wanted),
        lambda g: g.Transpose(clone_nodes(g, rest), perm=[2, 3, 1, 0]),
    )
    return ctx.g.Transpose(as_stored, perm=[3, 2, 0, 1])


def _weight_gradient_conv(ctx: NchwcContext, gradient_info: GradientInfo, weights: Value) -> WeightGradientConv | None:
    """How it is computed for the expected number of samples; None where that is no gain."""
    x, dy, samples = gradient_info.x, gradient_info.dy, ctx.expected_rows(gradient_info.x)
    if samples is None or x.rank != 4 or gradient_info.attributes["group"] > 1:
        return None
    if not x.type.is_static(1, 2, 3) or not dy.type.is_static(1, 2, 3):
        return None
    channels, filters = x.shape[1], dy.shape[1]
    if (filters < ctx.block_size and dy not in ctx) or (channels >= ctx.block_size and x not in ctx):
        return None
    # Of one tap a product of matrices takes three quarters of the time, of few weights one with columns no more.
    if prod(weights.shape[2:]) == 1 or prod(weights.shape[1:]) <= MAX_IM2COL_FILTER_WEIGHTS:
        return None
    sizes = CorrelationGeometry.of(gradient_info, weights, samples)
    if sizes is None:
        return None
    # An image is framed, put in another order and cut into strips that overlap, the longer the more channels it has;
    # the kernel takes several blocks of filters at once (330 GFLOP/s with one, 420 to 490 with two, 530 with four).
    turned = sizes.swapped if ctx.padded_channels(channels) > ctx.padded_channels(filters) else None
    form = _choose_strips(ctx, turned, filters, ctx.padded_channels(channels), swapped=True) if turned else None
    form = form or _choose_strips(ctx, sizes, channels, ctx.padded_channels(filters))
    if form is None:
        return None
    filled = channels if form.has_channels_last else ctx.padded_channels(channels)
    return (
        form
        if form.phase_count == 1 or filled * form.filters <= MAX_WEIGHT_PADDING_RATIO * channels * filters
        else None
    )


def _choose_strips(
    ctx: NchwcContext, geometry: CorrelationGeometry, channels: int, filters: int, *, swapped: bool = False
) -> WeightGradientConv | None:
    """The form of the image as it is, or of strips of it; None where neither suits."""
    whole, blocks = (
        WeightGradientConv(geometry, ctx.block_size, channels, filters, ctx.threads, swapped),
        filters // ctx.block_size,
    )
    if geometry.fits_uncut(blocks) and whole.is_profitable and whole.is_balanced(1):
        return whole
    forms = (
        replace(whole, geometry=replace(geometry, strip_rows=rows)) for rows in geometry.strip_row_candidates(blocks)
    )
    return next((form for form in forms if form.is_profitable), None)


@dataclass(frozen=True)
class WeightGradientConv:
    """The form for one number of samples, of an image and filters in blocks of channels; an image of fewer channels
    than a block has them last."""

    geometry: CorrelationGeometry
    block_size: int
    channels: int
    filters: int
    threads: int
    swapped: bool = False
    """Whether the cotangent is the image, and the operand its filters."""

    @property
    def has_channels_last(self) -> bool:
        """Whether the image has its channels last."""
        return self.channels < self.block_size

    @property
    def phase_count(self) -> int:
        """Of a sample."""
        return prod(self.geometry.phases)

    @property
    def sample_block_count(self) -> int:
        """Of samples; what is missing in the last are zeros."""
        return -(-self.geometry.samples // self.block_size)

    @cached_property
    def part_count(self) -> int:
        """Into which the strips of a block of samples are divided. Those of a part are input channels of one group, by
        which its filters lie in the order in which they come, and its sums are one."""
        sizes = self.geometry
        most = max(1, MAX_SUMMED_POSITIONS // (sizes.strip_rows * sizes.cotangent_size[1]))

        def suits(parts: int) -> bool:
            return sizes.strip_count <= most * parts and self.is_balanced(parts)

        return next(
            (n for n in range(1, sizes.strip_count) if sizes.strip_count % n == 0 and suits(n)), sizes.strip_count
        )

    def is_balanced(self, part_count: int) -> bool:
        """Whether each thread gets as much as the others: rows and groups are what they share."""
        shared = (
            self.result_rows
            * -(-self.filters // (FILTER_BLOCKS_PER_CALL * self.block_size))
            * self.sample_block_count
            * part_count
        )
        return shared % self.threads == 0 or shared >= MIN_ROWS_PER_THREAD * self.threads

    @property
    def group_count(self) -> int:
        return self.sample_block_count * self.part_count

    @property
    def result_rows(self) -> int:
        """Of the result."""
        return self.geometry.image_rows_per_strip - (self.geometry.strip_rows - 1) * self.geometry.strides[0]

    @property
    def is_profitable(self) -> bool:
        """Whether blocks are not too empty, nor strips too much of the same, nor the groups' results too large."""
        few = self.sample_block_count * self.block_size <= MAX_SAMPLE_PADDING_RATIO * self.geometry.samples
        apart = self.geometry.strip_count == 1 or self.geometry.overlap_ratio <= MAX_OVERLAP_RATIO
        return (
            few
            and apart
            and self.group_count * self.channels * self.filters * prod(self.geometry.taps) <= MAX_RESULT_ELEMENTS
        )

    def emit_gradient(self, g: Builder, image: Value, filters: Value, result_type: TensorType) -> Value:
        """The weights [height, width, channels of the operand, those of the cotangent]."""
        if self.swapped:
            result_type = result_type.with_shape([result_type.shape[axis] for axis in (0, 1, 3, 2)])
        sizes, block, groups = self.geometry, self.block_size, self.group_count
        rows = self.result_rows
        columns = sizes.image_size[1] - (sizes.cotangent_size[1] - 1) * sizes.strides[1]
        met = g.custom_op(
            "Conv",
            NCHWC_DOMAIN,
            [self._emit_image(g, image), self._emit_filters(g, filters)],
            TensorType(image.dtype, (1, groups * self.filters, rows, columns * self.channels)),
            group=groups,
            pads=self._conv_pads,
            kernel_shape=[sizes.strip_rows, sizes.cotangent_size[1]],
            dilations=[sizes.strides[0], sizes.strides[1] * self.channels],
        )
        parts = (self.filters // block, rows, columns, self.channels, block)
        if groups > 1:  # a product with ones takes half the time of a ReduceSum
            met = g.MatMul(np.ones((1, groups), np.float32), g.reshape(met, (groups, prod(parts))))
        whole = g.Transpose(g.reshape(met, parts), perm=[1, 2, 3, 0, 4])
        made = g.reshape(whole, (rows, columns, self.channels, self.filters))
        if made.shape != result_type.shape:
            made = g.refine(g.Slice(made, [0] * 4, list(result_type.shape), [0, 1, 2, 3]), result_type.shape)
        return self._swap_back(g, made) if self.swapped else made

    def _swap_back(self, g: Builder, weights: Value) -> Value:
        """From the last weight to the first, channels and filters in each other's place."""
        rows, columns, *each = weights.shape
        there = g.reshape(weights, (rows * columns, *each))
        back = g.transpose(g.Gather(there, g.const(np.arange(rows * columns)[::-1], "int64"), axis=0), [0, 2, 1])
        return g.reshape(back, (rows, columns, *reversed(each)))

    @property
    def _conv_pads(self) -> list[int]:
        """The padding that is left to the convolution, which skips taps over rows of zeros; strips need theirs."""
        above, _, below, _ = self.geometry.pads
        return [above, 0, below, 0] if self.geometry.strip_count == self.phase_count == 1 else [0, 0, 0, 0]

    def _emit_image(self, g: Builder, x: Value) -> Value:
        """[1, strips * samples in blocks, rows, columns * channels]."""
        sizes = self.geometry
        pads = [pad - left for pad, left in zip(sizes.pads, self._conv_pads, strict=True)]
        above, left, below, right = pads
        high, wide = sizes.image_size[0] - sum(self._conv_pads), sizes.image_size[1]
        size = (sizes.full_image_size[0] - sum(self._conv_pads), sizes.full_image_size[1])
        if any(pads) and self.has_channels_last:
            x = g.Pad(x, [0, above, left, 0, 0, below, right, 0])
        elif any(pads):
            x = pad_with_conv(g, x, pads)
        if self._gathers_image:
            return self._gather_image(g, x, (high, wide))
        if self.channels > self.block_size:
            last = x.type.with_shape((x.shape[0], *size, self.channels))
            x = g.custom_op("ReorderOutput", NCHWC_DOMAIN, [x], last, channels=self.channels, channels_last=1)
        if self.phase_count > 1:
            x = g.reshape(x, (sizes.samples // self.phase_count, prod(sizes.full_image_size), self.channels))
            x = g.Gather(x, g.const(sizes.phase_indices(sizes.image_size), "int64"), axis=1)
        length = wide * self.channels
        blocks = self._block_samples(g, x, high, length)
        if sizes.strip_count == 1:
            return blocks
        lines = g.reshape(blocks, (self.sample_block_count, high, length * self.block_size))
        strips = g.Gather(lines, g.const(self._strip_row_indices.ravel(), "int64"), axis=1)
        return g.reshape(strips, (1, self._input_channels, sizes.image_rows_per_strip, length))

    def _block_samples(self, g: Builder, x: Value, high: int, length: int) -> Value:
        """[1, samples filled up to blocks, rows, columns], samples in blocks."""
        plain = self._pad_samples(g, g.reshape(x, (self.geometry.samples, high * length)))
        plain = g.reshape(plain, (1, self.sample_block_count * self.block_size, high, length))
        return g.custom_op("ReorderInput", NCHWC_DOMAIN, [plain], plain.type)

    @property
    def _input_channels(self) -> int:
        """Channels of the convolution's image."""
        return self.sample_block_count * self.geometry.strip_count * self.block_size

    @property
    def _strip_row_indices(self) -> Any:
        """The rows of the image of each strip: all of them where the convolution pads it."""
        sizes = self.geometry
        starts = np.arange(sizes.strip_count)[:, None] * sizes.strip_rows * sizes.strides[0]
        return starts + np.arange(sizes.image_rows_per_strip - sum(self._conv_pads))

    @property
    def _gathers_image(self) -> bool:
        """Whether blocks of channels go as they are, place by place: there are several, whole ones, and few places."""
        several = self.channels > self.block_size and self.channels % self.block_size == 0 and self.phase_count == 1
        return (
            several
            and self._strip_row_indices.size * self.geometry.image_size[1] * self.channels // self.block_size
            <= MAX_IMAGE_CHUNKS
        )

    def _gather_image(self, g: Builder, x: Value, size: tuple[int, int]) -> Value:
        """The image of blocks of channels: for every place, those of all blocks lie side by side in the end, and a
        Gather lays them there on the way to strips. Nothing is put in plain order before."""
        (high, wide), several = size, self.channels // self.block_size
        blocks = self._block_samples(g, x, several * high, wide * self.block_size)
        chunks = g.reshape(blocks, (self.sample_block_count, several * high * wide, self.block_size * self.block_size))
        places = self._strip_row_indices.ravel()[:, None, None] * wide + np.arange(wide)[:, None]
        order = places + np.arange(several) * high * wide
        laid = g.Gather(chunks, g.const(order.ravel(), "int64"), axis=1)
        return g.reshape(laid, (1, self._input_channels, self._strip_row_indices.shape[1], wide * self.channels))

    def _emit_filters(self, g: Builder, x: Value) -> Value:
        """[groups * filters, samples of a part's strips, rows, columns], the filters of a group in blocks, and
        samples."""
        sizes, block = self.geometry, self.block_size
        if self.phase_count > 1:
            x = self._split_phases(g, x)
        x = self._pad_samples(g, g.reshape(x, (sizes.samples, prod(sizes.cotangent_size) * self.filters)))
        x = self._gather_filters(g, x) if self._gathers_filters else self._reorder_filters(g, x)
        together = sizes.strip_count // self.part_count
        return g.reshape(
            x, (self.group_count * self.filters, together * block, sizes.strip_rows, sizes.cotangent_size[1])
        )

    @property
    def _filter_order(self) -> tuple[int, int, int]:
        """How many blocks of filters, parts, and strips of a part there are: in this order they come."""
        return self.filters // self.block_size, self.part_count, self.geometry.strip_count // self.part_count

    @property
    def _gathers_filters(self) -> bool:
        """Whether filters are laid out place by place: they do not come in the order of groups, and are few."""
        most, parts, _ = self._filter_order
        return (
            most > 1
            and parts > 1
            and self.sample_block_count * prod(self.geometry.cotangent_size) * self.filters <= MAX_FILTER_CHUNKS
        )

    def _gather_filters(self, g: Builder, x: Value) -> Value:
        """What `_reorder_filters` gives by one operator, which takes 0.7 to 0.85 of the time of its two."""
        count = self.sample_block_count * x.shape[1]
        order = (
            np.arange(count)
            .reshape(self.sample_block_count, self.block_size, *self._filter_order, -1)
            .transpose(0, 3, 2, 4, 5, 1)
        )
        return g.Gather(g.reshape(x, (count, self.block_size)), g.const(order.ravel(), "int32"), axis=0)

    def _reorder_filters(self, g: Builder, x: Value) -> Value:
        """Samples in blocks, and then filters in the order of groups."""
        block, (most, parts, together) = self.block_size, self._filter_order
        apart = g.reshape(x, (self.sample_block_count, block, 1, x.shape[1]))
        blocks = TensorType(x.dtype, (self.sample_block_count, x.shape[1], block, 1))
        x = g.custom_op("ReorderInput", NCHWC_DOMAIN, [apart], blocks, channels_last=1)
        if most == 1 or parts == 1:
            return x
        order = np.arange(most * parts * together).reshape(most, parts, together).transpose(1, 0, 2)
        x = g.reshape(x, (self.sample_block_count, order.size, x.shape[1] * block // order.size))
        return g.Gather(x, g.const(order.ravel(), "int64"), axis=1)

    def _split_phases(self, g: Builder, x: Value) -> Value:
        """The phases of the filters, each with all its blocks."""
        sizes, most = self.geometry, self.filters // self.block_size
        if any(sizes.cotangent_padding):
            x = pad_with_conv(g, x, (0, 0, *sizes.cotangent_padding))
        count = sizes.samples // self.phase_count
        x = g.reshape(x, (count * most, prod(sizes.cotangent_size) * self.phase_count, self.block_size))
        x = g.Gather(x, g.const(sizes.phase_indices(sizes.cotangent_size), "int64"), axis=1)
        x = g.reshape(x, (count, most, self.phase_count, prod(sizes.cotangent_size) * self.block_size))
        return g.transpose(x, [0, 2, 1, 3]) if most > 1 else x

    def _pad_samples(self, g: Builder, x: Value) -> Value:
        """Samples [samples, elements] and zeros to whole blocks."""
        missing = self.sample_block_count * self.block_size - self.geometry.samples
        return g.Pad(x, [0, 0, missing, 0]) if missing else x
