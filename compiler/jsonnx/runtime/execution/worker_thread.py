"""A background thread that runs functions while the caller continues."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class WorkerThread:
    """An executor of one thread, which ends when its owner is garbage-collected.

    The executor is replaced in a forked process, which does not have its thread, and after a failure to start the
    thread, since it would run the function of the failed call later.

    A future holds the exception of its function, and the exception its frames. A frame that holds the future and raises
    the exception must delete the future, or both stay in memory until the next garbage collection.
    """

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._process_id = 0

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Starts the function once those submitted before have ended.

        If no thread can be started, as in an `atexit` handler, the function runs on the calling thread before `submit`
        returns.
        """
        if self._executor is None or self._process_id != os.getpid():
            self._executor, self._process_id = ThreadPoolExecutor(1, "jsonnx"), os.getpid()
        try:
            return self._executor.submit(function)
        except RuntimeError:
            self._executor = None
            return _run_now(function)


def _run_now(function: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()
    try:
        future.set_result(function())
    except BaseException as error:
        future.set_exception(error)
    return future
