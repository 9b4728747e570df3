"""The large networks in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..contestants.torch_layers import Block, Mean, batch_norm, same
from .networks import Sizes

LAYER_NORM_EPSILON = 1e-5


def _blocks(sizes: Sizes, causal: bool, dropout: float) -> nn.Sequential:
    width, heads = sizes["width"], sizes["heads"]
    return nn.Sequential(*(Block(width, heads, causal, dropout, LAYER_NORM_EPSILON) for _ in range(sizes["depth"])))


class GPT(nn.Module):
    """GPT-2 with scores from the embedding of the tokens."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.tokens = nn.Embedding(sizes["vocabulary"], sizes["width"])
        self.positions = nn.Embedding(1024, sizes["width"])
        self.dropout = nn.Dropout(sizes["drop"])
        self.blocks = _blocks(sizes, causal=True, dropout=sizes["drop"])
        self.norm = nn.LayerNorm(sizes["width"], eps=LAYER_NORM_EPSILON)
        for table in (self.tokens, self.positions):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        x = self.dropout(self.tokens(tokens) + self.positions(positions))
        return functional.linear(self.norm(self.blocks(x)), self.tokens.weight)


class ViT(nn.Module):
    """A vision transformer with mean pooling."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width, patch = sizes["width"], sizes["patch"]
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.positions = nn.Embedding((sizes["image"] // patch) ** 2, width)
        self.blocks = _blocks(sizes, causal=False, dropout=0.0)
        self.norm = nn.LayerNorm(width, eps=LAYER_NORM_EPSILON)
        self.scores = nn.Linear(width, sizes["classes"])

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions.weight
        return self.scores(self.norm(self.blocks(x)).mean(1))


class LSTM(nn.Module):
    """A language model of LSTM layers."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.words = nn.Embedding(sizes["vocabulary"], sizes["width"])
        self.lstm = nn.LSTM(sizes["width"], sizes["width"], sizes["depth"], batch_first=True)
        self.scores = nn.Linear(sizes["width"], sizes["vocabulary"])

    def forward(self, x: Tensor) -> Tensor:
        return self.scores(self.lstm(self.words(x))[0])


class ResidualBlock(nn.Module):
    """Two convolutions with a shortcut, which is a convolution where the number of channels changes."""

    def __init__(self, before: int, filters: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            same(before, filters),
            batch_norm(filters),
            nn.ReLU(inplace=True),
            same(filters, filters),
            batch_norm(filters),
        )
        convolution = (nn.Conv2d(before, filters, 1, bias=False), batch_norm(filters))
        self.shortcut = nn.Sequential(*convolution if before != filters else ())

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.branch(x) + self.shortcut(x))


def resnet(sizes: Sizes) -> nn.Module:
    before, patch = sizes["widths"][0], sizes["patch"]
    layers = [nn.Conv2d(3, before, patch, patch, bias=False), batch_norm(before), nn.ReLU(inplace=True)]
    for stage, (width, count) in enumerate(zip(sizes["widths"], sizes["counts"], strict=True)):
        layers += [nn.MaxPool2d(2)] if stage else []
        layers += [ResidualBlock(width if number else before, width) for number in range(count)]
        before = width
    return nn.Sequential(*layers, Mean(2, 3), nn.Linear(before, sizes["classes"]))


NETWORKS: dict[str, Callable[[Any], nn.Module]] = {"gpt": GPT, "vit": ViT, "lstm": LSTM, "resnet": resnet}
"""The networks by the names of their families."""
