"""The training step as files: a folder that any program with onnxruntime can train with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..backend import emit, package_version, serialize, spec_hash, verify
from ..core.diagnostics import UsageError
from ..core.files import reason, write_atomically
from ..interop.safetensors_file import weights_bytes
from ..ir import Random, Value, settled
from ..passes.training.remat import rematerialised
from ..runtime.random import initial_weights
from ..runtime.training_plan import Plan
from ..training.reserved_names import RATE, SLOTS, STATISTICS, target_name
from .check import Checked
from .model import Model
from .plan_training import plan

VERSION = 1
OUTPUTS = ("train_step.onnx", "model.onnx", "weights.safetensors", "manifest.json")

HOW = {
    "step": "Feed inputs, targets, scalars, random and variables; next/NAME is what variable NAME is at the next step. "
    "Variables without `next` never change.",
    "start": "weights.safetensors has every variable's first value.",
    "batch": "The size called `batch` is the number of samples, and may be another at every step.",
    "losses": "Means over the batch. The first is what is minimised.",
    "metrics": "Vectors of sums: add them up over batches and take `result` of the totals.",
    "random": "Drawn anew at every step: a mask is `scale` with probability `keep`, else 0; normal and uniform are "
    "standard normal numbers, and numbers from 0 to 1, times `scale`.",
    "augmented": "Inputs that an augmentation layer of the spec makes anew of `from` at every step, at random: of "
    "another such input, or of what the layers before it compute. Fed as they are, the step trains without "
    "augmentation.",
    "exactly": "To draw as jsonnx does at step 0, 1, ...: numpy.random.Philox(key), key being the integer whose "
    "little-endian bytes are the 16-byte BLAKE2b of Python's repr((seed, NAME, step)). Normal and uniform are "
    "numpy.random.Generator's standard_normal and random in float32. For a mask its 64-bit words are taken as four "
    "16-bit numbers each, the lowest first; those below round(keep * 65536) are kept. An epoch's order is Generator's "
    "permutation(samples), the key made of (seed, 'order', epoch).",
}
"""What a reader of the manifest must know, in words."""


def write_training_folder(checked: Checked, model: Model, seed: int | None, folder: Path) -> None:
    """Write `train_step.onnx`, `model.onnx`, `weights.safetensors` and `manifest.json`, the manifest last.

    Raises CompileError where the spec cannot be trained, UsageError where the folder cannot be written.
    """
    made = plan(checked, seed)
    made = replace(made, train=settled(made.train, model.weights))  # a model is here: all is learned
    graph = rematerialised(made.train, made.training.remat, made.training.batch_size)
    step = emit(graph, name=f"{checked.network.name}_train_step")
    verify(step)
    start = initial_weights(made.train, made.seed) | model.weights
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError("unwritable-file", f"cannot make the folder {str(folder)!r}: {reason(error)}") from error
    text = json.dumps(manifest(checked, made), indent=2) + "\n"
    contents = (serialize(step), model.to_bytes(), weights_bytes(start), text.encode())
    for name, content in zip(OUTPUTS, contents, strict=True):
        write_atomically(folder / name, content)


def manifest(checked: Checked, made: Plan) -> dict[str, Any]:
    """What a training loop must feed, what it feeds back, and what the results mean."""
    step = made.train
    targets = {target_name(output): output for output in made.targets}
    return {
        "version": VERSION,
        "jsonnx": package_version(),
        "spec_sha256": spec_hash(checked.network.document),
        "how": HOW,
        "seed": made.seed,
        "batch_size": made.training.batch_size,
        "inputs": {name: _typed(value) for name, value in step.inputs.items() if name in made.inputs},
        "targets": {name: {**_typed(step.inputs[name]), "output": output} for name, output in targets.items()},
        "scalars": {RATE: {**_typed(step.inputs[RATE]), "value": made.rate(0)}},
        "random": {name: _drawn(value, made.seed) for name, value in step.randoms.items()},
        "augmented": {a.name: {**_typed(step.inputs[a.name]), "from": a.source} for a in made.augmented},
        "variables": {name: _variable(name, made) for name in (*step.parameters, *step.states)},
        "outputs": list(made.outputs),
        "losses": list(made.scalars),
        "metrics": {name: _metric(name, made) for name in made.metrics},
    }


def _typed(value: Value) -> dict[str, Any]:
    return {"dtype": value.dtype, "shape": [size if isinstance(size, int) else str(size) for size in value.shape]}


def _drawn(value: Random, seed: int) -> dict[str, Any]:
    seed = seed if value.seed is None else value.seed
    return {**_typed(value), "kind": value.kind, "keep": value.keep, "scale": value.scale, "seed": seed}


def _variable(name: str, made: Plan) -> dict[str, Any]:
    """A weight has a gradient, a state changes of itself, a slot is the optimizer's."""
    step = made.train
    role = "weight" if name in step.parameters else "slot" if name.startswith(SLOTS) else "state"
    value = step.parameters.get(name) or step.states[name]
    return {**_typed(value), "role": role, "next": f"next/{name}" if name in step.updates else None}


def _metric(name: str, made: Plan) -> dict[str, Any]:
    output, metric = f"{STATISTICS}{name}", made.metrics[name]
    return {"from": output, **_typed(made.train.outputs[output]), "result": metric.formula}
