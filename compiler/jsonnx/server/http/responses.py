"""Answers over HTTP."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

from ..monitoring.request_record import current_request
from ..protocol.errors import RequestError

JSON = "application/json"


def json_response(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON document as an answer."""
    return Response(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY), status, headers, JSON)


def error_response(error: RequestError) -> Response:
    """The answer to a request that failed, of which the log tells the code."""
    if (record := current_request.get()) is not None:
        record.code = error.code
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return json_response(error.document(), error.status, headers)
