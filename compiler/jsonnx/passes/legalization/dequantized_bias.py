"""Writes the bias of an operator on integers in floating point, for a target that cannot dequantize it."""

from __future__ import annotations

import numpy as np

from ...ir import Constant, Value
from ..rewrite import Match
from .rules import form


@form("DequantizeLinear")
def dequantized_bias(m: Match) -> Value | None:
    """DequantizeLinear(constant of int32, scale) -> constant of float32, for a vector with a scale for all or each"""
    x, scale = m.node.inputs[:2]
    if not isinstance(x, Constant) or not isinstance(scale, Constant) or x.dtype != "int32" or x.rank != 1:
        return None
    bias = (x.array.astype(np.float32) * scale.array).astype(np.float32)
    return Constant(m.node.outputs[0].type, bias, x.name)
