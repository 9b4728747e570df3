"""Runs a model in onnxruntime, and says whether its numbers are those of float64.

How far they may be off follows from how far the evaluation in float64 itself moves when float32 rounds its inputs or
the results of its operators: so neither a badly conditioned network nor a deep one is a false alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from jsonnx.backend import serialize

from .values import Arrays

AMPLIFIED = 100.0
"""How many times the effect of rounding the error may be."""
DRAWS = 3
"""Values on which a fault must show: at a kink it shows on one draw only."""

Evaluated = tuple[Arrays, Arrays, Callable[[], list[Arrays]]]
"""What was found, what was wanted, and a way to results that are as good as the wanted ones."""


class Broken(Exception):
    """An oracle that does not hold, and how it shows."""

    def __init__(self, oracle: str, message: str) -> None:
        self.oracle, self.message = oracle, message
        super().__init__(f"{oracle}: {message}")


def session(model: onnx.ModelProto | bytes, *, optimize: bool = True) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = model if isinstance(model, bytes) else serialize(model)
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run(model: Any, feeds: Mapping[str, np.ndarray], *, optimize: bool = True) -> Arrays:
    made = model if isinstance(model, onnxruntime.InferenceSession) else session(model, optimize=optimize)
    names = [output.name for output in made.get_outputs()]
    wanted = {value.name for value in made.get_inputs()}
    return dict(zip(names, made.run(None, {k: v for k, v in feeds.items() if k in wanted}), strict=True))


def difference(found: np.ndarray, wanted: np.ndarray, slack: list[np.ndarray], tolerance: float) -> float:
    """The worst error, 1 being as much as is allowed; NaN and infinite places of `wanted` do not count."""
    wanted = wanted.astype(np.float64)
    finite = np.isfinite(wanted) & (np.abs(wanted) < 1e30)
    for other in slack:
        finite &= np.isfinite(other)
    if not finite.any():
        return 0.0
    allowed = tolerance * max(np.abs(wanted[finite]).max(), 1e-6)
    allowed += AMPLIFIED * sum(np.abs(other[finite] - wanted[finite]).max() for other in slack)
    with np.errstate(all="ignore"):
        error = np.abs(found[finite].astype(np.float64) - wanted[finite])
    return float("inf") if np.isnan(error).any() else float(error.max() / allowed)


def compare(oracle: str, evaluations: Callable[[int], Evaluated], tolerance: float) -> None:
    """Raises Broken where found and wanted differ on every draw.

    `evaluations` gives found, wanted, and a way to other results that are as good as the wanted ones.
    """
    first = ""
    for draw in range(DRAWS):
        found, wanted, slack = evaluations(draw)
        bad = _differences(oracle, found, wanted, [], tolerance)
        if bad:
            bad = _differences(oracle, found, wanted, slack(), tolerance)
        if not bad:
            return
        first = first or "; ".join(bad[:4])
    raise Broken(oracle, first)


def _differences(oracle: str, found: Arrays, wanted: Arrays, slack: list[Arrays], tolerance: float) -> list[str]:
    bad = []
    for name, values in wanted.items():
        if found[name].shape != values.shape:
            raise Broken(oracle, f"{name} has shape {found[name].shape}, not {values.shape}")
        error = difference(found[name], values, [other[name] for other in slack], tolerance)
        if error > 1:
            bad.append(f"{name} is off by {error:.3g} times what is allowed")
    return bad
