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


class _Thread(threading.local):
    flushes = False


_here = _Thread()


@contextmanager
def flushed(wanted: bool = True) -> Iterator[None]:
    """Denormals taken for zero in this thread, until it is left, where that is known."""
    access = _access()
    if access is None or not wanted or _here.flushes:
        yield
        return
    read, write = access
    environment = _Environment()
    place = ctypes.byref(environment)
    read(place)
    before = environment.mxcsr
    try:  # from here on: a Ctrl-C may come between any two of these
        _here.flushes, environment.mxcsr = True, before | _FLUSH
        write(place)
        yield
    finally:
        environment.mxcsr = before
        write(place)
        _here.flushes = False


def flushing(call: Callable[..., R]) -> Callable[..., R]:
    """The call, without keywords, during which denormals are taken for zero: two microseconds more, or nothing where
    they are already."""

    def within(*args: Any) -> R:
        if _here.flushes:
            return call(*args)
        with flushed():
            return call(*args)

    return within
