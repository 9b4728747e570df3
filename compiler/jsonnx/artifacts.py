"""The training step as files: a folder that any program with onnxruntime can train with."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .backend import emit, package_version, serialize, spec_hash, verify
from .diagnostics import UsageError
from .driver import plan
from .runtime.files import write_atomically
from .graph import Graph
from .interop.weights import weights_bytes
from .model import Model
from .runtime.random import initial_weights
from .validation import Checked


def write_training_folder(checked: Checked, model: Model, seed: int | None, folder: Path) -> None:
    """Write `train_step.onnx`, `model.onnx`, `weights.safetensors` and `manifest.json`, the manifest last.

    Raises CompileError where the spec cannot be trained, UsageError where the folder cannot be written.
    """
    made = plan(checked, seed)
    step = emit(made.train, name=f"{checked.network.name}_train_step")
    verify(step)
    start = initial_weights(made.train, made.seed) | model.weights
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError("unwritable-file", f"cannot make the folder {folder}: {error.strerror or error}") from error
    write_atomically(folder / "train_step.onnx", serialize(step))
    write_atomically(folder / "model.onnx", model.to_bytes())
    write_atomically(folder / "weights.safetensors", weights_bytes(start))
    text = json.dumps(manifest(checked, made.train), indent=2) + os.linesep
    write_atomically(folder / "manifest.json", text.encode())


def manifest(checked: Checked, step: Graph) -> dict[str, Any]:
    """What a training loop must feed, and what it feeds back: every variable's output is its next input."""
    training = checked.network.training
    variables = {**step.parameters, **step.states}
    return {
        "version": 1,
        "jsonnx": package_version(),
        "spec_sha256": spec_hash(checked.network.document),
        "batch": {name: _typed(value) for name, value in step.inputs.items() if name != "learning_rate"},
        "scalars": {"learning_rate": training.optimizer.learning_rate if training else None},
        "variables": {
            name: {**_typed(value), "next": f"next/{name}" if name in step.updates else None} for name, value in variables.items()
        },
        "random": {
            name: {**_typed(value), "kind": value.kind, "keep": value.keep, "scale": value.scale}
            for name, value in step.randoms.items()
        },
        "outputs": list(step.outputs),
    }


def _typed(value: Any) -> dict[str, Any]:
    return {"dtype": value.dtype, "shape": [size if isinstance(size, int) else str(size) for size in value.shape]}
