"""A connection to a Ray cluster, and its nodes."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..core.diagnostics import UsageError
from ..core.files.files import error_reason
from ..core.system.optional_packages import require_package

MAX_CAUSE_CHARACTERS = 300
MAX_CONNECT_SECONDS = 10.0
OWN_OBJECT_STORE_BYTES = 100 << 20
"""Of a cluster that is started for trainings, which store nothing there."""
OWN_CLUSTER = "local"
"""Ray's address of a cluster that is started by this process and ends with it."""


class Node(NamedTuple):
    """A node that is alive."""

    id: str
    address: str
    cpus: int


@dataclass(eq=False)
class Cluster:
    """A cluster that this process uses. It is connected when it is made; Raises UsageError."""

    purpose: str
    """Of what needs the cluster, for messages."""
    address: str | None = None
    """None: that of the environment variable RAY_ADDRESS; without it, a cluster is started."""
    own_settings: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of `ray.init` for a cluster that is started."""

    def __post_init__(self) -> None:
        self.ray: Any = require_package("ray", "ray", self.purpose)
        self._is_connected_here = not self.ray.is_initialized()
        self.is_own = False
        if self._is_connected_here:
            address = self.address or os.environ.get("RAY_ADDRESS") or OWN_CLUSTER
            self.is_own = address == OWN_CLUSTER
            settings = self.own_settings if self.is_own else {}
            _silence()
            try:
                _require_listener(address)
                self.ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **settings)
            except (OSError, RuntimeError, ValueError) as error:
                message = f"cannot start a cluster: {cause_of(error)}"
                if address != OWN_CLUSTER:
                    message = f"cannot connect to the cluster {address!r}: {cause_of(error)}"
                help = "name the address of a running cluster with --address, such as 10.0.0.1:6379"
                raise UsageError("ray-cluster", message, help) from error

    @property
    def nodes(self) -> list[Node]:
        alive = [node for node in self.ray.nodes() if node["Alive"]]
        return [
            Node(node["NodeID"], node["NodeManagerAddress"], int(node["Resources"].get("CPU", 0))) for node in alive
        ]

    @property
    def own_node(self) -> Node | None:
        """The node of this process; None if it is no longer alive."""
        own: str = self.ray.get_runtime_context().get_node_id()
        return next((node for node in self.nodes if node.id == own), None)

    def close(self) -> None:
        """Ends the connection, and the cluster if this process has started it."""
        if self._is_connected_here:
            self.ray.shutdown()


def _silence() -> None:
    """Has Ray not print a page when it loses a process: what uses the cluster tells that."""
    with suppress(ImportError):
        from ray._private import worker

        worker.print_to_stdstream = lambda *arguments, **options: None


def _require_listener(address: str) -> None:
    """Raises OSError if nothing listens at an address with a port: Ray would try for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isascii() and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), MAX_CONNECT_SECONDS).close()


def capacity(nodes: Sequence[Node], cpus: float) -> int:
    """The number of processes, each on so many CPUs of one node, that run at the same time."""
    return sum(int(node.cpus / cpus) for node in nodes)


def cause_of(error: BaseException) -> str:
    """The last sentence of an error of Ray, whose text is a page."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("\t")]
    text = lines[-1] if lines else error_reason(error) if isinstance(error, Exception) else type(error).__name__
    return text[:MAX_CAUSE_CHARACTERS]
