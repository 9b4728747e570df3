"""An event loop in virtual time: the clock jumps to the next timer when nothing else is left to do."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    """Moves the clock to the next timer instead of waiting for it."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "nothing is left that could wake the loop"
        self.now_s += timeout
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop without threads: what an executor runs ends after the time that it `spend`s."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self.in_executor = 0
        """Calls that an executor runs."""

    def time(self) -> float:
        return self._jumping.now_s

    def spend(self, seconds: float) -> None:
        """Lets time pass in the function that is being run."""
        self._jumping.now_s += seconds

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        start_s, future = self.time(), self.create_future()
        result = func(*args)
        spent_s, self._jumping.now_s = self.time() - start_s, start_s
        self.in_executor += 1
        self.call_later(spent_s, self._end, future, result)
        return future

    def _end(self, future: asyncio.Future[Any], result: Any) -> None:
        self.in_executor -= 1
        future.set_result(result)


def run_in_virtual_time(main: Callable[[VirtualTimeLoop], Coroutine[Any, Any, Any]]) -> Any:
    """The result of a coroutine function, which is called with the loop that runs it."""
    loop = VirtualTimeLoop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main(loop))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
