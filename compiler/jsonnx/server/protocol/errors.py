"""The failure of a request, which every transport answers in its own form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...data.samples.data_errors import FeedError
from ...render.diagnostics.diagnostics_json import diagnostics_json


class RequestError(Exception):
    """A request that gets no result.

    `status` is the HTTP status, `code` one of the codes that `jsonnx explain` explains. `diagnostics` lists the errors
    in the rows of a request, `retry_after_s` says when the same request may succeed.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        help: str | None = None,
        *,
        retry_after_s: int | None = None,
        diagnostics: Sequence[Diagnostic] = (),
    ) -> None:
        super().__init__(f"{message}; {help}" if help else message)
        self.status, self.code, self.message, self.help = status, code, message, help
        self.retry_after_s, self.diagnostics = retry_after_s, diagnostics

    def document(self) -> dict[str, Any]:
        """The body of the answer."""
        body: dict[str, Any] = {"error": str(self), "code": self.code}
        if self.help is not None:
            body["help"] = self.help
        if self.diagnostics:
            body["diagnostics"] = diagnostics_json(self.diagnostics)
        return body

    @staticmethod
    def of(error: CompileError | FeedError | UsageError) -> RequestError:
        """The failure of a request whose data have errors. An error of the environment is the server's own."""
        if isinstance(error, UsageError):
            diagnostic = error.diagnostic
            is_client = diagnostic.code in CLIENT_ERROR_CODES
            return RequestError(400 if is_client else 500, diagnostic.code, diagnostic.message, diagnostic.help)
        first, *others = error.diagnostics
        message = first.message + (f" (and {len(others)} more)" if others else "")
        # The help of a data error is for the author of the spec.
        return RequestError(400, first.code, message, diagnostics=error.diagnostics)


CLIENT_ERROR_CODES = {"bad-option", "data-shape", "too-large", "unreadable-file"}
"""The codes of UsageErrors that a request causes by its data."""


def bad_request(message: str, help: str | None = None) -> RequestError:
    """A request that is not of the form of the protocol."""
    return RequestError(400, "bad-request", message, help)
