"""Checks briefly that repeated work leaves nothing behind; `run.py` beside this file repeats it for any time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from campaigns.leak_checks.run import KINDS, repeat

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell what a process holds")


@pytest.mark.costly(2)
@pytest.mark.parametrize("kind", KINDS)
def test_repeated_work_leaves_nothing_behind(kind: Callable) -> None:
    outcome = repeat(kind, 0.3, minimum=4)
    assert not outcome.leaks, outcome


@contextmanager
def kept_arrays() -> Iterator[Callable[[], object]]:
    arrays: list[np.ndarray] = []
    yield lambda: arrays.append(np.ones(1 << 19))


@contextmanager
def waiting_threads() -> Iterator[Callable[[], object]]:
    ended = threading.Event()
    yield lambda: threading.Thread(target=ended.wait).start()
    ended.set()


@contextmanager
def open_files() -> Iterator[Callable[[], object]]:
    with ExitStack() as files:
        yield lambda: files.enter_context(Path(__file__).open())


@pytest.mark.parametrize("kind", [kept_arrays, waiting_threads, open_files])
def test_what_is_left_behind_is_found(kind: Callable) -> None:
    assert repeat(kind, 0, minimum=12).leaks
