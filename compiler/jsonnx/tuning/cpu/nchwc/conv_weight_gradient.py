"""The weight gradient of a convolution as an NCHWc convolution over blocks of samples.

The gradient sums over samples and positions. Here the samples are the channels of a convolution, the positions are its
taps, and its filters are the cotangent. Its image is the operand, with the channels side by side in its rows: the next
tap is as many elements away as there are channels. Its results are the weights. Every block of samples is a group of
the convolution, and the results of all groups are summed.

- Strips: a large image is cut into strips, so that the filters of one convolution stay in a core's cache. The strips
  are further channels of their group, or groups of their own.
- Swapped roles: if the cotangent has fewer blocks of channels than the operand, the cotangent becomes the image and the
  operand the filters. The weights then come in reverse order of taps.
- Phases: the phases of a dilated convolution (for dilation 2, the even and the odd rows and columns) are further
  samples of a smaller image that is not dilated.

Kernel attributes fix the number of samples, so an If checks the batch size at each step; other sizes take the generic
gradient, which is slower.
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
"""Blocks of filters that onnxruntime's kernel processes at once."""
MIN_ROWS_PER_THREAD = 4
"""Minimum number of result rows per thread for an uneven partition."""
MAX_OVERLAP_RATIO = 1.5
"""Rows of all strips of an image, which overlap, relative to the rows of the image."""
MAX_SAMPLE_PADDING_RATIO = 1.4
"""Samples in padded blocks, relative to the batch size."""
MAX_RESULT_ELEMENTS = 1 << 22
"""Elements of the results of all groups, which are in memory at the same time."""
MAX_WEIGHT_PADDING_RATIO = 1.25
"""Weights with padded blocks of channels, relative to the weights of a dilated convolution."""
MAX_IMAGE_CHUNKS = 1 << 16
"""Chunks of an image, each of one position and one block of channels, that a Gather may order: a large constant."""
MAX_FILTER_CHUNKS = 1 << 17
"""Chunks of filters, each of one position of a sample and one block of filters, that a Gather may order."""
MAX_IM2COL_FILTER_WEIGHTS = 20
"""Maximum size of a filter that keeps the generic gradient, an im2col product, which is as fast there."""


def conv_weight_gradient(ctx: NchwcContext, gradient_info: GradientInfo, node: Node) -> Value | None:
    """Emits the gradient of weights [filters, channels, height, width], which `node` computes generically.

    Returns None if the batch size is unknown, the convolution has no such form, or the generic gradient is faster.
    """
    x, dy, weights = gradient_info.x, gradient_info.dy, node.outputs[0]
    conv = _choose_conv(ctx, gradient_info, weights)
    if conv is None:
        return None
    image_source, filter_source = (dy, x) if conv.swapped else (x, dy)
    image = ctx.channels_last(image_source) if conv.has_channels_last else ctx.to_blocked(image_source)
    filters = ctx.to_blocked(filter_source)
    generic = recompute_slice(ctx, node, {image_source: image, filter_source: filters})
    if generic is None:
        return None
    result_type = weights.type.with_shape([weights.shape[axis] for axis in (2, 3, 1, 0)])
    channels_last = ctx.g.cond(
        ctx.has_expected_batch(x),
        lambda g: conv.emit_gradient(g, image, filters, result_type),
        lambda g: g.Transpose(clone_nodes(g, generic), perm=[2, 3, 1, 0]),
    )
    return ctx.g.Transpose(channels_last, perm=[3, 2, 0, 1])


