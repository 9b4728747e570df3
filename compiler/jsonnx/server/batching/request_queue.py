"""Requests that wait for a run."""

from __future__ import annotations

from asyncio import Future
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from math import inf

from ..monitoring.observer import Feeds


@dataclass(eq=False, slots=True)
class WaitingRequest:
    """A request in the queue."""

    feeds: Feeds
    rows: int
    future: Future[Feeds]
    """Its outputs; done if nobody waits for them any longer."""
    queued_s: float
    deadline_s: float = inf
    is_queued: bool = True


def row_count(feeds: Feeds) -> int:
    """The rows of a request: the size of the first axis of its inputs; 1 if they have none."""
    return max((len(array) if array.ndim else 1 for array in feeds.values()), default=1)


def batch_key(feeds: Feeds) -> Hashable:
    """What requests must have in common to share a run: names, element types, and shapes but for the rows."""
    return tuple((name, array.dtype, array.shape[1:]) for name, array in feeds.items())


class RequestQueue:
    """Requests in the order of their arrival, those that cannot share a run apart.

    Requests whose futures are done are left out. Whoever ends the future of a waiting request calls `forget`.
    """

    def __init__(self) -> None:
        self._requests: dict[Hashable, deque[WaitingRequest]] = {}
        self.rows = self.count = 0

    def add(self, request: WaitingRequest) -> None:
        """Appends a request."""
        self._requests.setdefault(batch_key(request.feeds), deque()).append(request)
        self.rows += request.rows
        self.count += 1

    def forget(self, request: WaitingRequest) -> None:
        """Stops counting a request whose future is done, if it still waits."""
        if request.is_queued:
            request.is_queued = False
            self.rows -= request.rows
            self.count -= 1

    def waiting(self) -> list[WaitingRequest]:
        """All requests."""
        return [item for requests in self._requests.values() for item in requests if not item.future.done()]

    def oldest(self) -> WaitingRequest | None:
        """The request that has waited for the longest time."""
        heads = [head for key in list(self._requests) if (head := self._head(key)) is not None]
        return min(heads, key=lambda head: head.queued_s, default=None)

    def rows_like(self, request: WaitingRequest) -> int:
        """The rows of all requests that can share a run with this one."""
        return sum(item.rows for item in self._requests[batch_key(request.feeds)] if not item.future.done())

    def take(self, max_rows: int) -> list[WaitingRequest]:
        """Removes the oldest request, and those that can share a run with it, up to a number of rows in all."""
        oldest = self.oldest()
        if oldest is None:
            return []
        requests = self._requests[batch_key(oldest.feeds)]
        taken, rows = [requests.popleft()], oldest.rows
        while requests and (requests[0].future.done() or rows + requests[0].rows <= max_rows):
            request = requests.popleft()
            if not request.future.done():
                taken.append(request)
                rows += request.rows
        for request in taken:
            self.forget(request)
        return taken

    def _head(self, key: Hashable) -> WaitingRequest | None:
        """The first request of a key that still waits; without one, the key is removed."""
        requests = self._requests[key]
        while requests and requests[0].future.done():
            requests.popleft()
        if requests:
            return requests[0]
        del self._requests[key]
        return None
