"""The gradient of a depthwise convolution's weights by blocks of channels.

Every channel has a filter of its own, so no matrix product sums for many of them at once. But a depthwise convolution
with the cotangent as its filter, as large as the image, gives the weights' gradient of one sample. The channels of all
samples are those of one convolution, where there are as many samples as expected: how many channels it has is an
attribute. Otherwise a Scan takes samples one by one, which takes three times as long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ....ir import Builder, GradientOf, Value
from .context import DOMAIN, Blocks


def own_filters(b: Blocks, told: GradientOf, weights: Value) -> Value | None:
    """The gradient of weights [channels, 1, height, width]; None where it is not of this kind."""
    x, dy, channels, expected = told.x, told.dy, told.attributes["group"], b.expected(told.x)
    if x not in b or dy not in b or not b.is_whole(x) or not channels == x.shape[1] == dy.shape[1]:
        return None
    if told.attributes["auto_pad"] or not x.type.is_fixed(2, 3) or not dy.type.is_fixed(2, 3):
        return None
    form = OwnFilters.of(told, weights)
    if expected is None:
        total = form.one_by_one(b.g, b.into(x), b.into(dy))
    else:
        total = b.g.either(
            b.as_expected(x),
            lambda g: form.at_once(g, b.into(x), b.into(dy), expected),
            lambda g: form.one_by_one(g, b.into(x), b.into(dy)),
        )
    plain = b.out_of(total, x.type.with_shape(total.shape))
    if total.shape[2:] != weights.shape[2:]:  # what a stride leaves over behind the last window has room for more
        plain = b.g.Slice(plain, [0, 0], list(weights.shape[2:]), [2, 3])
    return b.g.reshape(plain, weights.shape)


@dataclass(frozen=True)
class OwnFilters:
    """How the cotangent moves over the image, and how many places it has there."""

    channels: int
    place: Mapping[str, list[int]]
    rows: int
    columns: int

    @staticmethod
    def of(told: GradientOf, weights: Value) -> OwnFilters:
        """Strides and dilations change places."""
        strides, dilations, pads = (
            told.attributes[name] or [default] * count
            for name, default, count in (("strides", 1, 2), ("dilations", 1, 2), ("pads", 0, 4))
        )
        kernel = list(told.dy.shape[2:])
        sides = list(zip(told.x.shape[2:], kernel, weights.shape[2:], strides, dilations, pads, strict=False))
        after = [
            max(0, (taps - 1) * gap + stride * (m - 1) + 1 - n - front) for n, m, taps, stride, gap, front in sides
        ]
        moves = {"strides": dilations, "dilations": strides, "pads": [*pads[:2], *after]}
        rows, columns = (
            (n + front + back - stride * (m - 1) - 1) // gap + 1
            for (n, m, _, stride, gap, front), back in zip(sides, after, strict=True)
        )
        return OwnFilters(told.attributes["group"], {"kernel_shape": kernel, **moves}, rows, columns)

    def at_once(self, g: Builder, images: Value, filters: Value, samples: int) -> Value:
        """The gradient [1, channels, rows, columns] over so many samples."""
        met = self._convolved(g, images, filters, samples)
        parts = g.reshape(met, (samples, 1, self.channels, self.rows, self.columns))
        total: Value = g.ReduceSum(parts, [0], keepdims=0)
        return total

    def one_by_one(self, g: Builder, images: Value, filters: Value) -> Value:
        """The same over any number of samples."""

        def step(g: Builder, _: Sequence[Value], sample: Sequence[Value]) -> tuple[list[Value], list[Value]]:
            image, own = sample
            return [], [self._convolved(g, image, own, 1)]

        _, (met,) = g.loop(step, [], [images, filters], most=0)
        total: Value = g.ReduceSum(met, [0], keepdims=0)
        return total

    def _convolved(self, g: Builder, images: Value, filters: Value, samples: int) -> Value:
        count = samples * self.channels
        return one_filter_each(g, images, filters, count, (self.rows, self.columns), self.place)


def one_filter_each(
    g: Builder, images: Value, filters: Value, count: int, places: tuple[int, int], place: Mapping[str, list[int]]
) -> Value:
    """Images in blocks, so many of one channel, each with a filter of its own: [1, count, *places]."""
    operands = [
        g.reshape(images, (1, count, *images.shape[-2:])),
        g.reshape(filters, (count, 1, *filters.shape[-2:])),
    ]
    type = images.type.with_shape((1, count, *places))
    return g.custom("Conv", DOMAIN, operands, type, group=count, **place)