def _choose_conv(ctx: NchwcContext, gradient_info: GradientInfo, weights: Value) -> WeightGradientConv | None:
    """The convolution for the expected batch size; None where it does not exist or is not profitable."""
    x, dy, samples = gradient_info.x, gradient_info.dy, ctx.expected_rows(gradient_info.x)
    if samples is None or x.rank != 4 or gradient_info.attributes["group"] > 1:
        return None
    if not x.type.is_static(1, 2, 3) or not dy.type.is_static(1, 2, 3):
        return None
    channels, filters = x.shape[1], dy.shape[1]
    if (filters < ctx.block_size and dy not in ctx) or (channels >= ctx.block_size and x not in ctx):
        return None
    if prod(weights.shape[2:]) == 1 or prod(weights.shape[1:]) <= MAX_IM2COL_FILTER_WEIGHTS:
        return None  # a matrix product, with columns or (for one tap) without, is as fast or faster
    geometry = CorrelationGeometry.of(gradient_info, weights, samples)
    if geometry is None:
        return None
    padded_channels, padded_filters = ctx.padded_channels(channels), ctx.padded_channels(filters)
    # The image is padded, reordered and cut, which takes longer the more channels it has; the kernel is faster the more
    # blocks of filters it processes at once.
    swapped = geometry.swapped if padded_channels > padded_filters else None
    conv = _choose_strips(ctx, swapped, filters, padded_channels, swapped=True) if swapped else None
    conv = conv or _choose_strips(ctx, geometry, channels, padded_filters)
    if conv is None:
        return None
    image_channels = channels if conv.has_channels_last else padded_channels
    padding_ratio = image_channels * conv.filters / (channels * filters)
    return conv if conv.phase_count == 1 or padding_ratio <= MAX_WEIGHT_PADDING_RATIO else None


def _choose_strips(
    ctx: NchwcContext, geometry: CorrelationGeometry, channels: int, filters: int, *, swapped: bool = False
) -> WeightGradientConv | None:
    """The convolution of the whole image, else of strips; None where neither is profitable."""
    filter_blocks = filters // ctx.block_size
    uncut = WeightGradientConv(geometry, ctx.block_size, channels, filters, ctx.threads, swapped)
    if geometry.fits_uncut(filter_blocks) and uncut.is_profitable and uncut.is_balanced(1):
        return uncut
    convs = (
        replace(uncut, geometry=replace(geometry, strip_rows=rows))
        for rows in geometry.strip_row_candidates(filter_blocks)
    )
    return next((conv for conv in convs if conv.is_profitable), None)


