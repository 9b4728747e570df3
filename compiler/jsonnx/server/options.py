"""The settings of a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..core.limits import MIB
from .models.model_options import ModelOptions
from .monitoring.request_record import LogFormat


@dataclass(frozen=True)
class ServerOptions:
    """What a server listens on, and its limits."""

    host: str = "127.0.0.1"
    port: int = 8000
    grpc_port: int | None = None
    max_body_bytes: int = 64 * MIB
    max_rows: int = 65536
    """Rows of one request."""
    timeout_s: float = 30.0
    """The longest time from the arrival of a request to its answer."""
    max_connections: int = 1024
    token: str | None = None
    """What each request must give; None: nothing."""
    is_insecure: bool = False
    """Whether other machines may send requests without a token."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    hosts: tuple[str, ...] = ()
    """Names that the server is called by, besides those of this machine alone."""
    origins: tuple[str, ...] = ()
    """Other sites whose pages may send requests, such as https://example.org."""
    drain_s: float = 30.0
    """The longest time that requests get to their answers when the server is told to end."""
    drain_delay_s: float = 0.0
    """The time for which a server that is told to end still accepts requests: load balancers learn of it by then."""
    reload_s: float = 0.0
    """The time between two looks at the models' files; 0: none."""
    log: LogFormat = "text"
    models: ModelOptions = field(default_factory=ModelOptions)
