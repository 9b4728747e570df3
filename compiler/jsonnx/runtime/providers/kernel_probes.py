"""Probes for kernels of onnxruntime that depend on the machine's CPU or on onnxruntime's version.

onnxruntime does not list its kernels, so each probe runs a small model.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ...backend import serialize, to_model_proto
from ...core.diagnostics import CompileError, UsageError
from ...core.types import Size, TensorType
from ...ir import Builder, Value
from ...tuning.cpu.gated_add import gated_add
from ...tuning.cpu.nchwc.context import NCHWC_DOMAIN
from .providers import create_session, resolve_provider


@cache
def nchwc_block_size() -> int:
    """Channels in a block of onnxruntime's NCHWc layout, 8 or 16; 1 if this CPU has no such layout."""
    g, shape = Builder(), (1, 4, 1, 1)
    padded_type = TensorType("float32", (1, Size.named("channels"), 1, 1))
    x = g.input("x", TensorType("float32", shape))
    result = _run_probe(g, g.custom_op("ReorderInput", NCHWC_DOMAIN, [x], padded_type), np.zeros(shape))
    return 1 if result is None else int(result.shape[1])


@cache
def has_gated_add() -> bool:
    """Whether onnxruntime has an operator for `x + gate * y`."""
    g = Builder()
    x = g.input("x", TensorType("float32", (2, 3)))
    result = _run_probe(g, gated_add(g, x, x, g.const([[2.0], [4.0]])), np.ones((2, 3)))
    return result is not None and np.array_equal(result, [[3.0] * 3, [5.0] * 3])


def _run_probe(g: Builder, y: Value, x: np.ndarray) -> np.ndarray | None:
    """The value of `y` for the input `x`; None if onnxruntime cannot compute it."""
    try:
        session = create_session(
            serialize(to_model_proto(g.graph({"y": y}))), resolve_provider("cpu"), threads=1, quiet=True
        )
        result: np.ndarray = session.run(None, {"x": x.astype(np.float32)})[0]
    except (UsageError, CompileError, RuntimeError):
        return None
    return result
