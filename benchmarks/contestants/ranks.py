"""Two processes with one thread each that divide each batch: this one, and one that trains as long as it does."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from itertools import cycle, islice
from multiprocessing import Pipe, get_context
from pathlib import Path
from typing import Any, Protocol

from ..materials import Materials
from ..workloads.workload import batches

SIZE = 2
TIMEOUT_SECONDS = 120.0


class Rank(Protocol):
    """One of the processes."""

    def losses(self, count: int) -> list[float]:
        """The losses of the next steps, of whole batches."""

    def steps(self, count: int) -> None:
        """Runs steps."""


class Pair:
    """The rank 0 of a pair; the other rank steps whenever this one does, since each step waits for both."""

    rank_type: Callable[[Materials, int, Any], Rank]

    def __init__(self, materials: Materials, threads: int) -> None:
        own, other = Pipe()
        process = get_context("spawn").Process(target=_follow, args=(type(self), materials.folder, other), daemon=True)
        process.start()
        self.rank = type(self).rank_type(materials, 0, own)

    def proof(self, count: int) -> list[float]:
        return self.rank.losses(count)

    def steps(self, count: int) -> None:
        self.rank.steps(count)


def _follow(pair: type[Pair], folder: Path, pipe: Any) -> None:
    rank = pair.rank_type(Materials(folder), 1, pipe)
    while True:  # until the connection to the other rank ends
        rank.steps(1)


class _OurRank:
    """jsonnx, over shared memory as between workers of one host."""

    shards = SIZE

    def __init__(self, materials: Materials, rank: int, pipe: Any) -> None:
        import jsonnx
        from jsonnx.collective.tcp import Listener

        listener, token = Listener("127.0.0.1"), secrets.token_bytes(32)
        pipe.send((listener.address, token))
        address, other_token = pipe.recv()
        addresses = [listener.address, address] if rank == 0 else [address, listener.address]
        token = token if rank == 0 else other_token
        collective = listener.connect(addresses, rank, self.shards, token, TIMEOUT_SECONDS)
        changes = [f'training.distributed={{"shards": {self.shards}}}']
        arguments: dict[str, Any] = {"weights": materials.weights, "threads": 1, "changes": changes}
        self.trainer = jsonnx.Trainer(materials.spec, **arguments, collective=collective)
        self.batches = batches(materials.x, materials.y, materials.batch)

    def losses(self, count: int) -> list[float]:
        return [self.trainer.step(x, y)["loss"] for x, y in islice(self.batches, count)]

    def steps(self, count: int) -> None:
        self.losses(count)


class _OurRankOfShards(_OurRank):
    shards = 8


class _TorchRank:
    """PyTorch with DistributedDataParallel over gloo."""

    def __init__(self, materials: Materials, rank: int, pipe: Any) -> None:
        import torch
        from torch import distributed
        from torch.nn.parallel import DistributedDataParallel

        from .pytorch import Eager, tensors

        store = materials.folder / f"gloo-{os.getpid() if rank == 0 else os.getppid()}"
        distributed.init_process_group("gloo", f"file://{store.resolve()}", rank=rank, world_size=SIZE)
        self.torch, self.eager = torch, Eager(materials, 1)
        self.whole_batches = tensors(materials)
        self.whole_network = self.eager.network
        self.eager.network = DistributedDataParallel(self.whole_network)
        shares = [tuple(part.chunk(SIZE)[rank].contiguous() for part in batch) for batch in self.whole_batches]
        self.eager.batches = cycle(shares)

    def losses(self, count: int) -> list[float]:
        losses = []
        for x, y in self.whole_batches[:count]:
            with self.torch.no_grad():
                losses.append(self.torch.nn.functional.cross_entropy(self.whole_network(x), y).item())
            self.eager.steps(1)
        return losses

    def steps(self, count: int) -> None:
        self.eager.steps(count)


class Ours(Pair):
    rank_type = _OurRank


class OursOfShards(Pair):
    rank_type = _OurRankOfShards


class PyTorch(Pair):
    rank_type = _TorchRank
