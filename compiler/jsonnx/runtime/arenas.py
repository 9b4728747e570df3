"""Memory of a session's own, taken in pieces as large as what is asked for.

onnxruntime's arena doubles as it grows, and cuts tensors of all sizes from the same large pieces. So where one begins,
the middle of another may have lain, and of two threads that each work on a half of every tensor, the first writes what
the second has read last: that takes 3.5 times as long as to write what none has, and 18 times where their processors
have no cache in common (512 KB in 42 us, or in 220, not in 12: AMD EPYC). In pieces of their own size tensors mostly
lie where others of that size have lain. Far apart a step of ResNet-20 took 0.93 of the time, of a smaller network with
batch normalization 0.88 to 0.9, near each other 1 to 1.02, for an eighth more memory.

How an arena grows is told to a whole process (`create_and_register_allocator`), and a session keeps that which there is
when it is made: so there is another one for every such session, and an empty one, which nobody uses, afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnxruntime

AS_REQUESTED = 1
"""How an arena grows: by what is asked for (`kSameAsRequested`)."""


@contextmanager
def own_arena(runtime: Any, options: onnxruntime.SessionOptions) -> Iterator[None]:
    """What a session that is made meanwhile with these options takes memory from, where onnxruntime lets sessions have
    arenas of their own (1.24 does, 1.22 does not). Nobody else is to make one meanwhile."""
    if not _can_replace(runtime):
        yield
        return
    options.add_session_config_entry("session.use_env_allocators", "1")
    _register(runtime)
    try:
        yield
    finally:
        _register(runtime)


@cache
def _can_replace(runtime: Any) -> bool:
    """Whether an arena can take another one's place."""
    try:
        for _ in range(2):
            _register(runtime)
    except (AttributeError, RuntimeError):
        return False
    return True


def _register(runtime: Any) -> None:
    place = runtime.OrtMemoryInfo("Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT)
    runtime.create_and_register_allocator(place, runtime.OrtArenaCfg({"arena_extend_strategy": AS_REQUESTED}))
