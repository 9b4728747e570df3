"""A small HTTP client that also sends what no proper client sends."""

from __future__ import annotations

import http.client
import io
import json
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .verdicts import violate

DEFAULT_TIMEOUT_S = 15.0
MAX_SHOWN_BYTES = 500
RECEIVE_BYTES = 65_536

TlsError = ssl.SSLError
"""The failure of a connection whose certificate is not trusted, or that is none of TLS."""


@dataclass(frozen=True)
class Answer:
    """An answer of the server; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON, which has neither NaN nor Infinity."""
        try:
            return json.loads(self.body.decode(), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            violate("a body that is JSON", f"{error}: {excerpt(self.body)}")

    def __str__(self) -> str:
        return f"{self.status} {excerpt(self.body)}"


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def excerpt(data: bytes) -> str:
    """The beginning of a message, printable."""
    text = data[:MAX_SHOWN_BYTES].decode(errors="backslashreplace")
    return text if len(data) <= MAX_SHOWN_BYTES else f"{text}... ({len(data):,} bytes)"


@dataclass
class HttpClient:
    """Sends requests to one server, each on a connection of its own, and remembers the last one."""

    url: str
    token: str | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    ca_file: str | None = None
    """Certificates to trust, as PEM; those of the system by default."""
    last_sent: str = field(default="", init=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        self.is_encrypted = parts.scheme == "https"
        self.host = parts.hostname or "localhost"
        self.port = parts.port or (443 if self.is_encrypted else 80)
        self.base = parts.path.rstrip("/")

    def get(self, path: str, headers: Mapping[str, str] = {}) -> Answer:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, document: Any = None, headers: Mapping[str, str] = {}) -> Answer:
        """Posts a document as JSON; bytes are sent as they are."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.request("POST", path, body, {"Content-Type": "application/json", **headers})

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}, *, proves: bool = True
    ) -> Answer:
        """Sends one proper request; without the token if `proves` is false."""
        self.last_sent = f"{method} {path}{_shown(headers)} {excerpt(body or b'')}".strip()
        connection = self._connection()
        try:
            sent = {**(self._authorization() if proves else {}), **headers}
            connection.request(method, f"{self.base}/{path}", body, sent)
            return _answer(connection.getresponse())
        except (OSError, http.client.HTTPException) as error:
            violate("an answer", f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self.is_encrypted:
            return http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout_s, context=self._context())
        return http.client.HTTPConnection(self.host, self.port, timeout=self.timeout_s)

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file)

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def head(self, method: str, path: str, *lines: str, ends: bool = True) -> bytes:
        """The head of a raw request, with the headers Host and Authorization."""
        proof = [f"{name}: {value}" for name, value in self._authorization().items()]
        all_lines = [f"{method} {self.base}/{path} HTTP/1.1", f"Host: {self.host}:{self.port}", *proof, *lines]
        return "\r\n".join([*all_lines, "", ""] if ends else all_lines).encode("latin-1")

    def connect(self) -> socket.socket:
        connection = socket.create_connection((self.host, self.port), self.timeout_s)
        if self.is_encrypted:
            return self._context().wrap_socket(connection, server_hostname=self.host)
        return connection

    def exchange(self, *parts: bytes, answers: int = 1, pause_s: float = 0.0, is_cut: bool = False) -> list[Answer]:
        """Sends raw bytes, with pauses between the parts, and returns up to `answers` complete answers.

        There are fewer if the server closes the connection or is silent. With `is_cut`, nothing is sent afterwards.
        """
        self.last_sent = excerpt(b"".join(parts))
        received: list[Answer] = []
        data = b""
        with self.connect() as connection:
            with suppress(OSError):  # the server may answer and close before it has read all
                for part in parts:
                    connection.sendall(part)
                    time.sleep(pause_s)
                if is_cut:
                    connection.shutdown(socket.SHUT_WR)
            with suppress(OSError):
                while len(received) < answers and (chunk := connection.recv(RECEIVE_BYTES)):
                    data += chunk
                    received = parse_answers(data)
        return received

    def connection_error(self) -> OSError | None:
        """Why no connection can be made, if none can."""
        try:
            self.connect().close()
        except OSError as error:
            return error
        return None


def _answer(response: http.client.HTTPResponse) -> Answer:
    body = response.read()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


def parse_answers(data: bytes) -> list[Answer]:
    """The complete answers at the beginning of what was received."""
    stream, answers = _Stream(data), []
    while True:
        response = http.client.HTTPResponse(stream)  # type: ignore[arg-type]  # it only reads from `makefile`
        try:
            response.begin()
            answers.append(_answer(response))
        except (OSError, http.client.HTTPException):
            return answers


class _Stream(io.BytesIO):
    """Received bytes in the place of a socket, from which several answers are read."""

    def makefile(self, mode: str) -> _Stream:
        return self

    def close(self) -> None:
        """The end of one answer is not the end of the stream."""


def _shown(headers: Mapping[str, str]) -> str:
    return "".join(f" [{name}: {value}]" for name, value in headers.items())
