"""Opens the teacher that a spec names, and checks that it fits the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np

from ...analysis.output_layer import output_layer
from ...core.diagnostics import CompileError, Diagnostic, UsageError, quoted_list
from ...core.files.digests import file_sha256
from ...core.files.files import UnsafePath, error_reason
from ...core.files.spec_folders import UNSAFE_DATA_HELP, SpecFolders, check_spec_model, spec_model_file
from ...core.files.spec_source import SpecSource
from ...core.numpy_types import numpy_dtype
from ...core.types import TensorType
from ...runtime.distillation.teacher import (
    TEACHER_PATH,
    TeacherModel,
    TeacherOutput,
    as_numbers,
    class_logits,
    label_logits,
    teacher_mismatch,
)
from ...runtime.providers.providers import Provider
from ...runtime.session.session import Session
from ...runtime.training_plan import TrainingPlan
from ...training.losses.distillation import comparison
from ...training.output_form import OutputForm
from ..check.check import CheckedSpec
from .model_spec import checked_spec_of

Convert = Callable[[np.ndarray], np.ndarray]
BY_ACTIVATION: Mapping[str, Convert] = {"softmax": class_logits, "sigmoid": label_logits}
"""Conversions of outputs to logits, by activation."""
BY_FORM: Mapping[OutputForm, Convert] = {
    OutputForm.LOGITS: as_numbers,
    OutputForm.CLASS_WEIGHTS: class_logits,
    OutputForm.CLASS_PROBABILITIES: class_logits,
    OutputForm.INDEPENDENT_PROBABILITIES: label_logits,
}
"""Conversions of outputs to logits, by the form that the loss takes."""


def open_teacher(checked: CheckedSpec, plan: TrainingPlan, provider: Provider, threads: int | None) -> TeacherModel:
    """The teacher of a training plan, in onnxruntime.

    Raises UsageError for a file that cannot be read, CompileError for one that is no model, lies elsewhere than the
    files of a spec may, or does not fit the network (`teacher-mismatch`).
    """
    section, distillation = plan.training.distill, checked.objective and checked.objective.distillation
    assert section is not None
    assert distillation is not None
    path = _model_path(section.teacher, plan.source)
    session = Session(path, provider, threads)
    spec = checked_spec_of(session, path)
    if session.random_inputs:
        message = f"the teacher draws random numbers: {quoted_list(session.random_inputs)}"
        _refuse(plan, message, "take a model whose outputs depend on its inputs alone")
    feed_names = {name: _feed_name(plan, name) for name in session.inputs}
    for name, feed in feed_names.items():
        own = plan.train.inputs[feed].type if feed in plan.train.inputs else plan.inputs[name]
        if not _fits(own, session.inputs[name]) or not _is_castable(own.dtype, session.inputs[name].dtype):
            message = f"the teacher's input {name!r} is {session.inputs[name]}, and that of the network {own}"
            _refuse(
                plan, message, "teacher and network take the same samples: give the inputs the same shape and dtype"
            )
    outputs = {
        output: _teacher_output(checked, plan, session, spec, path, output) for output in sorted(distillation.outputs)
    }
    shards = plan.training.distributed.shards if plan.training.distributed is not None else 1
    rows = -(-plan.training.batch_size // shards)
    return TeacherModel(section.teacher, session, outputs, feed_names, rows, _digest(path), plan.source)


def teacher_files(checked: CheckedSpec, folders: SpecFolders) -> Iterator[str]:
    """The path of the teacher that a spec names, if it is one that the spec may name."""
    training = checked.network.training
    if training is not None and training.distill is not None:
        try:
            yield str(folders.path(spec_model_file(folders, training.distill.teacher)))
        except UnsafePath:  # reported when the teacher is opened
            return


def _model_path(name: str, source: SpecSource) -> str:
    folders = source.folders
    try:
        return str(folders.path(check_spec_model(folders, name)))
    except UnsafePath as error:
        diagnostic = Diagnostic("unsafe-path", str(error), help=UNSAFE_DATA_HELP)
        raise CompileError([source.locate_diagnostic(diagnostic, TEACHER_PATH)]) from error
    except UsageError as error:
        error.diagnostic = source.locate_diagnostic(error.diagnostic, TEACHER_PATH)
        raise


def _digest(path: str) -> str:
    try:
        return file_sha256(Path(path))
    except OSError as error:
        raise UsageError("unreadable-file", f"cannot read {path!r}: {error_reason(error)}") from error


def _refuse(plan: TrainingPlan, message: str, help: str) -> NoReturn:
    raise CompileError([teacher_mismatch(plan.source, message, help)])


def _feed_name(plan: TrainingPlan, name: str) -> str:
    """What is fed to an input of the teacher: an input of the network, or the images that augmentation layers make of
    it."""
    if name not in plan.inputs:
        message = f"the teacher has the input {name!r}, which the network lacks: it has {quoted_list(plan.inputs)}"
        _refuse(plan, message, "name the inputs of the network as those of the teacher")
    for augmented in plan.augmented_inputs:
        graph = augmented.graph
        if graph is None:
            name = augmented.name if augmented.source == name else name
        elif any(graph.inputs.get(name) in node.inputs for node in graph.nodes if name in graph.inputs):
            message = f"{augmented.source!r} is computed from {name!r} before images are augmented, which the teacher "
            message += "would have to see as the network does"
            _refuse(plan, message, f"put the augmentation layers directly behind the input {name!r}")
    return name


def _teacher_output(
    checked: CheckedSpec, plan: TrainingPlan, session: Session, spec: CheckedSpec | None, path: str, output: str
) -> TeacherOutput:
    """The output of the teacher that an output of the network is compared with."""
    name = output
    if output not in session.outputs:
        if len(session.outputs) > 1 or len(plan.outputs) > 1:
            message = f"the teacher has no output {output!r}: it has {quoted_list(session.outputs)}"
            _refuse(plan, message, "outputs are compared by name, unless teacher and network have one each")
        (name,) = session.outputs
    own, its = plan.outputs[output], session.outputs[name]
    if not its.dtype.startswith("float") or not _fits(own, its):
        message = f"the teacher's output {name!r} is {its}, and {output!r} is {own}"
        _refuse(plan, message, "the outputs must have the same shape: of classifiers, the same number of classes")
    loss = plan.training.loss_of(output)
    is_compared_as_numbers = loss is None or comparison(loss) == "numbers"
    convert = as_numbers if is_compared_as_numbers else _logits_of(spec, path, name)
    return TeacherOutput(name, convert, spec.network.labels.get(name, ()) if spec is not None else ())


def _logits_of(spec: CheckedSpec | None, path: str, output: str) -> Convert:
    """The conversion of a teacher's output to logits, by its loss or else by its activation."""
    if spec is None:
        return BY_ACTIVATION.get(_last_operator(path, output).lower(), as_numbers)
    training = spec.network.training
    loss = training.loss_of(output) if training is not None else None
    if loss is not None and loss.output_form in BY_FORM:
        return BY_FORM[loss.output_form]
    layer = output_layer(spec.require(), output)
    return as_numbers if layer is None else BY_ACTIVATION.get(layer.activation, as_numbers)


def _last_operator(path: str, output: str) -> str:
    """The operator that computes an output of a model which another program wrote."""
    import onnx  # most teachers have a spec

    graph = onnx.load(path, load_external_data=False).graph
    return next((node.op_type for node in graph.node if output in node.output), "")


def _fits(own: TensorType, its: TensorType) -> bool:
    """Whether a type of the network is one of the teacher; a symbol of the teacher stands for every size."""
    sizes = zip(own.shape, its.shape, strict=False)
    return own.rank == its.rank and all(not isinstance(size, int) or size == given for given, size in sizes)


def _is_castable(own: str, its: str) -> bool:
    if "string" in (own, its):
        return own == its
    return np.can_cast(numpy_dtype(own), numpy_dtype(its), "safe")
