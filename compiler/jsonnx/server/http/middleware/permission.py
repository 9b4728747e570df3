"""Who may send requests: the token, and requests that a page of another site makes a browser send."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from ...protocol.errors import RequestError
from ...protocol.tokens import require_token

PUBLIC_PATHS = frozenset(("/v2/health/live", "/v2/health/ready"))
"""What needs no token: probes have none."""
SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
CHALLENGES = [(b"www-authenticate", b'Bearer realm="jsonnx"'), (b"www-authenticate", b'Basic realm="jsonnx"')]
"""The forms of a token: programs send the first; browsers ask for the second, whose password is the token."""


class Permission:
    """Refuses requests without the token, and requests that another site makes a browser send.

    A browser on this machine reaches a server on localhost for any page that it shows. Such requests are known by the
    `Origin` header, or, if the page has had a name of its own resolved to this machine, by an unknown `Host` header.
    `hosts` has the names that are accepted as `Host`; None accepts all. `origins` has the sites whose pages may call.
    """

    def __init__(
        self, token: str | None = None, hosts: Collection[str] | None = None, origins: Collection[str] = ()
    ) -> None:
        self._token = None if token is None else token.encode()
        self._hosts = None if hosts is None else frozenset(name.lower() for name in hosts)
        self._origins = frozenset(origins)

    def check(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> None:
        """Raises RequestError 401, 403 if the request may not be answered."""
        host = headers.get(b"host", b"").decode("latin-1")
        if self._hosts is not None and host and not self._is_known_host(host):
            help = "give the server --allow-host for each name that it is called by"
            raise RequestError(403, "forbidden-origin", f"the Host header names another host: {host!r}", help)
        if (origin := headers.get(b"origin")) is not None and method not in SAFE_METHODS:
            self._check_origin(origin.decode("latin-1"), host)
        if self._token is not None and path not in PUBLIC_PATHS:
            require_token(headers.get(b"authorization", b""), self._token)

    def allowed_origin(self, headers: Mapping[bytes, bytes]) -> bytes | None:
        """The other site of a request's page if it may read the answer."""
        origin = headers.get(b"origin")
        return origin if origin is not None and origin.decode("latin-1") in self._origins else None

    def _is_known_host(self, host: str) -> bool:
        name = host_name(host)
        return self._hosts is None or name in self._hosts or is_loopback(name)

    def _check_origin(self, origin: str, host: str) -> None:
        if origin in self._origins or urlsplit(origin).netloc.lower() == host.lower():
            return
        help = f"give the server --allow-origin {origin}" if origin != "null" else None
        raise RequestError(403, "forbidden-origin", f"a page of another site sent the request: {origin!r}", help)


def host_name(host: str) -> str:
    """The name of a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def is_loopback(name: str) -> bool:
    """Whether a name or an address is that of this machine alone."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
