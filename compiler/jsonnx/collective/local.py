"""Collectives of threads of one process."""

from __future__ import annotations

import socket

from .tcp import TcpCollective


def local_collectives(size: int, shard_count: int, timeout: float = 300.0) -> list[TcpCollective]:
    """One collective for each of the threads that train together."""
    connections: list[dict[int, socket.socket]] = [{} for _ in range(size)]
    for rank in range(size):
        for other in range(rank):
            connections[rank][other], connections[other][rank] = socket.socketpair()
    names = [f"rank {rank} (a thread)" for rank in range(size)]
    return [TcpCollective(connections[rank], names, rank, shard_count, timeout) for rank in range(size)]
