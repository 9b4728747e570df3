"""The further networks in PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from .torch_layers import EPSILON, Block, FlattenLast, Last, Mean, batch_norm, same


class SwapChannelsAndTime(nn.Module):
    """Swaps channels and time."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


class Level(nn.Module):
    """A level of a U-Net around the levels `below`, whose output has `channels`."""

    def __init__(self, before: int, filters: int, below: nn.Module, channels: int) -> None:
        super().__init__()
        self.down = conv_pair(before, filters)
        self.below = below
        self.up = nn.ConvTranspose2d(channels, filters, 2, 2)
        self.join = conv_pair(2 * filters, filters)

    def forward(self, x: Tensor) -> Tensor:
        encoded = self.down(x)
        upsampled = self.up(self.below(functional.max_pool2d(encoded, 2)))
        return self.join(torch.cat((upsampled, encoded), 1))


class SqueezeExcitation(nn.Module):
    """A squeeze-and-excitation block with a shortcut."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        first = (nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())
        self.branch = nn.Sequential(*first, nn.Conv2d(channels, channels, 3, padding=1))
        last = (nn.Linear(squeezed, channels), nn.Sigmoid())
        self.share = nn.Sequential(Mean(2, 3), nn.Linear(channels, squeezed), nn.ReLU(), *last)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.branch(x)
        return torch.relu(x + seen * self.share(seen)[:, :, None, None])


class ParallelConvMax(nn.Module):
    """Convolutions of several sizes over a sequence, each followed by a global maximum."""

    def __init__(self, before: int, filters: int, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv1d(before, filters, size) for size in sizes)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([torch.relu(one(x)).amax(2) for one in self.convolutions], 1)


class InvertedResidual(nn.Module):
    """The inverted residual block of MobileNetV2."""

    def __init__(self, before: int, filters: int, stride: int) -> None:
        super().__init__()
        wide = 6 * before
        self.branch = nn.Sequential(
            nn.Conv2d(before, wide, 1, bias=False),
            batch_norm(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, wide, 3, stride, padding=1, groups=wide, bias=False),
            batch_norm(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, filters, 1, bias=False),
            batch_norm(filters),
        )
        self.residual = before == filters and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x) if self.residual else self.branch(x)


def conv_relu(before: int, *filters: int) -> list[nn.Module]:
    """Returns a chain of convolutions, each followed by ReLU."""
    channels = (before, *filters)
    return [m for a, b in zip(channels, filters, strict=False) for m in (nn.Conv2d(a, b, 3, padding=1), nn.ReLU())]


def conv_norm_relu(before: int, *filters: int) -> list[nn.Module]:
    """Returns a chain of convolutions, each followed by batch normalization and ReLU."""
    channels = (before, *filters)
    return [m for a, b in zip(channels, filters, strict=False) for m in (same(a, b), batch_norm(b), nn.ReLU())]


def conv_pair(before: int, filters: int) -> nn.Sequential:
    return nn.Sequential(*conv_relu(before, filters, filters))


def lenet() -> nn.Module:
    first = (nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2))
    second = (nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), FlattenLast())
    last = (nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU())
    return nn.Sequential(*first, *second, *last, nn.Linear(84, 10))


def volumes() -> nn.Module:
    first = (nn.Conv3d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2))
    second = (nn.Conv3d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2))
    return nn.Sequential(*first, *second, Mean(2, 3, 4), nn.Linear(32, 10))


def autoencoder() -> nn.Module:
    smaller = (nn.Conv2d(3, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU())
    larger = (nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.ReLU())
    return nn.Sequential(*smaller, *larger, Mean(2, 3), nn.Linear(16, 10))


def unet() -> nn.Module:
    return nn.Sequential(Level(1, 16, Level(16, 32, conv_pair(32, 64), 64), 32), Mean(2, 3), nn.Linear(16, 10))


def groupnorm() -> nn.Module:
    layers: list[nn.Module] = []
    for before in (3, 32):
        layers += [nn.Conv2d(before, 32, 3, padding=1), nn.GroupNorm(8, 32, eps=EPSILON), nn.ReLU()]
    return nn.Sequential(*layers, Mean(2, 3), nn.Linear(32, 10))


def senet() -> nn.Module:
    return nn.Sequential(
        *conv_relu(3, 32), SqueezeExcitation(32, 8), SqueezeExcitation(32, 8), Mean(2, 3), nn.Linear(32, 10)
    )


def wide_mlp() -> nn.Module:
    hidden = (nn.Linear(1000, 2048), nn.ReLU(), nn.Linear(2048, 2048), nn.ReLU())
    return nn.Sequential(*hidden, nn.Linear(2048, 10))


def norm_mlp() -> nn.Module:
    layers: list[nn.Module] = []
    for before in (784, 512):
        layers += [nn.Linear(before, 512), nn.LayerNorm(512, eps=EPSILON), nn.GELU()]
    return nn.Sequential(*layers, nn.Linear(512, 10))


def vit() -> nn.Module:
    patches = (nn.Conv2d(3, 128, 4, 4), nn.Flatten(2), SwapChannelsAndTime())
    last = (nn.LayerNorm(128, eps=EPSILON), Mean(1), nn.Linear(128, 10))
    return nn.Sequential(*patches, Block(128, 4), Block(128, 4), *last)


def discriminator() -> nn.Module:
    first = (nn.Conv2d(3, 64, 4, 2, 1), nn.LeakyReLU(0.2))
    second = (nn.Conv2d(64, 128, 4, 2, 1, bias=False), batch_norm(128), nn.LeakyReLU(0.2))
    return nn.Sequential(*first, *second, FlattenLast(), nn.Linear(8 * 8 * 128, 10))


def conv_lstm() -> nn.Module:
    seen = (nn.Conv1d(16, 64, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2), SwapChannelsAndTime())
    return nn.Sequential(*seen, Last(nn.LSTM(64, 64, batch_first=True)), nn.Linear(64, 10))


def vgg() -> nn.Module:
    first = (*conv_relu(3, 64, 64), nn.MaxPool2d(2))
    second = (*conv_relu(64, 128, 128), nn.MaxPool2d(2))
    return nn.Sequential(*first, *second, *conv_relu(128, 256), Mean(2, 3), nn.Linear(256, 10))


def text_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Embedding(5000, 64), SwapChannelsAndTime(), ParallelConvMax(64, 64, (3, 4, 5)), nn.Linear(192, 10)
    )


def inverted() -> nn.Module:
    stem = (same(3, 32), batch_norm(32), nn.ReLU6())
    blocks = (InvertedResidual(32, 24, 1), InvertedResidual(24, 24, 1), InvertedResidual(24, 32, 2))
    return nn.Sequential(*stem, *blocks, Mean(2, 3), nn.Linear(32, 10))


def gpt() -> nn.Module:
    blocks = (Block(128, 4, causal=True), Block(128, 4, causal=True))
    return nn.Sequential(nn.Embedding(1000, 128), *blocks, Mean(1), nn.Linear(128, 10))


def lstm_2() -> nn.Module:
    return nn.Sequential(Last(nn.LSTM(32, 64, num_layers=2, batch_first=True)), nn.Linear(64, 10))


def tabular() -> nn.Module:
    layers: list[nn.Module] = []
    for before in (32, 64):
        norm = nn.BatchNorm1d(64, eps=EPSILON, momentum=0.01)
        layers += [nn.Linear(before, 64, bias=False), norm, nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(64, 10))


def bn_cnn() -> nn.Module:
    first = (*conv_norm_relu(3, 32, 32), nn.MaxPool2d(2))
    second = (*conv_norm_relu(32, 64, 64), nn.MaxPool2d(2), FlattenLast())
    return nn.Sequential(*first, *second, nn.Linear(8 * 8 * 64, 128), nn.ReLU(), nn.Linear(128, 10))


def large_lstm() -> nn.Module:
    return nn.Sequential(Last(nn.LSTM(64, 256, batch_first=True)), nn.Linear(256, 10))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "lenet": lenet,
    "volumes": volumes,
    "autoencoder": autoencoder,
    "unet": unet,
    "groupnorm": groupnorm,
    "senet": senet,
    "wide-mlp": wide_mlp,
    "norm-mlp": norm_mlp,
    "vit": vit,
    "discriminator": discriminator,
    "conv-lstm": conv_lstm,
    "vgg": vgg,
    "text-cnn": text_cnn,
    "inverted": inverted,
    "gpt": gpt,
    "lstm-2": lstm_2,
    "tabular": tabular,
    "bn-cnn": bn_cnn,
    "large-lstm": large_lstm,
}
