"""Turns termination signals into requests to end a run."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Any

TERMINATION_SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


class StopOnSignal:
    """A context in which the first of these signals is only recorded, as a request to stop; the second one acts as
    usual.

    A signal that the process ignores stays ignored. In another than the main thread no signal is recorded, but for that
    of `request_stop`.
    """

    _requested: int | None = None
    _active: list[StopOnSignal] = []

    def __init__(self, signals: Iterable[int] = TERMINATION_SIGNALS) -> None:
        self.signal: int | None = None
        self._signals = tuple(signals)
        self._previous_handlers: dict[int, Any] = {}

    def __enter__(self) -> StopOnSignal:
        self.signal = StopOnSignal._requested
        StopOnSignal._active.append(self)
        if threading.current_thread() is threading.main_thread():
            for number in self._signals:
                handler = signal.getsignal(number)
                if handler not in (signal.SIG_IGN, None):
                    self._previous_handlers[number] = handler
                    signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            self.__exit__()
            signal.raise_signal(number)
        self.signal = number

    def __exit__(self, *error: object) -> None:
        if self in StopOnSignal._active:
            StopOnSignal._active.remove(self)
        while self._previous_handlers:
            number, handler = self._previous_handlers.popitem()
            signal.signal(number, handler)


def request_stop(number: int | None) -> None:
    """Acts as a signal to all contexts of this process, also to those that begin later; None ends that."""
    StopOnSignal._requested = number
    for context in list(StopOnSignal._active):
        context.signal = context.signal or number
