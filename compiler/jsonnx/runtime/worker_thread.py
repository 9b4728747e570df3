"""A thread beside the caller's, for what is done while it goes on.

Beside small steps it matters what a task costs the caller: 15 to 20 us here, 33 with an executor of the standard
library.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar
from weakref import finalize

T = TypeVar("T")


class Future(Generic[T]):
    """What a helper was told to do."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._function: Callable[[], T] | None = work
        self._result: tuple[T] | None = None
        self._exception: BaseException | None = None
        self._running = threading.Lock()
        self._running.acquire()

    def result(self) -> T:
        """What it gave, at its end. Raises what went wrong."""
        failure = self.take_exception()
        try:
            if failure is not None:
                raise failure
        finally:
            del failure  # it knows this frame
        assert self._result is not None
        return self._result[0]

    def take_exception(self) -> BaseException | None:
        """What went wrong, at its end; to the first that asks, for it knows all frames that it went through."""
        with self._running:
            failure, self._exception = self._exception, None
            return failure

    def run(self) -> None:
        """Does it, and tells whoever waits."""
        work, self._function = self._function, None
        assert work is not None
        try:
            self._result = (work(),)
        except BaseException as error:  # told to whoever waits
            self._exception = error
        finally:
            del work
            self._running.release()


class WorkerThread:
    """A thread that does what it is told, one thing after the other; it ends when nobody can tell it any more."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Future[Any] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        # Not at the interpreter's end, behind which something may still be begun: the thread does not hold it up.
        finalize(self, self._queue.put, None).atexit = False

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have it begin."""
        if self._thread is None or not self._thread.is_alive():  # it is not in a fork
            thread = threading.Thread(target=_work_loop, args=(self._queue,), name="helper", daemon=True)
            thread.start()
            self._thread = thread
        task = Future(work)
        self._queue.put(task)
        return task


def _work_loop(tasks: SimpleQueue[Future[Any] | None]) -> None:
    while (task := tasks.get()) is not None:
        task.run()
        del task  # nothing of it stays while there is nothing to do
