"""HTTP requests over connections that stay open, repeated while a server is busy."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import NamedTuple

from ..core.files.files import error_reason
from .endpoint import Endpoint
from .server_error import ServerError, error_of_answer

BUSY_STATUSES = (429, 503)
"""Answers of a server that can take the same request later."""
MAX_IDLE_CONNECTIONS = 16
FIRST_DELAY_S = 0.1
"""Before the first repetition without Retry-After; each further one waits twice as long."""
MAX_DELAY_S = 5.0
MIN_TIMEOUT_S = 0.001
"""Of a socket: zero would mean that it does not wait at all."""


class Answer(NamedTuple):
    """An answer of success."""

    body: bytes
    headers: Mapping[str, str]
    """By the names in small letters."""


@dataclass(eq=False)
class Transport:
    """Requests to one server. Thread-safe: each request takes an idle connection, or makes one."""

    endpoint: Endpoint
    token: str | None = field(repr=False)
    timeout_s: float
    """Seconds for a request with its repetitions."""
    retries: int
    """Repetitions of a request while the server is busy."""

    def __post_init__(self) -> None:
        self._idle: list[HTTPConnection] = []
        self._lock = threading.Lock()
        self._process = os.getpid()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
        retries: int | None = None,
    ) -> Answer:
        """The answer to a request. Raises ServerError for any other than success."""
        deadline = time.monotonic() + self.timeout_s
        retries = self.retries if retries is None else retries
        for attempt in range(retries + 1):
            try:
                return self._request_once(method, path, body, headers, deadline)
            except ServerError as error:
                delay = _delay(error, attempt)
                if attempt == retries or delay is None or time.monotonic() + delay > deadline:
                    raise
            time.sleep(delay)
        raise ValueError("retries is negative")

    def close(self) -> None:
        """Closes the idle connections. A later request opens a new one."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _request_once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], deadline: float
    ) -> Answer:
        all_headers = {"Connection": "keep-alive", **self.endpoint.headers, **headers}
        if self.token is not None:
            all_headers["Authorization"] = f"Bearer {self.token}"
        while True:
            connection, is_used = self._take()
            try:
                response = self._exchange(connection, method, path, body, all_headers, deadline)
                content = response.read()
            except ConnectionError as error:
                connection.close()
                if is_used:  # the server has closed it meanwhile; requests change nothing, so they may be sent again
                    continue
                raise self._unreachable(error) from error
            except (OSError, HTTPException) as error:
                connection.close()
                raise self._unreachable(error) from error
            except BaseException:  # Ctrl-C: the rest of the answer would be read as that of the next request
                connection.close()
                raise
            self._give_back(connection, response)
            return self._answer(response, content)

    def _exchange(
        self,
        connection: HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        deadline: float,
    ) -> HTTPResponse:
        """The answer, of which only the head is read."""
        _set_timeout(connection, deadline)
        if connection.sock is None:
            connection.connect()
        try:
            connection.request(method, self.endpoint.target(path), body, dict(headers))
        except (BrokenPipeError, ConnectionResetError):
            # A server may refuse a request before it has read all of it, such as a body that is too large.
            return connection.getresponse()
        _set_timeout(connection, deadline)
        return connection.getresponse()

    def _take(self) -> tuple[HTTPConnection, bool]:
        """A connection, and whether it was used before."""
        with self._lock:
            if self._process != os.getpid():  # after a fork, connections are those of the parent process
                self._idle, self._process = [], os.getpid()
            if self._idle:
                return self._idle.pop(), True
        return self.endpoint.connect(), False

    def _give_back(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        with self._lock:
            is_kept = not response.will_close and len(self._idle) < MAX_IDLE_CONNECTIONS
            if is_kept:
                self._idle.append(connection)
        if not is_kept:
            connection.close()

    @staticmethod
    def _answer(response: HTTPResponse, body: bytes) -> Answer:
        if not 200 <= response.status < 300:
            retry_after_s = _retry_after(response.getheader("Retry-After"))
            raise error_of_answer(response.status, response.reason, body, retry_after_s)
        return Answer(body, {name.lower(): value for name, value in response.getheaders()})

    def _unreachable(self, error: Exception) -> ServerError:
        if isinstance(error, TimeoutError):
            message = f"{self.endpoint} has not answered within {self.timeout_s:g} seconds"
            return ServerError(None, "server-unreachable", message, "give the client a longer `timeout`")
        reason = error_reason(error) if isinstance(error, OSError) else str(error) or type(error).__name__
        help = "start the server, or correct the URL: `jsonnx serve RUN` prints it"
        return ServerError(None, "server-unreachable", f"cannot get an answer from {self.endpoint}: {reason}", help)


def _set_timeout(connection: HTTPConnection, deadline: float) -> None:
    timeout = max(MIN_TIMEOUT_S, deadline - time.monotonic())
    connection.timeout = timeout
    if connection.sock is not None:
        connection.sock.settimeout(timeout)


def _delay(error: ServerError, attempt: int) -> float | None:
    """The seconds before a request is repeated; None if it would get the same answer."""
    if error.status not in BUSY_STATUSES:
        return None
    if error.retry_after_s is not None:
        return error.retry_after_s
    longest = min(MAX_DELAY_S, FIRST_DELAY_S * 2**attempt)
    return random.uniform(longest / 2, longest)  # clients that were refused together come back one by one


def _retry_after(value: str | None) -> float | None:
    """Seconds from a header Retry-After, which has them or a date."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
