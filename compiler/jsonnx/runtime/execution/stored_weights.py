"""The element types in which training keeps frozen weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic
from ...core.numpy_types import numpy_dtype
from ...passes.training_steps.frozen_weights import STORED_TYPES

if TYPE_CHECKING:
    from ...ir import Graph

OVERFLOW_HELP = '`"frozen_dtype": "bfloat16"` has the range of float32'


def with_stored_types(step: Graph, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Variables of a step in the types in which it keeps frozen weights; others are the same arrays.

    Raises CompileError `not-finite` for numbers that exceed the type.
    """
    dtypes = {name: weight.dtype for name, weight in step.parameters.items() if weight.dtype in STORED_TYPES}
    return {name: _stored(name, array, dtypes[name]) if name in dtypes else array for name, array in arrays.items()}


def _stored(name: str, array: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        stored = array.astype(numpy_dtype(dtype), copy=False)
    if not np.isfinite(stored).all():
        message = f"the frozen weight {name!r} has numbers that {dtype} cannot hold"
        raise CompileError([Diagnostic("not-finite", message, "$.training.frozen_dtype", help=OVERFLOW_HELP)])
    return stored
