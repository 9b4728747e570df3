"""The workloads' networks as a PyTorch user writes them, and Keras' weights put into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

NORM = 1e-3
"""Keras' epsilon."""


class Attention(nn.Module):
    """Self-attention, all heads' queries, keys and values in one product."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.into = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, time, width = x.shape
        q, k, v = self.into(x).view(n, time, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v)
        return self.out(seen.transpose(1, 2).reshape(n, time, width))


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Mean(nn.Module):
    """The mean over some axes."""

    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(self.axes)


class Last(nn.Module):
    """The last state of a recurrent layer."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0][:, -1]


class ChannelsLast(nn.Module):
    """Flattens in Keras' order, so that the weights behind it are the same."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class Halving(nn.Conv2d):
    """A convolution of stride 2, padded as Keras does it: at the far edges where the size is even."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, (0, 1, 0, 1)))


def batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=NORM, momentum=0.01)


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, before: int, filters: int, stride: int = 1) -> None:
        super().__init__()
        first = Halving(before, filters, 3, 2, bias=False) if stride == 2 else _same(before, filters)
        self.first = nn.Sequential(first, batch_norm(filters), nn.ReLU())
        self.second = nn.Sequential(_same(filters, filters), batch_norm(filters))
        self.short = nn.Sequential()
        if stride == 2:
            self.short = nn.Sequential(nn.Conv2d(before, filters, 1, 2, bias=False), batch_norm(filters))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.second(self.first(x)) + self.short(x))


def _same(before: int, filters: int) -> nn.Conv2d:
    return nn.Conv2d(before, filters, 3, padding=1, bias=False)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))


def cnn() -> nn.Module:
    first = (nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(*first, nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), ChannelsLast(), nn.Linear(1600, 10))


def lstm() -> nn.Module:
    return nn.Sequential(Last(nn.LSTM(28, 128, batch_first=True)), nn.Linear(128, 10))


def transformer() -> nn.Module:
    return nn.Sequential(nn.Embedding(1000, 128), Block(128, 4), Block(128, 4), Mean(1), nn.Linear(128, 10))


def resnet() -> nn.Module:
    blocks = [(16, 16), (16, 16), (16, 16), (16, 32, 2), (32, 32), (32, 32), (32, 64, 2), (64, 64), (64, 64)]
    stem = (_same(3, 16), batch_norm(16), nn.ReLU())
    return nn.Sequential(*stem, *(Residual(*b) for b in blocks), Mean(2, 3), nn.Linear(64, 10))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mlp": mlp,
    "cnn": cnn,
    "lstm": lstm,
    "transformer": transformer,
    "resnet": resnet,
}


def filled(network: nn.Module, weights: list[np.ndarray]) -> nn.Module:
    """The network with Keras' weights, which come in the order of its layers."""
    arrays = iter(weights)
    with torch.no_grad():
        for module in network.modules():
            for target, values in _wanted(module, arrays):
                target.copy_(torch.from_numpy(np.ascontiguousarray(values)).view(target.shape))
    if next(arrays, None) is not None:
        raise ValueError("there are more weights than the network takes")
    return network


def _wanted(module: nn.Module, arrays: Iterator[np.ndarray]) -> Iterator[tuple[Tensor, np.ndarray]]:
    """The tensors of one module, not of those within it, and what goes into each."""
    if isinstance(module, Attention):
        yield from _attention(module, arrays)
    elif isinstance(module, nn.Linear):
        if not getattr(module, "is_filled", False):
            yield module.weight, next(arrays).T
            yield module.bias, next(arrays)
    elif isinstance(module, nn.Conv2d):
        yield module.weight, next(arrays).transpose(3, 2, 0, 1)
        if module.bias is not None:
            yield module.bias, next(arrays)
    elif isinstance(module, nn.BatchNorm2d):
        for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
            assert tensor is not None
            yield tensor, next(arrays)
    elif isinstance(module, nn.LayerNorm):
        yield module.weight, next(arrays)
        yield module.bias, next(arrays)
    elif isinstance(module, nn.Embedding):
        yield module.weight, next(arrays)
    elif isinstance(module, nn.LSTM):
        yield module.weight_ih_l0, next(arrays).T
        yield module.weight_hh_l0, next(arrays).T
        bias = next(arrays)
        yield module.bias_ih_l0, bias
        yield module.bias_hh_l0, np.zeros_like(bias)


def _attention(module: Attention, arrays: Iterator[np.ndarray]) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Keras has a kernel and a bias each for query, key, value and output, by head."""
    module.into.is_filled = module.out.is_filled = True
    kernels, biases = zip(*((next(arrays), next(arrays)) for _ in range(3)), strict=True)
    yield module.into.weight, np.concatenate([k.reshape(len(k), -1).T for k in kernels])
    yield module.into.bias, np.concatenate([b.ravel() for b in biases])
    kernel = next(arrays)
    yield module.out.weight, kernel.reshape(-1, kernel.shape[-1]).T
    yield module.out.bias, next(arrays)
