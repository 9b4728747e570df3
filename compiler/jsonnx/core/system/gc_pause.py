"""Pauses Python's garbage collector while networks and graphs are built."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_paused() -> Iterator[None]:
    """Disables the cyclic garbage collector inside. Also works as a decorator.

    Networks and graphs consist of many small objects, hardly any of them garbage, and the collector would traverse all
    of them again and again: for large networks, most of the time of a compilation.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
