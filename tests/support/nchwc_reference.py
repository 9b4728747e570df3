"""onnxruntime's NCHWc operators in NumPy, for any block size.

They run graphs for whose block size this machine has no kernels.

A blocked value has the shape [batch, channels, height, width] of the plain one, with channels padded to a multiple of
the block size.
Its memory has the order [batch, channels / block, height, width, block].
"""

from __future__ import annotations

from functools import cache
from typing import ClassVar

import numpy as np
from jsonnx.tuning.cpu.nchwc.context import NCHWC_DOMAIN
from onnx.reference.op_run import OpRun
from support.window_reference import Layout, convolve


def to_blocked(x: np.ndarray, block: int) -> np.ndarray:
    """Converts a plain image, whose channels are a multiple of the block size, to the blocked layout."""
    batch, channels, height, width = x.shape
    return x.reshape(batch, channels // block, block, height, width).transpose(0, 1, 3, 4, 2).reshape(x.shape)


def from_blocked(x: np.ndarray, block: int) -> np.ndarray:
    """Converts a blocked image to the plain layout, padding channels included."""
    batch, channels, height, width = x.shape
    return x.reshape(batch, channels // block, height, width, block).transpose(0, 1, 4, 2, 3).reshape(x.shape)


def plain_filters(w: np.ndarray, block: int, *, depthwise: bool) -> np.ndarray:
    """Converts the filters of an NCHWc Conv to [outputs, inputs, height, width]."""
    outputs, inputs, *size = w.shape
    if depthwise or inputs < block:
        blocked = w.reshape(outputs // block, inputs, *size, block)
        return blocked.transpose(0, 4, 1, 2, 3).reshape(w.shape)
    blocked = w.reshape(outputs // block, inputs // block, *size, block, block)
    return blocked.transpose(0, 5, 1, 4, 2, 3).reshape(w.shape)


ACTIVATIONS = {
    "Relu": lambda x: np.maximum(x, 0),
    "LeakyRelu": lambda x, alpha: np.where(x < 0, alpha * x, x),
    "HardSigmoid": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "Clip": np.clip,
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Tanh": np.tanh,
}


class NchwcOp(OpRun):
    op_domain = NCHWC_DOMAIN
    block: ClassVar[int]


class ReorderInput(NchwcOp):
    def _run(self, x, channels_last=0):
        plain = x.transpose(0, 3, 1, 2) if channels_last else x
        missing = -plain.shape[1] % self.block
        return (to_blocked(np.pad(plain, [(0, 0), (0, missing), (0, 0), (0, 0)]), self.block),)


class ReorderOutput(NchwcOp):
    def _run(self, x, channels=0, channels_last=0):
        plain = from_blocked(x, self.block)[:, :channels]
        return (plain.transpose(0, 2, 3, 1) if channels_last else plain,)


class Conv(NchwcOp):
    def _run(
        self, x, w, b=None, summand=None, activation=None, activation_params=None, auto_pad=None, dilations=None,
        group=1, kernel_shape=None, pads=None, strides=None,
    ):  # fmt: skip
        depthwise = group > 1 and group == x.shape[1] == w.shape[0]
        if depthwise or w.shape[1] >= self.block:
            x = from_blocked(x, self.block)
        filters = plain_filters(w, self.block, depthwise=depthwise)
        y = convolve(x, filters, b, Layout(x.shape[2:], w.shape[2:], strides, dilations, pads, auto_pad), group)
        if summand is not None:
            y = y + from_blocked(summand, self.block)
        if activation:
            with np.errstate(over="ignore"):
                y = ACTIVATIONS[activation](y, *(np.float32(number) for number in activation_params or ()))
        return (to_blocked(y, self.block).astype(x.dtype),)


class MaxPool(NchwcOp):
    def _run(self, x, auto_pad=None, ceil_mode=0, dilations=None, kernel_shape=None, pads=None, storage_order=0,
             strides=None):  # fmt: skip
        layout = Layout(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad)
        return (to_blocked(layout.columns(from_blocked(x, self.block), -np.inf).max(axis=2), self.block),)


class AveragePool(NchwcOp):
    def _run(self, x, auto_pad=None, ceil_mode=0, count_include_pad=0, dilations=None, kernel_shape=None, pads=None,
             strides=None):  # fmt: skip
        layout = Layout(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad)
        counts = layout.columns(np.ones_like(x), float(count_include_pad)).sum(axis=2)
        return (to_blocked(layout.columns(from_blocked(x, self.block)).sum(axis=2) / counts, self.block),)


class GlobalAveragePool(NchwcOp):
    def _run(self, x):
        return (from_blocked(x, self.block).mean(axis=(2, 3), keepdims=True),)


class Upsample(NchwcOp):
    def _run(self, x, coordinate_transformation_mode=None, mode=None, scales=None):
        plain = from_blocked(x, self.block)
        return (to_blocked(plain.repeat(scales[2], axis=2).repeat(scales[3], axis=3), self.block),)


OPERATORS = [ReorderInput, ReorderOutput, Conv, MaxPool, AveragePool, GlobalAveragePool, Upsample]


@cache
def nchwc_operators(block: int) -> list[type[NchwcOp]]:
    """Returns the operators for this block size, for ReferenceEvaluator(new_ops=...)."""
    return [type(op.__name__, (op,), {"block": block}) for op in OPERATORS]
