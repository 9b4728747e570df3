"""Element-wise operators in the precision of their input; onnx.reference computes them in float32 only."""

from __future__ import annotations

from math import erf, pi, sqrt

import numpy as np
from onnx.reference.op_run import OpRun

erf_of = np.vectorize(erf, otypes=["d"])


class Erf(OpRun):
    def _run(self, x):
        return (erf_of(x).astype(x.dtype),)


class Gelu(OpRun):
    def _run(self, x, approximate=None):
        if approximate == "tanh":
            return (x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2,)
        return (x * (1 + erf_of(x * sqrt(0.5)).astype(x.dtype)) / 2,)


ELEMENTWISE = [Erf, Gelu]
