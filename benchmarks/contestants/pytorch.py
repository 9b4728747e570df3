"""PyTorch: hand-written networks, the training loop of its tutorials, and its fastest Adam."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor
from torch.nn import functional

from ..materials import Materials
from ..workloads.workload import batches
from .torch_networks import network_of


def tensors(materials: Materials, layout: torch.memory_format = torch.contiguous_format) -> list[tuple[Tensor, Tensor]]:
    """Returns batches in the layout of PyTorch: channels first, labels of 64 bits."""
    x = materials.channels_first()
    numpy_batches = islice(batches(x, materials.y, materials.batch), len(x) // materials.batch)
    return [(torch.from_numpy(a).to(memory_format=layout), torch.from_numpy(b).long()) for a, b in numpy_batches]


class Eager:
    """Training in eager mode with fused Adam."""

    layout = torch.contiguous_format

    def __init__(self, materials: Materials, threads: int) -> None:
        torch.set_num_threads(threads)
        self.network = network_of(materials).train().to(memory_format=self.layout)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=0.001, eps=1e-7, fused=True)
        self.batches = self._endless(tensors(materials, self.layout))
        self.forward = self._loss

    def _endless(self, tensors: list[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from tensors

    def _loss(self, x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(self.network(x), y)

    def _step(self, x: Tensor, y: Tensor) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.forward(x, y)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def proof(self, count: int) -> list[float]:
        return [self._step(x, y).item() for x, y in islice(self.batches, count)]

    def steps(self, count: int) -> None:
        for x, y in islice(self.batches, count):
            self._step(x, y)


class ChannelsLast(Eager):
    """Training with images and kernels in the memory format channels_last."""

    layout = torch.channels_last


class Compiled(Eager):
    """Training with forward pass, loss and backward pass compiled by torch.compile."""

    def __init__(self, materials: Materials, threads: int) -> None:
        super().__init__(materials, threads)
        self.forward = torch.compile(self._loss)


class Inference:
    """Inference in eager mode without gradients."""

    def __init__(self, materials: Materials, threads: int) -> None:
        torch.set_num_threads(threads)
        self.network = network_of(materials).eval()
        ((self.x, _), *_) = tensors(materials)

    def proof(self, count: int) -> list[float]:
        with torch.inference_mode():
            return [float(value) for value in self.network(self.x)[0, :count]]

    def steps(self, count: int) -> None:
        with torch.inference_mode():
            for _ in range(count):
                self.network(self.x)
