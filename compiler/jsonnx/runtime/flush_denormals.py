"""Numbers too small to be normal, taken for zero while onnxruntime computes.

A momentum without a gradient shrinks until it is one (below 1.2e-38), and stays: nine tenths of the smallest number
round to itself. An Intel processor takes eighteen times as long for each; a small network's step took twice the time
after 1,000 steps. TensorFlow and JAX take them for zero, too; PyTorch does not.

onnxruntime has an option for the threads of a session, but sets the calling thread's state once in a process, and for
good. What a step leaves to that thread would be computed otherwise, so its state is set for the time of a call, and put
back: NumPy and everybody else go on as before. That is done where it was tried: Linux on x86-64.
"""

from __future__ import annotations

import ctypes
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

R = TypeVar("R")

SESSION_OPTION = "session.set_denormal_as_zero"
"""The session's option, for its own threads."""
_FLUSH_BITS = 0x8040
"""In MXCSR: results that are denormal become zero (bit 15), and so do operands (bit 6)."""
_MASKED_EXCEPTION_BITS = 0x1F80
"""In MXCSR: no floating point exception traps, as everywhere in Python."""


class _FloatEnvironment(ctypes.Structure):
    """C's `fenv_t` on Linux, x86-64."""

    _fields_ = (("x87", ctypes.c_uint32 * 7), ("mxcsr", ctypes.c_uint32))


@cache
def _fenv_functions() -> tuple[Any, Any] | None:
    """C's functions that read and write a thread's floating point environment; None where these are not known."""
    if sys.platform != "linux" or platform.machine() != "x86_64" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    try:
        library = ctypes.CDLL("libm.so.6")
        read, write = library.fegetenv, library.fesetenv
    except (OSError, AttributeError):
        return None
    found = _FloatEnvironment()
    return (
        (read, write)
        if read(ctypes.byref(found)) == 0 and found.mxcsr & _MASKED_EXCEPTION_BITS == _MASKED_EXCEPTION_BITS
        else None
    )


def can_flush_denormals() -> bool:
    """Whether the calling thread's part can be computed as that of the session's own threads."""
    return _fenv_functions() is not None


class _ThreadState(threading.local):
    flushes = False


_thread_state = _ThreadState()


@contextmanager
def denormals_flushed(enabled: bool = True) -> Iterator[None]:
    """Denormals taken for zero in this thread, until it is left, where that is known."""
    access = _fenv_functions()
    if access is None or not enabled or _thread_state.flushes:
        yield
        return
    read, write = access
    environment = _FloatEnvironment()
    place = ctypes.byref(environment)
    read(place)
    before = environment.mxcsr
    try:  # from here on: a Ctrl-C may come between any two of these
        _thread_state.flushes, environment.mxcsr = True, before | _FLUSH_BITS
        write(place)
        yield
    finally:
        environment.mxcsr = before
        write(place)
        _thread_state.flushes = False


def with_denormals_flushed(call: Callable[..., R]) -> Callable[..., R]:
    """The call, without keywords, during which denormals are taken for zero: two microseconds more, or nothing where
    they are already."""

    def within(*args: Any) -> R:
        if _thread_state.flushes:
            return call(*args)
        with denormals_flushed():
            return call(*args)

    return within
