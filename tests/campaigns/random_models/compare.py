"""Runs a model in onnxruntime and compares its results with those in float64.

The allowed error is derived from the change of the float64 results when inputs or results of operators are rounded to
float32, so that badly conditioned and deep networks cause no false alarms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from jsonnx.backend import serialize

from .values import Arrays

MAX_AMPLIFICATION = 100.0
"""The allowed error as a multiple of the effect of rounding."""
DRAWS = 3
"""Number of draws on all of which an error must appear: at a kink, results differ on single draws only."""

Evaluation = tuple[Arrays, Arrays, Callable[[], list[Arrays]]]
"""Actual results, expected results, and a function that returns results perturbed by rounding."""


class OracleError(Exception):
    """Raised by an oracle that does not hold."""

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
    model_session = model if isinstance(model, onnxruntime.InferenceSession) else session(model, optimize=optimize)
    names = [output.name for output in model_session.get_outputs()]
    input_names = {value.name for value in model_session.get_inputs()}
    return dict(zip(names, model_session.run(None, {k: v for k, v in feeds.items() if k in input_names}), strict=True))


def difference(actual: np.ndarray, expected: np.ndarray, perturbed: list[np.ndarray], tolerance: float) -> float:
    """Returns the greatest error relative to the allowed error, ignoring elements where `expected` is not finite."""
    expected = expected.astype(np.float64)
    finite = np.isfinite(expected) & (np.abs(expected) < 1e30)
    for other in perturbed:
        finite &= np.isfinite(other)
    if not finite.any():
        return 0.0
    allowed = tolerance * max(np.abs(expected[finite]).max(), 1e-6)
    allowed += MAX_AMPLIFICATION * sum(np.abs(other[finite] - expected[finite]).max() for other in perturbed)
    with np.errstate(all="ignore"):
        error = np.abs(actual[finite].astype(np.float64) - expected[finite])
    return float("inf") if np.isnan(error).any() else float(error.max() / allowed)


def compare(oracle: str, evaluations: Callable[[int], Evaluation], tolerance: float) -> None:
    """Raises OracleError if actual and expected results differ on every draw.

    `evaluations` returns the results of a draw; perturbed results are computed only if the results differ.
    """
    first = ""
    for draw in range(DRAWS):
        actual, expected, perturbed = evaluations(draw)
        errors = _differences(oracle, actual, expected, [], tolerance)
        if errors:
            errors = _differences(oracle, actual, expected, perturbed(), tolerance)
        if not errors:
            return
        first = first or "; ".join(errors[:4])
    raise OracleError(oracle, first)


def _differences(oracle: str, actual: Arrays, expected: Arrays, perturbed: list[Arrays], tolerance: float) -> list[str]:
    errors = []
    for name, values in expected.items():
        if actual[name].shape != values.shape:
            raise OracleError(oracle, f"{name} has shape {actual[name].shape}, not {values.shape}")
        error = difference(actual[name], values, [other[name] for other in perturbed], tolerance)
        if error > 1:
            errors.append(f"{name} is off by {error:.3g} times the allowed error")
    return errors
