"""PyTorch on a GPU: eager, compiled, and with automatic mixed precision."""

from __future__ import annotations

import torch
from torch import Tensor

from ..contestants import pytorch
from ..materials import Materials

DEVICES = {"cuda": "cuda", "tensorrt": "cuda", "migraphx": "cuda"}
"""PyTorch's device, by our provider; others are compared with PyTorch on the CPU."""


class Eager(pytorch.Eager):
    """Training in eager mode with fused Adam, on batches that are on the device already."""

    def __init__(self, materials: Materials, provider: str) -> None:
        self.device = torch.device(DEVICES.get(provider, "cpu"))
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # as in jsonnx
        super().__init__(materials, torch.get_num_threads())
        self.network.to(self.device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=0.001, eps=1e-7, fused=True)
        on_device = [(x.to(self.device), y.to(self.device)) for x, y in pytorch.tensors(materials, self.layout)]
        self.batches = self._endless(on_device)

    def steps(self, count: int) -> None:
        super().steps(count)
        if self.device.type == "cuda":
            torch.cuda.synchronize()


class Compiled(Eager):
    """With forward pass, loss and backward pass compiled."""

    def __init__(self, materials: Materials, provider: str) -> None:
        super().__init__(materials, provider)
        self.forward = torch.compile(self._loss)


class Mixed(Eager):
    """With float16 products on a GPU, bfloat16 ones on a CPU, and loss scaling."""

    def __init__(self, materials: Materials, provider: str) -> None:
        super().__init__(materials, provider)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.device.type == "cuda")

    def _step(self, x: Tensor, y: Tensor) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        dtype = torch.float16 if self.device.type == "cuda" else torch.bfloat16
        with torch.autocast(self.device.type, dtype):
            loss = self.forward(x, y)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()


CONTESTANTS = {"torch": Eager, "torch-compile": Compiled, "torch-mixed": Mixed}
