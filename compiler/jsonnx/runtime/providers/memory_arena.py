"""A separate memory arena for a session, which grows by the requested sizes.

onnxruntime's shared arena doubles as it grows and cuts tensors of all sizes from the same large blocks. A tensor may
then begin in the middle of the memory of an earlier one; if two threads each write half of every tensor, a thread
writes to cache lines that the other core holds, which is several times slower. If blocks have the sizes of tensors,
most tensors reuse the memory of tensors of equal size. This takes slightly more memory.

How arenas grow is set for a whole process (`create_and_register_allocator`), and a session keeps the arena that was
registered when it was created. Therefore a new arena is registered before each such session is created, and another
one, which stays empty, afterwards. A program that registers an arena itself must do so after the first step, or train
with `fast=False`: onnxruntime has no function that returns the registered arena.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnxruntime

EXTEND_AS_REQUESTED = 1
"""The strategy `kSameAsRequested`: an arena grows by the requested size."""
MIN_ONNXRUNTIME_VERSION = (1, 24)
"""The first version in which a registered arena can be replaced."""


@contextmanager
def own_arena(runtime: Any, options: onnxruntime.SessionOptions) -> Iterator[None]:
    """A context in which a session created with these options gets an arena of its own, if onnxruntime supports that.

    No other session may be created in the context."""
    if version_numbers(runtime.__version__) < MIN_ONNXRUNTIME_VERSION or not _register_arena(runtime):
        yield
        return
    options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        yield
    finally:
        _register_arena(runtime)


def version_numbers(version: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _register_arena(runtime: Any) -> bool:
    """Registers a new arena for sessions created from now on; whether onnxruntime accepted it."""
    memory_info = runtime.OrtMemoryInfo(
        "Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT
    )
    try:
        runtime.create_and_register_allocator(
            memory_info, runtime.OrtArenaCfg({"arena_extend_strategy": EXTEND_AS_REQUESTED})
        )
    except RuntimeError:
        return False
    return True
