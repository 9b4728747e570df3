"""The network of the fixtures, in PyTorch, and the settings of its adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

FIXTURES = Path(__file__).parents[2] / "unit" / "pipeline" / "peft_adapters"
TARGET_MODULES = ["emb", "conv", "q", "k"]
SETTINGS: dict[str, dict[str, Any]] = {
    "lora": {},
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True, "rank_pattern": {"q": 2}, "alpha_pattern": {"conv": 5}},
}


class Net(nn.Module):
    """An embedding, a convolution, two matrices and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.emb, self.conv = nn.Embedding(20, 8), nn.Conv2d(1, 4, 3, padding=1)
        self.q, self.k, self.head = nn.Linear(8, 6), nn.Linear(8, 6, bias=False), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        embedded = self.emb(x)
        images = self.conv(embedded[:, None]).mean(1)
        return self.head(torch.tanh(self.q(images) * self.k(embedded)).mean(1))


def network() -> Net:
    torch.manual_seed(0)
    return Net()
