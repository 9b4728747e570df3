"""Who takes part: a name, the class that trains, and what its process needs in its environment."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol

from ..materials import Materials


class Training(Protocol):
    """A network in training. It is made with its materials and a number of threads, and does nothing by itself."""

    def losses(self, count: int) -> list[float]:
        """Train so many steps from the weights given, and tell the loss of each."""

    def steps(self, count: int) -> None:
        """Train so many steps as a user would; they are done when it returns."""


class Entry(NamedTuple):
    """Where a contestant is, and the name by which reports call it."""

    title: str
    module: str
    trains: str
    environment: dict[str, str] = {}


CONTESTANTS = {
    "jsonnx": Entry("jsonnx, step", "ours", "Step"),
    "jsonnx-fit": Entry("jsonnx, fit", "ours", "Fit"),
    "torch": Entry("PyTorch eager, fused Adam", "pytorch", "Eager"),
    "torch-compile": Entry("torch.compile", "pytorch", "Compiled"),
    "keras-jax": Entry("Keras on JAX", "keras3", "Batches", {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}),
    "keras-tf": Entry("Keras on TensorFlow", "keras3", "Batches", {"KERAS_BACKEND": "tensorflow"}),
    "keras-torch": Entry("Keras on PyTorch", "keras3", "Batches", {"KERAS_BACKEND": "torch"}),
}
OURS = ("jsonnx", "jsonnx-fit")
GEMM = "gemm"
"""No contestant, but what all of them are held against."""
_ENTRIES = {**CONTESTANTS, GEMM: Entry("GEMM", "gemm", "Product")}


def environment(name: str) -> dict[str, str]:
    """What a contestant's process needs in its environment."""
    return _ENTRIES[name].environment


def training(name: str, folder: Path, threads: int) -> Training:
    """The contestant, ready to train what is in the folder."""
    entry = _ENTRIES[name]
    made = getattr(import_module(f".{entry.module}", __name__), entry.trains)
    ready: Training = made(Materials(folder), threads)
    return ready


__all__ = ["CONTESTANTS", "GEMM", "OURS", "Entry", "Training", "environment", "training"]
