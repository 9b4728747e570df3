"""Where a server listens, and with which certificate."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from ...core.diagnostics import UsageError
from ...core.files.files import open_file
from ..options import ServerOptions
from .middleware.permission import is_loopback

BACKLOG = 2048
"""Connections that the operating system accepts before the server does."""
MAX_TOKEN_BYTES = 4096
TOKEN_VARIABLE = "JSONNX_TOKEN"


def check_exposure(options: ServerOptions) -> None:
    """Raises UsageError if other machines could send requests without a token, unless that was asked for."""
    if is_loopback(options.host) or options.token is not None or options.is_insecure:
        return
    message = f"--host {options.host} lets other machines send requests, and there is no token"
    help = f"give --token-file FILE or the environment variable {TOKEN_VARIABLE}, or --insecure to serve anybody"
    raise UsageError("exposed-server", message, help)


def read_token(file: str | None, variable: str | None) -> str | None:
    """The token in a file, or else in an environment variable; None without both. Raises UsageError."""
    if file is None:
        return _checked_token(variable, f"the environment variable {TOKEN_VARIABLE}") if variable is not None else None
    with open_file(file) as opened:
        data = opened.read(MAX_TOKEN_BYTES + 1)
    return _checked_token(data.decode("latin-1").strip(), f"the file {file!r}")


def _checked_token(token: str, origin: str) -> str:
    if token and len(token) <= MAX_TOKEN_BYTES and token.isascii() and token.isprintable() and " " not in token:
        return token
    message = f"{origin} has no token: it must be 1 to {MAX_TOKEN_BYTES:,} visible ASCII characters"
    raise UsageError("bad-option", message, "`openssl rand -hex 32` makes one")


@dataclass(frozen=True)
class Listener:
    """A socket that listens, and the settings of TLS on it."""

    socket: socket.socket
    tls: ssl.SSLContext | None

    @property
    def url(self) -> str:
        """Its address."""
        host, port = self.socket.getsockname()[:2]
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def listen(options: ServerOptions) -> Listener:
    """Listens at the address of a server; port 0 takes a free one. Raises UsageError."""
    check_exposure(options)
    tls = _tls_context(options.tls_certificate, options.tls_key)
    try:
        found = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = min(found, key=lambda item: item[0] != socket.AF_INET)  # where most clients look
        return Listener(socket.create_server(address[:2], family=family, backlog=BACKLOG), tls)
    except OSError as error:
        has_number = error.errno is not None and not isinstance(error, socket.gaierror)
        reason = os.strerror(error.errno or 0) if has_number else error.strerror or str(error)
        message = f"cannot listen on {options.host} port {options.port}: {reason}"
        help = "--port 0 takes a free port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else None
        raise UsageError("address-unavailable", message, help) from error


def _tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """The settings of TLS 1.2 and 1.3 with a certificate; None without one. Raises UsageError."""
    if certificate is None:
        if key is not None:
            raise UsageError("bad-option", "--tls-key has no certificate", "add --tls-certificate")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        message = f"{str(certificate)!r} is no certificate with its key: {error.reason or error}"
        help = "both are PEM files, the key without a password; --tls-key names the key if it is a file of its own"
        raise UsageError("bad-certificate", message, help) from error
    except OSError as error:
        message = f"the certificate or its key cannot be read: {error.strerror or error}"
        raise UsageError("unreadable-file", message) from error
    return context
