"""Who takes part: names, the classes that work, and what their processes need in their environment."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol

from ..materials import Materials


class Contestant(Protocol):
    """One network in one framework, made from the materials and a number of threads."""

    def proof(self, count: int) -> list[float]:
        """Numbers by which all must agree: so many first losses, or outputs. It is asked for them first."""

    def steps(self, count: int) -> None:
        """Do the work so many times, as a user would; it is done when this returns."""


class Entry(NamedTuple):
    """A contestant's name in reports, and what makes it: `module:class` in this folder.

    The module imports the framework, so that memory after imports is the framework's.
    """

    title: str
    made_by: str
    environment: dict[str, str] = {}

    def make(self, folder: Path, threads: int) -> Contestant:
        module, _, name = self.made_by.partition(":")
        made: Contestant = getattr(import_module(f".{module}", __name__), name)(Materials(folder), threads)
        return made


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
"""Who trains. PyTorch has its fused Adam."""

INFERENCE = {
    "jsonnx": Entry("jsonnx", "onnx_files:Ours"),
    "keras-tf-onnx": Entry("Keras on TensorFlow, export", "onnx_files:FromTensorFlow"),
    "keras-torch-onnx": Entry("Keras on PyTorch, export", "onnx_files:FromKerasTorch"),
    "torch-onnx": Entry("torch.onnx", "onnx_files:FromTorch"),
    "torch": Entry("PyTorch eager", "pytorch:Inference"),
    "keras-jax": Entry("Keras on JAX", "keras3:Inference", JAX),
    "keras-tf": Entry("Keras on TensorFlow", "keras3:Inference", TENSORFLOW),
}
"""Who predicts: the first four are ONNX files in the same onnxruntime, with the same options."""

GEMM = "gemm"
"""No contestant, but what all of them are held against."""
PEAK = Entry("GEMM", "gemm:Product")
OURS = ("jsonnx", "jsonnx-fit")
NAMES = tuple(dict.fromkeys((*TRAINING, *INFERENCE)))

__all__ = ["GEMM", "INFERENCE", "NAMES", "OURS", "PEAK", "TRAINING", "Contestant", "Entry"]
