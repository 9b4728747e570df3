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
from ....ir import Builder, GradientOf, Node, Value
from .context import DOMAIN, Blocks, in_frame
from .conv_geometry import PLACES, Sizes
from .recompute import emitted_again, nodes_behind

SET = 4
"""Blocks of filters that the kernel takes at once."""
EVEN = 4
"""Rows of results for each thread from which on it does not matter if one gets a row more than another."""
OVERLAP = 1.5
"""How much larger an image may become by cutting it into strips that share rows."""
FILLED = 1.4
"""How many times the samples blocks may have room for."""
LARGEST = 1 << 22
"""Elements that the groups' results may have together: they are there at once."""
FULL = 1.25
"""How many times the weights of a dilated convolution those with filled up blocks may be."""
MOST_CHUNKS = 1 << 16
"""Pieces, each of one place and one block of channels, that an image may be laid out by: their order is a constant."""
MOST_PLACES = 1 << 17
"""Pieces, each of one place of a sample and one block of filters, that filters may be laid out by."""
FEWEST = 20
"""Weights of a filter up to which the product with columns takes no longer."""


def of_sample_blocks(b: Blocks, told: GradientOf, node: Node) -> Value | None:
    """The gradient of weights [filters, channels, height, width], which `node` gives; None where it is not of this
    kind, or the number of samples does not suit."""
    x, dy, weights = told.x, told.dy, node.outputs[0]
    form = _form(b, told, weights)
    if form is None:
        return None
    first, second = (dy, x) if form.turned else (x, dy)
    image, filters = b.last(first) if form.of_few else b.into(first), b.into(second)
    rest = nodes_behind(b, node, {first: image, second: filters})
    if rest is None:
        return None
    wanted = weights.type.with_shape([weights.shape[axis] for axis in (2, 3, 1, 0)])
    as_stored = b.g.either(
        b.as_expected(x),
        lambda g: form.gradient(g, image, filters, wanted),
        lambda g: g.Transpose(emitted_again(g, rest), perm=[2, 3, 1, 0]),
    )
    return b.g.Transpose(as_stored, perm=[3, 2, 0, 1])


def _form(b: Blocks, told: GradientOf, weights: Value) -> SampleBlocks | None:
    """How it is computed for the expected number of samples; None where that is no gain."""
    x, dy, samples = told.x, told.dy, b.expected(told.x)
    if samples is None or x.rank != 4 or told.attributes["group"] > 1:
        return None
    if not x.type.is_fixed(1, 2, 3) or not dy.type.is_fixed(1, 2, 3):
        return None
    channels, filters = x.shape[1], dy.shape[1]
    if (filters < b.block and dy not in b) or (channels >= b.block and x not in b):
        return None
    # Of one tap a product of matrices takes three quarters of the time, of few weights one with columns no more.
    if prod(weights.shape[2:]) == 1 or prod(weights.shape[1:]) <= FEWEST:
        return None
    sizes = Sizes.of(told, weights, samples)
    if sizes is None:
        return None
    # An image is framed, put in another order and cut into strips that overlap, the longer the more channels it has;
    # the kernel takes several blocks of filters at once (330 GFLOP/s with one, 420 to 490 with two, 530 with four).
    turned = sizes.turned if b.full(channels) > b.full(filters) else None
    form = _in_strips(b, turned, filters, b.full(channels), turned=True) if turned else None
    form = form or _in_strips(b, sizes, channels, b.full(filters))
    if form is None:
        return None
    filled = channels if form.of_few else b.full(channels)
    return form if form.phases == 1 or filled * form.filters <= FULL * channels * filters else None


def _in_strips(b: Blocks, sizes: Sizes, channels: int, filters: int, *, turned: bool = False) -> SampleBlocks | None:
    """The form of the image as it is, or of strips of it; None where neither suits."""
    whole, blocks = SampleBlocks(sizes, b.block, channels, filters, b.threads, turned), filters // b.block
    if sizes.is_small(blocks) and whole.suits and whole.is_even(1):
        return whole
    forms = (replace(whole, sizes=replace(sizes, strip=rows)) for rows in sizes.strips_to_try(blocks))
    return next((form for form in forms if form.suits), None)


