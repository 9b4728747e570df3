"""The training step as files: a folder that any program with onnxruntime can train with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...backend import package_version, spec_hash, to_model_writer, verify_model, write_model
from ...core.files.files import make_folders, write_atomically
from ...core.files.run_layout import LABELS_FILE, MODEL_FILE
from ...core.providers.known_providers import PLAIN_TARGET
from ...core.reserved_names import (
    LEARNING_RATE,
    is_slot_name,
    metric_sums_name,
    next_name,
    sample_weight_name,
    target_name,
    teacher_output_name,
)
from ...core.types import TensorType
from ...interop.safetensors_file import weights_parts
from ...ir import Graph, Random, Value, with_vocabularies
from ...lowering.check_augmentation import augmentation_calls
from ...passes.canonicalize import canonicalize
from ...passes.gelu_as_erf import write_gelu_as_erf
from ...passes.training_steps.live_memory import ValueSizes
from ...passes.training_steps.remat import rematerialize
from ...runtime.execution.stored_weights import with_network_weights, with_stored_types
from ...runtime.fit.schedule_steps import require_known_steps
from ...runtime.providers.random import draw_initial_weights
from ...runtime.training_plan import TrainingPlan
from ..check.check import CheckedSpec
from ..compile.model import Model
from ..compile.target_forms import plan_for_target
from .plan_training import plan_training

if TYPE_CHECKING:
    from ...backend import ModelWriter

MANIFEST_VERSION = 1
_OUTPUT_FILES = ("train_step.onnx", MODEL_FILE, LABELS_FILE, "weights.safetensors", "manifest.json")

MANIFEST_HELP = {
    "step": "Feed inputs, targets, scalars, random and variables; next/NAME is what variable NAME is at the next step. "
    "Variables without `next` never change.",
    "start": "weights.safetensors has every variable's first value.",
    "batch": "The size called `batch` is the number of samples, and may be another at every step.",
    "losses": "Means over the batch. The first is what is minimised.",
    "metrics": "Vectors of sums: add them up over batches and take `result` of the totals.",
    "random": "Drawn anew at every step: a mask is `scale` with probability `keep`, else 0; normal and uniform are "
    "standard normal numbers, and numbers from 0 to 1, times `scale`.",
    "augmented": "What an augmentation layer of the spec makes anew of `from` at every step, at random; the step reads "
    "those with `fed`. `from` is an input, another augmented entry, or with `model` the output of that file. Fed as it "
    "is, the step trains without augmentation.",
    "augmentation_inputs": "What only augmentation layers and the models of `augmented` read: inputs, and variables "
    "whose values are in weights.safetensors.",
    "exactly": "To draw as jsonnx does at step 0, 1, ...: numpy.random.Philox(key), key being the integer whose "
    "little-endian bytes are the 16-byte BLAKE2b of Python's repr((seed, NAME, step)). Normal and uniform are "
    "numpy.random.Generator's standard_normal and random in float32. For a mask its 64-bit words are taken as four "
    "16-bit numbers each, the lowest first; those below round(keep * 65536) are kept. An epoch's order is Generator's "
    "permutation(samples), the key made of (seed, 'order', epoch).",
}
"""The part of the manifest that explains the rest. Programs may show it, so its text is stable."""
TEACHER_HELP = (
    "What a teacher computes for the samples: feed it beside targets. Of classes and labels these are logits, such as "
    "the logarithms of softmax outputs, before they are divided by the temperature."
)
SAMPLE_WEIGHTS_HELP = (
    "Factors of the losses of samples, or of their positions: feed them beside targets, 1 for no weight."
)
OFFSET_HELP = " An `offset` is added to them."


def training_files(checked: CheckedSpec) -> tuple[str, ...]:
    """The names of all files that an export of the spec's training step may write."""
    count = len(augmentation_calls(checked.network))
    return (*_OUTPUT_FILES, *map(_augmentation_file, range(count)))


