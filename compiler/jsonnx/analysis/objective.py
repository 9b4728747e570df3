"""Resolves the losses and metrics of each output, and checks them against the output's type."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ..core.diagnostics import JsonPath, Report, Severity
from ..core.reserved_names import LEARNING_RATE, LOSS, output_loss_name, validation_name
from ..core.types import ShapeError, TensorType
from ..frontend.schema.phrases import short_name
from ..training.losses import Loss, check_output_type
from ..training.metrics import Metric
from ..training.monitor import monitor_fault, spec_has_validation
from ..training.objective import Objective
from ..training.section import Training
from .outputs import is_batch_first
from .shape_inference import TypedNetwork


def resolve_objective(typed: TypedNetwork, report: Report) -> Objective | None:
    """The objective of the training section; None if there is no section, or if it has faults, which are reported."""
    training = typed.network.training
    if training is not None:
        _check_has_loss(typed, training, report)
    outputs = {name: typed.types[name] for name in typed.network.outputs if name in typed.types}
    are_valid = len(outputs) == len(typed.network.outputs) and all(map(is_batch_first, outputs.values()))
    if training is None or not are_valid or report.has_errors(("outputs",)):
        return None
    losses = _losses_by_output(training, outputs, report)
    targets = {}
    for output, loss in losses.items():
        try:
            check_output_type(outputs[output])
            targets[output] = loss.target_type(outputs[output])
            for mask in _masks_of(typed, output):
                loss.check_mask(outputs[output], mask)
        except ShapeError as error:
            path = ("training", "loss", *([output] if isinstance(training.loss, dict) else []))
            _report_mismatch(typed, output, "loss-mismatch", path, loss.type_name, error, report)
    if report.has_errors(("training", "loss")):
        return None
    try:
        training.optimizer.check()
    except ShapeError as error:
        message = f"{training.optimizer.type_name} {error.message}"
        report.add(error.code, ("training", "optimizer"), message, help=error.help)
    _check_input_names(typed, losses, report)
    metrics = _metrics_by_output(typed, losses, report)
    weights = dict(training.loss_weights or {})
    _check_names(weights, losses, outputs, ("training", "loss_weights"), report)
    objective = Objective(losses, weights, metrics, targets, tuple(typed.network.added_losses))
    _check_added_losses(typed, objective, report)
    if report.has_errors(("training",)) or report.has_errors(("inputs",)):
        return None
    _check_monitor(training, objective, outputs, report)
    return None if report.has_errors(("training",)) else objective


def _check_has_loss(typed: TypedNetwork, training: Training, report: Report) -> None:
    """Reports a training without a loss, and what is of no use without one: metrics and columns of targets."""
    if training.loss is not None or report.has_errors(("layers",)):
        return
    if not typed.network.added_losses:
        help = 'name the loss that training minimizes, such as "mse", or add a layer AddLoss'
        report.add("missing-key", ("training",), "'training' needs the key 'loss'", help=help)
        return
    help = "give a loss, or remove them"
    if training.metrics:
        message = "metrics compare an output with its target, and no output has a loss and so a target"
        report.add("metric-mismatch", ("training", "metrics"), message, help=help)
    if training.data is not None and training.data.y is not None:
        message = "columns of targets are named, and no output has a loss and so a target"
        report.add("unknown-name", ("training", "data", "y"), message, help=help)


def _figures(objective: Objective, outputs: Collection[str]) -> list[str]:
    """The names of the losses and metrics that are reported, without those of layers AddLoss."""
    output_losses = [output_loss_name(output) for output in objective.losses] if len(outputs) > 1 else []
    return [LOSS, *output_losses, *objective.metrics_by_name()]


def _check_added_losses(typed: TypedNetwork, objective: Objective, report: Report) -> None:
    """Reports layers AddLoss with the name of another loss or metric."""
    figures = _figures(objective, typed.network.outputs)
    for name in objective.added_losses:
        if name in figures or name in map(validation_name, (*figures, *objective.added_losses)):
            message = f"the loss {short_name(name)} has the name of another loss or metric"
            path = typed.network.added_losses[name].path
            report.add("duplicate-name", path, message, help="give the layer another name")


def _check_monitor(training: Training, objective: Objective, outputs: Collection[str], report: Report) -> None:
    """Reports a monitored loss or metric that training on the spec's data does not report.

    If it lacks only validation data, that is a warning: a program may pass them to `fit`.
    """
    figures = [*_figures(objective, outputs), *objective.added_losses]
    fault = monitor_fault(training, figures, spec_has_validation(training))
    if fault is not None:
        severity: Severity = "warning" if fault.lacks_validation else "error"
        report.add("unknown-figure", fault.path, fault.message, help=fault.help, severity=severity)


def _masks_of(typed: TypedNetwork, output: str) -> list[TensorType]:
    """The types of the masks that an output has in training and in inference."""
    flows = (typed.masks.training, typed.masks.inference)
    return [flow.value_masks[output].type for flow in flows if output in flow.value_masks]


def _check_input_names(typed: TypedNetwork, losses: Mapping[str, Loss], report: Report) -> None:
    """Reports inputs with the name of an input or output that training adds to the graph."""
    reserved = {LEARNING_RATE, LOSS, *(output_loss_name(output) for output in losses if len(losses) > 1)}
    for name in (name for name in typed.inputs if name in reserved):
        message = f"the input {short_name(name)} has a name that is reserved for training"
        report.add("duplicate-name", ("inputs", name), message, help="give it another name", at_key=True)


def _report_mismatch(
    typed: TypedNetwork, output: str, code: str, path: JsonPath, subject: str, error: ShapeError, report: Report
) -> None:
    notes = [(typed.network.paths[output], f"{output!r} is {typed.types[output]}")]
    report.add(code, path, f"{subject} {error.message}", help=error.help, notes=notes)


def _losses_by_output(training: Training, outputs: Mapping[str, TensorType], report: Report) -> dict[str, Loss]:
    if training.loss is None:
        return {}
    if isinstance(training.loss, Loss):
        return dict.fromkeys(outputs, training.loss)
    path = ("training", "loss")
    _check_names(training.loss, outputs, outputs, path, report)
    if not training.loss:
        report.add(
            "out-of-range", path, "'loss' needs at least 1 entry, got {}", help="give a loss, or losses by output name"
        )
    return {name: training.loss[name] for name in outputs if name in training.loss}


def _metrics_by_output(
    typed: TypedNetwork, losses: Mapping[str, Loss], report: Report
) -> dict[str, tuple[Metric, ...]]:
    """The metrics of every output, with short names resolved."""
    metrics = typed.network.training.metrics if typed.network.training else ()
    by_name = isinstance(metrics, dict)
    if isinstance(metrics, dict):
        _check_names(metrics, losses, typed.outputs, ("training", "metrics"), report)
    resolved: dict[str, tuple[Metric, ...]] = {}
    for output in losses:
        names: dict[str, Metric] = {}
        for index, metric in enumerate(metrics.get(output, ()) if isinstance(metrics, dict) else metrics):
            path: JsonPath = ("training", "metrics", output, index) if by_name else ("training", "metrics", index)
            if metric.reported_name in (*names, LOSS):
                help = 'give it another: {"type": ..., "name": "..."}'
                report.add("duplicate-name", path, f"two figures are called {metric.reported_name!r}", help=help)
            try:
                names[metric.reported_name] = metric.resolve(losses[output], typed.types[output])
                for mask in _masks_of(typed, output):
                    names[metric.reported_name].check_mask(typed.types[output], mask)
            except ShapeError as error:
                _report_mismatch(typed, output, "metric-mismatch", path, metric.type_name, error, report)
        resolved[output] = tuple(names.values())
    return resolved


def _check_names(
    used_names: Iterable[str], known: Collection[str], outputs: Collection[str], path: JsonPath, report: Report
) -> None:
    """Reports names that are not in `known`, the outputs that may be named here."""
    for name in used_names:
        if name not in known:
            template = "the output {} has no loss" if name in outputs else "there is no output {}"
            help = report.suggestion(name, known) or f"there are: {', '.join(known)}"
            report.add("unknown-name", (*path, name), template.format(short_name(name)), help=help, at_key=True)
