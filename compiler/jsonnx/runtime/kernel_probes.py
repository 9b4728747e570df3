"""Which kernels this onnxruntime has for this machine's CPU, beside those of the operators that ONNX defines.

It is told by small sessions, since nothing else tells.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ..backend import serialize, to_model_proto
from ..core.diagnostics import CompileError, UsageError
from ..core.types import Size, TensorType
from ..ir import Builder, Value
from ..tuning.cpu.gated_add import gated_add
from ..tuning.cpu.nchwc.context import NCHWC_DOMAIN
from .providers import create_session, resolve_provider


@cache
def nchwc_block_size() -> int:
    """Channels in a block of the layout that convolutions like best, 8 or 16; 1 where there is no such layout here."""
    g, size = Builder(), (1, 4, 1, 1)
    filled = TensorType("float32", (1, Size.named("channels"), 1, 1))
    x = g.input("x", TensorType("float32", size))
    result = _run_probe(g, g.custom_op("ReorderInput", NCHWC_DOMAIN, [x], filled), np.zeros(size))
    return 1 if result is None else int(result.shape[1])


@cache
def has_gated_add() -> bool:
    """Whether one operator adds a multiple."""
    g = Builder()
    x = g.input("x", TensorType("float32", (2, 3)))
    result = _run_probe(g, gated_add(g, x, x, g.const([[2.0], [4.0]])), np.ones((2, 3)))
    return result is not None and np.array_equal(result, [[3.0] * 3, [5.0] * 3])


def _run_probe(g: Builder, y: Value, x: np.ndarray) -> np.ndarray | None:
    """What this computes of the input `x`, None where onnxruntime cannot."""
    try:
        session = create_session(
            serialize(to_model_proto(g.graph({"y": y}))), resolve_provider("cpu"), threads=1, quiet=True
        )
        found: np.ndarray = session.run(None, {"x": x.astype(np.float32)})[0]
    except (UsageError, CompileError, RuntimeError):
        return None
    return found
