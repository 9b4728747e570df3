"""The conversion to the NCHWc layout: its two forms of a value, and the state that its converters share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ....core.types import BATCH, Size, TensorType
from ....ir import Builder, Constant, Graph, Node, Value
from ....passes.conversion import Conversion
from ..sink_into_branches import sink_into_branches
from ..target import Target

Attributes = Mapping[str, Any]

NCHWC_DOMAIN = "com.microsoft.nchwc"
BATCH_NAME = str(BATCH)
CHANNEL_MULTIPLE = 4
"""ReorderInput takes channels-first images only if the number of channels is a multiple of this."""


def pad_with_conv(g: Builder, x: Value, pads: Sequence[int] = (0, 0, 0, 0)) -> Value:
    """Emits a copy of a blocked image with `pads` (top, left, bottom, right) zeros around it.

    A depthwise Conv by ones uses all threads, unlike Pad.
    """
    batch, channels, height, width = x.shape
    top, left, bottom, right = pads
    padded_type = x.type.with_shape((batch, channels, top + height + bottom, left + width + right))
    ones = g.const(np.ones((channels, 1, 1, 1)), x.dtype)
    return g.custom_op(
        "Conv", NCHWC_DOMAIN, [x, ones], padded_type, group=channels, kernel_shape=[1, 1], pads=list(pads)
    )


@dataclass(frozen=True)
class FusedConv:
    """The operands of an NCHWc Conv, blocked: `activation(x * weights + bias + summand)`."""

    x: Value
    weights: Value
    attributes: Attributes
    bias: Value | None = None
    summand: Value | None = None

    @property
    def accepts_summand(self) -> bool:
        """Whether an addition to the result can be fused into the Conv."""
        return self.summand is None and "activation" not in self.attributes


class NchwcContext(Conversion):
    """The second form of an image [batch, channels, height, width] has its channels in blocks of `block_size`.

    It has the type of the plain image with the channels padded to whole blocks. Some images have a third form, with the
    channels last.
    """

    def __init__(self, graph: Graph, target: Target) -> None:
        super().__init__(graph)
        self.block_size, self.expected_batch, self.threads = target.block_size, target.expected_batch, target.threads
        self._channels_last_forms: dict[Value, Value] = {}
        self._fused_convs: dict[Value, FusedConv] = {}
        self._activation_builders: dict[Value, Callable[[Attributes], Value | None]] = {}
        self._product_factors: dict[Value, list[Value]] = {}
        self._shape_use_counts = Counter(node.inputs[0] for node in graph.nodes if node.op == "Shape")
        self._batch_checks: dict[Any, Value] = {}
        self._node_indices: dict[Value, int] = {}
        self._indexed_node_count = 0

    def is_convertible(self, node: Node) -> bool:
        is_image_op = node.outputs[0].dtype == "float32" or node.op == "Shape"
        return super().is_convertible(node) and is_image_op and (len(node.outputs) == 1 or node.op == "Split")

    def replace(self, outputs: Sequence[Value], results: Sequence[Value]) -> None:
        super().replace(outputs, results)
        for output, result in zip(outputs, results, strict=True):
            self._shape_use_counts[result] = self._shape_use_counts[output]

    def finish(self) -> Graph:
        return sink_into_branches(super().finish())

    def node_index(self, x: Value) -> int | None:
        """The index of the node that was emitted for a value."""
        for index in range(self._indexed_node_count, len(self.g.nodes)):
            self._node_indices.update(dict.fromkeys(self.g.nodes[index].outputs, index))
        self._indexed_node_count = len(self.g.nodes)
        return self._node_indices.get(x)

    # -- blocked images ----------------------------------------------------------------------------------------------

    to_blocked, from_blocked = Conversion.to_form, Conversion.from_form

    def emit_form(self, x: Value) -> Value:
        channels_last = self._channels_last_forms.get(x)
        if x.shape[1] % CHANNEL_MULTIPLE:
            padding = self.padded_channels(x.shape[1]) - x.shape[1]
            padded = self.g.refine(self.g.Pad(x, [0, 0, 0, 0, 0, padding, 0, 0]), self.padded_type(x.type).shape)
            return self.g.custom_op("ReorderInput", NCHWC_DOMAIN, [padded], padded.type)
        if channels_last is None:
            return self.g.custom_op("ReorderInput", NCHWC_DOMAIN, [x], self.padded_type(x.type))
        if x.shape[1] == self.block_size:
            return self.g.reshape(channels_last, x.shape)
        return self.g.custom_op(
            "ReorderInput", NCHWC_DOMAIN, [channels_last], self.padded_type(x.type), channels_last=1
        )

    def emit_plain(self, form: Value, plain_type: TensorType) -> Value:
        return self.g.custom_op("ReorderOutput", NCHWC_DOMAIN, [form], plain_type, channels=plain_type.shape[1])

    def __contains__(self, x: Value | None) -> bool:
        """Whether a plain image has a blocked form already; channels-last with a single block is one."""
        return super().__contains__(x) or (
            x in self._channels_last_forms and x.type.is_static(1) and x.shape[1] == self.block_size
        )

    def padded_channels(self, channels: Any) -> int:
        """The channels of an image, including the padding of its last block."""
        return int(-(-channels // self.block_size) * self.block_size)

    def padded_type(self, plain_type: TensorType) -> TensorType:
        """The type of the blocked form of an image of this type."""
        batch, channels, *size = plain_type.shape
        return plain_type.with_shape((batch, self.padded_channels(channels), *size))

    def fills_blocks(self, x: Value) -> bool:
        """Whether an image needs no padding channels, whose elements are undefined."""
        return x.type.is_static(1) and bool(x.shape[1] == self.padded_channels(x.shape[1]))

    def needs_channel_pad(self, x: Value) -> bool:
        """Whether `to_blocked` would emit a Pad, which is slow: it uses one thread."""
        return x not in self and not isinstance(x, Constant) and bool(x.shape[1] % CHANNEL_MULTIPLE)

    def blocked_operand(self, x: Value, y: Value) -> Value:
        """The blocked form of an operand of y. A constant is broadcast to one sample of y."""
        if not isinstance(x, Constant):
            return self.to_blocked(x)
        channels, *size = y.shape[1:]
        padded = self.padded_channels(channels)
        sample = np.broadcast_to(x.array, (1, channels, *size))
        sample = np.pad(sample, [(0, 0), (0, padded - channels), (0, 0), (0, 0)])
        blocks = sample.reshape(padded // self.block_size, self.block_size, *size).transpose(0, 2, 3, 1)
        return self.g.const(blocks.reshape(1, padded, *size), x.dtype)

    def padded_channel_vector(self, x: Value, channels: int) -> Value:
        """A vector with one element per channel, zero for padding channels."""
        padding = self.padded_channels(channels) - channels
        x = self.g.reshape(x, (channels,))
        return self.g.Pad(x, [0, padding]) if padding else x

    # -- channels-last images ----------------------------------------------------------------------------------------

    def set_channels_last(self, x: Value, channels_last: Value) -> None:
        """Records the channels-last form of a plain image."""
        self._channels_last_forms[x] = channels_last

    def has_channels_last(self, x: Value) -> bool:
        """Whether a plain image has a channels-last form already."""
        return x in self._channels_last_forms

    def channels_last(self, x: Value) -> Value:
        """The channels-last form of a plain image [batch, channels, height, width]."""
        if x not in self._channels_last_forms:
            self._channels_last_forms[x] = (
                self.channels_last_from_blocked(x) if x in self else self.g.transpose(x, [0, 2, 3, 1])
            )
        return self._channels_last_forms[x]

    def channels_last_from_blocked(self, x: Value) -> Value:
        """Emits the channels-last form from the blocked form: ReorderOutput uses all threads, Transpose only one.

        A single block already has its channels last.
        """
        batch, channels, *size = x.shape
        channels_last_type = x.type.with_shape((batch, *size, channels))
        blocks = self.to_blocked(x)
        if channels == self.block_size:
            return self.g.reshape(blocks, channels_last_type.shape)
        return self.g.custom_op(
            "ReorderOutput", NCHWC_DOMAIN, [blocks], channels_last_type, channels=channels, channels_last=1
        )

    # -- the expected batch size -------------------------------------------------------------------------------------

    def expected_rows(self, x: Value) -> int | None:
        """The size of x's first axis for the expected batch size; None if the batch size does not determine it."""
        size = x.shape[0]
        if self.expected_batch is None or not isinstance(size, Size) or size.offset:
            return None
        factors = dict(size.terms)
        return self.expected_batch * factors[BATCH_NAME] if list(factors) == [BATCH_NAME] else None

    def has_expected_batch(self, x: Value) -> Value:
        """A boolean value: whether the first axis of x has its expected size."""
        if x.shape[0] not in self._batch_checks:
            # The Shape of a form that exists does not require the plain image.
            form = self.forms.get(x, self._channels_last_forms.get(x, x))
            self._batch_checks[x.shape[0]] = self.g.Equal(self.g.Shape(form, start=0, end=1), [self.expected_rows(x)])
        return self._batch_checks[x.shape[0]]

    # -- fusion ------------------------------------------------------------------------------------------------------

    def emit_conv(self, conv: FusedConv, plain_type: TensorType) -> Value:
        """Emits an NCHWc Conv; returns its plain result."""
        operands: list[Value | None] = [conv.x, conv.weights, conv.bias, conv.summand]
        while operands[-1] is None:
            operands.pop()
        blocks = self.g.custom_op("Conv", NCHWC_DOMAIN, operands, self.padded_type(plain_type), **conv.attributes)
        result = self.from_blocked(blocks, plain_type)
        self._fused_convs[result] = conv
        return result

    def fusable_conv(self, x: Value | None) -> FusedConv | None:
        """The Conv that computes x, if x has only one use, into which later operators can be fused."""
        return self._fused_convs.get(x) if x is not None and self.use_counts[x] == 1 and x in self else None

    def register_activation(self, x: Value, build_activated: Callable[[Attributes], Value | None]) -> None:
        """Records how x, which several Convs compute, is computed with an activation fused into them."""
        self._activation_builders[x] = build_activated

    def apply_activation(self, x: Value | None, activation: Attributes) -> Value | None:
        """Emits x with the activation, by `register_activation`; None without a record or if x has several uses."""
        build_activated = self._activation_builders.get(x) if x is not None and self.use_counts[x] == 1 else None
        return None if build_activated is None else build_activated(activation)

    def set_factors(self, x: Value, factors: Iterable[Value | None]) -> None:
        """Records that x is the product of these blocked images."""
        self._product_factors[x] = [factor for factor in factors if factor is not None]

    def factors(self, x: Value) -> list[Value] | None:
        """The blocked images whose product x is, if at most one node uses more than the Shape of x."""
        return self._product_factors.get(x) if self.use_counts[x] - self._shape_use_counts[x] <= 1 else None

    # -- operands of convolutions ------------------------------------------------------------------------------------

    def conv_operand(self, x: Value) -> Value:
        """The image that an NCHWc Conv reads: blocked, or plain if it has fewer channels than a block."""
        return x if x.shape[1] < self.block_size else self.to_blocked(x)

    def is_depthwise(self, channels: Any, w: Value, group: int) -> bool:
        """Whether a convolution has one filter per channel and channels that fill their blocks."""
        return group > 1 and group == channels == w.shape[0] and w.shape[1] == 1 and channels % self.block_size == 0

    def blocked_filters(self, w: Value, *, flipped: bool = False, taps: tuple[range, range] | None = None) -> Value:
        """Weights [outputs, inputs, height, width] as [outputs / block, inputs / block, height, width, block, block],
        outputs last; with fewer inputs than a block as [outputs / block, inputs, height, width, block].

        `flipped` gives the weights of the transposed convolution as a convolution: inputs and outputs are swapped, rows
        and columns are reversed. `taps` selects some of the rows and columns.
        """
        g, (outputs, inputs, *size) = self.g, w.shape
        x = g.reshape(self._outputs_last(w), (prod(size), inputs, outputs))
        if flipped:
            rows, columns = taps or (range(size[0]), range(size[1]))
            order = [row * size[1] + column for row in rows[::-1] for column in columns[::-1]]
            # With a Slice, onnxruntime would fuse the two Transposes into one that is slower than both.
            x = g.Gather(g.Transpose(x, perm=[0, 2, 1]), order, axis=0)
            inputs, outputs, size = outputs, inputs, [len(rows), len(columns)]
        input_block = self.block_size if inputs >= self.block_size else 1
        padded_inputs, padded_outputs = -(-inputs // input_block) * input_block, self.padded_channels(outputs)
        if (padded_inputs, padded_outputs) != (inputs, outputs):
            x = g.Pad(x, [0, 0, 0, 0, padded_inputs - inputs, padded_outputs - outputs])
        block_counts = padded_inputs // input_block, padded_outputs // self.block_size
        x = g.reshape(x, (prod(size), block_counts[0], input_block, block_counts[1], self.block_size))
        return g.reshape(g.Transpose(x, perm=[3, 1, 0, 2, 4]), (padded_outputs, padded_inputs, *size))

    def row_filters(self, w: Value) -> Value:
        """Weights [outputs, inputs, height, width] as [outputs / block, height, width * inputs, block], for an image of
        one channel whose rows are those of a channels-last image."""
        outputs, inputs, height, width = w.shape
        x = self.g.reshape(self._outputs_last(w), (height * width * inputs, outputs))
        padded_outputs = self.padded_channels(outputs)
        if padded_outputs != outputs:
            x = self.g.Pad(x, [0, 0, 0, padded_outputs - outputs])
        x = self.g.reshape(x, (height * width * inputs, padded_outputs // self.block_size, self.block_size))
        return self.g.reshape(self.g.Transpose(x, perm=[1, 0, 2]), (padded_outputs, 1, height, width * inputs))

    def depthwise_filters(self, w: Value, *, flipped: bool = False) -> Value:
        """Weights [channels, 1, height, width] as [channels / block, height, width, block]; `flipped` reverses rows and
        columns."""
        g, (channels, _, *size) = self.g, w.shape
        taps = prod(size)
        x = g.reshape(w, (channels // self.block_size, self.block_size, taps))
        if flipped and taps > 1:
            x = g.Slice(x, [-1], [-taps - 1], [2], [-1])
        return g.reshape(g.Transpose(x, perm=[0, 2, 1]), w.shape)

    def _outputs_last(self, w: Value) -> Value:
        """Weights [outputs, inputs, height, width] as [height, width, inputs, outputs], as they are stored."""
        node = self.graph.producers.get(w)
        if node is not None and node.op == "Transpose" and node.attribute("perm") == [3, 2, 0, 1]:
            assert node.inputs[0] is not None
            return node.inputs[0]
        return self.g.Transpose(w, perm=[2, 3, 1, 0])