def _augmentation_file(index: int) -> str:
    """The model that computes what the augmentation layer with this index gets."""
    return f"augmentation_{index}.onnx"


def write_training_folder(
    checked: CheckedSpec, model: Model, seed: int | None, folder: Path, target: str = PLAIN_TARGET
) -> None:
    """Writes `train_step.onnx`, `model.onnx` with its labels, `weights.safetensors`, models of what augmentation layers
    get, and last `manifest.json`; `target` is the model's.

    Raises CompileError if the spec cannot be trained, UsageError if the folder cannot be written.
    """
    plan = plan_for_target(plan_training(checked, seed), target)
    require_known_steps(plan)
    drawn = draw_initial_weights(with_network_weights(plan.train), plan.seed, model.weights)
    variables = with_stored_types(plan.train, drawn | model.weights)
    plan = replace(plan, train=with_vocabularies(plan.train, model.weights))  # the model has all learned states
    name = checked.network.name
    models = {"train_step.onnx": verified_step(plan, f"{name}_train_step")}
    for index, augmented in enumerate(plan.augmented_inputs):
        if augmented.graph is not None:
            before = _without_unread_inputs(with_vocabularies(augmented.graph, model.weights))
            file = _augmentation_file(index)
            models[file] = _verified(before, f"{name}_{Path(file).stem}")
    make_folders(folder)
    target_entry = {} if target == PLAIN_TARGET else {"target": target}
    text = json.dumps(manifest(checked, plan) | target_entry, indent=2) + "\n"
    for file, writer in models.items():
        write_model(writer, folder / file)
    model.save(folder / MODEL_FILE)
    contents = (weights_parts(variables), text.encode())
    for file, content in zip(_OUTPUT_FILES[-2:], contents, strict=True):
        write_atomically(folder / file, content)


def _without_unread_inputs(graph: Graph) -> Graph:
    """The graph without unread inputs and variables, such as inputs that only an augmentation layer reads."""
    read = {value for node in graph.nodes for value in node.inputs} | set(graph.roots)
    return replace(
        graph,
        inputs={name: value for name, value in graph.inputs.items() if value in read},
        parameters={name: value for name, value in graph.parameters.items() if value in read or name in graph.updates},
        states={name: value for name, value in graph.states.items() if value in read or name in graph.updates},
        randoms=graph.read_randoms,
    )


def verified_step(plan: TrainingPlan, name: str) -> ModelWriter:
    """The training step as an ONNX model that passed the checks of the onnx package."""
    sizes = ValueSizes.of_batch(plan.training.batch_size)
    graph = rematerialize(_without_unread_inputs(plan.train), plan.training.remat, sizes)
    return _verified(canonicalize(write_gelu_as_erf(graph)), name)


def _verified(graph: Graph, name: str) -> ModelWriter:
    writer = to_model_writer(graph, name=name).with_digests()
    verify_model(writer.structure_proto())
    return writer


