"""The training step as files: a folder that any program with onnxruntime can train with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..backend import package_version, serialize, spec_hash, to_model_proto, verify_model
from ..core.diagnostics import UsageError
from ..core.files import error_reason, write_atomically
from ..core.reserved_names import LEARNING_RATE, is_slot_name, metric_sums_name, next_name, target_name
from ..interop.safetensors_file import safetensors_bytes
from ..ir import Random, Value, with_vocabularies
from ..passes.training.remat import rematerialize
from ..runtime.random import draw_initial_weights
from ..runtime.training_plan import TrainingPlan
from .check import CheckedSpec
from .model import Model
from .plan_training import plan_training

if TYPE_CHECKING:
    import onnx

MANIFEST_VERSION = 1
OUTPUT_FILES = ("train_step.onnx", "model.onnx", "weights.safetensors", "manifest.json")

MANIFEST_HELP = {
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
"""The part of the manifest that explains the rest. Programs may show it, so its text is stable."""


def write_training_folder(checked: CheckedSpec, model: Model, seed: int | None, folder: Path) -> None:
    """Writes `train_step.onnx`, `model.onnx`, `weights.safetensors` and, last, `manifest.json`.

    Raises CompileError if the spec cannot be trained, UsageError if the folder cannot be written.
    """
    plan = plan_training(checked, seed)
    plan = replace(plan, train=with_vocabularies(plan.train, model.weights))  # the model has all learned states
    step = verified_step(plan, f"{checked.network.name}_train_step")
    variables = draw_initial_weights(plan.train, plan.seed) | model.weights
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError("unwritable-file", f"cannot make the folder {str(folder)!r}: {error_reason(error)}") from error
    text = json.dumps(manifest(checked, plan), indent=2) + "\n"
    contents = (serialize(step), model.to_bytes(), safetensors_bytes(variables), text.encode())
    for name, content in zip(OUTPUT_FILES, contents, strict=True):
        write_atomically(folder / name, content)


def verified_step(plan: TrainingPlan, name: str) -> onnx.ModelProto:
    """The training step as an ONNX model that passed the checks of the onnx package."""
    step = to_model_proto(rematerialize(plan.train, plan.training.remat, plan.training.batch_size), name=name)
    verify_model(step)
    return step


def manifest(checked: CheckedSpec, training_plan: TrainingPlan) -> dict[str, Any]:
    """The inputs that a training loop feeds, the outputs that it feeds back, and the meaning of the results."""
    step = training_plan.train
    targets = {target_name(output): output for output in training_plan.targets}
    return {
        "version": MANIFEST_VERSION,
        "jsonnx": package_version(),
        "spec_sha256": spec_hash(checked.network.document),
        "how": MANIFEST_HELP,
        "seed": training_plan.seed,
        "batch_size": training_plan.training.batch_size,
        "inputs": {name: _type_entry(value) for name, value in step.inputs.items() if name in training_plan.inputs},
        "targets": {name: {**_type_entry(step.inputs[name]), "output": output} for name, output in targets.items()},
        "scalars": {LEARNING_RATE: {**_type_entry(step.inputs[LEARNING_RATE]), "value": training_plan.rate(0)}},
        "random": {name: _random_entry(value, training_plan.seed) for name, value in step.randoms.items()},
        "augmented": {
            a.name: {**_type_entry(step.inputs[a.name]), "from": a.source} for a in training_plan.augmented_inputs
        },
        "variables": {name: _variable_entry(name, training_plan) for name in (*step.parameters, *step.states)},
        "outputs": list(training_plan.outputs),
        "losses": list(training_plan.loss_names),
        "metrics": {name: _metric_entry(name, training_plan) for name in training_plan.metrics},
    }


def _type_entry(value: Value) -> dict[str, Any]:
    return {"dtype": value.dtype, "shape": [size if isinstance(size, int) else str(size) for size in value.shape]}


def _random_entry(value: Random, seed: int) -> dict[str, Any]:
    seed = seed if value.seed is None else value.seed
    return {**_type_entry(value), "kind": value.kind, "keep": value.keep, "scale": value.scale, "seed": seed}


def _variable_entry(name: str, training_plan: TrainingPlan) -> dict[str, Any]:
    """Roles: a weight has a gradient, a state is updated by its layer, a slot belongs to the optimizer."""
    step = training_plan.train
    role = "weight" if name in step.parameters else "slot" if is_slot_name(name) else "state"
    value = step.parameters.get(name) or step.states[name]
    return {**_type_entry(value), "role": role, "next": next_name(name) if name in step.updates else None}


def _metric_entry(name: str, training_plan: TrainingPlan) -> dict[str, Any]:
    output, metric = metric_sums_name(name), training_plan.metrics[name]
    return {"from": output, **_type_entry(training_plan.train.outputs[output]), "result": metric.formula}