@dataclass(frozen=True)
class SampleBlocks:
    """The form for one number of samples, of an image and filters in blocks of channels; an image of fewer channels
    than a block has them last."""

    sizes: Sizes
    block: int
    channels: int
    filters: int
    threads: int
    turned: bool = False
    """Whether the cotangent is the image, and the operand its filters."""

    @property
    def of_few(self) -> bool:
        """Whether the image has its channels last."""
        return self.channels < self.block

    @property
    def phases(self) -> int:
        """Of a sample."""
        return prod(self.sizes.phases)

    @property
    def blocks(self) -> int:
        """Of samples; what is missing in the last are zeros."""
        return -(-self.sizes.samples // self.block)

    @cached_property
    def parts(self) -> int:
        """Into which the strips of a block of samples are divided. Those of a part are input channels of one group, by
        which its filters lie in the order in which they come, and its sums are one."""
        sizes = self.sizes
        most = max(1, PLACES // (sizes.strip * sizes.places[1]))

        def suits(parts: int) -> bool:
            return sizes.strips <= most * parts and self.is_even(parts)

        return next((n for n in range(1, sizes.strips) if sizes.strips % n == 0 and suits(n)), sizes.strips)

    def is_even(self, parts: int) -> bool:
        """Whether each thread gets as much as the others: rows and groups are what they share."""
        shared = self.rows * -(-self.filters // (SET * self.block)) * self.blocks * parts
        return shared % self.threads == 0 or shared >= EVEN * self.threads

    @property
    def groups(self) -> int:
        return self.blocks * self.parts

    @property
    def rows(self) -> int:
        """Of the result."""
        return self.sizes.rows_of_strip - (self.sizes.strip - 1) * self.sizes.strides[0]

    @property
    def suits(self) -> bool:
        """Whether blocks are not too empty, nor strips too much of the same, nor the groups' results too large."""
        few = self.blocks * self.block <= FILLED * self.sizes.samples
        apart = self.sizes.strips == 1 or self.sizes.overlap <= OVERLAP
        return few and apart and self.groups * self.channels * self.filters * prod(self.sizes.taps) <= LARGEST

    def gradient(self, g: Builder, image: Value, filters: Value, wanted: TensorType) -> Value:
        """The weights [height, width, channels of the operand, those of the cotangent]."""
        if self.turned:
            wanted = wanted.with_shape([wanted.shape[axis] for axis in (0, 1, 3, 2)])
        sizes, block, groups = self.sizes, self.block, self.groups
        rows = self.rows
        columns = sizes.image[1] - (sizes.places[1] - 1) * sizes.strides[1]
        met = g.custom(
            "Conv",
            DOMAIN,
            [self._image(g, image), self._filters(g, filters)],
            TensorType(image.dtype, (1, groups * self.filters, rows, columns * self.channels)),
            group=groups,
            pads=self._around,
            kernel_shape=[sizes.strip, sizes.places[1]],
            dilations=[sizes.strides[0], sizes.strides[1] * self.channels],
        )
        parts = (self.filters // block, rows, columns, self.channels, block)
        if groups > 1:  # a product with ones takes half the time of a ReduceSum
            met = g.MatMul(np.ones((1, groups), np.float32), g.reshape(met, (groups, prod(parts))))
        whole = g.Transpose(g.reshape(met, parts), perm=[1, 2, 3, 0, 4])
        made = g.reshape(whole, (rows, columns, self.channels, self.filters))
        if made.shape != wanted.shape:
            made = g.refine(g.Slice(made, [0] * 4, list(wanted.shape), [0, 1, 2, 3]), wanted.shape)
        return self._turned_back(g, made) if self.turned else made

    def _turned_back(self, g: Builder, weights: Value) -> Value:
        """From the last weight to the first, channels and filters in each other's place."""
        rows, columns, *each = weights.shape
        there = g.reshape(weights, (rows * columns, *each))
        back = g.transpose(g.Gather(there, g.const(np.arange(rows * columns)[::-1], "int64"), axis=0), [0, 2, 1])
        return g.reshape(back, (rows, columns, *reversed(each)))

    @property
    def _around(self) -> list[int]:
        """The padding that is left to the convolution, which skips taps over rows of zeros; strips need theirs."""
        above, _, below, _ = self.sizes.pads
        return [above, 0, below, 0] if self.sizes.strips == self.phases == 1 else [0, 0, 0, 0]

    def _image(self, g: Builder, x: Value) -> Value:
        """[1, strips * samples in blocks, rows, columns * channels]."""
        sizes = self.sizes
        pads = [pad - left for pad, left in zip(sizes.pads, self._around, strict=True)]
        above, left, below, right = pads
        high, wide = sizes.image[0] - sum(self._around), sizes.image[1]
        size = (sizes.whole[0] - sum(self._around), sizes.whole[1])
        if any(pads) and self.of_few:
            x = g.Pad(x, [0, above, left, 0, 0, below, right, 0])
        elif any(pads):
            x = in_frame(g, x, pads)
        if self._by_chunks:
            return self._chunks(g, x, (high, wide))
        if self.channels > self.block:
            last = x.type.with_shape((x.shape[0], *size, self.channels))
            x = g.custom("ReorderOutput", DOMAIN, [x], last, channels=self.channels, channels_last=1)
        if self.phases > 1:
            x = g.reshape(x, (sizes.samples // self.phases, prod(sizes.whole), self.channels))
            x = g.Gather(x, g.const(sizes.apart(sizes.image), "int64"), axis=1)
        length = wide * self.channels
        blocks = self._samples_last(g, x, high, length)
        if sizes.strips == 1:
            return blocks
        lines = g.reshape(blocks, (self.blocks, high, length * self.block))
        strips = g.Gather(lines, g.const(self._rows.ravel(), "int64"), axis=1)
        return g.reshape(strips, (1, self._inputs, sizes.rows_of_strip, length))

    def _samples_last(self, g: Builder, x: Value, high: int, length: int) -> Value:
        """[1, samples filled up to blocks, rows, columns], samples in blocks."""
        plain = self._filled_up(g, g.reshape(x, (self.sizes.samples, high * length)))
        plain = g.reshape(plain, (1, self.blocks * self.block, high, length))
        return g.custom("ReorderInput", DOMAIN, [plain], plain.type)

    @property
    def _inputs(self) -> int:
        """Channels of the convolution's image."""
        return self.blocks * self.sizes.strips * self.block

    @property
    def _rows(self) -> Any:
        """The rows of the image of each strip: all of them where the convolution pads it."""
        sizes = self.sizes
        starts = np.arange(sizes.strips)[:, None] * sizes.strip * sizes.strides[0]
        return starts + np.arange(sizes.rows_of_strip - sum(self._around))

    @property
    def _by_chunks(self) -> bool:
        """Whether blocks of channels go as they are, place by place: there are several, whole ones, and few places."""
        several = self.channels > self.block and self.channels % self.block == 0 and self.phases == 1
        return several and self._rows.size * self.sizes.image[1] * self.channels // self.block <= MOST_CHUNKS

    def _chunks(self, g: Builder, x: Value, size: tuple[int, int]) -> Value:
        """The image of blocks of channels: for every place, those of all blocks lie side by side in the end, and a
        Gather lays them there on the way to strips. Nothing is put in plain order before."""
        (high, wide), several = size, self.channels // self.block
        blocks = self._samples_last(g, x, several * high, wide * self.block)
        chunks = g.reshape(blocks, (self.blocks, several * high * wide, self.block * self.block))
        places = self._rows.ravel()[:, None, None] * wide + np.arange(wide)[:, None]
        order = places + np.arange(several) * high * wide
        laid = g.Gather(chunks, g.const(order.ravel(), "int64"), axis=1)
        return g.reshape(laid, (1, self._inputs, self._rows.shape[1], wide * self.channels))

    def _filters(self, g: Builder, x: Value) -> Value:
        """[groups * filters, samples of a part's strips, rows, columns], the filters of a group in blocks, and
        samples."""
        sizes, block = self.sizes, self.block
        if self.phases > 1:
            x = self._apart(g, x)
        x = self._filled_up(g, g.reshape(x, (sizes.samples, prod(sizes.places) * self.filters)))
        x = self._laid(g, x) if self._by_places else self._reordered(g, x)
        together = sizes.strips // self.parts
        return g.reshape(x, (self.groups * self.filters, together * block, sizes.strip, sizes.places[1]))

    @property
    def _in_order(self) -> tuple[int, int, int]:
        """How many blocks of filters, parts, and strips of a part there are: in this order they come."""
        return self.filters // self.block, self.parts, self.sizes.strips // self.parts

    @property
    def _by_places(self) -> bool:
        """Whether filters are laid out place by place: they do not come in the order of groups, and are few."""
        most, parts, _ = self._in_order
        return most > 1 and parts > 1 and self.blocks * prod(self.sizes.places) * self.filters <= MOST_PLACES

    def _laid(self, g: Builder, x: Value) -> Value:
        """What `_reordered` gives by one operator, which takes 0.7 to 0.85 of the time of its two."""
        count = self.blocks * x.shape[1]
        order = np.arange(count).reshape(self.blocks, self.block, *self._in_order, -1).transpose(0, 3, 2, 4, 5, 1)
        return g.Gather(g.reshape(x, (count, self.block)), g.const(order.ravel(), "int32"), axis=0)

    def _reordered(self, g: Builder, x: Value) -> Value:
        """Samples in blocks, and then filters in the order of groups."""
        block, (most, parts, together) = self.block, self._in_order
        apart = g.reshape(x, (self.blocks, block, 1, x.shape[1]))
        blocks = TensorType(x.dtype, (self.blocks, x.shape[1], block, 1))
        x = g.custom("ReorderInput", DOMAIN, [apart], blocks, channels_last=1)
        if most == 1 or parts == 1:
            return x
        order = np.arange(most * parts * together).reshape(most, parts, together).transpose(1, 0, 2)
        x = g.reshape(x, (self.blocks, order.size, x.shape[1] * block // order.size))
        return g.Gather(x, g.const(order.ravel(), "int64"), axis=1)

    def _apart(self, g: Builder, x: Value) -> Value:
        """The phases of the filters, each with all its blocks."""
        sizes, most = self.sizes, self.filters // self.block
        if any(sizes.missing):
            x = in_frame(g, x, (0, 0, *sizes.missing))
        count = sizes.samples // self.phases
        x = g.reshape(x, (count * most, prod(sizes.places) * self.phases, self.block))
        x = g.Gather(x, g.const(sizes.apart(sizes.places), "int64"), axis=1)
        x = g.reshape(x, (count, most, self.phases, prod(sizes.places) * self.block))
        return g.transpose(x, [0, 2, 1, 3]) if most > 1 else x

    def _filled_up(self, g: Builder, x: Value) -> Value:
        """Samples [samples, elements] and zeros to whole blocks."""
        missing = self.blocks * self.block - self.sizes.samples
        return g.Pad(x, [0, 0, missing, 0]) if missing else x
