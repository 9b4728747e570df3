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


class Task(Generic[T]):
    """What a helper was told to do."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work: Callable[[], T] | None = work
        self._made: tuple[T] | None = None
        self._failure: BaseException | None = None
        self._under_way = threading.Lock()
        self._under_way.acquire()

    def result(self) -> T:
        """What it gave, at its end. Raises what went wrong."""
        failure = self.take_exception()
        try:
            if failure is not None:
                raise failure
        finally:
            del failure  # it knows this frame
        assert self._made is not None
        return self._made[0]

    def take_exception(self) -> BaseException | None:
        """What went wrong, at its end; to the first that asks, for it knows all frames that it went through."""
        with self._under_way:
            failure, self._failure = self._failure, None
            return failure

    def do(self) -> None:
        """Does it, and tells whoever waits."""
        work, self._work = self._work, None
        assert work is not None
        try:
            self._made = (work(),)
        except BaseException as error:  # told to whoever waits
            self._failure = error
        finally:
            del work
            self._under_way.release()


class Helper:
    """A thread that does what it is told, one thing after the other; it ends when nobody can tell it any more."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Task[Any] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        # Not at the interpreter's end, behind which something may still be begun: the thread does not hold it up.
        finalize(self, self._tasks.put, None).atexit = False

    def begin(self, work: Callable[[], T]) -> Task[T]:
        """Have it begin."""
        if self._thread is None or not self._thread.is_alive():  # it is not in a fork
            thread = threading.Thread(target=_helping, args=(self._tasks,), name="helper", daemon=True)
            thread.start()
            self._thread = thread
        task = Task(work)
        self._tasks.put(task)
        return task


def _helping(tasks: SimpleQueue[Task[Any] | None]) -> None:
    while (task := tasks.get()) is not None:
        task.do()
        del task  # nothing of it stays while there is nothing to do
