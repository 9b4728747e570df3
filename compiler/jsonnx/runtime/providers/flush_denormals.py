"""Treats denormal floating-point numbers as zero while onnxruntime computes.

A momentum without a gradient decays until it is denormal (below 1.2e-38) and never reaches zero: 0.9 times the smallest
number rounds to itself. On Intel CPUs, arithmetic with denormals is many times slower. TensorFlow and JAX flush
denormals, too; PyTorch does not.

onnxruntime has an option for the threads of a session, but it would set the state of the calling thread only once per
process, and permanently. Operators on the calling thread would then compute differently from the session's threads, so
this module sets the calling thread's state for the time of a call and restores it afterwards; NumPy and user code are
not affected. It does so where it is tested: on Linux on x86-64.
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
"""The entry of a session's configuration, for its own threads."""
_FLUSH_BITS = 0x8040
"""In MXCSR: flush denormal results to zero (bit 15), and treat denormal operands as zero (bit 6)."""
_MASKED_EXCEPTION_BITS = 0x1F80
"""In MXCSR: no floating-point exception traps, as is usual in Python."""


class _FloatEnvironment(ctypes.Structure):
    """C's `fenv_t` on Linux, x86-64."""

    _fields_ = (("x87", ctypes.c_uint32 * 7), ("mxcsr", ctypes.c_uint32))


@cache
def _fenv_functions() -> tuple[Any, Any] | None:
    """C's functions that read and write a thread's floating-point environment; None on an unknown platform."""
    if sys.platform != "linux" or platform.machine() != "x86_64" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    try:
        library = ctypes.CDLL("libm.so.6")
        read, write = library.fegetenv, library.fesetenv
    except (OSError, AttributeError):
        return None
    environment = _FloatEnvironment()
    is_plausible = (
        read(ctypes.byref(environment)) == 0 and environment.mxcsr & _MASKED_EXCEPTION_BITS == _MASKED_EXCEPTION_BITS
    )
    return (read, write) if is_plausible else None


def can_flush_denormals() -> bool:
    """Whether the calling thread can flush denormals as the session's own threads do."""
    return _fenv_functions() is not None


class _ThreadState(threading.local):
    flushes = False


_thread_state = _ThreadState()


@contextmanager
def denormals_flushed(enabled: bool = True) -> Iterator[None]:
    """A context in which this thread treats denormals as zero, if `can_flush_denormals`."""
    functions = _fenv_functions()
    if functions is None or not enabled or _thread_state.flushes:
        yield
        return
    read, write = functions
    environment = _FloatEnvironment()
    pointer = ctypes.byref(environment)
    read(pointer)
    previous_mxcsr = environment.mxcsr
    try:  # around all of it: Ctrl-C may come between any two statements
        _thread_state.flushes, environment.mxcsr = True, previous_mxcsr | _FLUSH_BITS
        write(pointer)
        yield
    finally:
        environment.mxcsr = previous_mxcsr
        write(pointer)
        _thread_state.flushes = False


def with_denormals_flushed(call: Callable[..., R]) -> Callable[..., R]:
    """The function, for positional arguments, with denormals flushed while it runs."""

    def flushing_call(*args: Any) -> R:
        if _thread_state.flushes:
            return call(*args)
        with denormals_flushed():
            return call(*args)

    return flushing_call
