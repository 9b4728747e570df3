"""Which layout onnxruntime's convolutions on this machine's CPU like best."""

from __future__ import annotations

from functools import cache

import numpy as np

from ..backend import emit, serialize
from ..diagnostics import CompileError, UsageError
from ..graph import Builder
from ..passes.blocks import DOMAIN
from ..types import Size, TensorType
from .providers import create_session, resolve


@cache
def block_size() -> int:
    """Channels in a block of the blocked layout, 8 or 16; 1 where this onnxruntime has no such layout here.

    Told by what a reordering of four channels gives, since nothing else tells.
    """
    g, type = Builder(), TensorType("float32", (1, 4, 1, 1))
    filled = g.custom(
        "ReorderInput", DOMAIN, [g.input("x", type)], TensorType("float32", (1, Size.named("channels"), 1, 1))
    )
    try:
        session = create_session(serialize(emit(g.graph({"y": filled}))), resolve("cpu"), threads=1, quiet=True)
        return int(session.run(None, {"x": np.zeros((1, 4, 1, 1), np.float32)})[0].shape[1])
    except (UsageError, CompileError, RuntimeError):
        return 1
