"""Layers of the PyTorch networks, and the conversion of weights from Keras."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-3
"""Default epsilon of normalization layers in Keras."""


class Attention(nn.Module):
    """Self-attention with queries, keys and values of all heads in one product."""

    def __init__(self, width: int, heads: int, causal: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.dropout = dropout
        self.into = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, time, width = x.shape
        q, k, v = self.into(x).view(n, time, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        rate = self.dropout if self.training else 0.0
        attended = functional.scaled_dot_product_attention(q, k, v, dropout_p=rate, is_causal=self.causal)
        return self.out(attended.transpose(1, 2).reshape(n, time, width))


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(
        self, width: int, heads: int, causal: bool = False, dropout: float = 0.0, epsilon: float = EPSILON
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=epsilon)
        self.attention = Attention(width, heads, causal, dropout)
        self.norm2 = nn.LayerNorm(width, eps=epsilon)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x)))
        return x + self.dropout(self.mlp(self.norm2(x)))


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


class LastOfBothDirections(Last):
    """The last states of both directions."""

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[1].transpose(0, 1).flatten(1)


class CausalConv(nn.Conv1d):
    """A causal convolution."""

    def __init__(self, before: int, filters: int, size: int, dilation: int) -> None:
        super().__init__(before, filters, size, dilation=dilation)
        self.past = (size - 1) * dilation

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, (self.past, 0)))


class FlattenLast(nn.Module):
    """Flattens in the order of Keras, so that the weights of the next layer are the same."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class KerasStride2Conv(nn.Conv2d):
    """A convolution of stride 2 with the padding of Keras for even sizes: at the end of each axis."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, (0, 1, 0, 1)))


class Residual(nn.Module):
    """Two convolutions with a shortcut."""

    def __init__(self, before: int, filters: int, stride: int = 1) -> None:
        super().__init__()
        first = KerasStride2Conv(before, filters, 3, 2, bias=False) if stride == 2 else same(before, filters)
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


def assign_weights(modules: Iterable[nn.Module], weights: list[np.ndarray], mirrored: bool) -> None:
    """Assigns weights in the order of Keras to the modules."""
    arrays, done = iter(weights), set()
    with torch.no_grad():
        for module in modules:
            if module in done:
                continue
            for target, values in _weights_of(module, arrays, mirrored):
                target.copy_(torch.from_numpy(np.ascontiguousarray(values)).view(target.shape))
            if isinstance(module, Attention):
                done |= {module.into, module.out}
    if next(arrays, None) is not None:
        raise ValueError("there are more weights than the network has")


Pairs = Iterator[tuple[Tensor, np.ndarray]]


def _weights_of(module: nn.Module, arrays: Iterator[np.ndarray], mirrored: bool) -> Pairs:
    """Yields the tensors of a module, without those of inner modules, and their values."""
    match module:
        case Attention():
            yield from _attention_weights(module, arrays)
        case nn.RNNBase():
            yield from _recurrent_weights(module, arrays)
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


def _attention_weights(module: Attention, arrays: Iterator[np.ndarray]) -> Pairs:
    """Yields the tensors of an attention; Keras has kernel and bias per head for query, key, value and output."""
    kernels, biases = zip(*((next(arrays), next(arrays)) for _ in range(3)), strict=True)
    yield module.into.weight, np.concatenate([k.reshape(len(k), -1).T for k in kernels])
    yield module.into.bias, np.concatenate([b.ravel() for b in biases])
    kernel = next(arrays)
    yield module.out.weight, kernel.reshape(-1, kernel.shape[-1]).T
    yield module.out.bias, next(arrays)


def _recurrent_weights(module: nn.RNNBase, arrays: Iterator[np.ndarray]) -> Pairs:
    """Yields the tensors of a recurrent layer.

    PyTorch has two biases, an LSTM of Keras one; the first two gates of a GRU are swapped.
    """

    def gates(array: np.ndarray) -> np.ndarray:
        parts = np.split(array, 3 if isinstance(module, nn.GRU) else 4)
        return np.concatenate([parts[1], parts[0], *parts[2:]] if isinstance(module, nn.GRU) else parts)

    suffixes = ("", "_reverse") if module.bidirectional else ("",)
    for name in (f"l{layer}{suffix}" for layer in range(module.num_layers) for suffix in suffixes):
        yield getattr(module, f"weight_ih_{name}"), gates(next(arrays).T)
        yield getattr(module, f"weight_hh_{name}"), gates(next(arrays).T)
        bias = next(arrays)
        first, second = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
        yield getattr(module, f"bias_ih_{name}"), gates(first)
        yield getattr(module, f"bias_hh_{name}"), gates(second)
