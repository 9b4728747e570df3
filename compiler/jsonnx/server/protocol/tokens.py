"""The token that requests must give."""

from __future__ import annotations

import base64
import binascii
import hmac

from .errors import RequestError


def require_token(authorization: bytes, token: bytes) -> None:
    """Raises RequestError 401 unless the value of an Authorization header has the token."""
    if not hmac.compare_digest(_given_token(authorization), token):
        message = "the token is wrong" if authorization else "the request has no token"
        raise RequestError(401, "wrong-token", message, "send the header Authorization: Bearer TOKEN")


def _given_token(authorization: bytes) -> bytes:
    """A bearer's token, or the password of Basic; empty without one."""
    scheme, _, credentials = authorization.partition(b" ")
    if scheme.lower() == b"bearer":
        return credentials.strip()
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(credentials.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""
