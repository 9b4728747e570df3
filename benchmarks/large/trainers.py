"""The contestants: a network in training, its checkpoint, and its model for prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .networks import EPSILON, LEARNING_RATE, Batch, Network

SEED = 1
WEIGHT_DECAY = 0.004
"""The default of Keras' AdamW."""


class TrainerOfNetwork(Protocol):
    """A network with its optimizer, which trains on one batch again and again."""

    def step(self) -> float:
        """Trains on the batch and returns the loss."""

    def save_checkpoint(self, path: Path) -> None:
        """Writes all that is needed to continue the training."""

    def save_model(self, path: Path) -> None:
        """Writes what is needed for predictions."""


class Ours:
    """jsonnx: `Trainer.step`, checkpoints, ONNX models."""

    def __init__(
        self, network: Network, tiny: bool, threads: int, weights: dict[str, np.ndarray] | None, remat: str = ""
    ) -> None:
        import jsonnx

        self.x, self.y = network.batch(tiny, SEED)
        self.trainer = jsonnx.Trainer(network.spec(tiny, remat), seed=SEED, threads=threads, weights=weights)

    def step(self) -> float:
        return float(self.trainer.step(self.x, self.y)["loss"])

    def save_checkpoint(self, path: Path) -> None:
        self.trainer.save_checkpoint(path)

    def save_model(self, path: Path) -> None:
        self.trainer.model().save(path.with_suffix(".onnx"))


class OursWithRemat(Ours):
    """jsonnx with `"remat": "full"`."""

    def __init__(self, network: Network, tiny: bool, threads: int, weights: dict[str, np.ndarray] | None) -> None:
        super().__init__(network, tiny, threads, weights, remat="full")


class PyTorch:
    """PyTorch in eager mode, with a fused optimizer and scaled_dot_product_attention."""

    def __init__(self, network: Network, tiny: bool, threads: int, weights: dict[str, np.ndarray] | None) -> None:
        import torch

        from ..contestants.torch_layers import assign_weights
        from .torch_networks import NETWORKS

        torch.set_num_threads(threads)
        torch.manual_seed(SEED)
        self.torch = torch
        self.network = NETWORKS[network.family_name](network.sizes_of(tiny)).train()
        if weights is not None:
            assign_weights(self.network.modules(), list(weights.values()), mirrored=False)
        if network.family.optimizer == "adamw":
            settings = {"weight_decay": WEIGHT_DECAY, "fused": True}
            self.optimizer: Any = torch.optim.AdamW(self.network.parameters(), LEARNING_RATE, eps=EPSILON, **settings)
        else:
            self.optimizer = torch.optim.Adam(self.network.parameters(), LEARNING_RATE, eps=EPSILON, fused=True)
        self.inputs, self.targets = self._tensors(network.batch(tiny, SEED))

    def _tensors(self, batch: Batch) -> tuple[list[Any], Any]:
        """Returns the batch in the layout of PyTorch: channels first, labels of 64 bits in one dimension."""
        arrays = [np.ascontiguousarray(np.moveaxis(x, -1, 1)) if x.ndim == 4 else x for x in batch[0].values()]
        return [self.torch.from_numpy(x) for x in arrays], self.torch.from_numpy(batch[1]).long().flatten()

    def step(self) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._loss()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def _loss(self) -> Any:
        scores = self.network(*self.inputs)
        return self.torch.nn.functional.cross_entropy(scores.flatten(0, -2), self.targets)

    def save_checkpoint(self, path: Path) -> None:
        self.torch.save({"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}, path)

    def save_model(self, path: Path) -> None:
        self.torch.save(self.network.state_dict(), path.with_suffix(".pt"))


TRAINERS = {"jsonnx": Ours, "jsonnx-remat": OursWithRemat, "torch": PyTorch}
FRAMEWORKS = {"jsonnx": "jsonnx", "jsonnx-remat": "jsonnx", "torch": "torch"}
"""The package that a contestant imports."""
TITLES = {"jsonnx": "jsonnx", "jsonnx-remat": 'jsonnx, `"remat": "full"`', "torch": "PyTorch eager"}
