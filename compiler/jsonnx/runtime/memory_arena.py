"""Memory of a session's own, taken in pieces as large as what is asked for.

onnxruntime's arena doubles as it grows, and cuts tensors of all sizes from the same large pieces. So where one begins,
the middle of another may have lain, and of two threads that each work on a half of every tensor, the first writes what
the second has read last: that takes 3.5 times as long as to write what none has, and 18 times where their processors
are far apart (512 KB in 42 us, or in 220, not in 12: AMD EPYC). In pieces of their own size tensors mostly lie where
others of that size have lain. Far apart a step of ResNet-20 took 0.93 of the time, of a smaller network with
batch normalization 0.88 to 0.9, near each other 1 to 1.02, for an eighth more memory.

How an arena grows is told to a whole process (`create_and_register_allocator`), and a session keeps that which there is
when it is made: so there is another one for every such session, and an empty one, which nobody uses, afterwards. Who
registers an arena of their own does it after the first step, or trains with `fast=False`: nothing tells that there is
one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnxruntime

EXTEND_AS_REQUESTED = 1
"""How an arena grows: by what is asked for (`kSameAsRequested`)."""
MIN_ONNXRUNTIME_VERSION = (1, 24)
"""The onnxruntime from which on an arena can take another one's place; 1.22 has one for all."""


@contextmanager
def own_arena(runtime: Any, options: onnxruntime.SessionOptions) -> Iterator[None]:
    """What a session that is made meanwhile with these options takes memory from, where onnxruntime lets sessions have
    arenas of their own. Nobody else is to make one meanwhile."""
    if _version(runtime) < MIN_ONNXRUNTIME_VERSION or not _register_arena(runtime):
        yield
        return
    options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        yield
    finally:
        _register_arena(runtime)


def _version(runtime: Any) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", runtime.__version__)[:2])


def _register_arena(runtime: Any) -> bool:
    """Whether sessions that are made from now on can have a new arena."""
    place = runtime.OrtMemoryInfo("Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT)
    try:
        runtime.create_and_register_allocator(
            place, runtime.OrtArenaCfg({"arena_extend_strategy": EXTEND_AS_REQUESTED})
        )
    except RuntimeError:
        return False
    return True
