"""The address of a server: host, port, prefix of all paths, TLS, and the proxy on the way."""

from __future__ import annotations

import base64
import ipaddress
import os
import ssl
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ..core.diagnostics import UsageError
from ..core.files.files import error_reason

DEFAULT_PORTS = {"http": 80, "https": 443}
URL_HELP = "give a URL such as http://localhost:8000"


@dataclass(frozen=True)
class Endpoint:
    """An address, from which connections are made."""

    scheme: str
    host: str
    port: int
    prefix: str
    """The path before that of a request, without a slash at its end."""
    tls: ssl.SSLContext | None = None
    proxy: SplitResult | None = None

    @staticmethod
    def of(url: str, ca_file: str | os.PathLike[str] | None = None) -> Endpoint:
        """The address in a URL; certificates are verified, by those in `ca_file` if it is given. Raises UsageError."""
        parts = _split(url if "://" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError as error:
            raise UsageError("bad-option", f"{url!r} has a port that is no number below 65536", URL_HELP) from error
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.query or parts.fragment or parts.username:
            raise UsageError("bad-option", f"{url!r} is not the URL of a server", URL_HELP)
        tls = _tls_context(ca_file) if parts.scheme == "https" else None
        return Endpoint(
            parts.scheme,
            parts.hostname,
            port or DEFAULT_PORTS[parts.scheme],
            parts.path.rstrip("/"),
            tls,
            _proxy_of(parts.scheme, parts.hostname),
        )

    @property
    def authority(self) -> str:
        """Host and port, as a URL has them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.prefix}"

    def connect(self) -> HTTPConnection:
        """A connection, which opens at its first request."""
        proxy = self.proxy
        host, port = (self.host, self.port) if proxy is None else (proxy.hostname or "", proxy.port or 80)
        if self.tls is None:
            return HTTPConnection(host, port)
        connection = HTTPSConnection(host, port, context=self.tls)
        if proxy is not None:
            connection.set_tunnel(self.host, self.port, _proxy_headers(proxy))
        return connection

    def target(self, path: str) -> str:
        """What a request for a path names: the path, or for a proxy the whole URL."""
        return f"{self}{path}" if self.proxy is not None and self.tls is None else self.prefix + path

    @property
    def headers(self) -> dict[str, str]:
        """The headers that a proxy needs in each request."""
        return _proxy_headers(self.proxy) if self.proxy is not None and self.tls is None else {}


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise UsageError("bad-option", f"{url!r} is not a URL: {error}", URL_HELP) from error


def _tls_context(ca_file: str | os.PathLike[str] | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        message = f"cannot read certificates from {os.fspath(ca_file or '')!r}: {error_reason(error)}"
        raise UsageError("unreadable-file", message, "give a file of PEM certificates") from error


def _proxy_of(scheme: str, host: str) -> SplitResult | None:
    """The proxy that the environment names for a host; None for the machine's own addresses."""
    url = getproxies().get(scheme)
    if not url or is_loopback(host) or proxy_bypass(host):
        return None
    return _split(url if "://" in url else f"http://{url}")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    credentials = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}
