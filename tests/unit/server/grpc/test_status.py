from __future__ import annotations

import grpc
import pytest
from jsonnx.server.grpc.status import MAX_DETAILS_BYTES, details_of, status_of, trailing_metadata_of
from jsonnx.server.protocol.errors import RequestError


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (404, "NOT_FOUND"),
        (413, "RESOURCE_EXHAUSTED"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (501, "UNIMPLEMENTED"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ],
)
def test_every_http_status_has_one(status: int, name: str) -> None:
    assert status_of(RequestError(status, "code", "message")) is grpc.StatusCode[name]
    assert status_of(RequestError(status, "request-timeout", "message")) is grpc.StatusCode.DEADLINE_EXCEEDED


def test_details_and_metadata() -> None:
    error = RequestError(429, "queue-full", "the queue is full", "try again", retry_after_s=3)
    assert details_of(error) == "queue-full: the queue is full; try again"
    assert trailing_metadata_of(error) == (("error-code", "queue-full"), ("retry-after", "3"))
    assert trailing_metadata_of(RequestError(400, "bad-feed", "m")) == (("error-code", "bad-feed"),)


def test_long_details_end_at_a_character() -> None:
    text = details_of(RequestError(400, "bad", "ü" * 5000))
    assert text.startswith("bad: üü")
    assert text.endswith("ü...")
    assert len(text.encode()) <= MAX_DETAILS_BYTES + 3
