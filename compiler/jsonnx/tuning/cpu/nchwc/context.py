"""Values in blocks of channels, beside the plain ones, as the pass `blocked` makes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from ....core.types import BATCH, Size, TensorType
from ....ir import Builder, Constant, Graph, Value

Attributes = Mapping[str, Any]

DOMAIN = "com.microsoft.nchwc"
BATCH_NAME = str(BATCH)
FEW = 1 << 19
"""Products of a convolution below which blocks that are badly filled are no gain."""


def fill(block: int, inputs: Any, outputs: Any) -> bool:
    """Whether the channels of a convolution fill blocks: filling must not be most of its work."""
    if not isinstance(inputs, int) or not isinstance(outputs, int) or outputs < block:
        return False
    few = inputs < block
    rows = inputs if few else -(-inputs // block) * block
    full = -(-outputs // block) * block
    return (few or inputs % 4 == 0) and rows * full <= 1.75 * inputs * outputs


def in_frame(g: Builder, x: Value, pads: Sequence[int] = (0, 0, 0, 0)) -> Value:
    """A copy of an image in blocks, with so many zeros above, left, below and right: a convolution by ones uses all
    threads, unlike Pad."""
    batch, channels, height, width = x.shape
    above, left, below, right = pads
    type = x.type.with_shape((batch, channels, above + height + below, left + width + right))
    ones = g.const(np.ones((channels, 1, 1, 1)), x.dtype)
    return g.custom("Conv", DOMAIN, [x, ones], type, group=channels, kernel_shape=[1, 1], pads=list(pads))


@dataclass(frozen=True)
class Recipe:
    """A convolution by blocks: `activation(x * weights + bias + added)`."""

    x: Value
    weights: Value
    attributes: Attributes
    bias: Value | None = None
    added: Value | None = None

    @property
    def free(self) -> bool:
        """Whether something may still be added to the sum."""
        return self.added is None and "activation" not in self.attributes


class Blocks:
    """The nodes made so far, and which of their values there are in blocks too.

    Every result is given in both forms; that of which nobody reads goes when the pass is done.
    """

    def __init__(self, graph: Graph, block: int, samples: int | None = None, threads: int = 1) -> None:
        self.g = Builder.onto(replace(graph, nodes=()))
        self.block, self.samples, self.threads = block, samples, threads
        self.readers = Counter([*(x for node in graph.nodes for x in node.inputs), *graph.roots])
        self._blocks: dict[Value, Value] = {}
        self._recipes: dict[Value, Recipe] = {}
        self._activated: dict[Value, Callable[[Attributes], Value | None]] = {}
        self._last: dict[Value, Value] = {}
        self._factors: dict[Value, list[Value]] = {}
        self._asked = Counter(node.inputs[0] for node in graph.nodes if node.op == "Shape")
        self._as_expected: dict[Any, Value] = {}
        self._places: dict[Value, int] = {}
        self._placed = 0
        self._producers = graph.producers

    def stands_for(self, x: Value, old: Value) -> None:
        """A plain value of the new graph is read where one of the old graph was."""
        self.readers[x], self._asked[x] = self.readers[old], self._asked[old]

    def __contains__(self, x: Value | None) -> bool:
        """Whether a plain value is there in blocks, as it is, too, where a single block of channels comes last."""
        return x in self._blocks or (x in self._last and x.type.is_fixed(1) and x.shape[1] == self.block)

    def is_whole(self, x: Value) -> bool:
        """Whether a value's channels fill their blocks: no others are there, whose numbers mean nothing."""
        return x.type.is_fixed(1) and bool(x.shape[1] == self.full(x.shape[1]))

    def into(self, x: Value) -> Value:
        """A plain value in blocks."""
        if x in self._blocks:
            return self._blocks[x]
        last = self._last.get(x)
        if x.shape[1] % 4:  # which the reordering goes by
            more = self.full(x.shape[1]) - x.shape[1]
            whole = self.g.refine(self.g.Pad(x, [0, 0, 0, 0, 0, more, 0, 0]), self.filled(x.type).shape)
            made = self.g.custom("ReorderInput", DOMAIN, [whole], whole.type)
        elif last is None:
            made = self.g.custom("ReorderInput", DOMAIN, [x], self.filled(x.type))
        elif x.shape[1] == self.block:
            made = self.g.reshape(last, x.shape)
        else:
            made = self.g.custom("ReorderInput", DOMAIN, [last], self.filled(x.type), channels_last=1)
        self._blocks[x] = made
        return made

    def place(self, x: Value) -> int | None:
        """Which of the nodes made so far gives a value."""
        for index in range(self._placed, len(self.g.nodes)):
            self._places.update(dict.fromkeys(self.g.nodes[index].outputs, index))
        self._placed = len(self.g.nodes)
        return self._places.get(x)

    def expected(self, x: Value) -> int | None:
        """How many rows there will mostly be along a value's first axis, which is symbolic; None where nobody knows."""
        size = x.shape[0]
        if self.samples is None or not isinstance(size, Size) or size.offset:
            return None
        factors = dict(size.terms)
        return self.samples * factors[BATCH_NAME] if list(factors) == [BATCH_NAME] else None

    def as_expected(self, x: Value) -> Value:
        """Whether there are as many now, as a value."""
        if x.shape[0] not in self._as_expected:
            like = self._blocks.get(x, self._last.get(x, x))  # so that the plain one need not be made for it
            self._as_expected[x.shape[0]] = self.g.Equal(self.g.Shape(like, start=0, end=1), [self.expected(x)])
        return self._as_expected[x.shape[0]]

    def have_last(self, x: Value, last: Value) -> None:
        """A plain value is there with its channels last, too."""
        self._last[x] = last

    def has_last(self, x: Value) -> bool:
        """Whether a plain value is there with its channels last, too."""
        return x in self._last

    def last(self, x: Value) -> Value:
        """A plain value [batch, channels, height, width] with its channels last."""
        if x not in self._last:
            self._last[x] = self.last_out_of(x) if x in self else self.g.transpose(x, [0, 2, 3, 1])
        return self._last[x]

    def last_out_of(self, x: Value) -> Value:
        """Channels last, from blocks: onnxruntime's Transpose uses one thread, its reordering of blocks all of them. A
        single block has them last already."""
        type = x.type.with_shape((x.shape[0], *x.shape[2:], x.shape[1]))
        if x.shape[1] == self.block:
            return self.g.reshape(self.into(x), type.shape)
        return self.g.custom("ReorderOutput", DOMAIN, [self.into(x)], type, channels=x.shape[1], channels_last=1)

    def spread(self, x: Value, y: Value) -> Value:
        """An operand of y in blocks; a constant that is the same for many elements is repeated to a whole sample."""
        if not isinstance(x, Constant):
            return self.into(x)
        channels, *size = y.shape[1:]
        full = self.full(channels)
        sample = np.broadcast_to(x.array, (1, channels, *size))
        sample = np.pad(sample, [(0, 0), (0, full - channels), (0, 0), (0, 0)])
        blocks = sample.reshape(full // self.block, self.block, *size).transpose(0, 2, 3, 1)
        return self.g.const(blocks.reshape(1, full, *size), x.dtype)

    def of_channels(self, x: Value, channels: int) -> Value:
        """One number for each channel, and zeros for those that fill the last block."""
        more = self.full(channels) - channels
        x = self.g.reshape(x, (channels,))
        return self.g.Pad(x, [0, more]) if more else x

    def out_of(self, blocks: Value, plain: TensorType) -> Value:
        """A value in blocks as a plain one."""
        result = self.g.custom("ReorderOutput", DOMAIN, [blocks], plain, channels=plain.shape[1])
        self._blocks[result] = blocks
        return result

    def convolved(self, recipe: Recipe, plain: TensorType) -> Value:
        """The result of a recipe as a plain value."""
        operands: list[Value | None] = [recipe.x, recipe.weights, recipe.bias, recipe.added]
        while operands[-1] is None:
            operands.pop()
        result = self.g.custom("Conv", DOMAIN, operands, self.filled(plain), **recipe.attributes)
        value = self.out_of(result, plain)
        self._recipes[value] = recipe
        return value

    def unfinished(self, x: Value | None) -> Recipe | None:
        """The recipe of a value that one node alone reads, so that what this does may become a part of it."""
        return self._recipes.get(x) if x is not None and self.readers[x] == 1 and x in self else None

    def have_activated(self, x: Value, made: Callable[[Attributes], Value | None]) -> None:
        """A plain value is made of several convolutions, which may apply an activation: how it is made with that."""
        self._activated[x] = made

    def activated(self, x: Value | None, function: Attributes) -> Value | None:
        """The activation of such a value that one node alone reads; None of another."""
        return self._activated[x](function) if x in self._activated and self.readers[x] == 1 else None

    def have_factors(self, x: Value, blocks: Iterable[Value | None]) -> None:
        """A plain value is the product of two that are there in blocks."""
        self._factors[x] = [factor for factor in blocks if factor is not None]

    def factors(self, x: Value) -> list[Value] | None:
        """The two in blocks whose product one node alone reads, or for its shape alone."""
        return self._factors.get(x) if self.readers[x] - self._asked[x] <= 1 else None

    def full(self, channels: Any) -> int:
        """Channels of as many whole blocks as these need."""
        return int(-(-channels // self.block) * self.block)

    def filled(self, plain: TensorType) -> TensorType:
        return plain.with_shape((plain.shape[0], self.full(plain.shape[1]), *plain.shape[2:]))

    def suits(self, w: Value, y: Value, *, back: bool = False) -> bool:
        """Whether a convolution with weights w, or back through it, which gives y, gains by blocks.

        It does where filling is not most of its work. Where it is, plain kernels may still take longer, as much of what
        they do (columns, one image after the other) does not become less with the channels. Measured with one thread
        and blocks of 16, in picoseconds for each tap and place: a Conv takes inputs * (500 + 15 * outputs); a
        ConvTranspose, which goes back, outputs * (320 + 15 * inputs); blocks 20 to 27 for each product, those that fill
        among them. A second thread halves all of these but the 320, so these count twice.

        Then what follows computes the channels that fill, too: for two of them about what a tap of an input saves here
        and in the gradient of the weights. Of few products the nodes that come in addition take more than is saved.
        """
        inputs, outputs = w.shape[:2] if back else w.shape[1::-1]
        taps = prod(w.shape[2:])
        if not isinstance(inputs, int) or not isinstance(outputs, int) or (inputs >= self.block and inputs % 4):
            return False
        if fill(self.block, inputs, outputs):
            return True
        work = (inputs if inputs < self.block else self.full(inputs)) * self.full(outputs)
        plain = outputs * (45 + inputs) if back else inputs * (34 + outputs)
        idle = self.full(outputs) - outputs
        faster = taps > 1 and 1.4 * work <= plain and 2 * idle <= inputs * taps
        return faster and not self._are_few(y, inputs * taps)

    def _are_few(self, y: Value, each: int) -> bool:
        """Whether it is known that a value takes few products, so many for each of its elements."""
        sizes = [self.expected(y), *y.shape[1:]]
        known = [size for size in sizes if isinstance(size, int)]
        return len(known) == len(sizes) and prod(known) * each < FEW

    def must_be_filled(self, x: Value) -> bool:
        """Whether a plain value meets a Pad on its way into blocks, which is slow: it uses one thread."""
        return x not in self and not isinstance(x, Constant) and bool(x.shape[1] % 4)

    def image(self, x: Value) -> Value:
        """The operand of a convolution; channels too few for one block are taken as they are."""
        return x if x.shape[1] < self.block else self.into(x)

    def filters(self, w: Value, *, backwards: bool = False, part: tuple[range, range] | None = None) -> Value:
        """Weights [outputs, inputs, height, width] as [outputs / block, inputs / block, height, width, block, block],
        the last of the outputs; where the inputs are too few for a block, as [outputs / block, inputs, ..., block].

        Backwards they are those of the convolution that goes back from its outputs to its inputs: these change places,
        and every window is turned round, or the part of it that has these rows and columns.
        """
        g, (outputs, inputs, *size) = self.g, w.shape
        x = g.reshape(self._stored(w), (prod(size), inputs, outputs))
        if backwards:
            rows, columns = part or (range(size[0]), range(size[1]))
            order = [row * size[1] + column for row in rows[::-1] for column in columns[::-1]]
            # A Slice would let onnxruntime make one transposition of the two, which takes seven times as long.
            x = g.Gather(g.Transpose(x, perm=[0, 2, 1]), order, axis=0)
            inputs, outputs, size = outputs, inputs, [len(rows), len(columns)]
        few = inputs < self.block
        full_in, full_out = inputs if few else self.full(inputs), self.full(outputs)
        if (full_in, full_out) != (inputs, outputs):
            x = g.Pad(x, [0, 0, 0, 0, full_in - inputs, full_out - outputs])
        row = 1 if few else self.block
        x = g.reshape(x, (prod(size), full_in // row, row, full_out // self.block, self.block))
        return g.reshape(g.Transpose(x, perm=[3, 1, 0, 2, 4]), (full_out, full_in, *size))

    def filters_beside(self, w: Value) -> Value:
        """Weights [outputs, inputs, height, width] as [outputs / block, height, width * inputs, block], for an image of
        one channel in whose rows the inputs lie beside each other."""
        outputs, inputs, high, wide = w.shape
        x = self.g.reshape(self._stored(w), (high * wide * inputs, outputs))
        full = self.full(outputs)
        if full != outputs:
            x = self.g.Pad(x, [0, 0, 0, full - outputs])
        x = self.g.reshape(x, (high * wide * inputs, full // self.block, self.block))
        return self.g.reshape(self.g.Transpose(x, perm=[1, 0, 2]), (full, 1, high, wide * inputs))

    def filters_of_own(self, w: Value, *, backwards: bool = False) -> Value:
        """Weights [channels, 1, height, width] of one filter a channel as [channels / block, height, width, block]."""
        g, (channels, _, *size) = self.g, w.shape
        taps = prod(size)
        x = g.reshape(w, (channels // self.block, self.block, taps))
        if backwards and taps > 1:
            x = g.Slice(x, [-1], [-taps - 1], [2], [-1])
        return g.reshape(g.Transpose(x, perm=[0, 2, 1]), w.shape)

    def alone(self, channels: Any, w: Value, group: int) -> bool:
        """Whether every channel, all in whole blocks, has one filter of its own."""
        return group > 1 and group == channels == w.shape[0] and w.shape[1] == 1 and channels % self.block == 0

    def _stored(self, w: Value) -> Value:
        """Weights [outputs, inputs, height, width] with the outputs last, as layers store them: nearer to blocks."""
        node = self._producers.get(w)
        if node is not None and node.op == "Transpose" and node.attribute("perm") == [3, 2, 0, 1]:
            assert node.inputs[0] is not None
            return node.inputs[0]
        return self.g.Transpose(w, perm=[2, 3, 1, 0])
