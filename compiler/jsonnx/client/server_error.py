"""The error that a client raises for a server that refuses a request, or cannot be reached."""

from __future__ import annotations

import json
from typing import Any

from ..core.diagnostics import UsageError

MAX_TEXT_CHARACTERS = 500
"""Of an answer that is no JSON, as a message."""


class ServerError(UsageError):
    """A server has refused a request, or cannot be reached: then there is no status.

    `code`, `message` and `help` are those of the server. `document` is its whole answer, as far as it is JSON.
    """

    def __init__(
        self,
        status: int | None,
        code: str,
        message: str,
        help: str | None = None,
        retry_after_s: float | None = None,
        document: Any = None,
    ) -> None:
        super().__init__(code, message, help)
        self.status = status
        self.retry_after_s = retry_after_s
        """Seconds after which the server suggests to try again."""
        self.document = document

    @property
    def code(self) -> str:
        return self.diagnostic.code

    @property
    def message(self) -> str:
        return self.diagnostic.message

    @property
    def help(self) -> str | None:
        return self.diagnostic.help

    def __reduce__(self) -> Any:
        arguments = (self.status, self.code, self.message, self.help, self.retry_after_s, self.document)
        return type(self), arguments, self.__dict__


def error_of_answer(status: int, reason: str, body: bytes, retry_after_s: float | None) -> ServerError:
    """The error of an answer that is none of success: a JSON object with `error`, or any other body."""
    document: Any = None
    try:
        document = json.loads(body)
    except ValueError:  # a proxy's page
        text = body.decode(errors="replace").strip() if not body.lstrip().startswith(b"<") else ""
    else:
        text = ""
    fields = document if isinstance(document, dict) else {}
    message = fields.get("error") or fields.get("detail") or text[:MAX_TEXT_CHARACTERS] or f"{status} {reason}".strip()
    message = message if isinstance(message, str) else json.dumps(message)
    own_code, own_help = fields.get("code"), fields.get("help")
    help = own_help if isinstance(own_help, str) else None
    code = own_code if isinstance(own_code, str) and own_code else "server-error"
    if help is not None:  # the text of an error of jsonnx ends with its help
        message = message.removesuffix(f"; {help}")
    return ServerError(status, code, message, help, retry_after_s, document)


def other_answer(expected: str, reason: str = "") -> ServerError:
    """The error of an answer of success that is not what the protocol says."""
    help = "the URL may be that of another kind of server"
    return ServerError(None, "server-error", f"the server's answer is not {expected}{reason}", help)
