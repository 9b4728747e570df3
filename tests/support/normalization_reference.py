"""Normalizations that onnx.reference has wrong: it takes the number of samples for that of channels."""

from __future__ import annotations

import numpy as np
from onnx.reference.op_run import OpRun


class LRN(OpRun):
    def _run(self, x, alpha=None, beta=None, bias=None, size=None):
        squares, channels = x * x, x.shape[1]
        before, after = (size - 1) // 2, size // 2
        windows = [squares[:, max(0, c - before) : c + after + 1].sum(axis=1) for c in range(channels)]
        return (x / (bias + alpha / size * np.stack(windows, axis=1)) ** beta,)


NORMALIZATIONS = [LRN]