def manifest(checked: CheckedSpec, training_plan: TrainingPlan) -> dict[str, Any]:
    """The inputs that a training loop feeds, the outputs that it feeds back, and the meaning of the results."""
    step = _without_unread_inputs(training_plan.train)
    targets = {target_name(output): output for output in training_plan.targets}
    weights = {sample_weight_name(output): output for output in sorted(training_plan.weighted_outputs)}
    weight_entries = {name: {**_type_entry(step.inputs[name]), "output": output} for name, output in weights.items()}
    distillation = checked.objective.distillation if checked.objective is not None else None
    teacher_outputs = {teacher_output_name(name): name for name in sorted(distillation.outputs if distillation else ())}
    teacher_entries = {
        name: {**_type_entry(step.inputs[name]), "output": output} for name, output in teacher_outputs.items()
    }
    return {
        "version": MANIFEST_VERSION,
        "jsonnx": package_version(),
        "spec_sha256": spec_hash(checked.network.document),
        "how": _manifest_help(step, has_weights=bool(weights), has_teacher=bool(teacher_entries)),
        "seed": training_plan.seed,
        "batch_size": training_plan.training.batch_size,
        "inputs": {name: _type_entry(value) for name, value in step.inputs.items() if name in training_plan.inputs},
        "targets": {name: {**_type_entry(step.inputs[name]), "output": output} for name, output in targets.items()},
        **({"sample_weights": weight_entries} if weights else {}),
        **({"teacher_outputs": teacher_entries} if teacher_entries else {}),
        "scalars": {
            name: {**_type_entry(value), "value": training_plan.constant_rate}
            for name, value in step.inputs.items()
            if name == LEARNING_RATE  # absent for a schedule, and if no weight is trained
        },
        "random": {name: _random_entry(value, training_plan.seed) for name, value in step.randoms.items()},
        "augmented": {
            augmented.name: {
                **_type_entry(training_plan.train.inputs[augmented.name]),
                "from": augmented.source,
                "model": _augmentation_file(index) if augmented.graph is not None else None,
                "fed": augmented.name in step.inputs,
            }
            for index, augmented in enumerate(training_plan.augmented_inputs)
        },
        "augmentation_inputs": _augmentation_inputs(training_plan, step),
        "variables": {name: _variable_entry(name, step) for name in (*step.parameters, *step.states)},
        "outputs": list(training_plan.outputs),
        "losses": list(training_plan.loss_names),
        "metrics": {name: _metric_entry(name, training_plan) for name in training_plan.metrics},
    }


def _manifest_help(step: Graph, *, has_weights: bool, has_teacher: bool) -> dict[str, str]:
    """The part of the manifest that explains the rest, as far as the step needs it."""
    help = MANIFEST_HELP | ({"sample_weights": SAMPLE_WEIGHTS_HELP} if has_weights else {})
    help |= {"teacher_outputs": TEACHER_HELP} if has_teacher else {}
    has_offsets = any(value.is_model_input for value in step.randoms.values())
    return help | ({"random": MANIFEST_HELP["random"] + OFFSET_HELP} if has_offsets else {})


def _augmentation_inputs(training_plan: TrainingPlan, step: Graph) -> dict[str, Any]:
    """The inputs and variables that augmentation layers, or the models of what they get, read and the step does not."""
    entries: dict[str, Any] = {
        name: {**_type_entry(type), "role": "input"}
        for name, type in training_plan.inputs.items()
        if name not in step.inputs
    }
    for augmented in training_plan.augmented_inputs:
        graph = _without_unread_inputs(augmented.graph) if augmented.graph is not None else None
        variables = {**graph.parameters, **graph.states} if graph is not None else {}
        for name, value in variables.items():
            if name not in step.parameters and name not in step.states:
                role = "weight" if graph is not None and name in graph.parameters else "state"
                entries[name] = {**_type_entry(value), "role": role}
    return entries


def _type_entry(value: Value | TensorType) -> dict[str, Any]:
    return {"dtype": value.dtype, "shape": [size if isinstance(size, int) else str(size) for size in value.shape]}


def _random_entry(value: Random, seed: int) -> dict[str, Any]:
    seed = seed if value.seed is None else value.seed
    offset = {"offset": value.offset} if value.is_model_input else {}
    return {**_type_entry(value), "kind": value.kind, "keep": value.keep, "scale": value.scale, **offset, "seed": seed}


def _variable_entry(name: str, step: Graph) -> dict[str, Any]:
    """Roles: a weight has a gradient, a state is updated by its layer, a slot belongs to the optimizer."""
    role = "weight" if name in step.parameters else "slot" if is_slot_name(name) else "state"
    value = step.parameters.get(name) or step.states[name]
    return {**_type_entry(value), "role": role, "next": next_name(name) if name in step.updates else None}


def _metric_entry(name: str, training_plan: TrainingPlan) -> dict[str, Any]:
    output, metric = metric_sums_name(name), training_plan.metrics[name]
    return {"from": output, **_type_entry(training_plan.train.outputs[output]), "result": metric.result_expression}
