"""Checks the outputs of a network: the first axis of each is the batch, and it has a label for each class."""

from __future__ import annotations

from ..core.diagnostics import JsonPath, Report
from ..core.types import BATCH, TensorType
from ..frontend.network import Call, Network, auxiliary_output_names
from .shape_inference import TypedNetwork

BATCH_FIRST_HELP = "a network has one result per sample: after a reduction over the batch, restore its axis"


def check_outputs(typed: TypedNetwork, report: Report) -> None:
    """Reports every output whose first axis is not the batch, and labels that do not match the classes of an output."""
    for name in typed.network.outputs:
        type = typed.types.get(name)
        if type is None:
            continue
        if is_batch_first(type):
            _check_labels(typed, name, report)
        else:
            _report_first_axis(typed, name, report)


def is_batch_first(type: TensorType) -> bool:
    """Whether a value has one element, or one tensor, per sample."""
    return type.shape[:1] == (BATCH,)


def output_path(network: Network, name: str) -> JsonPath:
    """The path of an output: where it is named, or else of the layer that is the output as it is the last one."""
    document = network.flat_document or {}
    auxiliary, written = list(auxiliary_output_names(document)), document.get("outputs")
    if name in auxiliary:
        return ("training", "auxiliary_outputs", auxiliary.index(name))
    if written is None:
        return network.paths[name]
    return ("outputs",) if isinstance(written, str) else ("outputs", written.index(name))


def _report_first_axis(typed: TypedNetwork, name: str, report: Report) -> None:
    """Reports an output without the batch axis at the layer that loses it."""
    network, type = typed.network, typed.types[name]
    message = f"the output {name!r} is {type}, whose first axis is not the batch"
    loss = _call_that_loses_batch(typed, name)
    if loss is not None and name not in loss.results:
        value = next(result for result in loss.results if not is_batch_first(typed.types[result]))
        message += f": {value!r} is the first without it, {typed.types[value]}"
        notes = [(network.paths[name], f"{name!r} is computed here")]
        report.add("shape-mismatch", loss.path, message, help=BATCH_FIRST_HELP, notes=notes)
        return
    path, layer_path = output_path(network, name), network.paths[name]
    notes = [(layer_path, f"{name!r} is computed here")] if path != layer_path else []
    report.add("shape-mismatch", path, message, help=BATCH_FIRST_HELP, notes=notes)


def _call_that_loses_batch(typed: TypedNetwork, output: str) -> Call | None:
    """The call on the way to an output whose results lack the batch axis though one of its inputs has it."""
    call_by_result = {result: call for call in typed.network.calls for result in call.results}
    values, seen = [output], {output}
    while values:
        call = call_by_result.get(values.pop())
        if call is None:
            continue
        if any(is_batch_first(typed.types[source]) for source in call.sources):
            return call
        values += [source for source in call.sources if source not in seen]
        seen.update(call.sources)
    return None


def _check_labels(typed: TypedNetwork, name: str, report: Report) -> None:
    network, classes = typed.network, typed.types[name].shape[-1]
    labels = network.labels.get(name)
    is_binary = labels is not None and classes == 1 and len(labels) == 2
    if labels is None or not isinstance(classes, int) or len(labels) == classes or is_binary:
        return
    path = ("labels",) if isinstance(network.flat_document.get("labels"), list) else ("labels", name)
    notes = [(network.paths[name], f"{name!r} is {typed.types[name]}")]
    message, help = (
        (f"there are {len(labels)} labels for {classes} classes", "give one label for every number on the last axis")
        if classes > 1
        else (f"there are {len(labels)} labels for one number", "give two labels, of 0 and of 1, or one number a class")
    )
    report.add("labels-mismatch", path, message, help=help, notes=notes)
