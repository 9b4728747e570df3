"""Python's collector, out of the way while graphs are made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_paused() -> Iterator[None]:
    """No search for garbage inside. Also a decorator.

    A graph is made of many small objects, of which hardly one is garbage. The collector goes through all of them again
    and again: a third of the time for a thousand layers, two thirds for ten thousand.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
