"""The gradient of a convolution's weights as a convolution with samples in blocks.

What is summed over, the samples and the places, are the channels and the taps of a convolution whose filters are the
cotangent. Its image is the operand, in whose rows the channels lie beside each other, so that a tap's neighbour is as
many elements away as there are channels; its results are the weights. Every block of samples is a group of its own. A
large image is cut into strips, each of which is further channels of its group, or a group: what the filters of one take
must stay in a core's cache.

It is as fast as the convolution itself: a third of the time of what a gradient rule has for any number of samples. A
group needs a whole block of samples, though, and the number of groups is an attribute. So both forms are there, and the
number of samples decides at every step.

A dilated convolution never mixes the phases of its rows and columns, even and odd ones, say: these are more samples, of
an image that is smaller and not dilated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from ..graph import Builder, GradientOf, Node, Value
from ..types import TensorType
from .blocks import DOMAIN, Blocks, in_frame

PLACES = 1024
"""Places of a strip, or of several that are summed up together, of which sums are exact enough."""
SET = 4
"""Blocks of filters that the kernel takes at once."""
EVEN = 4
"""Rows of results for each thread from which on it does not matter if one gets a row more than another."""
CACHED = 512
"""Places of a strip, once for each block of filters, up to which filters and image stay in a core's cache. Of 32 and 64
filters over 32 x 32 places a step of convolutional networks takes 0.82 to 0.9 of the time that whole images take."""
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
FEWEST = 20
"""Weights of a filter up to which the product with columns takes no longer."""
FORMS = 20
"""Nodes that a gradient of weights may be made of, elsewhere."""


def of_sample_blocks(b: Blocks, told: GradientOf, node: Node) -> Value | None:
    """The gradient of weights [filters, channels, height, width], which `node` gives; None where it is not of this
    kind, or the number of samples does not suit."""
    x, dy, weights = told.x, told.dy, node.outputs[0]
    form = _form(b, told, weights)
    if form is None:
        return None
    image, cotangent = b.last(x) if form.of_few else b.into(x), b.into(dy)
    others = _others(b, node, {x: image, dy: cotangent})
    if others is None:
        return None
    wanted = weights.type.with_shape([weights.shape[axis] for axis in (2, 3, 1, 0)])
    as_stored = b.g.either(
        b.as_expected(x),
        lambda g: form.gradient(g, image, cotangent, wanted),
        lambda g: g.Transpose(_emitted_again(g, others), perm=[2, 3, 1, 0]),
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
    strips = sizes.strips_to_try(b.full(filters) // b.block)
    forms = (SampleBlocks(replace(sizes, strip=rows), b.block, channels, b.full(filters), b.threads) for rows in strips)
    form = next((form for form in forms if form.suits), None)
    if form is None:
        return None
    filled = channels if form.of_few else b.full(channels)
    return form if form.phases == 1 or filled * form.filters <= FULL * channels * filters else None


@dataclass(frozen=True)
class Sizes:
    """How the cotangent moves over the image."""

    samples: int
    """Of which every phase is one."""
    taps: tuple[int, int]
    strides: tuple[int, int]
    phases: tuple[int, int]
    """Of rows and columns."""
    pads: tuple[int, int, int, int]
    """Above, left, below, right."""
    image: tuple[int, int]
    """Height and width of a phase, with padding."""
    places: tuple[int, int]
    """Of a phase of the cotangent."""
    missing: tuple[int, int]
    """Rows and columns of the cotangent that its last phases lack."""
    strip: int
    """Rows of a phase of the cotangent that make a strip."""

    @staticmethod
    def of(told: GradientOf, weights: Value, samples: int) -> Sizes | None:
        given = told.attributes
        strides, gaps = given["strides"] or [1, 1], given["dilations"] or [1, 1]
        if given["auto_pad"] or any(stride > 1 < gap for stride, gap in zip(strides, gaps, strict=True)):
            return None
        taps, counts = weights.shape[2:], told.dy.shape[2:]
        before = (given["pads"] or [0] * 4)[:2]
        places = [-(-m // gap) for m, gap in zip(counts, gaps, strict=True)]
        missing = [p * gap - m for p, gap, m in zip(places, gaps, counts, strict=True)]
        sides = list(zip(told.x.shape[2:], before, strides, gaps, taps, places, strict=True))
        after = [max(0, gap * ((m - 1) * stride + tap) - n - front) for n, front, stride, gap, tap, m in sides]
        image = [(n + front + back) // gap for (n, front, _, gap, *_), back in zip(sides, after, strict=True)]
        return Sizes(
            samples=samples * prod(gaps),
            taps=tuple(taps),
            strides=tuple(strides),
            phases=tuple(gaps),
            pads=(*before, *after),
            image=tuple(image),
            places=tuple(places),
            missing=tuple(missing),
            strip=places[0],
        )

    def strips_to_try(self, blocks: int) -> list[int]:
        """How many rows a strip may have for so many blocks of filters: as many as stay in a cache, or else more."""
        rows = [r for r in range(1, self.places[0] + 1) if self.places[0] % r == 0 and r * self.places[1] <= PLACES]
        cached = sum(r * self.places[1] * blocks <= CACHED for r in rows)
        return rows[max(0, cached - 1) :]

    @property
    def whole(self) -> tuple[int, int]:
        """Height and width of the image with all its phases."""
        return self.image[0] * self.phases[0], self.image[1] * self.phases[1]

    def apart(self, of_phase: tuple[int, int]) -> Any:
        """The places of rows and columns in one row, phase by phase, each having so many."""
        (rows, columns), (high, wide) = self.phases, of_phase
        places = np.arange(rows * columns * high * wide).reshape(high, rows, wide, columns)
        return places.transpose(1, 3, 0, 2).ravel()

    @property
    def strips(self) -> int:
        return self.places[0] // self.strip

    @property
    def overlap(self) -> float:
        return self.strips * self.rows_of_strip / self.image[0]

    @property
    def rows_of_strip(self) -> int:
        """Rows of the image that a strip of the cotangent moves over."""
        return self.image[0] - (self.strips - 1) * self.strip * self.strides[0]


@dataclass(frozen=True)
class SampleBlocks:
    """The form for one number of samples, of an image and a cotangent in blocks of channels; an image of fewer channels
    than a block has them last."""

    sizes: Sizes
    block: int
    channels: int
    filters: int
    threads: int

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
        which its filters lie in the order in which they come, and its sums are one. A convolution's rows and groups are
        what threads share: each has to get as much as the others.
        """
        sizes = self.sizes
        most = max(1, PLACES // (sizes.strip * sizes.places[1]))
        at_once = self.rows * -(-self.filters // (SET * self.block)) * self.blocks

        def suits(parts: int) -> bool:
            shared = at_once * parts
            return sizes.strips <= most * parts and (shared % self.threads == 0 or shared >= EVEN * self.threads)

        return next((n for n in range(1, sizes.strips) if sizes.strips % n == 0 and suits(n)), sizes.strips)

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

    def gradient(self, g: Builder, x: Value, dy: Value, wanted: TensorType) -> Value:
        """The weights [height, width, channels, filters]."""
        sizes, block, groups = self.sizes, self.block, self.groups
        rows = self.rows
        columns = sizes.image[1] - (sizes.places[1] - 1) * sizes.strides[1]
        met = g.custom(
            "Conv",
            DOMAIN,
            [self._image(g, x), self._filters(g, dy)],
            TensorType(x.dtype, (1, groups * self.filters, rows, columns * self.channels)),
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
        if made.shape == wanted.shape:
            return made
        return g.refine(g.Slice(made, [0] * 4, list(wanted.shape), [0, 1, 2, 3]), wanted.shape)

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

    def _filters(self, g: Builder, dy: Value) -> Value:
        """[groups * filters, samples of a part's strips, rows, columns], the filters of a group in blocks, and
        samples."""
        sizes, block = self.sizes, self.block
        several, most = self.blocks, self.filters // block
        length = prod(sizes.places) * self.filters
        if self.phases > 1:
            dy = self._apart(g, dy)
        apart = g.reshape(self._filled_up(g, g.reshape(dy, (sizes.samples, length))), (several, block, 1, length))
        turned = TensorType(dy.dtype, (several, apart.shape[-1], block, 1))
        x = g.custom("ReorderInput", DOMAIN, [apart], turned, channels_last=1)
        together = sizes.strips // self.parts
        if self.parts > 1 and most > 1:
            order = np.arange(most * sizes.strips).reshape(most, self.parts, together).transpose(1, 0, 2)
            x = g.reshape(x, (several, order.size, sizes.strip * sizes.places[1] * block * block))
            x = g.Gather(x, g.const(order.ravel(), "int64"), axis=1)
        return g.reshape(x, (self.groups * self.filters, together * block, sizes.strip, sizes.places[1]))

    def _apart(self, g: Builder, dy: Value) -> Value:
        """The phases of the cotangent, each with all its filters."""
        sizes, most = self.sizes, self.filters // self.block
        if any(sizes.missing):
            dy = in_frame(g, dy, (0, 0, *sizes.missing))
        count = sizes.samples // self.phases
        dy = g.reshape(dy, (count * most, prod(sizes.places) * self.phases, self.block))
        dy = g.Gather(dy, g.const(sizes.apart(sizes.places), "int64"), axis=1)
        dy = g.reshape(dy, (count, most, self.phases, prod(sizes.places) * self.block))
        return g.transpose(dy, [0, 2, 1, 3]) if most > 1 else dy

    def _filled_up(self, g: Builder, x: Value) -> Value:
        """Samples [samples, elements] and zeros to whole blocks."""
        missing = self.blocks * self.block - self.sizes.samples
        return g.Pad(x, [0, 0, missing, 0]) if missing else x


def _others(b: Blocks, node: Node, made: Mapping[Value, Value]) -> list[Node] | None:
    """The nodes by which the result of a node comes from these operands so far, from their other forms where these are
    what they come from; None where there are many."""
    operands: set[Value | None] = set(made.values())
    for plain, form in made.items():
        place = b.place(plain)
        maker = None if place is None else b.g.nodes[place]
        if maker is None or form not in maker.inputs:
            operands.add(plain)
        if maker is not None and maker.op == "Unsqueeze":  # the twin of a sequence, which they read itself
            operands.add(maker.inputs[0])
    found: set[int] = set()
    waiting = [node]
    while waiting and len(found) < FORMS:
        read = [b.place(value) for value in waiting.pop().inputs if value is not None and value not in operands]
        more = {place for place in read if place is not None} - found
        found |= more
        waiting += [b.g.nodes[place] for place in more]
    return [*(b.g.nodes[place] for place in sorted(found)), node] if len(found) < FORMS else None


def _emitted_again(g: Builder, nodes: Sequence[Node]) -> Value:
    """The result of the last of these nodes, which are emitted once more."""
    new: dict[Value, Value] = {}
    for node in nodes:
        outputs = tuple(Value(output.type) for output in node.outputs)
        g.nodes.append(
            replace(node.with_inputs(x if x is None else new.get(x, x) for x in node.inputs), outputs=outputs)
        )
        new.update(zip(node.outputs, outputs, strict=True))
    return new[nodes[-1].outputs[0]]
