"""Convolution, pooling and ScatterElements in NumPy, in any precision.

onnx.reference computes ConvTranspose incorrectly for groups of more than one filter and GlobalMaxPool for images only;
its MaxPool, AveragePool and ScatterElements loop over all elements in Python. These loop over the elements of a window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from onnx.reference.op_run import OpRun


def padding(n: Sequence[int], span: Sequence[int], stride: Sequence[int], pads, auto_pad) -> list[tuple[int, int]]:
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        totals = [max((-(-a // s) - 1) * s + k - a, 0) for a, k, s in zip(n, span, stride, strict=True)]
        halves = [total // 2 if auto_pad == "SAME_UPPER" else total - total // 2 for total in totals]
        return [(half, total - half) for half, total in zip(halves, totals, strict=True)]
    pads = pads or [0] * 2 * len(n)
    return list(zip(pads[: len(n)], pads[len(n) :], strict=True))


def overhang(n: int, pads: tuple[int, int], span: int, stride: int) -> int:
    """How far the last window reaches over the padding: another window begins if it has an element before the end of
    the input."""
    rest = -(n + sum(pads) - span) % stride
    last = (n + sum(pads) - span + rest) // stride * stride
    return rest if last < n + pads[0] else 0


class Layout:
    """The sliding windows over an input of spatial sizes n: its padding, and the positions of the windows' elements."""

    def __init__(self, n, size, strides, dilations, pads, auto_pad, ceil_mode=0) -> None:
        ones = [1] * len(n)
        self.size, self.strides, self.dilations = tuple(size), strides or ones, dilations or ones
        self.span = [(k - 1) * d + 1 for k, d in zip(self.size, self.dilations, strict=True)]
        self.pads = padding(n, self.span, self.strides, pads, auto_pad)
        self.rest = [0] * len(n)
        """How far the last window reaches over the padding of each axis, with `ceil_mode`."""
        if ceil_mode and auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
            axes = zip(n, self.pads, self.span, self.strides, strict=True)
            self.rest = [overhang(a, p, k, s) for a, p, k, s in axes]
            self.pads = [(p, q + rest) for (p, q), rest in zip(self.pads, self.rest, strict=True)]
        self.padded = [a + sum(p) for a, p in zip(n, self.pads, strict=True)]
        self.counts = [(a - k) // s + 1 for a, k, s in zip(self.padded, self.span, self.strides, strict=True)]

    def pad(self, x: np.ndarray, fill: float) -> np.ndarray:
        return np.pad(x, [(0, 0), (0, 0), *self.pads], constant_values=fill)

    def slices(self) -> Iterator[tuple[slice, ...]]:
        """Yields, for each element of a window in row-major order, the slice of the padded input that it covers."""
        for tap in product(*map(range, self.size)):
            axes = zip(tap, self.dilations, self.counts, self.strides, strict=True)
            yield (..., *(slice(t * d, t * d + (m - 1) * s + 1, s) for t, d, m, s in axes))

    def columns(self, x: np.ndarray, fill: float = 0.0) -> np.ndarray:
        """Returns the elements of all windows (im2col) as [N, C, taps, *counts]."""
        padded = self.pad(x, fill)
        return np.stack([padded[place] for place in self.slices()], axis=2)


class Conv(OpRun):
    op_domain = ""

    def _run(self, x, w, b=None, auto_pad=None, dilations=None, group=1, kernel_shape=None, pads=None, strides=None):
        return (convolve(x, w, b, Layout(x.shape[2:], w.shape[2:], strides, dilations, pads, auto_pad), group),)


def convolve(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, layout: Layout, group: int) -> np.ndarray:
    columns = layout.columns(x)
    columns = columns.reshape(x.shape[0], group, -1, *columns.shape[2:])
    weights = w.reshape(group, -1, w.shape[1], columns.shape[3])
    y = np.einsum("ngct...,gmct->ngm...", columns, weights).reshape(x.shape[0], w.shape[0], *layout.counts)
    return y if b is None else y + b.reshape(-1, *[1] * len(layout.counts))


class ConvTranspose(OpRun):
    op_domain = ""

    def _run(
        self, x, w, b=None, auto_pad=None, dilations=None, group=1, kernel_shape=None, output_padding=None,
        output_shape=None, pads=None, strides=None,
    ):  # fmt: skip
        rank = x.ndim - 2
        extra, pads, ones = output_padding or [0] * rank, pads or [0] * 2 * rank, [1] * rank
        axes = zip(x.shape[2:], w.shape[2:], strides or ones, dilations or ones, extra, strict=True)
        full_sizes = [(a - 1) * s + (k - 1) * d + 1 + r for a, k, s, d, r in axes]
        layout = Layout(full_sizes, w.shape[2:], strides, dilations, None, None)
        grouped = x.reshape(x.shape[0], group, -1, *x.shape[2:])
        weights = w.reshape(group, -1, w.shape[1], np.prod(w.shape[2:], dtype=int))
        y = np.zeros((x.shape[0], group, w.shape[1], *full_sizes), x.dtype)
        for tap, place in enumerate(layout.slices()):
            y[place] += np.einsum("ngm...,gmc->ngc...", grouped, weights[..., tap])
        y = y.reshape(x.shape[0], -1, *full_sizes)
        y = y[(..., *(slice(pads[i], a - pads[i + rank]) for i, a in enumerate(full_sizes)))]
        return (y if b is None else y + b.reshape(-1, *ones),)


class MaxPool(OpRun):
    op_domain = ""

    def _run(
        self, x, auto_pad=None, ceil_mode=0, dilations=None, kernel_shape=None, pads=None, storage_order=0, strides=None
    ):
        layout = Layout(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
        maxima = layout.columns(x, -np.inf).max(axis=2)
        return (maxima,) if len(self.output) == 1 else (maxima, first_maxima(x, layout))


def first_maxima(x: np.ndarray, layout: Layout) -> np.ndarray:
    """Returns the index of every window's first maximum in the flattened x."""
    positions = layout.columns(np.arange(x.size).reshape(x.shape), -1)
    first = layout.columns(x, -np.inf).argmax(axis=2)[:, :, None]
    return np.take_along_axis(positions, first, axis=2)[:, :, 0]


class AveragePool(OpRun):
    op_domain = ""

    def _run(
        self, x, auto_pad=None, ceil_mode=0, count_include_pad=0, dilations=None, kernel_shape=None, pads=None,
        strides=None,
    ):  # fmt: skip
        layout = Layout(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
        counted = layout.pad(np.ones_like(x), float(count_include_pad))
        for axis, rest in enumerate(layout.rest, 2):
            np.moveaxis(counted, axis, 0)[counted.shape[axis] - rest :] = 0
        return (layout.columns(x).sum(axis=2) / sum(counted[place] for place in layout.slices()),)


class GlobalMaxPool(OpRun):
    op_domain = ""

    def _run(self, x):
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class ScatterElements(OpRun):
    op_domain = ""

    def _run(self, data, indices, updates, axis=0, reduction="none"):
        index = list(np.indices(indices.shape))
        index[axis] = indices
        result = data.copy()
        if reduction == "none":
            result[tuple(index)] = updates
        else:
            {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}[reduction].at(
                result, tuple(index), updates
            )
        return (result,)


WINDOWS = [Conv, ConvTranspose, MaxPool, AveragePool, GlobalMaxPool, ScatterElements]
"""For ReferenceEvaluator(new_ops=...)."""
