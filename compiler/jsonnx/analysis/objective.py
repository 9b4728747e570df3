"""Resolves the losses and metrics of each output, and checks them against the output's type."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

from ..core.components import Json
from ..core.diagnostics import JsonPath, Report, Severity
from ..core.fixes import Edit, Fix
from ..core.reserved_names import LEARNING_RATE, LOSS, output_loss_name, validation_name
from ..core.types import ShapeError, Size, TensorType
from ..frontend.networks.unused_layers import loss_layers
from ..frontend.schema.phrases import short_name
from ..layers import LAYERS
from ..sections.class_weights import has_weights_by_output
from ..sections.monitor import monitor_errors, spec_has_validation
from ..sections.target_scaling import has_scalable_type
from ..sections.training_section import Training
from ..training.losses.losses import Loss, check_output_type
from ..training.losses.regression_losses import DifferenceLoss
from ..training.metrics.metrics import Metric
from ..training.metrics.objective import Objective
from ..training.optimizers.schedules import Schedule
from ..training.target_form import TargetForm
from .distillation import resolve_distillation
from .output_layer import output_layer
from .outputs import is_batch_first
from .sample_weights import weighted_outputs
from .shape_inference import TypedNetwork

LOSSES_BY_ACTIVATION = {"softmax": "sparse_categorical_crossentropy", "sigmoid": "binary_crossentropy"}
"""The usual loss of an output with an activation; targets may need another one."""

MetricsKey = Literal["metrics", "weighted_metrics"]


def resolve_objective(typed: TypedNetwork, report: Report) -> Objective | None:
    """The objective of the training section; None if there is no section, or if it has errors, which are reported.

    The losses and metrics of an output whose type is known are checked although others have errors.
    """
    training = typed.network.training
    if training is None:
        return None
    _check_has_loss(typed, training, report)
    losses = _losses_by_output(typed, training, report)
    targets = {}
    for output, loss in losses.items():
        type = typed.types[output]
        try:
            check_output_type(type)
            targets[output] = loss.target_type(type)
            for mask in _masks_of(typed, output):
                loss.check_mask(type, mask)
        except ShapeError as error:
            path = ("training", "loss", *([output] if isinstance(training.loss, dict) else []))
            _report_mismatch(typed, output, "loss-mismatch", path, _title(loss), error, report)
    try:
        training.optimizer.check()
    except ShapeError as error:
        message = f"{training.optimizer.type_name} {error.message}"
        report.add(error.code, ("training", "optimizer"), message, help=error.help)
    _check_fit_sections(training, report)
    _check_input_names(typed, losses, report)
    if isinstance(training.class_weight, dict) and has_weights_by_output(training.class_weight):
        _check_names(typed, training.class_weight, ("training", "class_weight"), report)
    weighted = weighted_outputs(typed, losses, targets, report)
    metrics = _metrics_by_output(typed, "metrics", losses, targets, report)
    weighted_metrics = _metrics_by_output(typed, "weighted_metrics", losses, targets, report)
    weights = dict(training.loss_weights or {})
    _check_names(typed, weights, ("training", "loss_weights"), report)
    forms = _target_forms(typed, training, losses, report)
    added_losses = tuple(typed.network.added_losses)
    distillation = resolve_distillation(typed, training, losses, report)
    objective = Objective(
        losses, weights, metrics, targets, added_losses, weighted_metrics, weighted, forms, distillation
    )
    _check_added_losses(typed, objective, report)
    has_all_types = all(output in _outputs_with_targets(typed) for output in typed.network.outputs)
    if not has_all_types or any(report.has_errors((part,)) for part in ("training", "inputs", "outputs")):
        return None
    _check_monitor(training, objective, typed.network.outputs, report)
    if training.threshold is not None or training.calibration is not None:
        from .decision import check_decision  # imports layers that other specs do not need

        check_decision(typed, training, losses, report)
    return None if report.has_errors(("training",)) else objective


def _check_fit_sections(training: Training, report: Report) -> None:
    """Reports a time limit of zero, a rate that both a schedule and `reduce_on_plateau` would set, and trackers of
    one type."""
    if training.time_limit is not None and training.time_limit.total_seconds == 0:
        help = 'give its parts, such as {"minutes": 30}'
        report.add("out-of-range", ("training", "time_limit"), "'time_limit' must be above 0 seconds", help=help)
    if training.reduce_on_plateau is not None and isinstance(training.optimizer.learning_rate, Schedule):
        message = "'reduce_on_plateau' changes a constant learning rate, and the optimizer's is a schedule"
        report.add("invalid-value", ("training", "reduce_on_plateau"), message, help="leave one of them out")
    types = [tracker.type_name for tracker in training.trackers]
    for index, name in enumerate(types):
        if name in types[:index]:
            message = f"{name!r} is listed twice: a run has at most one tracker of a type"
            report.add("invalid-value", ("training", "trackers", index), message, help="leave one of them out")


def _target_forms(
    typed: TypedNetwork, training: Training, losses: Mapping[str, Loss], report: Report
) -> dict[str, TargetForm]:
    """The outputs whose targets are transformed or normalized. Reports the ones that cannot be."""
    path: JsonPath = ("training", "target")
    target = training.target
    if target is None:
        return {}
    for key, names in (("normalize", target.normalize), ("transform", target.transform)):
        for index, name in enumerate(names) if isinstance(names, (tuple, dict)) else ():
            place = (*path, key, name if isinstance(names, dict) else index)
            known = _names_with_loss(typed, (*path, key), report)
            _check_name(typed, name, place, known, report, at_key=isinstance(names, dict))
    for output, form in typed.network.target_forms.items():
        if output not in losses:
            continue
        place = (*path, "normalize" if form.transform is None else "transform")
        change = "normalized" if form.transform is None else "transformed"
        if losses[output].is_python_function:
            message = f"the targets of {output!r} cannot be {change}: {_title(losses[output])} is a loss in Python, "
            message += "which gets targets as they are"
            help = "end the network with a Rescaling to the range of the target, or scale the target in the data"
            report.add("loss-mismatch", place, message, help=help)
        elif not isinstance(losses[output], DifferenceLoss):
            message = f"the targets of {output!r} cannot be {change}: {_title(losses[output])} compares no differences"
            help = f'use "mse", "mae", "huber", "log_cosh" or "quantile", or name the outputs that are {change}'
            report.add("loss-mismatch", place, message, help=help)
        elif not has_scalable_type(typed.types[output]):
            message = f"the targets of {output!r} cannot be {change}: it is {typed.types[output]}"
            report.add("loss-mismatch", place, message, help="they need real numbers, and a last axis of a fixed size")
        else:
            _check_padding(typed, training, output, form, place, report)
    return typed.network.target_forms


def _check_padding(
    typed: TypedNetwork, training: Training, output: str, form: TargetForm, place: JsonPath, report: Report
) -> None:
    """Reports padded targets that have no logarithm, and masks of steps that have statistics of their own."""
    masks, type = _masks_of(typed, output), typed.types[output]
    has_features = bool(form.statistics and form.statistics_shape(type))
    if has_features and any(mask.rank == type.rank - form.has_quantiles for mask in masks):
        message = f"the targets of {output!r} have statistics for each step, of which a mask leaves some out"
        help = 'statistics of all steps together: give the input no fixed number of steps, as in "shape": [null, 2]'
        report.add("loss-mismatch", place, message, help=help)
    has_steps = any(isinstance(size, Size) for size in type.shape[1:2])
    is_padded = has_steps and training.data is not None and training.data.sequences is not None
    if form.transform == "log" and is_padded and not masks:
        message = f"the targets of {output!r} are padded with 0, which has no logarithm, and no mask leaves these out"
        help = 'mask the padding, with {"type": "SequenceMask"} as the first layer, or take "log1p"'
        report.add("loss-mismatch", place, message, help=help)


def _outputs_with_targets(typed: TypedNetwork) -> list[str]:
    """The outputs whose types are known, and have one result per sample."""
    return [name for name in typed.network.outputs if name in typed.types and is_batch_first(typed.types[name])]


def _loss_fix(typed: TypedNetwork) -> Fix | None:
    """The fix that adds the loss which suits the activation of the only output."""
    outputs = typed.network.outputs
    layer = output_layer(typed, outputs[0]) if len(outputs) == 1 and outputs[0] in typed.types else None
    loss = LOSSES_BY_ACTIVATION.get(layer.activation) if layer else None
    if loss is None:
        return None
    return Fix(f"Add the loss {loss!r}", (Edit("add", ("training", "loss"), loss),), is_safe=False)


def _check_has_loss(typed: TypedNetwork, training: Training, report: Report) -> None:
    """Reports a training without a loss, and what is of no use without one: metrics and columns of targets."""
    if training.loss is not None:
        return
    if not typed.network.added_losses:
        if not _may_be_misspelled(typed, report):
            help = 'name the loss that training minimizes, such as "mse", or add a layer AddLoss'
            message, fix = "'training' needs the key 'loss'", _loss_fix(typed)
            report.add("missing-key", ("training",), message, help=help, expected="the key 'loss'", fix=fix)
        return
    help = "give a loss, or remove them"
    if training.loss_weights:
        message = "losses of outputs are weighted, and no output has a loss"
        report.add("unknown-name", ("training", "loss_weights"), message, help=help)
    for key in ("metrics", "weighted_metrics"):
        if getattr(training, key):
            message = "metrics compare an output with its target, and no output has a loss and so a target"
            report.add("metric-mismatch", ("training", key), message, help=help)
    if training.class_weight is not None:
        message = "classes of targets are weighted, and no output has a loss and so a target"
        report.add("unknown-name", ("training", "class_weight"), message, help=help)
    for key, subject in (("y", "targets"), ("sample_weight", "weights")):
        if training.data is not None and getattr(training.data, key) is not None:
            message = f"columns of {subject} are named, and no output has a loss and so a target"
            report.add("unknown-name", ("training", "data", key), message, help=help)


def _may_be_misspelled(typed: TypedNetwork, report: Report) -> bool:
    """Whether a key, a layer or a block with errors may stand for the loss."""
    flat: Any = typed.network.flat_document
    if any(key not in Training.attributes for key in flat["training"]):
        return True
    if not report.has_errors():
        return False
    document: Any = typed.network.document
    blocks = document.get("blocks") if isinstance(document.get("blocks"), dict) else {}
    sections = [flat["layers"], *(block.get("layers") for block in blocks.values() if isinstance(block, dict))]
    entries = [entry for section in sections if isinstance(section, list) for entry in section]
    types = {str(entry["type"]) for entry in entries if isinstance(entry, dict) and "type" in entry}
    return any(type in loss_layers() or type not in (*LAYERS.by_name, *blocks) for type in types)


def _metrics(objective: Objective, outputs: Collection[str]) -> list[str]:
    """The names of the losses and metrics that are reported, without the losses of AddLoss layers."""
    output_losses = [output_loss_name(output) for output in objective.losses] if len(outputs) > 1 else []
    return [LOSS, *output_losses, *objective.metrics_by_name()]


def _check_added_losses(typed: TypedNetwork, objective: Objective, report: Report) -> None:
    """Reports layers AddLoss with the name of another loss or metric."""
    metrics = _metrics(objective, typed.network.outputs)
    for name in objective.added_losses:
        if name in metrics or name in map(validation_name, (*metrics, *objective.added_losses)):
            message = f"the loss {short_name(name)} has the name of another loss or metric"
            path = typed.network.added_losses[name].path
            report.add("duplicate-name", path, message, help="give the layer another name")


def reported_metrics(objective: Objective, outputs: Collection[str]) -> tuple[list[str], list[str]]:
    """The losses and metrics of an epoch, without their forms on validation data, and the ones that are lists."""
    lists = [name for name, reported in objective.metrics_by_name().items() if not reported.metric.is_scalar]
    return [*_metrics(objective, outputs), *objective.added_losses], lists


def _check_monitor(training: Training, objective: Objective, outputs: Collection[str], report: Report) -> None:
    """Reports a monitored loss or metric that training on the spec's data does not report.

    If it lacks only validation data, that is a warning: a program may pass them to `fit`.
    """
    metrics, lists = reported_metrics(objective, outputs)
    for error in monitor_errors(training, metrics, spec_has_validation(training), lists):
        severity: Severity = "warning" if error.lacks_validation else "error"
        report.add("unknown-figure", error.path, error.message, help=error.help, severity=severity, fix=error.fix)


def _masks_of(typed: TypedNetwork, output: str) -> list[TensorType]:
    """The types of the masks that an output has in training and in inference."""
    flows = (typed.masks.training, typed.masks.inference)
    return [flow.value_masks[output].type for flow in flows if output in flow.value_masks]


def _check_input_names(typed: TypedNetwork, losses: Mapping[str, Loss], report: Report) -> None:
    """Reports inputs with the name of an input or output that training adds to the graph."""
    reserved = {LEARNING_RATE, LOSS, *(output_loss_name(output) for output in losses if len(losses) > 1)}
    random_paths = {call.name: call.path for call in typed.network.random_calls}
    paths: dict[str, JsonPath] = {name: ("inputs", name) for name in typed.inputs} | random_paths
    for name in (name for name in paths if name in reserved):
        message = f"the input {short_name(name)} has a name that is reserved for training"
        is_key = name in typed.inputs
        report.add("duplicate-name", paths[name], message, help="give it another name", at_key=is_key)


def _title(component: Loss | Metric) -> str:
    """The type of a loss or a metric, or the name of a Python function."""
    return str(getattr(component, "name", "")) if component.is_python_function else component.type_name


def _report_mismatch(
    typed: TypedNetwork, output: str, code: str, path: JsonPath, subject: str, error: ShapeError, report: Report
) -> None:
    notes = [(typed.network.paths[output], f"{output!r} is {typed.types[output]}")]
    report.add(code, path, f"{subject} {error.message}", help=error.help, notes=notes)


def _losses_by_output(typed: TypedNetwork, training: Training, report: Report) -> dict[str, Loss]:
    """The losses of the outputs whose types are known."""
    outputs, losses = _outputs_with_targets(typed), training.loss
    if losses is None:
        return {}
    if isinstance(losses, Loss):
        return dict.fromkeys(outputs, losses)
    path = ("training", "loss")
    _check_names(typed, losses, path, report)
    if _written_losses(typed) == {}:
        help = "give a loss, or losses by output name"
        report.add("out-of-range", path, "'loss' needs at least 1 entry, got {}", help=help)
    return {name: losses[name] for name in outputs if name in losses}


def _written_losses(typed: TypedNetwork) -> Json:
    """The value of `loss` as written, with losses that have errors."""
    document = typed.network.flat_document
    section = document.get("training") if isinstance(document, dict) else None
    return section.get("loss") if isinstance(section, dict) else None


def _metrics_by_output(
    typed: TypedNetwork, key: MetricsKey, losses: Mapping[str, Loss], targets: Collection[str], report: Report
) -> dict[str, tuple[Metric, ...]]:
    """The metrics of every output, with short names resolved for the outputs in `targets`, whose losses are valid."""
    metrics = getattr(typed.network.training, key, ())
    if isinstance(metrics, dict):
        _check_names(typed, metrics, ("training", key), report)
    metrics_by_path = {output: _metrics_by_path(typed, key, metrics, output, report) for output in losses}
    resolved: dict[str, tuple[Metric, ...]] = {}
    for output in losses:
        names: dict[str, Metric] = {}
        for path, metric in metrics_by_path[output].items():
            if metric.reported_name in (*names, LOSS):
                help = 'give it another: {"type": ..., "name": "..."}'
                report.add("duplicate-name", path, f"two metrics are called {metric.reported_name!r}", help=help)
            if output not in targets:  # the loss, which determines the form of the target, is reported
                names[metric.reported_name] = metric
                continue
            try:
                names[metric.reported_name] = metric.resolve(losses[output], typed.types[output])
                for mask in _masks_of(typed, output):
                    names[metric.reported_name].check_mask(typed.types[output], mask)
                if key == "weighted_metrics" and not report.has_errors(("training", "loss")):
                    names[metric.reported_name].check_weights(losses[output], typed.types[output])
            except ShapeError as error:
                _report_mismatch(typed, output, "metric-mismatch", path, _title(metric), error, report)
        resolved[output] = tuple(names.values())
    return resolved


def _metrics_by_path(
    typed: TypedNetwork,
    key: MetricsKey,
    metrics: tuple[Metric, ...] | dict[str, tuple[Metric, ...]],
    output: str,
    report: Report,
) -> dict[JsonPath, Metric]:
    """The metrics of an output by their paths. Those with errors have been left out, so that the others moved up."""
    path: JsonPath = ("training", key, *([output] if isinstance(metrics, dict) else []))
    written: Any = typed.network.flat_document
    for step in path:
        written = written.get(step, ()) if isinstance(written, dict) else ()
    indexes = range(len(written)) if isinstance(written, (list, tuple)) else ()
    valid = [(*path, index) for index in indexes if not report.has_errors((*path, index))]
    return dict(zip(valid, metrics.get(output, ()) if isinstance(metrics, dict) else metrics, strict=False))


def _check_names(typed: TypedNetwork, used_names: Iterable[str], path: JsonPath, report: Report) -> None:
    """Reports keys that are no names of outputs or, except in `loss` itself, have no loss."""
    known = _names_with_loss(typed, path, report)
    for name in used_names:
        _check_name(typed, name, (*path, name), known, report, at_key=True)


def _names_with_loss(typed: TypedNetwork, path: JsonPath, report: Report) -> list[str]:
    """The outputs that a section may name: in `loss` all, in others those with a loss, if the losses are known."""
    outputs, losses = typed.network.outputs, _written_losses(typed)
    has_losses_by_name = isinstance(losses, dict) and not isinstance(losses.get("type"), str)
    has_losses_by_name &= path[-1] == "loss" or not report.has_errors(("training", "loss"))
    return [name for name in outputs if path[-1] == "loss" or not has_losses_by_name or name in losses]


def _check_name(
    typed: TypedNetwork, name: str, path: JsonPath, known: Collection[str], report: Report, *, at_key: bool
) -> None:
    outputs = typed.network.outputs
    if report.has_errors(("outputs",)) or name in known or _written_losses(typed) is None:
        return
    template = "the output {} has no loss" if name in outputs else "there is no output {}"
    title = "the outputs" if len(known) == len(outputs) else "outputs with a loss"
    help = report.suggestion(name, known) or f"{title}: {', '.join(known)}"
    report.add("unknown-name", path, template.format(short_name(name)), help=help, at_key=at_key)
