"""Where the workers of a training meet: each listens on its node, and Ray hands out the addresses and a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .monitor import Attempt
from .node_checks import Address, NodeChecks, WorkerPlace

if TYPE_CHECKING:
    from ..collective.protocol import Collective
    from ..collective.tcp import Listener

MAX_SILENCE_SECONDS = 600.0
"""How long a worker waits for another one, as while a checkpoint is written. One that is killed is noticed at once."""


class Rendezvous(NamedTuple):
    """What all workers of a group know."""

    token: bytes
    """Random; by it they know each other."""
    addresses: list[Address]
    """By rank."""
    attempt: Attempt


_listener: Listener | None = None
_rendezvous: Rendezvous | None = None


def join(checks: NodeChecks) -> WorkerPlace:
    """Makes this process listen to the other workers; called by Ray in each."""
    global _listener
    import ray.util

    from ..collective.tcp import Listener

    node: str = ray.util.get_node_ip_address()
    missing = checks.run()
    _listener = Listener(node)
    return WorkerPlace(node, missing, _listener.address)


def set_rendezvous(rendezvous: Rendezvous) -> None:
    """Tells this process where the other workers are; called by Ray in each."""
    global _rendezvous
    _rendezvous = rendezvous


def rendezvous() -> Rendezvous:
    assert _rendezvous is not None
    return _rendezvous


def connect(rank: int, shard_count: int) -> Collective:
    """Connects to the other workers. Raises CollectiveError."""
    assert _listener is not None
    known = rendezvous()
    return _listener.connect(known.addresses, rank, shard_count, known.token, MAX_SILENCE_SECONDS)
