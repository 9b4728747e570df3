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

NCHWC_DOMAIN = "com.microsoft.nchwc"
BATCH_NAME = str(BATCH)
MIN_PARTIAL_BLOCK_MACS = 1 << 19
"""Products of a convolution below which blocks that are badly filled are no gain."""


def is_well_filled(block_size: int, inputs: Any, outputs: Any) -> bool:
    """Whether the channels of a convolution fill blocks: filling must not be most of its work."""
    if not isinstance(inputs, int) or not isinstance(outputs, int) or outputs < block_size:
        return False
    few = inputs < block_size
    rows = inputs if few else -(-inputs // block_size) * block_size
    full = -(-outputs // block_size) * block_size
    return (few or inputs % 4 == 0) and rows * full <= 1.75 * inputs * outputs


def pad_with_conv(g: Builder, x: Value, pads: Sequence[int] = (0, 0, 0, 0)) -> Value:
    """A copy of an image in blocks, with so many zeros above, left, below and right: a convolution by ones uses all
    threads, unlike Pad."""
    batch, channels, height, width = x.shape
    above, left, below, right = pads
    type = x.type.with_shape((batch, channels, above + height + below, left + width + right))
    ones = g.const(np.ones((channels, 1, 1, 1)), x.dtype)
    return g.custom_op("Conv", NCHWC_DOMAIN, [x, ones], type, group=channels, kernel_shape=[1, 1], pads=list(pads))


@dataclass(frozen=True)
class FusedConv:
    """A convolution by blocks: `activation(x * weights + bias + added)`."""

    x: Value
    weights: Value
    attributes: Attributes
    bias: Value | None = None
    summand: Value | None = None

    @property
    def accepts_summand(self) -> bool:
        """Whether something may still be added to the sum."""
        return self.summand is None and "activation" not in self.attributes


class NchwcContext:
    """The nodes made so far, and which of their values there are in blocks too.

    Every result is given in both forms; that of which nobody reads goes when the pass is done.
    """

    def __init__(self, graph: Graph, block_size: int, expected_batch: int | None = None, threads: int = 1) -> None:
        self.g = Builder.extending(replace(graph, nodes=()))
        self.block_size, self.expected_batch, self.threads = block_size, expected_batch, threads
        self.use_counts = Counter([*(x for node in graph.nodes for x in node.inputs), *graph.roots])
        self._blocked_forms: dict[Value, Value] = {}
        self._fused_convs: dict[Value, FusedConv] = {}
        self._activation_builders: dict[Value, Callable[[Attributes], Value | None]] = {}
        self._channels_last_forms: dict[Value, Value] = {}
        self._product_factors: dict[Value, list[Value]] = {}
        self._shape_use_counts = Counter(node.inputs[0] for node in graph.nodes if node.op == "Shape")
        self._batch_checks: dict[Any, Value] = {}
        self._node_indices: dict[Value, int] = {}
        self._indexed_node_count = 0
        self._producers = graph.producers

    def inherit_uses(self, x: Value, old: Value) -> None:
        """A plain value of the new graph is read where one of the old graph was."""
        self.use_counts[x], self._shape_use_counts[x] = self.use_counts[old], self._shape_use_counts[old]

    def __contains__(self, x: Value | None) -> bool:
        """Whether a plain value is there in blocks, as it is, too, where a single block of channels comes last."""
        return x in self._blocked_forms or (
            x in self._channels_last_forms and x.type.is_static(1) and x.shape[1] == self.block_size
        )

    def fills_blocks(self, x: Value) -> bool:
        """Whether a value's channels fill their blocks: no others are there, whose numbers mean nothing."""
        return x.type.is_static(1) and bool(x.shape[1] == self.padded_channels(x.shape[1]))

    def to_blocked(self, x: Value) -> Value:
        """A plain value in blocks."""
        if x in self._blocked_forms:
            return self._blocked_forms[x]
        last = self._channels_last_forms.get(x)
        if x.shape[1] % 4:  # which the reordering goes by
            more = self.padded_channels(x.shape[1]) - x.shape[1]
            whole = self.g.refine(self.g.Pad(x, [0, 0, 0, 0, 0, more, 0, 0]), self.padded_type(x.type).shape)
            made = self.g.custom_op("ReorderInput", NCHWC_DOMAIN, [whole], whole.type)
        elif last is None:
            made = self.g.custom_op("ReorderInput", NCHWC_DOMAIN, [x], self.padded_type(x.type))
        elif x.shape[1] == self.block_size:
            made = self.g.reshape(last, x.shape)
        else:
            made = self.g.custom_op("ReorderInput", NCHWC_DOMAIN, [last], self.padded_type(x.type), channels_last=1)
        self._blocked_forms[x] = made
        return made

    def node_index(self, x: Value) -> int | None:
        """Which of the nodes made so far gives a value."""
        for index in range(self._indexed_node_count, len(self.g.nodes)):
            self._node_indices.update(dict.fromkeys(self.g.nodes[index].outputs, index))
        self._indexed_node_count = len(self.g.nodes)
        return self._node_indices.get(x)

    def expected_rows(self, x: Value) -> int | None:
        """How many rows there will mostly be along a value's first axis, which is symbolic; None where nobody knows."""
        size = x.shape[0]
        if self.expected_batch is None or not isinstance(size, Size) or size.offset:
            return None
        factors = dict(size.terms)
        return self.expected_batch * factors[BATCH_NAME] if list(factors) == [BATCH_NAME] else None

    def has_expected_batch(self, x: Value) -> Value:
        """Whether there are as many now, as a value."""
        if x.shape[0] not in self._batch_checks:
            like = self._blocked_forms.get(
                x, self._channels_last_forms.get(x, x)
            )  # so that the plain one need not be made for it
            self._batch_checks[x.shape[0]] = self.g.Equal(self.g.Shape(like, start=0, end=1), [self.expected_rows(x)])
        return self._batch_checks[x.shape[0]]

    def set_channels_last(self, x: Value, last: Value) -> None:
        """A plain value is there with its channels last, too."""
        self._channels_last_forms[x] = last

    def has_channels_last(self, x: Value) -> bool:
        """Whether a plain value is there with its channels last, too."""
        return x in self._channels_last_forms

    def channels_last(self, x: Value) -> Value:
        """A plain value [batch, channels, height, width] with its channels last."""
        if x not in self._channels_last_forms:
            self._channels_last_forms[x] = (
                self.channels_last_from_blocked(x) if x in self else self.g.transpose(x, [0, 2, 3, 1])
            )
        return self._channels_last_forms[x]

    def channels_last_from_blocked(self, x: Value) -> Value:
        """Channels last, from blocks: onnxruntime's Transpose uses one thread, its reordering of blocks all of them. A
        single block has them last already."""
        type = x.type.with_shape((x.shape[0], *x.shape[2:], x.shape[1]))
        if x.shape[1] == self.block_size:
            return self.g.reshape(self.to_blocked(x), type.shape)
        return self.g.custom_op(
            "ReorderOutput", NCHWC_DOMAIN, [self.to_blocked(x)], type, channels=x.shape[1], channels_last=1
        )

    def blocked_operand(self, x: Value, y: Value) -> Value:
        """An operand of y in blocks; a constant that is the same for many elements is repeated to a whole sample."""
        if not isinstance(x, Constant):
            return self.to_blocked(x)
        channels, *size = y.shape[1:]
        full = self.padded_channels(channels)
        sample = np.broadcast_to(x.array, (1, channels, *size))
        sample = np.pad(sample, [(0, 0), (0, full - channels), (0, 0), (0, 0)])
        blocks = sample.reshape(full // self.block_size, self.block_size, *size).transpose(0, 2, 3, 1)
        return self.g.const(blocks.reshape(1, full, *size), x.dtype)

    def padded_channel_vector(self, x: Value, channels: int) -> Value:
        """One number for each channel, and zeros for those that fill the last block."""
        more = self.padded_channels(channels) - channels
        x = self.g.reshape(x, (channels,))
        return self.g.Pad(x, [0, more]) if more else x

    def from_blocked(self, blocks: Value, plain_type: TensorType) -> Value:
        """A value in blocks as a plain one."""
        result = self.g.custom_op("ReorderOutput", NCHWC_DOMAIN, [blocks], plain_type, channels=plain_type.shape[1])
        self._blocked_forms[result] = blocks
        return result

    def emit_conv(self, conv: FusedConv, plain_type: TensorType) -> Value:
        """The result of a recipe as a plain value."""
        operands: list[Value | None] = [conv.x, conv.weights, conv.bias, conv.summand]
        while operands[-1] is None:
            operands.pop()
        result = self.g.custom_op("Conv", NCHWC_DOMAIN, operands, self.padded_type(plain_type), **conv.attributes)
        value = self.from_blocked(result, plain_type)
        self._fused_convs[value] = conv
        return value

    def fusable_conv(self, x: Value | None) -> FusedConv | None:
        """The recipe of a value that one node alone reads, so that what this does may become a part of it."""
        return self._fused_convs.get(x) if x is not None and self.use_counts[x] == 1 and x in self else None

    def register_activation(self, x: Value, build_activated: Callable[[Attributes], Value | None]) -> None:
        """A plain value is made of several convolutions, which may apply an activation: how it is made with that."""
        self._activation_builders[x] = build_activated

    def apply_activation(self, x: Value | None, activation: Attributes) -> Value | None:
        """The activation of such a value that one node alone reads; None of another."""
        return (
            self._activation_builders[x](activation)
            if x in self._activation_builders and self.use_counts[x] == 1
            else None
        )

    def set_factors(self, x: Value, factors: Iterable[Value | None]) -> None:
        """A plain value is the product of two that are there in blocks."""
        self._product_factors[x] = [factor for factor in factors if factor is not None]

    def factors(self, x: Value) -> list[Value] | None:
        """The two in blocks whose product one node alone reads, or for its shape alone."""
        return self._product_factors.get(x) if self.use_counts[x] - self._shape_use_counts[x] <= 1 else None

    def padded_channels(self, channels: Any) -> int:
        """Channels of as many whole blocks as these need."""
        return int(-(-channels // self.block_size) * self.block_size)

    def padded_type(self, plain_type: TensorType) -> TensorType:
        return plain_type.with_shape(
            (plain_type.shape[0], self.padded_channels(plain_type.shape[1]), *plain_type.shape[2:])
        )

    def is_profitable(self, w: Value, y: Value, *, transposed: bool = False) -> bool:
        """Whether a convolution with weights w, or back through it, which gives y, gains by blocks.

        It does where filling is not most of its work. Where it is, plain kernels may still take longer, as much of what
        they do (columns, one image after the other) does not become less with the channels. Measured with one thread
        and blocks of 16, in picoseconds for each tap and place: a Conv takes inputs * (500 + 15 * outputs); a
        ConvTranspose, which goes back, outputs * (320 + 15 * inputs); blocks 20 to 27 for each product, those that fill
        among them. A second thread halves all of these but the 320, so these count twice.

        Then what follows computes the channels that fill, too: for two of them about what a tap of an input saves here
        and in the gradient of the weights. Of few products the nodes that come in addition take more than is saved.
        """
        inputs, outputs = w.shape[:2] if transposed else w.shape[1::-1]
        taps = prod(w.shape[2:])
        if not isinstance(inputs, int) or not isinstance(outputs, int) or (inputs >= self.block_size and inputs % 4):
            return False
        if is_well_filled(self.block_size, inputs, outputs):
            return True
        work = (inputs if inputs < self.block_size else self.padded_channels(inputs)) * self.padded_channels(outputs)
        plain = outputs * (45 + inputs) if transposed else inputs * (34 + outputs)
        idle = self.padded_channels(outputs) - outputs
        faster = taps > 1 and 1.4 * work <= plain and 2 * idle <= inputs * taps
        return faster and not self._has_few_macs(y, inputs * taps)

    def _has_few_macs(self, y: Value, macs_per_element: int) -> bool:
        """Whether it is known that a value takes few products, so many for each of its elements."""
        sizes = [self.expected_rows(y), *y.shape[1:]]
        known = [size for size in sizes if isinstance(size, int)]
        return len(known) == len(sizes) and prod(known) * macs_per_element < MIN_PARTIAL_BLOCK_MACS

    def needs_channel_pad(self, x: Value) -> bool:
        """Whether a plain value meets a Pad on its way into blocks, which is slow: it uses one thread."""
        return x not in self and not isinstance(x, Constant) and bool(x.shape[1] % 4)

    def conv_operand(self, x: Value) -> Value:
        """The operand of a convolution; channels too few for one block are taken as they are."""
        return x if x.shape[1] < self.block_size else self.to_blocked(x)

    def blocked_filters(self, w: Value, *, flipped: bool = False, taps: tuple[range, range] | None = None) -> Value:
        """Weights [outputs, inputs, height, width] as [outputs / block, inputs / block, height, width, block, block],
        the last of the outputs; where the inputs are too few for a block, as [outputs / block, inputs, ..., block].

        Backwards they are those of the convolution that goes back from its outputs to its inputs: these change places,
        and every window is turned round, or the part of it that has these rows and columns.
        """
        g, (outputs, inputs, *size) = self.g, w.shape
        x = g.reshape(self._with_outputs_last(w), (prod(size), inputs, outputs))
        if flipped:
            rows, columns = taps or (range(size[0]), range(size[1]))
            order = [row * size[1] + column for row in rows[::-1] for column in columns[::-1]]
            # A Slice would let onnxruntime make one transposition of the two, which takes seven times as long.
            x = g.Gather(g.Transpose(x, perm=[0, 2, 1]), order, axis=0)
            inputs, outputs, size = outputs, inputs, [len(rows), len(columns)]
        few = inputs < self.block_size
        full_in, full_out = inputs if few else self.padded_channels(inputs), self.padded_channels(outputs)
        if (full_in, full_out) != (inputs, outputs):
            x = g.Pad(x, [0, 0, 0, 0, full_in - inputs, full_out - outputs])
        row = 1 if few else self.block_size
        x = g.reshape(x, (prod(size), full_in // row, row, full_out // self.block_size, self.block_size))
        return g.reshape(g.Transpose(x, perm=[3, 1, 0, 2, 4]), (full_out, full_in, *size))

    def row_filters(self, w: Value) -> Value:
        """Weights [outputs, inputs, height, width] as [outputs / block, height, width * inputs, block], for an image of
        one channel in whose rows the inputs lie beside each other."""
        outputs, inputs, high, wide = w.shape
        x = self.g.reshape(self._with_outputs_last(w), (high * wide * inputs, outputs))
        full = self.padded_channels(outputs)
        if full != outputs:
            x = self.g.Pad(x, [0, 0, 0, full - outputs])
        x = self.g.reshape(x, (high * wide * inputs, full // self.block_size, self.block_size))
        return self.g.reshape(self.g.Transpose(x, perm=[1, 0, 2]), (full, 1, high, wide * inputs))

    def depthwise_filters(self, w: Value, *, flipped: bool = False) -> Value:
        """Weights [channels, 1, height, width] of one filter a channel as [channels / block, height, width, block]."""
        g, (channels, _, *size) = self.g, w.shape
        taps = prod(size)
        x = g.reshape(w, (channels // self.block_size, self.block_size, taps))
        if flipped and taps > 1:
            x = g.Slice(x, [-1], [-taps - 1], [2], [-1])
        return g.reshape(g.Transpose(x, perm=[0, 2, 1]), w.shape)

    def is_depthwise(self, channels: Any, w: Value, group: int) -> bool:
        """Whether every channel, all in whole blocks, has one filter of its own."""
        return group > 1 and group == channels == w.shape[0] and w.shape[1] == 1 and channels % self.block_size == 0

    def _with_outputs_last(self, w: Value) -> Value:
        """Weights [outputs, inputs, height, width] with the outputs last, as layers store them: nearer to blocks."""
        node = self._producers.get(w)
        if node is not None and node.op == "Transpose" and node.attribute("perm") == [3, 2, 0, 1]:
            assert node.inputs[0] is not None
            return node.inputs[0]
        return self.g.Transpose(w, perm=[2, 3, 1, 0])