@dataclass(frozen=True)
class WeightGradientConv:
    """A weight gradient as a convolution for one batch size.

    The filters are blocked. The image is blocked, too; if it has fewer channels than a block, it is channels-last.
    """

    geometry: CorrelationGeometry
    block_size: int
    channels: int
    """Channels of the image."""
    filters: int
    """Channels of the filters, padded to whole blocks."""
    threads: int
    swapped: bool = False
    """Whether the image is the cotangent, and the filters are the operand."""

    @property
    def has_channels_last(self) -> bool:
        """Whether the image is channels-last."""
        return self.channels < self.block_size

    @property
    def phase_count(self) -> int:
        """Phases of a sample."""
        return prod(self.geometry.phases)

    @property
    def sample_block_count(self) -> int:
        """Blocks of samples; the last one is padded with zeros."""
        return -(-self.geometry.samples // self.block_size)

    @cached_property
    def part_count(self) -> int:
        """Groups into which the strips of a block of samples are divided.

        The strips of a part are input channels of one group: their filters keep the order of their blocks, and the
        convolution itself sums over them. A part is as large as accuracy and a balanced load allow.
        """
        positions_per_strip = self.geometry.strip_rows * self.geometry.cotangent_size[1]
        max_strips = max(1, MAX_SUMMED_POSITIONS // positions_per_strip)
        strips = self.geometry.strip_count
        counts = (n for n in range(1, strips) if strips % n == 0 and strips <= max_strips * n)
        return next(filter(self.is_balanced, counts), strips)

    def is_balanced(self, part_count: int) -> bool:
        """Whether all threads get about the same number of rows of results; rows and groups are shared among them."""
        filter_calls = -(-self.filters // (FILTER_BLOCKS_PER_CALL * self.block_size))
        rows = self.result_rows * filter_calls * self.sample_block_count * part_count
        return rows % self.threads == 0 or rows >= MIN_ROWS_PER_THREAD * self.threads

    @property
    def group_count(self) -> int:
        return self.sample_block_count * self.part_count

    @property
    def result_rows(self) -> int:
        """Rows of the convolution's result: the weights', and more if the stride leaves a remainder."""
        return self.geometry.image_rows_per_strip - (self.geometry.strip_rows - 1) * self.geometry.strides[0]

    @property
    def result_columns(self) -> int:
        """Columns of the result, each of which has all channels of the image."""
        return self.geometry.image_size[1] - (self.geometry.cotangent_size[1] - 1) * self.geometry.strides[1]

    @property
    def is_profitable(self) -> bool:
        """Whether padded samples, overlapping strips and the groups' results stay within their limits."""
        padded_samples = self.sample_block_count * self.block_size
        result_elements = self.group_count * self.channels * self.filters * prod(self.geometry.taps)
        return (
            padded_samples <= MAX_SAMPLE_PADDING_RATIO * self.geometry.samples
            and (self.geometry.strip_count == 1 or self.geometry.overlap_ratio <= MAX_OVERLAP_RATIO)
            and result_elements <= MAX_RESULT_ELEMENTS
        )

    def emit_gradient(self, g: Builder, image: Value, filters: Value, result_type: TensorType) -> Value:
        """Emits the weights [height, width, channels of the operand, channels of the cotangent]."""
        if self.swapped:
            result_type = result_type.with_shape([result_type.shape[axis] for axis in (0, 1, 3, 2)])
        geometry, rows, columns = self.geometry, self.result_rows, self.result_columns
        group_results = g.custom_op(
            "Conv",
            NCHWC_DOMAIN,
            [self._emit_image(g, image), self._emit_filters(g, filters)],
            TensorType(image.dtype, (1, self.group_count * self.filters, rows, columns * self.channels)),
            group=self.group_count,
            pads=self._conv_pads,
            kernel_shape=[geometry.strip_rows, geometry.cotangent_size[1]],
            dilations=[geometry.strides[0], geometry.strides[1] * self.channels],
        )
        blocks = self._sum_groups(g, group_results, (rows, columns, self.channels))
        filters_last = g.Transpose(blocks, perm=[1, 2, 3, 0, 4])
        weights = g.reshape(filters_last, (rows, columns, self.channels, self.filters))
        if weights.shape != result_type.shape:
            weights = g.Slice(weights, [0] * 4, list(result_type.shape), [0, 1, 2, 3])
            weights = g.refine(weights, result_type.shape)
        return self._undo_swap(g, weights) if self.swapped else weights

    def _sum_groups(self, g: Builder, results: Value, size: tuple[int, int, int]) -> Value:
        """The sum over the groups as [blocks of filters, *size, block]."""
        shape = (self.filters // self.block_size, *size, self.block_size)
        if self.group_count > 1:  # a product with ones is faster than a ReduceSum
            ones = np.ones((1, self.group_count), np.float32)
            results = g.MatMul(ones, g.reshape(results, (self.group_count, prod(shape))))
        return g.reshape(results, shape)

    def _undo_swap(self, g: Builder, weights: Value) -> Value:
        """The weights with their taps in the reverse order, and channels and filters exchanged."""
        rows, columns, *matrix = weights.shape
        taps = g.reshape(weights, (rows * columns, *matrix))
        reverse = g.const(np.arange(rows * columns)[::-1], "int64")
        swapped = g.transpose(g.Gather(taps, reverse, axis=0), [0, 2, 1])
        return g.reshape(swapped, (rows, columns, *reversed(matrix)))

    # -- the image ---------------------------------------------------------------------------------------------------

    @property
    def _conv_pads(self) -> list[int]:
        """Padding of rows that the convolution does itself, skipping taps over zeros; strips have it in the image."""
        above, _, below, _ = self.geometry.pads
        return [above, 0, below, 0] if self.geometry.strip_count == self.phase_count == 1 else [0, 0, 0, 0]

    def _emit_image(self, g: Builder, x: Value) -> Value:
        """Emits the image [1, strips * samples in blocks, rows, columns * channels]."""
        geometry, conv_rows = self.geometry, sum(self._conv_pads)
        x = self._pad_image(g, x)
        rows, columns = geometry.image_size[0] - conv_rows, geometry.image_size[1]
        if self._gathers_image:
            return self._gather_image(g, x, (rows, columns))
        if self.channels > self.block_size:
            size = (geometry.full_image_size[0] - conv_rows, geometry.full_image_size[1])
            type = x.type.with_shape((x.shape[0], *size, self.channels))
            x = g.custom_op("ReorderOutput", NCHWC_DOMAIN, [x], type, channels=self.channels, channels_last=1)
        if self.phase_count > 1:
            x = g.reshape(x, (geometry.samples // self.phase_count, prod(geometry.full_image_size), self.channels))
            x = g.Gather(x, g.const(geometry.phase_indices(geometry.image_size), "int64"), axis=1)
        row_elements = columns * self.channels
        blocks = self._block_samples(g, x, rows, row_elements)
        if geometry.strip_count == 1:
            return blocks
        blocked_rows = g.reshape(blocks, (self.sample_block_count, rows, row_elements * self.block_size))
        strips = g.Gather(blocked_rows, g.const(self._strip_row_indices.ravel(), "int64"), axis=1)
        return g.reshape(strips, (1, self._input_channels, geometry.image_rows_per_strip, row_elements))

    def _pad_image(self, g: Builder, x: Value) -> Value:
        """The image with the padding that the convolution does not do itself."""
        pads = [pad - conv_pad for pad, conv_pad in zip(self.geometry.pads, self._conv_pads, strict=True)]
        if not any(pads):
            return x
        above, left, below, right = pads
        return (
            g.Pad(x, [0, above, left, 0, 0, below, right, 0]) if self.has_channels_last else pad_with_conv(g, x, pads)
        )

    def _block_samples(self, g: Builder, x: Value, rows: int, row_elements: int) -> Value:
        """X as an image [1, padded samples, rows, row elements] whose samples are in blocks."""
        samples = self._pad_samples(g, g.reshape(x, (self.geometry.samples, rows * row_elements)))
        samples = g.reshape(samples, (1, self.sample_block_count * self.block_size, rows, row_elements))
        return g.custom_op("ReorderInput", NCHWC_DOMAIN, [samples], samples.type)

    @property
    def _input_channels(self) -> int:
        """Channels of the convolution's image."""
        return self.sample_block_count * self.geometry.strip_count * self.block_size

    @property
    def _strip_row_indices(self) -> Any:
        """The rows of the image in each strip, without rows that the convolution pads."""
        strip_starts = np.arange(self.geometry.strip_count) * self.geometry.strip_rows * self.geometry.strides[0]
        return strip_starts[:, None] + np.arange(self.geometry.image_rows_per_strip - sum(self._conv_pads))

    @property
    def _gathers_image(self) -> bool:
        """Whether one Gather cuts the strips and joins the channels: several full blocks at few positions."""
        blocks, rest = divmod(self.channels, self.block_size)
        positions = self._strip_row_indices.size * self.geometry.image_size[1]
        return blocks > 1 and rest == 0 and self.phase_count == 1 and positions * blocks <= MAX_IMAGE_CHUNKS

    def _gather_image(self, g: Builder, x: Value, size: tuple[int, int]) -> Value:
        """The image of strips, cut from a blocked image.

        At every position, the channels of all blocks must lie side by side. The Gather that cuts the strips moves them
        there, so the image is not converted to the plain layout first.
        """
        (rows, columns), blocks = size, self.channels // self.block_size
        blocked = self._block_samples(g, x, blocks * rows, columns * self.block_size)
        chunks = (self.sample_block_count, blocks * rows * columns, self.block_size * self.block_size)
        positions = self._strip_row_indices.ravel()[:, None, None] * columns + np.arange(columns)[:, None]
        order = positions + np.arange(blocks) * rows * columns
        strips = g.Gather(g.reshape(blocked, chunks), g.const(order.ravel(), "int64"), axis=1)
        return g.reshape(strips, (1, self._input_channels, self._strip_row_indices.shape[1], columns * self.channels))

    # -- the filters -------------------------------------------------------------------------------------------------

    def _emit_filters(self, g: Builder, x: Value) -> Value:
        """Emits filters [groups * filters, samples of a part's strips, rows, columns] with both first axes blocked."""
        geometry = self.geometry
        if self.phase_count > 1:
            x = self._split_phases(g, x)
        x = self._pad_samples(g, g.reshape(x, (geometry.samples, prod(geometry.cotangent_size) * self.filters)))
        x = self._gather_filters(g, x) if self._gathers_filters else self._reorder_filters(g, x)
        samples = geometry.strip_count // self.part_count * self.block_size
        size = (geometry.strip_rows, geometry.cotangent_size[1])
        return g.reshape(x, (self.group_count * self.filters, samples, *size))

    @property
    def _filter_axes(self) -> tuple[int, int, int]:
        """How the filters of a sample are ordered: numbers of blocks of filters, of parts, and of strips of a part."""
        return self.filters // self.block_size, self.part_count, self.geometry.strip_count // self.part_count

    @property
    def _gathers_filters(self) -> bool:
        """Whether one Gather orders the filters: if they are few, and a ReorderInput alone would not suffice."""
        blocks, parts, _ = self._filter_axes
        chunks = self.sample_block_count * prod(self.geometry.cotangent_size) * self.filters
        return blocks > 1 and parts > 1 and chunks <= MAX_FILTER_CHUNKS

    def _gather_filters(self, g: Builder, x: Value) -> Value:
        """The same as `_reorder_filters` by one operator, which is faster."""
        chunk_count = self.sample_block_count * x.shape[1]
        order = np.arange(chunk_count).reshape(self.sample_block_count, self.block_size, *self._filter_axes, -1)
        by_group = order.transpose(0, 3, 2, 4, 5, 1).ravel()
        return g.Gather(g.reshape(x, (chunk_count, self.block_size)), g.const(by_group, "int32"), axis=0)

    def _reorder_filters(self, g: Builder, x: Value) -> Value:
        """The filters with samples in blocks, ordered by part, block of filters and strip."""
        block, (filter_blocks, parts, part_strips) = self.block_size, self._filter_axes
        samples = g.reshape(x, (self.sample_block_count, block, 1, x.shape[1]))
        type = TensorType(x.dtype, (self.sample_block_count, x.shape[1], block, 1))
        x = g.custom_op("ReorderInput", NCHWC_DOMAIN, [samples], type, channels_last=1)
        if filter_blocks == 1 or parts == 1:
            return x
        order = np.arange(filter_blocks * parts * part_strips).reshape(self._filter_axes).transpose(1, 0, 2)
        x = g.reshape(x, (self.sample_block_count, order.size, x.shape[1] * block // order.size))
        return g.Gather(x, g.const(order.ravel(), "int64"), axis=1)

    def _split_phases(self, g: Builder, x: Value) -> Value:
        """The filters phase by phase, each phase with all its blocks."""
        geometry, blocks = self.geometry, self.filters // self.block_size
        if any(geometry.cotangent_padding):
            x = pad_with_conv(g, x, (0, 0, *geometry.cotangent_padding))
        batch, positions = geometry.samples // self.phase_count, prod(geometry.cotangent_size)
        x = g.reshape(x, (batch * blocks, positions * self.phase_count, self.block_size))
        x = g.Gather(x, g.const(geometry.phase_indices(geometry.cotangent_size), "int64"), axis=1)
        x = g.reshape(x, (batch, blocks, self.phase_count, positions * self.block_size))
        return g.transpose(x, [0, 2, 1, 3]) if blocks > 1 else x

    def _pad_samples(self, g: Builder, x: Value) -> Value:
        """Samples [samples, elements], padded with zeros to a whole number of blocks."""
        missing = self.sample_block_count * self.block_size - self.geometry.samples
        return g.Pad(x, [0, 0, missing, 0]) if missing else x
