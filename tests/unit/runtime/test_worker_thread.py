"""The worker thread: its end, forks, failures to start, and exceptions."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref

import pytest
from jsonnx.runtime.execution.worker_thread import WorkerThread


def test_functions_run_in_order_on_another_thread() -> None:
    worker, numbers = WorkerThread(), list[int]()
    futures = [worker.submit(lambda number=number: numbers.append(number)) for number in range(20)]  # type: ignore[misc]
    threads = {worker.submit(threading.get_ident).result() for _ in range(3)}
    assert all(future.done() for future in futures)
    assert numbers == [*range(20)]
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_the_thread_ends_when_the_worker_is_garbage_collected() -> None:
    before = set(threading.enumerate())
    worker = WorkerThread()
    worker.submit(int).result()
    (thread,) = set(threading.enumerate()) - before
    gc.disable()
    try:
        del worker
        thread.join(10)
        assert not thread.is_alive()
    finally:
        gc.enable()


def test_without_a_thread_the_caller_runs_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    worker = WorkerThread()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert worker.submit(threading.get_ident).result() == threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            worker.submit(lambda: 1 / 0).result()
    assert worker.submit(threading.get_ident).result() != threading.get_ident()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_every_exception_is_raised_by_the_future(error: type[BaseException]) -> None:
    def fail() -> None:
        raise error

    future = WorkerThread().submit(fail)
    assert isinstance(future.exception(), error)
    with pytest.raises(error):
        future.result()


def test_an_idle_thread_holds_neither_function_nor_result() -> None:
    class Result:
        pass

    worker, result = WorkerThread(), Result()
    reference = weakref.ref(result)
    worker.submit(lambda captured=result: captured).result()  # type: ignore[misc]
    worker.submit(int).result()  # the thread drops the first function before it takes the second
    gc.disable()
    try:
        del result
        assert reference() is None
    finally:
        gc.enable()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_gets_a_thread_of_its_own() -> None:
    worker = WorkerThread()
    worker.submit(int).result()
    child = os.fork()
    if child == 0:
        os._exit(0 if worker.submit(lambda: "done").result() == "done" else 1)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert status == 0
            return
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail("the child waits for a thread that it does not have")


PROGRAM = """
import atexit
from jsonnx.runtime.execution.worker_thread import WorkerThread

worker = WorkerThread()
worker.submit(int).result()
atexit.register(lambda: print(worker.submit(lambda: "done").result()))
"""


def test_an_exit_handler_may_submit_work() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300, check=True)
    assert (result.stdout, result.stderr) == ("done\n", "")
