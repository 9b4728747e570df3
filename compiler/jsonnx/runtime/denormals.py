"""Numbers too small to be normal, taken for zero while onnxruntime computes.

A momentum without a gradient shrinks until it is one (below 1.2e-38), and stays: nine tenths of the smallest number
round to itself. Intel's processors take a hundred times as long for each; a small network's step took twice the time
after 1,000 steps. TensorFlow and JAX do the same.

onnxruntime has an option for the threads of a session, but sets the calling thread's state once in a process, and for
good. What a step leaves to that thread would be computed otherwise, so its state is set for the time of a call, and put
back: NumPy and everybody else go on as before. That is done where it was tried: Linux on x86-64.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

OPTION = "session.set_denormal_as_zero"
"""The session's option, for its own threads."""
_FLUSH = 0x8040
"""In MXCSR: results that are denormal become zero (bit 15), and so do operands (bit 6)."""
_MASKED = 0x1F80
"""In MXCSR: no floating point exception traps, as everywhere in Python."""


class _Environment(ctypes.Structure):
    """C's `fenv_t` on Linux, x86-64."""

    _fields_ = (("x87", ctypes.c_uint32 * 7), ("mxcsr", ctypes.c_uint32))


@cache
def _access() -> tuple[Any, Any] | None:
    """C's functions that read and write a thread's floating point environment; None where these are not known."""
    if sys.platform != "linux" or platform.machine() != "x86_64" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    try:
        library = ctypes.CDLL("libm.so.6")
        read, write = library.fegetenv, library.fesetenv
    except (OSError, AttributeError):
        return None
    found = _Environment()
    return (read, write) if read(ctypes.byref(found)) == 0 and found.mxcsr & _MASKED == _MASKED else None


def can_flush() -> bool:
    """Whether the calling thread's part can be computed as that of the session's own threads."""
    return _access() is not None


def flushing(call: Callable[P, R]) -> Callable[P, R]:
    """The call, with denormals taken for zero in the calling thread until it returns. Costs a microsecond."""
    access = _access()
    if access is None:
        return call
    read, write = access

    @wraps(call)
    def flushed(*args: P.args, **kwargs: P.kwargs) -> R:
        environment = _Environment()
        here = ctypes.byref(environment)
        read(here)
        before = environment.mxcsr
        environment.mxcsr = before | _FLUSH
        write(here)
        try:
            return call(*args, **kwargs)
        finally:
            environment.mxcsr = before
            write(here)

    return flushed
