"""Calls a tracker in a thread of its own: neither its errors nor a server that does not answer reach the training."""

from __future__ import annotations

from queue import SimpleQueue
from threading import Thread
from typing import Any

from ..core.diagnostics import UsageError
from ..core.invisible_characters import escape_json
from .tracker import RunTracker


class TrackerWorker:
    """Calls the methods of a tracker in the order in which they are asked for; after an exception, none any more.

    The thread ends with the process, whatever the tracker waits for.
    """

    def __init__(self, name: str, tracker: RunTracker) -> None:
        self.name, self.error = name, ""
        self._tracker = tracker
        self._calls: SimpleQueue[tuple[str, tuple[Any, ...]] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def call(self, method: str, *arguments: Any) -> None:
        """Asks for a method. Trackers show the names of metrics, so their invisible characters are escaped."""
        if not self.error:
            self._calls.put((method, tuple(map(escape_json, arguments))))

    def close(self) -> None:
        """Ends the thread once all calls are done."""
        self._calls.put(None)

    def wait(self, seconds: float) -> bool:
        """Waits for the end of the thread. Returns whether that took no longer than some seconds."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            method, arguments = call
            try:
                getattr(self._tracker, method)(*arguments)
            except (Exception, SystemExit) as error:
                self.error = _reason(error)
                return


def _reason(error: BaseException) -> str:
    """One line about an exception."""
    if isinstance(error, UsageError):
        return error.diagnostic.message
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
