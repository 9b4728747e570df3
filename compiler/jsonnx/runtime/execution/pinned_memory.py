"""Locks the pages of arrays in memory, by the CUDA runtime that onnxruntime has loaded. Copies work without, too."""

from __future__ import annotations

import ctypes
import sys
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np

CUDA_RUNTIMES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0")
"""The libraries that can pin memory. onnxruntime-gpu loads one of them."""
_RTLD_NOLOAD = 4
"""The flag of `dlopen` that finds a library only if it is loaded."""


def pin(arrays: Iterable[np.ndarray], library: Any = None) -> int:
    """Locks the pages of arrays in memory while they live, so that a GPU of NVIDIA copies them without a detour.

    Returns the number of arrays pinned: 0 where no CUDA runtime is loaded, since copies work without, too.
    """
    cuda = library or _cuda_runtime()
    return 0 if cuda is None else sum(_pin_array(cuda, array) for array in arrays if array.nbytes)


def _pin_array(cuda: Any, array: np.ndarray) -> bool:
    address = ctypes.c_void_p(array.ctypes.data)
    if cuda.cudaHostRegister(address, ctypes.c_size_t(array.nbytes), ctypes.c_uint(0)) != 0:
        cuda.cudaGetLastError()  # an error would be reported again by the next call
        return False
    weakref.finalize(array, cuda.cudaHostUnregister, address)
    return True


def _cuda_runtime() -> Any:
    """The CUDA runtime that this process has loaded; None if there is none."""
    if not sys.platform.startswith("linux"):
        return None
    for name in CUDA_RUNTIMES:
        try:
            return ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL | _RTLD_NOLOAD)
        except OSError:
            continue
    return None
