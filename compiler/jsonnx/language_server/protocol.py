"""The protocol of pygls, which answers requests whose parameters are invalid, too, and survives wrong lengths."""

from __future__ import annotations

import logging
import re
from typing import Any, BinaryIO

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams, JsonRpcInvalidRequest, JsonRpcParseError
from pygls.protocol import LanguageServerProtocol

MAX_MESSAGE_BYTES = 1 << 28
MAX_HEADER_BYTES = 1 << 16

_LONG_LENGTH = re.compile(rb"Content-Length: \d{16,}\r\n")

logger = logging.getLogger(__name__)


class MessageInput:
    """Standard input, in which a message that is too long reads as `null`: its content is not awaited."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readline(self) -> bytes:
        """A line of the header. A length of more digits than pygls can read is cut."""
        line = self._stream.readline(MAX_HEADER_BYTES)
        return b"Content-Length: %d\r\n" % (MAX_MESSAGE_BYTES + 1) if _LONG_LENGTH.fullmatch(line) else line

    def read(self, size: int) -> bytes:
        return self._stream.read(size) if size <= MAX_MESSAGE_BYTES else b"null"


class SpecProtocol(LanguageServerProtocol):
    """Without it, an editor would wait forever for the answer to a request that cannot be read, or comes too late."""

    _has_initialized = False

    def handle_message(self, message: Any) -> None:
        """Handles a message, unless it is a request that the protocol allows at another time only."""
        if message is None:
            text = f"a message has more than {MAX_MESSAGE_BYTES:,} bytes, and is left out"
            logger.error(text)
            error = {"code": JsonRpcParseError.CODE, "message": text}
            self._send_data({"jsonrpc": self.VERSION, "id": None, "error": error})  # pygls would omit an id of None
            return
        method, identifier = getattr(message, "method", None), getattr(message, "id", None)
        is_second = method == types.INITIALIZE and self._has_initialized
        if method is not None and identifier is not None and (self._shutdown or is_second):
            reason = "the server is shut down" if self._shutdown else "the server is initialized already"
            self._send_response(identifier, error=JsonRpcInvalidRequest(reason).to_response_error())
            return
        self._has_initialized |= method == types.INITIALIZE
        super().handle_message(message)

    def structure_message(self, data: dict[str, Any]) -> Any:
        """A message as an object. Answers a request with the error before it is raised."""
        try:
            return super().structure_message(data)
        except JsonRpcException:
            if "id" in data and "method" in data:
                message = f"the parameters of {data['method']!r} are invalid"
                error = JsonRpcInvalidParams(message).to_response_error()
                self._send_response(data["id"], error=error)
            raise
