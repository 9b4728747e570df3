"""The networks of the workloads in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import nn

from ..materials import Materials
from . import torch_wider
from .torch_layers import (
    Block,
    CausalConv,
    FlattenLast,
    Last,
    LastOfBothDirections,
    Mean,
    Residual,
    assign_weights,
    batch_norm,
    same,
)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))


def cnn() -> nn.Module:
    first = (nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(*first, nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), FlattenLast(), nn.Linear(1600, 10))


def lstm() -> nn.Module:
    return nn.Sequential(Last(nn.LSTM(28, 128, batch_first=True)), nn.Linear(128, 10))


def transformer() -> nn.Module:
    return nn.Sequential(nn.Embedding(1000, 128), Block(128, 4), Block(128, 4), Mean(1), nn.Linear(128, 10))


def resnet() -> nn.Module:
    blocks = [(16, 16), (16, 16), (16, 16), (16, 32, 2), (32, 32), (32, 32), (32, 64, 2), (64, 64), (64, 64)]
    stem = (same(3, 16), batch_norm(16), nn.ReLU())
    return nn.Sequential(*stem, *(Residual(*b) for b in blocks), Mean(2, 3), nn.Linear(64, 10))


def depthwise() -> nn.Module:
    layers = [nn.Conv2d(3, 32, 3, padding=1), nn.ReLU()]
    for before, filters, stride in ((32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2)):
        layers += [nn.Conv2d(before, before, 3, stride, padding=1, groups=before), nn.ReLU()]
        layers += [nn.Conv2d(before, filters, 1), nn.ReLU()]
    return nn.Sequential(*layers, Mean(2, 3), nn.Linear(256, 10))


def wavenet() -> nn.Module:
    layers = [layer for step in range(6) for layer in (CausalConv(64 if step else 32, 64, 3, 2**step), nn.ReLU())]
    return nn.Sequential(*layers, Mean(2), nn.Linear(64, 10))


def gru() -> nn.Module:
    return nn.Sequential(LastOfBothDirections(nn.GRU(32, 64, batch_first=True, bidirectional=True)), nn.Linear(128, 10))


def embedding(rows: int = 50_000) -> nn.Module:
    return nn.Sequential(nn.Embedding(rows, 64), Mean(1), nn.Linear(64, 10))


def vocabulary() -> nn.Module:
    return embedding(400_000)


def odd() -> nn.Module:
    convolutions = (nn.Conv2d(3, 24, 5, 2), nn.ReLU(), nn.Conv2d(24, 40, 3, dilation=2), nn.ReLU())
    return nn.Sequential(*convolutions, nn.MaxPool2d(3, 2), FlattenLast(), nn.Linear(640, 10))


def mobilenet_v2() -> nn.Module:
    from torchvision.models import mobilenet_v2

    return with_epsilon(mobilenet_v2(), 1e-3)


def resnet50() -> nn.Module:
    """Returns torchvision's network with the strides of Keras and the paper: in the first convolution of a block."""
    from torchvision.models import resnet50

    network = with_epsilon(resnet50(), 1.001e-5)
    for block in _bottlenecks(network):
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    return network


def with_epsilon(network: nn.Module, epsilon: float) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = epsilon
    return network


def _bottlenecks(network: nn.Module) -> Iterable[nn.Module]:
    return (block for number in range(1, 5) for block in getattr(network, f"layer{number}"))


def _resnet50_order(network: nn.Module) -> Iterable[nn.Module]:
    """Yields the modules in the order of Keras, which has the shortcut before the branch."""
    yield from (network.conv1, network.bn1)
    for block in _bottlenecks(network):
        yield from block.downsample or ()
        yield from (block.conv1, block.bn1, block.conv2, block.bn2, block.conv3, block.bn3)
    yield network.fc


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mlp": mlp,
    "cnn": cnn,
    "lstm": lstm,
    "transformer": transformer,
    "resnet": resnet,
    "depthwise": depthwise,
    "wavenet": wavenet,
    "gru": gru,
    "embedding": embedding,
    "vocabulary": vocabulary,
    "odd": odd,
    "mobilenet_v2": mobilenet_v2,
    "resnet50": resnet50,
    **torch_wider.NETWORKS,
}


def network_of(materials: Materials) -> nn.Module:
    """Returns the network with the weights of the workload."""
    network = NETWORKS[materials.network]()
    modules = _resnet50_order(network) if materials.network == "resnet50" else network.modules()
    assign_weights(modules, list(materials.weights.values()), materials.mirrored)
    return network
