"""Checks which columns a spec assigns to its inputs and targets, without its data."""

from __future__ import annotations

from ...core.diagnostics import Diagnostic
from ...sections.columns import SAMPLE_WEIGHT, column_errors
from ...sections.mask_targets import mask_class_counts, mask_errors
from ...sections.split_errors import sequence_errors, split_errors, window_errors
from .check import CheckedSpec


def check_columns(checked: CheckedSpec) -> list[Diagnostic]:
    """The errors of assigned columns, `split` and `windows`, as training would report them.

    None are reported if the network or a target has errors.
    """
    report = checked.new_report()
    typed, objective = checked.typed_network, checked.objective
    training = typed.network.training if typed else None
    if typed is not None and objective is not None and training is not None and training.data is not None:
        for key, names in (("x", typed.inputs), ("y", objective.targets), (SAMPLE_WEIGHT, objective.targets)):
            for error in column_errors(getattr(training.data, key), key, names):
                report.add(error.code, error.path, error.message, help=error.help, fix=error.fix)
        if training.data.thousands == training.data.decimal:
            message = f"the mark of thousands is the decimal mark, {training.data.decimal!r}"
            report.add(
                "ambiguous-columns", ("training", "data", "thousands"), message, help="give the file's two marks"
            )
        data = training.data
        window = window_errors(data, typed.inputs, objective.targets)
        masks = mask_errors(data, mask_class_counts(typed.outputs, objective.targets, objective.losses))
        for error in (*split_errors(data), *window, *sequence_errors(data, typed.inputs), *masks):
            report.add(error.code, error.path, error.message, help=error.help, fix=error.fix)
    return list(report)
