"""Checks which columns a spec assigns to its inputs and targets, without its data."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.diagnostics import Diagnostic
from ...core.files.tokenizer_file import data_inputs
from ...sections.columns import SAMPLE_WEIGHT, column_errors
from ...sections.file_names import file_name_errors
from ...sections.label_sets import label_separator_errors, label_set_outputs
from ...sections.mask_targets import mask_class_counts, mask_errors
from ...sections.split_errors import sequence_errors, split_errors, window_errors
from ...sections.training_section import Training
from .check import CheckedSpec


def check_columns(checked: CheckedSpec) -> list[Diagnostic]:
    """The errors of assigned columns, `split` and `windows`, as training would report them.

    If the training section has errors, only the names in `x`, `y` and `sample_weight` are checked.
    """
    report = checked.new_report()
    typed, objective = checked.typed_network, checked.objective
    training = typed.network.training if typed else None
    if typed is None or training is None or training.data is None:
        return []
    data = training.data
    inputs = data_inputs(typed.inputs, typed.network.text_inputs, typed.network.tokenizations)
    targets = objective.targets if objective is not None else _outputs_with_loss(checked, training)
    for key, names in (("x", inputs), ("y", targets), (SAMPLE_WEIGHT, targets)):
        for error in column_errors(getattr(data, key), key, names) if names else ():
            is_key = error.code == "unknown-name"
            report.add(error.code, error.path, error.message, help=error.help, fix=error.fix, at_key=is_key)
    for error in file_name_errors(data, inputs, targets) if targets else ():
        report.add(error.code, error.path, error.message, help=error.help, fix=error.fix, at_key=True)
    if objective is None:
        return list(report)
    if data.thousands == data.decimal:
        message = f"the mark of thousands is the decimal mark, {data.decimal!r}"
        report.add("ambiguous-columns", ("training", "data", "thousands"), message, help="give the file's two marks")
    window = window_errors(data, inputs, objective.targets)
    masks = mask_errors(data, mask_class_counts(typed.outputs, objective.targets, objective.losses))
    labels = label_separator_errors(data, objective.targets, label_set_outputs(typed.outputs, objective.losses))
    for error in (*split_errors(data), *window, *sequence_errors(data, inputs), *masks, *labels):
        report.add(error.code, error.path, error.message, help=error.help, fix=error.fix)
    return list(report)


def _outputs_with_loss(checked: CheckedSpec, training: Training) -> Sequence[str]:
    """The outputs that may have targets, although the training section has errors; none if outputs have errors."""
    outputs = checked.typed_network.network.outputs if checked.typed_network is not None else ()
    if training.loss is None or any(item.path.startswith(("$.outputs", "$.layers")) for item in checked.diagnostics):
        return ()
    by_name = training.loss if isinstance(training.loss, dict) else {}
    are_named = bool(by_name) and all(name in outputs for name in by_name)
    return [name for name in outputs if name in by_name] if are_named else outputs
