"""The weights of samples, or of their positions: their validation, and their shape in a batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...core.reserved_names import sample_weight_name
from ...core.types import BATCH, Size, TensorType
from .data_errors import ErrorCollector
from .data_spec import DataSpec
from .stored_arrays import Samples
from .validate_arrays import LocateElement, sample_location, validate_array

WEIGHT_PER_SAMPLE = TensorType("float32", (BATCH,))


def validate_weights(
    array: np.ndarray,
    output: str,
    data_spec: DataSpec,
    errors: ErrorCollector,
    locate: LocateElement = sample_location,
    column_count: int = 1,
) -> np.ndarray | None:
    """The weights of an output's samples, or of their positions, as `validate_array` returns an array."""
    if array.ndim and all(size == 1 for size in array.shape[1:]):
        per_sample = {**data_spec.sample_weights, output: WEIGHT_PER_SAMPLE}
        data_spec = replace(data_spec, sample_weights=per_sample)
    return validate_array(array, sample_weight_name(output), data_spec, errors, locate, column_count)


def expand_weights(
    weights: np.ndarray | None, type: TensorType, target: Samples, target_type: TensorType
) -> np.ndarray:
    """The weights in the shape of an output's losses, without a copy; 1 if there are none."""
    sizes = dict(zip(target_type.shape[1:], target.shape[1:], strict=True))
    shape = (len(target), *(sizes[size] if isinstance(size, Size) else size for size in type.shape[1:]))
    weights = np.ones(1, np.float32) if weights is None else weights
    return np.broadcast_to(weights.reshape(*weights.shape, *[1] * (type.rank - weights.ndim)), shape)
