"""Answers over HTTP."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

from ..protocol.errors import RequestError

JSON = "application/json"


def json_response(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON document as an answer."""
    return Response(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY), status, headers, JSON)


def error_response(error: RequestError) -> Response:
    """The answer to a request that failed."""
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return json_response(error.document(), error.status, headers)
