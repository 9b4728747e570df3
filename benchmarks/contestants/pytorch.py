"""PyTorch: the network by hand, the training loop that its tutorials teach, and its fastest Adam."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..materials import Materials
from ..workloads.workload import batches
from .torch_networks import NETWORKS, filled


class Eager:
    """Eager mode, fused Adam."""

    def __init__(self, materials: Materials, threads: int) -> None:
        torch.set_num_threads(threads)
        self.network = filled(NETWORKS[materials.workload](), list(materials.weights.values())).train()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=0.001, eps=1e-7, fused=True)
        self.batches = self._tensors(materials)
        self.forward = self._loss

    def _tensors(self, materials: Materials) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches as PyTorch wants them: channels first, labels of 64 bits."""
        x = np.moveaxis(materials.x, -1, 1) if materials.x.ndim == 4 else materials.x
        made = batches(np.ascontiguousarray(x), materials.y, materials.batch)
        kept = [(torch.from_numpy(a), torch.from_numpy(b).long()) for a, b in islice(made, len(x) // materials.batch)]
        while True:
            yield from kept

    def _loss(self, x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(self.network(x), y)

    def _step(self, x: Tensor, y: Tensor) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.forward(x, y)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def losses(self, count: int) -> list[float]:
        return [self._step(x, y).item() for x, y in islice(self.batches, count)]

    def steps(self, count: int) -> None:
        for x, y in islice(self.batches, count):
            self._step(x, y)


class Compiled(Eager):
    """The forward pass and the loss, and with them the backward pass, by torch.compile."""

    def __init__(self, materials: Materials, threads: int) -> None:
        super().__init__(materials, threads)
        self.forward = torch.compile(self._loss)
