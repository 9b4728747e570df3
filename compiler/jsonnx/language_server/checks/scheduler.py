"""Checks documents in the background: the newest version first, at most one at a time.

The event loop answers requests while a check runs in a thread. A check of an older version is cancelled between two of
its stages. Costs are computed when a document has not changed for a while.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ..documents.documents import Document
from .checks import CheckCancelled, SpecCheck, check_document, compute_costs

Result = TypeVar("Result")

MAX_DELAY_SECONDS = 0.3
"""The longest delay of a check after a change; checks of small specs begin sooner."""
COST_DELAY_SECONDS = 0.3

logger = logging.getLogger(__name__)


class DaemonWorker:
    """A thread that runs functions in order, and that the process does not wait for when it ends."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        while True:
            self._jobs.get()()

    def submit(self, function: Callable[[], Result]) -> Awaitable[Result]:
        """Runs a function in the thread; the future belongs to the running event loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def settle(setter: Callable[[Any], None], value: Any) -> None:
            if not future.done():
                setter(value)

        def job() -> None:
            try:
                setter, value = future.set_result, function()
            except BaseException as error:
                setter, value = future.set_exception, error  # type: ignore[assignment]
            try:
                loop.call_soon_threadsafe(settle, setter, value)
            except RuntimeError:  # the loop is closed: the server ends
                return

        self._jobs.put(job)
        return future


@dataclass(eq=False)
class _State:
    """The checks of one document."""

    document: Document
    done: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the newest version is checked."""
    latest: SpecCheck | None = None
    last_typed: SpecCheck | None = None
    """The last check of a version with types."""
    check_seconds: float = 0.0
    changed_at: float = 0.0
    task: asyncio.Task[None] | None = None
    cost_task: asyncio.Task[None] | None = None


class Scheduler:
    """The checks of all open specs."""

    def __init__(
        self,
        on_check: Callable[[SpecCheck], None],
        on_costs: Callable[[SpecCheck], None],
        open_text: Callable[[Path], str | None],
    ) -> None:
        self._on_check, self._on_costs, self._open_text = on_check, on_costs, open_text
        self._states: dict[str, _State] = {}
        self._checker, self._coster = DaemonWorker("checks"), DaemonWorker("costs")

    def submit(self, document: Document) -> None:
        """Checks a new version of a document soon."""
        loop = asyncio.get_running_loop()
        state = self._states.get(document.uri)
        if state is None:
            state = self._states[document.uri] = _State(document)
        state.document = document
        state.done.clear()
        pause = loop.time() - state.changed_at
        state.changed_at = loop.time()
        if state.task is None or state.task.done():
            delay = min(state.check_seconds / 2, MAX_DELAY_SECONDS) if pause < MAX_DELAY_SECONDS else 0.0
            state.task = loop.create_task(self._check_until_newest(state, delay))

    def close(self, uri: str) -> None:
        """Forgets a document."""
        state = self._states.pop(uri, None)
        if state is not None:
            state.done.set()

    def stop(self) -> None:
        """Cancels all checks."""
        for uri in [*self._states]:
            self.close(uri)

    def latest(self, uri: str) -> SpecCheck | None:
        """The last finished check of a document."""
        state = self._states.get(uri)
        return state.latest if state is not None else None

    def last_typed(self, uri: str) -> SpecCheck | None:
        """The last check of a version that had types: while a line is half written, the version before."""
        state = self._states.get(uri)
        return state.last_typed if state is not None else None

    async def newest(self, uri: str) -> SpecCheck | None:
        """The check of the newest version, when it is finished; None if the document is closed, or not checked."""
        state = self._states.get(uri)
        if state is None:
            return None
        await state.done.wait()
        return state.latest if self._states.get(uri) is state else None

    async def run(self, function: Callable[[], Result]) -> Result:
        """Runs a function between two checks."""
        return await self._checker.submit(function)

    def _is_current(self, state: _State, document: Document) -> bool:
        return state.document is document and self._states.get(document.uri) is state

    async def _check_until_newest(self, state: _State, delay: float) -> None:
        """Checks the newest version, again if it has changed meanwhile."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(delay)
        while self._states.get(state.document.uri) is state:
            document, start = state.document, loop.time()
            try:
                check = await self._checker.submit(lambda document=document: self._run(state, document))  # type: ignore[misc]
            except CheckCancelled:
                continue
            except Exception:
                logger.exception("the check of %s failed", document.uri)
                check = SpecCheck(document, [])
            state.check_seconds = loop.time() - start
            if self._is_current(state, document):
                self._finish(state, check)
                return

    def _run(self, state: _State, document: Document) -> SpecCheck:
        return check_document(document, lambda: not self._is_current(state, document), self._open_text)

    def _finish(self, state: _State, check: SpecCheck) -> None:
        state.latest = check
        state.last_typed = check if check.has_types else state.last_typed
        state.done.set()
        self._on_check(check)
        if check.has_types and (state.cost_task is None or state.cost_task.done()):
            state.cost_task = asyncio.get_running_loop().create_task(self._add_costs(state))

    async def _add_costs(self, state: _State) -> None:
        """Computes the costs of the last version with types, once the document rests."""
        loop = asyncio.get_running_loop()
        while True:
            while (rest := COST_DELAY_SECONDS - (loop.time() - state.changed_at)) > 0:
                await asyncio.sleep(rest)
            check = state.last_typed
            if check is None or self._states.get(state.document.uri) is not state:
                return
            try:
                costed = await self._coster.submit(lambda check=check: compute_costs(check))  # type: ignore[misc]
            except Exception:
                logger.exception("the costs of %s cannot be computed", check.document.uri)
                return
            if state.last_typed is check:
                state.last_typed = costed
                state.latest = costed if state.latest is check else state.latest
                self._on_costs(costed)
                return
