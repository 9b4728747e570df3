"""The status of gRPC for the failure of a request."""

from __future__ import annotations

import grpc

from ..protocol.errors import RequestError

_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""The status of each HTTP status that a `RequestError` has."""

_STATUS_OF_CODE = {"request-timeout": grpc.StatusCode.DEADLINE_EXCEEDED}
"""HTTP has one status for a server without time and one without the model, of which clients repeat only the latter."""

MAX_DETAILS_BYTES = 2000
"""A client refuses an answer with more than 8 KiB of metadata, in which a byte may take three."""


def status_of(error: RequestError) -> grpc.StatusCode:
    """The status of gRPC."""
    return _STATUS_OF_CODE.get(error.code) or _STATUS.get(error.status, grpc.StatusCode.INTERNAL)


def details_of(error: RequestError) -> str:
    """The text of the status: code and message."""
    text = f"{error.code}: {error}"
    if len(text.encode()) <= MAX_DETAILS_BYTES:
        return text
    return text.encode()[:MAX_DETAILS_BYTES].decode(errors="ignore") + "..."


def trailing_metadata_of(error: RequestError) -> tuple[tuple[str, str], ...]:
    """The error's code, and when to try again, for programs."""
    retry = () if error.retry_after_s is None else (("retry-after", str(error.retry_after_s)),)
    return (("error-code", error.code), *retry)
