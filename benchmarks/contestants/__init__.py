"""The contestants: names, classes, and environment variables of their processes."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol

from ..materials import Materials


class Contestant(Protocol):
    """A network in a framework, created from the materials and a number of threads."""

    def proof(self, count: int) -> list[float]:
        """Returns the first losses or outputs, which must agree between contestants. It is called before `steps`."""

    def steps(self, count: int) -> None:
        """Runs this number of steps as a user would, and returns when they are finished."""


class Entry(NamedTuple):
    """A contestant's name in reports and its class: `module:class` in this folder.

    The module imports the framework, so that the memory after the import is that of the framework.
    """

    title: str
    made_by: str
    environment: dict[str, str] = {}
    processes: int = 1

    def make(self, folder: Path, threads: int) -> Contestant:
        module, _, name = self.made_by.partition(":")
        contestant: Contestant = getattr(import_module(f".{module}", __name__), name)(Materials(folder), threads)
        return contestant


JAX = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
TENSORFLOW = {"KERAS_BACKEND": "tensorflow"}
TORCH = {"KERAS_BACKEND": "torch"}

TRAINING = {
    "jsonnx": Entry("jsonnx, step", "ours:Step"),
    "jsonnx-fit": Entry("jsonnx, fit", "ours:Fit"),
    "torch": Entry("PyTorch eager", "pytorch:Eager"),
    "torch-nhwc": Entry("PyTorch, channels last", "pytorch:ChannelsLast"),
    "torch-compile": Entry("torch.compile", "pytorch:Compiled"),
    "keras-jax": Entry("Keras on JAX", "keras3:Training", JAX),
    "keras-tf": Entry("Keras on TensorFlow", "keras3:Training", TENSORFLOW),
    "keras-torch": Entry("Keras on PyTorch", "keras3:Training", TORCH),
}
"""Contestants in training. PyTorch uses its fused Adam."""

INFERENCE = {
    "jsonnx": Entry("jsonnx", "onnx_files:Ours"),
    "keras-tf-onnx": Entry("Keras on TensorFlow, export", "onnx_files:FromTensorFlow"),
    "keras-torch-onnx": Entry("Keras on PyTorch, export", "onnx_files:FromKerasTorch"),
    "torch-onnx": Entry("torch.onnx", "onnx_files:FromTorch"),
    "torch": Entry("PyTorch eager", "pytorch:Inference"),
    "keras-jax": Entry("Keras on JAX", "keras3:Inference", JAX),
    "keras-tf": Entry("Keras on TensorFlow", "keras3:Inference", TENSORFLOW),
}
"""Contestants in inference: the first four are ONNX files in the same onnxruntime, with the same options."""

DISTRIBUTED = {
    "jsonnx-2": Entry("jsonnx, 2 shards", "ranks:Ours", processes=2),
    "jsonnx-2x4": Entry("jsonnx, 8 shards", "ranks:OursOfShards", processes=2),
    "torch-2": Entry("PyTorch DDP", "ranks:PyTorch", processes=2),
}
"""Contestants of two processes with one thread each; PyTorch's exchange gradients by gloo."""

GEMM = "gemm"
"""Not a contestant, but the machine's peak performance as a reference."""
PEAK = Entry("GEMM", "gemm:Product")
OURS = ("jsonnx", "jsonnx-fit")
NAMES = tuple(dict.fromkeys((*TRAINING, *INFERENCE, *DISTRIBUTED)))

__all__ = ["DISTRIBUTED", "GEMM", "INFERENCE", "NAMES", "OURS", "PEAK", "TRAINING", "Contestant", "Entry"]
