"""Who may send requests: the token, and requests that a page of another site makes a browser send."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from ...protocol.errors import RequestError
from ...protocol.tokens import require_token

PROBES = ("/v2/health/live", "/v2/health/ready")
"""What needs no token: probes have none."""
SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
MAX_KNOWN_HOSTS = 64
"""The maximum number of accepted Host headers that are remembered."""
CHALLENGE = (b"www-authenticate", b'Bearer realm="jsonnx"')
"""The form of a token."""


class Permission:
    """Refuses requests without the token, and requests that another site makes a browser send.

    A browser on this machine reaches a server on localhost for any page that it shows. Such requests are known by the
    `Origin` header, or, if the page has had a name of its own resolved to this machine, by an unknown `Host` header.
    `hosts` has the names that are accepted as `Host`; None accepts all. `origins` has the sites whose pages may call.
    `public_paths` need no token, and neither does what is below those that end in a slash.
    """

    def __init__(
        self,
        token: str | None = None,
        hosts: Collection[str] | None = None,
        origins: Collection[str] = (),
        public_paths: Collection[str] = PROBES,
    ) -> None:
        self._known_hosts: set[bytes] = set()
        self._token = None if token is None else token.encode()
        self._hosts = None if hosts is None else frozenset(name.lower() for name in hosts)
        self._origins = frozenset(origins)
        self._public_paths = frozenset(public_paths)
        self._public_folders = tuple(path for path in public_paths if path.endswith("/") and path != "/")

    def check(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> None:
        """Raises RequestError 401, 403 if the request may not be answered."""
        host = headers.get(b"host", b"")
        if self._hosts is not None and host not in self._known_hosts:
            self._check_host(host, self._hosts)
        if (origin := headers.get(b"origin")) is not None and method not in SAFE_METHODS:
            self._check_origin(origin.decode("latin-1"), host.decode("latin-1"))
        if self._token is not None and path not in self._public_paths and not path.startswith(self._public_folders):
            require_token(headers.get(b"authorization", b""), self._token)

    def allowed_origin(self, headers: Mapping[bytes, bytes]) -> bytes | None:
        """The other site of a request's page if it may read the answer."""
        origin = headers.get(b"origin")
        return origin if origin is not None and origin.decode("latin-1") in self._origins else None

    def _check_host(self, host: bytes, names: frozenset[str]) -> None:
        text = host.decode("latin-1")
        name = host_name(text)
        if host and name not in names and not is_loopback(name):
            help = "give the server --allow-host for each name that it is called by"
            raise RequestError(403, "forbidden-origin", f"the Host header names another host: {text!r}", help)
        if len(self._known_hosts) < MAX_KNOWN_HOSTS:
            self._known_hosts.add(host)

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
