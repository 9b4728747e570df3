"""The settings of a server."""

from __future__ import annotations

from dataclasses import dataclass, field

from .models.model_options import ModelOptions

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class ServerOptions:
    """What a server listens on, and its limits."""

    host: str = "127.0.0.1"
    port: int = 8000
    grpc_port: int | None = None
    max_body_bytes: int = 64 * MEBIBYTE
    max_rows: int = 65536
    """Rows of one request."""
    timeout_s: float = 30.0
    """The longest time from the arrival of a request to its answer."""
    token: str | None = None
    models: ModelOptions = field(default_factory=ModelOptions)
