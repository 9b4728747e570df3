"""Layers that networks in PyTorch are made of, and Keras' weights put into them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-3
"""Keras'."""


class Attention(nn.Module):
    """Self-attention, all heads' queries, keys and values in one product."""

    def __init__(self, width: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.into = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, time, width = x.shape
        q, k, v = self.into(x).view(n, time, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out(seen.transpose(1, 2).reshape(n, time, width))


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPSILON)
        self.attention = Attention(width, heads, causal)
        self.norm2 = nn.LayerNorm(width, eps=EPSILON)
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


class BothWays(Last):
    """The last states of both directions."""

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[1].transpose(0, 1).flatten(1)


class Causal(nn.Conv1d):
    """A convolution that sees what came before."""

    def __init__(self, before: int, filters: int, size: int, dilation: int) -> None:
        super().__init__(before, filters, size, dilation=dilation)
        self.past = (size - 1) * dilation

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, (self.past, 0)))


class FlattenLast(nn.Module):
    """Flattens in Keras' order, so that the weights behind it are the same."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class Halving(nn.Conv2d):
    """A convolution of stride 2, padded as Keras does it: at the far edges where the size is even."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, (0, 1, 0, 1)))


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, before: int, filters: int, stride: int = 1) -> None:
        super().__init__()
        first = Halving(before, filters, 3, 2, bias=False) if stride == 2 else same(before, filters)
        self.first = nn.Sequential(first, batch_norm(filters), nn.ReLU())
        self.second = nn.Sequential(same(filters, filters), batch_norm(filters))
        self.short = nn.Sequential()
        if stride == 2:
            self.short = nn.Sequential(nn.Conv2d(before, filters, 1, 2, bias=False), batch_norm(filters))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.second(self.first(x)) + self.short(x))


def same(before: int, filters: int) -> nn.Conv2d:
    return nn.Conv2d(before, filters, 3, padding=1, bias=False)


def batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON, momentum=0.01)


def filled(modules: Iterable[nn.Module], weights: list[np.ndarray], mirrored: bool) -> None:
    """Give the modules Keras' weights, which come in their order."""
    arrays, done = iter(weights), set()
    with torch.no_grad():
        for module in modules:
            if module in done:
                continue
            for target, values in _wanted(module, arrays, mirrored):
                target.copy_(torch.from_numpy(np.ascontiguousarray(values)).view(target.shape))
            if isinstance(module, Attention):
                done |= {module.into, module.out}
    if next(arrays, None) is not None:
        raise ValueError("there are more weights than the network takes")


Pairs = Iterator[tuple[Tensor, np.ndarray]]


def _wanted(module: nn.Module, arrays: Iterator[np.ndarray], mirrored: bool) -> Pairs:
    """The tensors of one module, not of those within it, and what goes into each."""
    match module:
        case Attention():
            yield from _attention(module, arrays)
        case nn.RNNBase():
            yield from _recurrent(module, arrays)
        case nn.Linear():
            yield module.weight, next(arrays).T
            if module.bias is not None:
                yield module.bias, next(arrays)
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d() | nn.ConvTranspose2d():
            kernel = np.moveaxis(next(arrays), (-1, -2) if module.groups == 1 else (-2, -1), (0, 1))
            yield module.weight, kernel[..., ::-1, ::-1] if mirrored else kernel
            if module.bias is not None:
                yield module.bias, next(arrays)
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                yield tensor, next(arrays)
        case nn.LayerNorm() | nn.GroupNorm():
            yield module.weight, next(arrays)
            yield module.bias, next(arrays)
        case nn.Embedding():
            yield module.weight, next(arrays)


def _attention(module: Attention, arrays: Iterator[np.ndarray]) -> Pairs:
    """Keras has a kernel and a bias each for query, key, value and output, by head."""
    kernels, biases = zip(*((next(arrays), next(arrays)) for _ in range(3)), strict=True)
    yield module.into.weight, np.concatenate([k.reshape(len(k), -1).T for k in kernels])
    yield module.into.bias, np.concatenate([b.ravel() for b in biases])
    kernel = next(arrays)
    yield module.out.weight, kernel.reshape(-1, kernel.shape[-1]).T
    yield module.out.bias, next(arrays)


def _recurrent(module: nn.RNNBase, arrays: Iterator[np.ndarray]) -> Pairs:
    """PyTorch has two biases, Keras' LSTM one; a GRU's first two gates stand the other way round."""

    def gates(array: np.ndarray) -> np.ndarray:
        parts = np.split(array, 3 if isinstance(module, nn.GRU) else 4)
        return np.concatenate([parts[1], parts[0], *parts[2:]] if isinstance(module, nn.GRU) else parts)

    ways = ("", "_reverse") if module.bidirectional else ("",)
    for place in (f"l{layer}{way}" for layer in range(module.num_layers) for way in ways):
        yield getattr(module, f"weight_ih_{place}"), gates(next(arrays).T)
        yield getattr(module, f"weight_hh_{place}"), gates(next(arrays).T)
        bias = next(arrays)
        first, second = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
        yield getattr(module, f"bias_ih_{place}"), gates(first)
        yield getattr(module, f"bias_hh_{place}"), gates(second)
