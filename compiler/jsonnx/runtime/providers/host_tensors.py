"""Tensors of onnxruntime that share the memory of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.numpy_types import BFLOAT16_NAME
from ...ir import onnx_dtype
from .providers import load_runtime


def host_tensor(array: np.ndarray) -> Any:
    """A tensor with the memory of an array. onnxruntime does not know the element type of an array of bfloat16."""
    tensors = load_runtime().OrtValue
    if array.dtype.name == BFLOAT16_NAME:
        return tensors.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), onnx_dtype(BFLOAT16_NAME))
    return tensors.ortvalue_from_numpy(array)
